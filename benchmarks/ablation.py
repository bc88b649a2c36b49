"""What each choice of the deep generative prior brings, and how flat the learning rates are, on four small scans.

    python benchmarks/ablation.py [--scans gold ...] [--rows NAME ...] [--rates]

Scans of 32 x 32 patterns that abTEM simulated, of a noise seed that no other benchmark uses. Every run is stopped and
chosen by held-out electrons; scores are those of its result. CPU seconds contain all stages and compilation.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np

from jptycho.diagnostics import half_set_filter
from jptycho.parallel import use_cpu_cores
from jptycho.preprocess.cpu_devices import choose_cpu_devices
from jptycho.reconstruction import deep_prior, half_sets
from jptycho.representations import generated

SIDE, SEED = 32, 5
BASE = {"ensemble_size": 1}  # of every row that says nothing else; the default is 2 here
EVERY = 3  # epochs, of which one is scored
SCANS = {"gold": ("gold", 250.0), "framework": ("mof", 60.0), "protein": ("apoferritin", 200.0), "duck": ("duck", 1e3)}
"""Case and dose in e/Å²."""
ROWS: dict[str, dict[str, Any]] = {
    "1 network with a polish": {},
    "probe held": {"probe": "pixels"},
    **{label: {} for label in ("filtered input, unfiltered target", "unfiltered input, filtered target")},
    "unfiltered input and target": {},
    "6 start epochs": {"start_epochs": 6},
    "20 start epochs": {"start_epochs": 20},
    "12 epochs": {"epochs": 12},
    "48 epochs": {"epochs": 48},
    "2 networks": {"ensemble_size": 2},
    "3 networks": {"ensemble_size": 3},
    "no polish": {"polish_epochs": 0},
    "replaces the estimate": {"residual": False},
    "not split": {"half_sets": False},
    "not split, input noise 0.025, probe network: as published": {
        "half_sets": False,
        "input_noise": 0.025,
        "probe": "network",
    },
    "probe of pixels": {"probe": "pixels"},
    "probe network": {"probe": "network"},
    "complex probe network": {"probe": "network", "probe_complex": True},
    "object of pixels, probe network": {"object": "pixels", "probe": "network"},
    "adds to the estimate": {"residual": True},
    "shifted, mirrored, transposed": {"augment": True},
    "preconditioned output": {"preconditioned": True},
    "transposed upsampling": {"upsampling": "transposed"},
    "2 levels": {"levels": 2},
    "4 levels": {"levels": 4},
    "8 filters": {"base_channels": 8},
    "24 filters": {"base_channels": 24},
    "no skips": {"skips": False},
    "no norm": {"norm": False},
    "no input noise": {"input_noise": 0.0},
    "input noise 0.3": {"input_noise": 0.3},
    "fixed random input": {"random_input": True},
    "deep decoder": {"architecture": "decoder"},
    "random start": {"start": "random"},
    "bfloat16": {"precision": "bfloat16"},
}
UNFILTERED = {
    "filtered input, unfiltered target": ("target",),
    "unfiltered input, filtered target": ("image",),
    "unfiltered input and target": ("image", "target"),
}
RATES = (0.2, 0.5, 1.0, 2.0, 6.0)


def small_scan(name: str) -> tuple[Any, dict[str, Any]]:
    """A corner of a specimen's scan, and what it asks of a reconstruction."""
    from recordings import CASES, recording

    import jptycho

    specimen, dose = SCANS[name]
    case, whole = CASES[specimen, "small"], recording(specimen, "small", dose, SEED)
    counts = whole.read().reshape(whole.shape)[:SIDE, :SIDE]
    assert whole.positions is not None
    positions = whole.positions.reshape(*whole.shape[:2], 2)[:SIDE, :SIDE].reshape(-1, 2)
    scan = jptycho.from_arrays(np.ascontiguousarray(counts), whole.calibration, positions, truth=whole.truth)
    thick = {"slices": case.slices, "slice_thickness": case.slice_thickness} if case.slices > 1 else {}
    return scan, {"object": thick, "seed": SEED}


@contextlib.contextmanager
def changed(label: str) -> Iterator[None]:
    """The package as a row without a setting of its own asks for."""
    if label == "probe held":
        solver = deep_prior.prior_solver
        held = lambda *args: dataclasses.replace(solver(*args), probe_rate=0.0)  # noqa: E731
        with mock.patch.object(deep_prior, "prior_solver", held):
            yield
    elif label in UNFILTERED:
        with unfiltered(UNFILTERED[label]):
            yield
    else:
        yield


