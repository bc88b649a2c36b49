"""What each choice of the deep generative prior brings, and how flat the learning rates are, on two small scans.

    python benchmarks/ablation.py [--rows NAME ...] [--rates]

Two scans of 28 x 28 patterns: a corner of the metal-organic framework (abTEM, 300 e/Å²) and a gold particle (own
simulation, 500 e/Å²). Every run is stopped and chosen by held-out electrons. Seconds leave compilation out: they are
those of the epochs.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from jptycho.devices import choose_cpu_devices
from jptycho.parallel import use_cpu_cores

SIDE = 28  # patterns
ROWS: dict[str, dict[str, Any]] = {
    "default": {},
    "not split": {"split": False},
    "not split, input noise 0.025, probe network: as published": {"split": False, "noise": 0.025, "probe": "network"},
    "probe of pixels": {"probe": "pixels"},
    "complex probe network": {"probe": "network", "probe_complex": True},
    "object of pixels, probe network": {"object": "pixels", "probe": "network"},
    "residual": {"residual": True},
    "shifted, mirrored, transposed": {"augment": True},
    "preconditioned output": {"preconditioned": True},
    "transposed upsampling": {"upsampling": "transposed"},
    "2 levels": {"levels": 2},
    "4 levels": {"levels": 4},
    "8 filters": {"filters": 8},
    "24 filters": {"filters": 24},
    "no skips": {"skips": False},
    "no norm": {"norm": False},
    "no input noise": {"noise": 0.0},
    "input noise 0.3": {"noise": 0.3},
    "fixed random input": {"random_input": True},
    "deep decoder": {"architecture": "decoder"},
    "random start": {"start": "random"},
    "bfloat16": {"precision": "bfloat16"},
}
RATES = (0.2, 0.5, 1.0, 2.0, 6.0)


def scans() -> dict[str, tuple[Any, dict[str, Any]]]:
    """Both scans, and what each asks of a reconstruction."""
    from acquire import recording

    import jptycho

    whole = recording("mof", "small", 300.0, 0)
    counts = whole.read().reshape(whole.shape)[:SIDE, :SIDE]
    assert whole.positions is not None
    positions = whole.positions.reshape(*whole.shape[:2], 2)[:SIDE, :SIDE].reshape(-1, 2)
    framework = jptycho.from_arrays(np.ascontiguousarray(counts), whole.calibration, positions, truth=whole.truth)
    gold = jptycho.simulate_gold(dose=500, diameter=34.0, scan_shape=(SIDE, SIDE), step=1.5)
    return {
        "framework": (framework, {}),
        "gold": (gold, {"object": {"slices": 2, "slice_thickness": 20.0}}),
    }


def run(scan: Any, settings: dict[str, Any]) -> dict[str, Any]:
    """Scores of the kept epoch, seconds of an epoch, parameters of the object's network."""
    from cases import per_epoch, scored

    rows = scored(scan, **settings)
    later = [row for row in rows if row["stage"] not in ("pixels", "half sets")] or rows
    chosen = min((row for row in rows if row["held_out"]), key=lambda row: row["held_out"])
    kept = {k: chosen[k] for k in ("epoch", "correlation", "high_pass", "ssim", "held_out")}
    return {**kept, "best_ssim": max(row["ssim"] for row in rows), "cpu_per_epoch": per_epoch(later, "cpu")}


def parameters(changes: dict[str, Any], slices: int) -> int:
    """Weights of the object's network."""
    import jax
    import jax.numpy as jnp

    from jptycho.choices import with_changes
    from jptycho.representations.networks import UNet, UNetSpec, parameter_count

    dgp = with_changes(None, {"dgp": changes}).dgp
    spec = UNetSpec(
        dgp.levels, dgp.filters, dgp.upsampling, architecture=dgp.architecture, skips=dgp.skips, norm=dgp.norm
    )
    image = jnp.zeros((1, 64, 64, slices))
    return parameter_count(jax.eval_shape(UNet(spec, slices).init, jax.random.key(0), image))


def main() -> None:
    """Run the rows and write ``results/ablation.json``, or ``results/rates.json``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="*", default=list(ROWS))
    parser.add_argument("--rates", action="store_true", help="learning rates instead, of the DGP and of pixels")
    options = parser.parse_args()
    use_cpu_cores(choose_cpu_devices(print))
    from record import load, save

    file = "rates" if options.rates else "ablation"
    for name, (scan, specimen) in scans().items():
        for label, settings in (rates() if options.rates else priors(options.rows)).items():
            row = run(scan, {**specimen, **settings})
            if not options.rates:
                slices = specimen.get("object", {}).get("slices", 1)
                row["parameters"] = parameters(settings["dgp"], slices)
            save(file, {**load(file), f"{name}: {label}": row})
            print(f"{name:10} {label:44}", row, flush=True)


def priors(rows: list[str]) -> dict[str, dict[str, Any]]:
    """Settings of the ablation's rows."""
    return {row: {"method": "dgp", "dgp": ROWS[row]} for row in rows}


def rates() -> dict[str, dict[str, Any]]:
    """Settings with both learning rates times a factor."""
    from jptycho.choices import with_changes

    dgp = with_changes(None, {}).dgp
    found: dict[str, dict[str, Any]] = {}
    for factor in RATES:
        scaled = {"object_rate": factor * dgp.object_rate, "probe_rate": factor * dgp.probe_rate}
        found[f"dgp, rates x {factor:g}"] = {"method": "dgp", "dgp": scaled}
    for factor in RATES:
        pixels = {"object_rate": factor * 1.5e-2, "probe_rate": factor * 3e-2, "epochs": 40}
        judged = {"held_out": 0.1, "patience": 6}
        found[f"pixels, rates x {factor:g}"] = {"pixels": pixels, "stop": judged, "penalties": {"tv_phase": 0.05}}
    return found


if __name__ == "__main__":
    main()
