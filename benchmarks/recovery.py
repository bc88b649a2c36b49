"""Unknowns of beam and detector: what a run finds of them, and what the image gains.

    python benchmarks/recovery.py [names ...] [--method pixels] [--dose 1e4] [--epochs 30] [--seed 0]

Names are those of ``CASES``: descan, defocus, source, thickness, background, flux, and of a beam or an object that is
not one: drift, drift-lens, spread, spread-5, spread-10, spread-pixels, fly, states, gaps. A gold particle on amorphous
carbon, patterns of 32 x 32 in steps of 1.2 Å, simulated by plain NumPy with one imperfection. Each is reconstructed
without it, with it as an unknown, and with its truth known. The value is the unknown's own, of several the root mean
square; the error likewise, its mean aside. The loss is that of the last epoch. CPU seconds are those of the run with
the unknown, compilation included.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from jptycho.optics.electron import wavelength
from jptycho.parallel import use_cpu_cores
from jptycho.preprocess.cpu_devices import choose_cpu_devices

SCAN = {
    "diameter": 14.0, "carbon_thickness": 4.0, "scan_shape": (16, 16), "step": 1.2, "detector": (32, 32),
    "defocus": 100.0, "jitter": 0.0,
}  # fmt: skip
PLAIN = {"pixels": {"epochs": 30, "half_sets": False}, "validation": {"fraction": 0.0}}
FIXED = {"probe": {"fixed": True}}
LENS = {"probe": {"model": "parametric", "aberrations": ["C10"]}}
SLICES = {"penalties": {"similar_slices": 1.0}}
SMALL = {"diameter": 12.0, "carbon_thickness": 3.0, "scan_shape": (14, 14)}
"""Of what the beam is not: what tells of it is little, so there are more electrons."""
FEW = {"dose": 1e5, "epochs": 20}
SPREAD = {"layers": 1, "focal_spread": 60.0}
DRIFT = {"layers": 1, "defocus_drift": 60.0}
DEEP = {
    "diameter": 40.0, "carbon_thickness": 8.0, "semiangle_cutoff": 22.0, "defocus": 60.0, "slice_thickness": 40.0,
}  # fmt: skip
THREE = SLICES | {"object": {"slices": 3, "slice_thickness": 40.0}}


@dataclasses.dataclass(frozen=True)
class Case:
    """An imperfection, and how it is dealt with.

    Attributes:
        made: arguments of the simulation's settings.
        imperfect: of its imperfections.
        without: settings of a run that does not know of it.
        refined: of one to which it is an unknown.
        given: value at which that begins.
        true: value of a simulated scan; of several, all.
        found: the same of a result.
        unit: of the value.
        known: settings of a run that knows it; None for a run of a scan without the imperfection.
        calibrated: keys of the calibration that the first two are given.
        dose: electrons a square Å.
        epochs: of each run.
    """

    made: dict[str, Any]
    imperfect: dict[str, Any]
    without: dict[str, Any]
    refined: dict[str, Any]
    given: float
    true: Callable[[Any], Any]
    found: Callable[[Any], Any]
    unit: str
    known: dict[str, Any] | None = None
    calibrated: dict[str, float] = dataclasses.field(default_factory=dict)
    dose: float = 1e4
    epochs: int = 30


CASES = {
    "descan": Case(
        {}, {"descan": ((1.6, -0.5), (0.7, 2.0))}, FIXED, FIXED | {"refine": {"descan": "plane"}}, 0.0,
        lambda made: made.descan, lambda result: result.extra["descan"], "detector pixels",
    ),
    "defocus": Case(
        {}, {"layers": 1}, FIXED, LENS, 200.0, lambda made: 100.0, lambda result: result.shared["defocus"], "Å",
        FIXED, {"defocus": 200.0},
    ),
    "source": Case(
        {}, {"layers": 1, "source_size": 0.3}, FIXED,
        {"probe": {"modes": 6, **LENS["probe"]}, "refine": {"source_size": True}}, 0.1, lambda made: 0.3,
        lambda result: result.shared["source_size"], "Å",
        {"probe": {"modes": 6, "source_size": 0.3, "fixed": True}},
    ),
    "thickness": Case(
        {"diameter": 40.0, "carbon_thickness": 8.0, "semiangle_cutoff": 22.0, "defocus": 60.0, "slice_thickness": 40.0},
        {"layers": 4}, SLICES | {"object": {"slices": 4, "slice_thickness": 32.0}},
        SLICES | {"object": {"slices": 4, "slice_thickness": 32.0}, "refine": {"thickness": True}}, 32.0,
        lambda made: 40.0, lambda result: result.attributes["slice_thickness"], "Å",
        SLICES | {"object": {"slices": 4, "slice_thickness": 40.0}},
    ),
    "background": Case(
        {}, {"background": 0.5}, {}, {"refine": {"background": "constant"}}, 0.0, lambda made: made.background.mean(),
        lambda result: result.shared["background"], "electrons a pixel",
    ),
    "flux": Case(
        {}, {"flux": 0.15}, {}, {"refine": {"flux": "smooth"}}, 0.0, lambda made: made.flux - 1,
        lambda result: result.extra["flux"] - 1, "of the mean",
    ),
    **{
        name: Case(
            SMALL, DRIFT, lens, lens | {"refine": {"probe_variation": 1}}, 0.0, lambda made: drift_phase(made, 60.0),
            lambda result: result.extra["probe_weights"][:, 0], "rad", **FEW,
        ) for name, lens in (("drift", {}), ("drift-lens", LENS))
    },
    **{
        name: Case(
            SMALL, SPREAD, lens, {"probe": lens.get("probe", {}) | points, "refine": {"focal_spread": True}}, 20.0,
            lambda made: 60.0, lambda result: result.shared["focal_spread"], "Å",
            {"probe": lens.get("probe", {}) | {"focal_spread": 60.0}}, **FEW,
        ) for name, lens, points in (
            ("spread", LENS, {}), ("spread-5", LENS, {"focal_points": 5}), ("spread-10", LENS, {"focal_points": 10}),
            ("spread-pixels", {}, {"focal_points": 10}),
        )
    },
    "fly": Case(
        SMALL, {"layers": 1, "fly": (0.0, 1.2)}, LENS,
        {"probe": LENS["probe"] | {"fly": [0.0, 0.7]}, "refine": {"fly": True}}, 0.7, lambda made: 1.2,
        lambda result: abs(result.shared["fly"][1]), "Å", {"probe": LENS["probe"] | {"fly": [0.0, 1.2]}}, **FEW,
    ),
    "states": Case(
        SMALL, {"phonons": 0.15}, {}, {"refine": {"object_states": 4}}, 0.02, lambda made: np.nan,
        lambda result: result.shared["object_states"].std(), "rad", **FEW,
    ),
    "gaps": Case(
        DEEP, {"layers": 3, "gaps": (25.0, 55.0)}, THREE, THREE | {"refine": {"slice_gaps": True}}, 40.0,
        lambda made: np.array([25.0, 55.0]),
        lambda result: result.shared["slice_gaps"] * result.attributes["slice_thickness"], "Å",
        SLICES | {"object": {"slices": 3, "slice_gaps": [25.0, 55.0]}},
    ),
}  # fmt: skip


def drift_phase(made: Any, drift: float) -> np.ndarray:
    """Phase of each pattern that a drift of the defocus adds, root mean square over the aperture's pixels."""
    calibration = made.dataset.calibration
    pixel = wavelength(calibration.energy) * calibration.reciprocal_sampling[0]
    y, x = (pixel * (np.arange(n) - n // 2) for n in made.dataset.shape[-2:])
    angle = np.hypot(y[:, None], x[None, :])
    weight = np.clip((1e-3 * calibration.semiangle_cutoff - angle) / pixel + 0.5, 0, 1) ** 2
    phase = np.pi / wavelength(calibration.energy) * angle**2
    spread = np.sqrt(np.average(phase**2, weights=weight) - np.average(phase, weights=weight) ** 2)
    return spread * drift * np.linspace(-0.5, 0.5, int(np.prod(made.dataset.shape[:2])))


def main() -> None:
    """Measure what is asked for and add it to ``results/recovery.json``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=list(CASES), help="of the unknowns")
    parser.add_argument("--method", default="pixels", choices=["pixels", "dgp"])
    parser.add_argument("--dose", type=float, help="electrons a square Å; by default that of each case")
    parser.add_argument("--epochs", type=int, help="likewise")
    parser.add_argument("--seed", type=int, default=0, help="of the noise")
    options = parser.parse_args()
    use_cpu_cores(choose_cpu_devices(print))
    from record import add

    for name in options.names:
        given = {key: getattr(options, key) for key in ("dose", "epochs") if getattr(options, key)}
        case = dataclasses.replace(CASES[name], **given)
        row = compared(case, options)
        longer = f", {case.epochs} epochs" if "epochs" in given else ""
        add("recovery", f"{name}, {options.method}, {case.dose:g} e/A^2, seed {options.seed}{longer}", row)
        print(name, row, flush=True)


def compared(case: Case, options: argparse.Namespace) -> dict[str, Any]:
    """Value and error of an unknown, and the image without it, with it and with its truth."""
    from jptycho.simulate.imperfect import Imperfections, simulate_imperfect
    from jptycho.simulate.scan import GoldSettings

    settings = GoldSettings(**(SCAN | case.made | {"dose": case.dose, "seed": options.seed}))
    made = simulate_imperfect(settings, Imperfections(**case.imperfect))
    calibration = dataclasses.replace(made.dataset.calibration, **case.calibrated)
    told = dataclasses.replace(made.dataset, calibration=calibration)
    truth = made.dataset
    if case.known is None:
        spared = {key: value for key, value in case.imperfect.items() if key == "layers"}
        truth = simulate_imperfect(settings, Imperfections(**spared)).dataset
    row: dict[str, Any] = {"unit": case.unit, "given": case.given, "epochs": case.epochs}
    scans = {
        "without": (told, case.without),
        "with": (told, case.refined),
        "known": (truth, case.known or case.without),
    }
    for label, (scan, changes) in scans.items():
        result, row[f"ssim {label}"], seconds = reconstructed(scan, changes, case.epochs, options)
        row[f"loss {label}"] = float(f"{result.history['loss'][-1]:.3g}")
        if label == "with":
            true, found = (np.asarray(values, float) for values in (case.true(made), case.found(result)))
            found = -found if true.ndim == 1 and true @ found < 0 else found  # modes have no sign
            row |= {"true": size(true), "found": size(found), "error": error(found, true), "cpu_seconds": seconds}
    return {key: value for key, value in row.items() if value == value}  # noqa: PLR0124  # no truth, no error: NaN


def reconstructed(
    scan: Any, changes: dict[str, Any], epochs: int, options: argparse.Namespace
) -> tuple[Any, float, float]:
    """A result, its SSIM and the CPU seconds that it took."""
    from record import Clock

    import jptycho
    from jptycho.cli.demo import score

    settings = {key: dict(value) for key, value in PLAIN.items()} | changes | {"method": options.method}
    settings["pixels"] = settings["pixels"] | {"epochs": epochs}
    clock = Clock()
    result = jptycho.reconstruct(scan, seed=options.seed, **settings)
    seconds = clock.read()["cpu"]
    return result, round(score(result, result.phase, scan.truth).ssim, 3), seconds


def size(values: np.ndarray) -> float:
    """One value as it is, of several the root mean square."""
    return round(float(values if values.ndim == 0 else np.sqrt(np.mean(values**2))), 4)


def error(found: np.ndarray, true: np.ndarray) -> float:
    """Root mean square difference; of several, the mean difference aside."""
    difference = found - true
    return round(
        float(np.sqrt(np.mean((difference - difference.mean(axis=0)) ** 2))) if true.ndim else abs(found - true), 4
    )


if __name__ == "__main__":
    main()
