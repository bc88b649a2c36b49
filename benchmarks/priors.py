"""The priors against the strongest pixels on specimens whose scans abTEM simulated, over doses and noise seeds.

    python benchmarks/priors.py gold mof wse2 apoferritin duck [--size small] [--doses 500 1e4] [--seeds 3]

Pixels and DGP: the defaults; pixels are reconstructed from half sets and filtered. Total variation: preconditioned
pixels with the weight that held-out electrons prefer for the first seed, their best epoch kept; its seconds leave the
search out. Unfiltered: pixels by all electrons at once, as many epochs. Plain: Adam without preconditioner, filter and
regularisation, its best epoch kept. No choice uses the truth; beside what was chosen stands the epoch that the truth
would have chosen. Seconds count from the start of the reconstruction, compilation included.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
from pathlib import Path
from typing import Any

import numpy as np

from jptycho.parallel import use_cpu_cores
from jptycho.preprocess.cpu_devices import choose_cpu_devices

TV = 0.1  # weight of the total variation, from which the best is looked for in factors of two
JUDGED = {"fraction": 0.1, "patience": 6}
PLAIN = {"preconditioner": {"gain": 0.0}, "coverage_weighting": False, "schedule": "constant", "half_sets": False}
PIXELS = {"epochs": 40, "half_sets": False}
DOSES = {
    "gold": (30.0, 100.0, 500.0, 1e4, 1e5),
    "mof": (30.0, 100.0, 500.0, 1e3, 1e5),
    "wse2": (1e4, 1e6),
    "apoferritin": (30.0, 100.0, 500.0),
    "duck": (500.0, 5e4),
}
PLAIN_DOSES = {"gold": (500.0, 1e4), "duck": (5e4,)}
PLAIN_EPOCHS = 150
MANY_SLICES = 3
DEEP: dict[str, Any] = {"pixels": {"epochs": 30, "half_sets": False}, "validation": JUDGED}
VARIANTS: dict[str, dict[str, Any]] = {
    "1 network": {"ensemble_size": 1},
    "3 networks": {"ensemble_size": 3},
    "no polish": {"ensemble_size": 1, "polish_epochs": 0},
    "2 networks, no polish": {"ensemble_size": 2, "polish_epochs": 0},
    "2 networks, probe of pixels": {"ensemble_size": 2, "probe": "pixels"},
}
"""Settings of the DGP that may be worth more on all cases."""
SHOWN = {
    "plain": "plain Adam",
    "unfiltered": "pixels, unfiltered",
    "tv": "pixels, total variation",
    "pixels": "pixels, half sets",
    "dgp": "DGP",
}
"""Methods in a picture, and what they are called there."""
THICK: dict[str, dict[str, Any]] = {
    "pixels": {},
    "unfiltered": DEEP,
    **{f"pixels, depth tv {w:g}": {**DEEP, "penalties": {"tv_depth_phase": w}} for w in (1e-3, 1e-2, 1e-1)},
    **{f"pixels, depth slope {w:g}": {**DEEP, "penalties": {"tikhonov_depth_phase": w}} for w in (1e-3, 1e-2, 1e-1)},
    "pixels, missing wedge": {**DEEP, "projections": {"missing_wedge": 1.0}},
    "dgp": {"method": "dgp"},
    "dgp, depth": {"method": "dgp", "dgp": {"epochs": 10, "architecture": "depth", "base_channels": 8}},
}
"""Methods for an object of many slices."""


def main() -> None:
    """Run what is asked for and add it to ``results/priors_CASE.json``, row by row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="+", choices=list(DOSES))
    parser.add_argument("--size", default="small", choices=("small", "full"))
    parser.add_argument("--doses", nargs="*", type=float, help="e/Å²; by default the case's own")
    parser.add_argument("--seeds", type=int, default=3, help="noise realisations")
    parser.add_argument("--first", type=int, default=0, help="number of the first of them")
    parser.add_argument(
        "--methods",
        nargs="*",
        help='pixels, unfiltered, tv, dgp, plain, "dgp, 1 network"; for wse2 by default THICK',
    )
    parser.add_argument("--weight", type=float, default=TV, help="of total variation, from which the best is searched")
    parser.add_argument("--defocus-error", type=float, default=0.0, help="Å by which the stated defocus is wrong")
    options = parser.parse_args()
    use_cpu_cores(choose_cpu_devices(print))
    for name in options.cases:
        for dose in options.doses or DOSES[name]:
            series(name, options.size, dose, options)