@contextlib.contextmanager
def unfiltered(parts: tuple[str, ...]) -> Iterator[None]:
    """Networks that see (``image``) or should make (``target``) the halves as pixels left them."""
    combine, standardise, raw = half_sets.combine_halves, generated.standardise, []

    def combined(context: Any, found: Any, number: int) -> Any:
        pair = jax.device_put(found, jax.devices()[0]).members[2 * number : 2 * number + 2]
        raw.append(half_set_filter.align_halves(pair, half_set_filter.coverage_window(found.coverage)))
        return combine(context, found, number)

    def standardised(images: Any, *args: Any) -> Any:
        filtered = standardise(images, *args)
        if len(images) == 1 or not raw:
            return filtered
        free = raw[0].reshape(2, 1, -1, *raw[0].shape[-2:]).transpose(0, 1, 3, 4, 2)[..., : images.shape[-1]]
        scaled = (free - filtered.mean) / filtered.scale
        pad = [(0, a - b) for a, b in zip(filtered.image.shape, scaled.shape, strict=True)]
        scaled = jnp.pad(scaled, pad, mode="wrap")
        both = {"image": scaled, "target": scaled[::-1]}
        return dataclasses.replace(filtered, **{part: both[part] for part in parts})

    with (
        mock.patch.object(half_sets, "combine_halves", combined),
        mock.patch.object(generated, "standardise", standardised),
    ):
        yield


def run(scan: Any, settings: dict[str, Any]) -> dict[str, Any]:
    """Scores of the result and of its best epoch, and CPU seconds."""
    from cases import numbers, scored_run

    from jptycho.cli.demo import score

    rows, result = scored_run(scan, every=EVERY, **settings)
    return {
        **numbers(score(result, result.phase, scan.truth)),
        "best_ssim": max(row["ssim"] for row in rows),
        "epochs": rows[-1]["epoch"],
        "cpu": rows[-1]["cpu"],
    }


def parameters(changes: dict[str, Any], slices: int) -> int:
    """Weights of the object's network."""
    import jax
    import jax.numpy as jnp

    from jptycho.config.run import with_changes
    from jptycho.representations.networks.unet import UNet, UNetSpec, parameter_count

    dgp = with_changes(None, {"dgp": changes}).dgp
    spec = UNetSpec(
        dgp.levels, dgp.base_channels, dgp.upsampling, architecture=dgp.architecture, skips=dgp.skips, norm=dgp.norm
    )
    image = jnp.zeros((1, 64, 64, slices))
    return parameter_count(jax.eval_shape(UNet(spec, slices).init, jax.random.key(0), image))


def main() -> None:
    """Run the rows and write ``results/ablation.json``, or ``results/rates.json``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scans", nargs="*", default=list(SCANS), choices=list(SCANS))
    parser.add_argument("--rows", nargs="*", default=list(ROWS))
    parser.add_argument("--rates", action="store_true", help="learning rates instead, of the DGP and of pixels")
    options = parser.parse_args()
    use_cpu_cores(choose_cpu_devices(print))
    from record import add

    file = "rates" if options.rates else "ablation"
    for name in options.scans:
        scan, specimen = small_scan(name)
        for label, settings in (rates() if options.rates else ablation(options.rows)).items():
            with changed(label):
                row = run(scan, {**specimen, **settings})
            if not options.rates:
                row["parameters"] = parameters(settings["dgp"], specimen["object"].get("slices", 1))
            add(file, f"{name}: {label}", row)
            print(f"{name:10} {label:44}", row, flush=True)


def ablation(rows: list[str]) -> dict[str, dict[str, Any]]:
    """Settings of the ablation's rows."""
    return {row: {"method": "dgp", "dgp": BASE | ROWS[row]} for row in rows}


def rates() -> dict[str, dict[str, Any]]:
    """Settings with both learning rates times a factor."""
    from jptycho.config.run import with_changes

    dgp = with_changes(None, {}).dgp
    found: dict[str, dict[str, Any]] = {}
    for factor in RATES:
        scaled = {"object_rate": factor * dgp.object_rate, "probe_rate": factor * dgp.probe_rate}
        found[f"dgp, rates x {factor:g}"] = {"method": "dgp", "dgp": scaled}
    for factor in RATES:
        pixels = {"object_rate": factor * 1.5e-2, "probe_rate": factor * 3e-2, "epochs": 40}
        judged = {"fraction": 0.1, "patience": 6}
        found[f"pixels, rates x {factor:g}"] = {"pixels": pixels, "validation": judged, "penalties": {"tv_phase": 0.05}}
    return found


if __name__ == "__main__":
    main()