def series(name: str, size: str, dose: float, options: argparse.Namespace) -> None:
    """All methods and seeds of a case at a dose."""
    import depth_profile
    from record import RESULTS, add, load
    from recordings import CASES, recording

    case, weight = CASES[name, size], None
    thick = {"slices": case.slices, "slice_thickness": case.slice_thickness}
    specimen = {"object": thick if case.slices > 1 else {}}
    for seed in range(options.first, options.first + options.seeds):
        scan = misstated(recording(name, size, dose, seed), options.defocus_error)
        wrong = f", defocus {options.defocus_error:+g} Å" if options.defocus_error else ""
        for method in options.methods or methods_of(name):
            if method == "plain" and (dose not in PLAIN_DOSES.get(name, ()) or seed > 0):
                continue
            shared = {**specimen, "seed": seed}
            if method == "tv" and weight is None and case.slices < MANY_SLICES:
                weight = best_weight(scan, shared, options.weight)
            known = THICK if case.slices >= MANY_SLICES else {}
            settings = known.get(method) or settings_of(method, weight or 0.0)
            row = evaluate(name, size, scan, {**shared, **settings}, f"{dose:g}_{seed}_{method}{wrong}")
            if method == "tv":
                row["tv_phase"] = weight
            add(file_of(name, size), f"{dose:g} e/A^2, seed {seed}{wrong}: {method}", row)
            print(f"{name} {dose:8g} {seed} {method:7}", {k: v for k, v in row.items() if k != "epochs"}, flush=True)
    if case.slices >= MANY_SLICES:
        depth_profile.picture(size, dose, RESULTS / f"priors_{name}_depth.png", load(file_of(name, size)))
    picture(name, size, dose)


def misstated(scan: Any, error: float) -> Any:
    """The scan, its stated defocus wrong by so many Å."""
    stated = scan.calibration
    return dataclasses.replace(scan, calibration=dataclasses.replace(stated, defocus=stated.defocus + error))


def methods_of(name: str) -> list[str]:
    """What is compared on a case."""
    return list(THICK) if name == "wse2" else ["pixels", "dgp", "tv", "plain"]


def settings_of(method: str, weight: float) -> dict[str, Any]:
    """Configuration of a method."""
    if method in ("pixels", "dgp"):
        return {"method": method}
    if method.startswith("dgp, "):
        return {"method": "dgp", "dgp": VARIANTS[method.removeprefix("dgp, ")]}
    if method == "unfiltered":
        return {"pixels": {"half_sets": False}}
    pixels = {**PLAIN, "epochs": PLAIN_EPOCHS} if method == "plain" else PIXELS
    patience = 30 if method == "plain" else JUDGED["patience"]
    return {"pixels": pixels, "validation": {**JUDGED, "patience": patience}, "penalties": {"tv_phase": weight}}


def best_weight(scan: Any, shared: dict[str, Any], weight: float) -> float:
    """The total variation's weight that held-out electrons prefer, to a factor of two."""
    from cases import scored

    @functools.cache
    def judged(weight: float) -> float:
        settings = settings_of("tv", weight)
        settings["validation"] = {**settings["validation"], "all_electrons": False}
        return min(row["validation_loss"] for row in scored(scan, **shared, **settings))

    for factor in (2.0, 0.5):
        while judged(factor * weight) < judged(weight):
            weight *= factor
    return weight


def evaluate(name: str, size: str, scan: Any, settings: dict[str, Any], label: str) -> dict[str, Any]:
    """Scores of the result, of the epoch that the truth would have chosen, and when levels were reached."""
    import depth_profile
    from cases import first, numbers, scored_run
    from recordings import CACHE

    from jptycho.cli.demo import score

    rows, result = scored_run(scan, **settings)
    judged = [row for row in rows if row["validation_loss"] is not None]
    chosen = min(judged, key=lambda row: row["validation_loss"]) if judged else rows[-1]
    best = max(rows, key=lambda row: row["ssim"])
    folder = CACHE / "phases"
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / f"{name}_{size}_{label}.npy", result.phase)
    row = {
        **{k: chosen[k] for k in ("stage", "epoch", "validation_loss")},
        **numbers(score(result, result.phase, scan.truth)),
        "best by truth": {k: best[k] for k in ("stage", "epoch", "correlation", "high_pass", "ssim")},
        "seconds": rows[-1]["seconds"],
        "cpu": rows[-1]["cpu"],
        "truth moved by": "Fourier series",
        **resolution(result, scan),
        "reached": {f"bulk {level}": first(rows, "bulk", level) for level in (0.5, 0.9, 0.95)}
        | {f"ssim {level}": first(rows, "ssim", level) for level in (0.6, 0.7, 0.8, 0.9)},
        "epochs": [{k: r[k] for k in ("epoch", "cpu", "seconds", "ssim", "bulk", "correlation")} for r in rows],
    }
    if name == "wse2":
        row |= depth_profile.layers(result, scan, size)
    return row


def aligned(result: Any, scan: Any) -> tuple[np.ndarray, np.ndarray, tuple[float, float]]:
    """The projected phase over the field of view, the truth there in its gauge, and the sampling."""
    from jptycho.diagnostics.truth import align_with_truth

    sampling, truth = result.attributes["sampling"], scan.truth
    image, moved = align_with_truth(
        result.phase,
        sampling,
        result.attributes["origin"],
        result.field_of_view,
        (truth.phase, truth.sampling, truth.origin),
    )
    return image, moved, sampling


def resolution(result: Any, scan: Any) -> dict[str, Any]:
    """Å at which the ring correlation with the truth falls, and to which lattice reflections are seen."""
    from jptycho.diagnostics.resolution import fourier_ring_correlation, information_limit, resolution_at, shell_snr

    image, truth, sampling = aligned(result, scan)
    rings = fourier_ring_correlation(image, truth, sampling)
    limit, highest = information_limit(image, truth, sampling)
    shells = np.array_split(shell_snr(rings), 8)
    return {
        "frc 1/2": detail(resolution_at(rings, 0.5)),
        "information limit": detail(limit),
        "highest reflection": detail(highest),
        "shell snr": [round(float(np.median(shell)), 3) for shell in shells],
    }


def detail(frequency: float) -> float | None:
    """Å of a frequency in Å⁻¹; None for none."""
    return round(1 / frequency, 3) if frequency else None


def file_of(name: str, size: str) -> str:
    """Name of a case's results."""
    return f"priors_{name}" if size == "small" else f"priors_{name}_{size}"


def picture(name: str, size: str, dose: float) -> None:
    """Projected phase of the truth and of every method's first seed, over the scanned field."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt
    from record import RESULTS
    from recordings import CACHE, recording

    from jptycho.diagnostics.truth import resample
    from jptycho.preprocess.prepare import field_of_view, prepare

    scan = recording(name, size, dose, 0)
    problem = prepare(scan)
    view, truth = field_of_view(problem), scan.truth
    assert truth is not None
    axes = [np.arange(v.start, v.stop) * truth.sampling[i] + problem.origin[i] for i, v in enumerate(view)]
    shown = {"truth": resample(truth.phase, truth.sampling, truth.origin, axes[0], axes[1])}
    for method, label in SHOWN.items():
        path = CACHE / "phases" / f"{name}_{size}_{dose:g}_0_{method}.npy"
        if path.exists():
            shown[label] = np.load(path).sum(axis=0)[view]
    if not {SHOWN["pixels"], SHOWN["dgp"]} <= set(shown):
        print(f"{name} {dose:g}: no picture, for pixels or DGP of the first seed were not run here")
        return
    figure, panels = plt.subplots(1, len(shown), figsize=(3.6 * len(shown), 3.9), squeeze=False)
    for axis, (label, phase) in zip(panels[0], shown.items(), strict=True):
        axis.imshow(phase, cmap="gray", vmin=np.quantile(phase, 0.002), vmax=np.quantile(phase, 0.998))
        axis.set(title=label if label == "truth" else f"{label}, {dose:g} e/Å²", xticks=[], yticks=[])
    figure.tight_layout()
    figure.savefig(Path(RESULTS) / f"priors_{name}_{dose:g}.png", dpi=80)
    plt.close(figure)


if __name__ == "__main__":
    main()
