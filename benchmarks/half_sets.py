"""What each part of the filter of half sets brings, over epochs of the pixels.

    python benchmarks/half_sets.py gold:100 gold:500 apoferritin:100 mof:30 [--epochs 6 12 20]

Correlation / fine / SSIM with the truth of: all electrons, unfiltered; the mean of the halves; filtered with one weight
a frequency; with weights that depend on the place too; and with the gains that the other half's electrons confirm. The
last two again where each half has a probe of its own all the time. Where atoms are missing: the contrast of whole
columns over that of the truth, and how much darker sites are that lack atoms, as a part of whole columns, over the same
of the truth, which is blurred to what the probe passes, 2 α / λ, since blur lowers a lattice more than a single site.
"""

from __future__ import annotations

import argparse
import dataclasses
from typing import Any

from jptycho.parallel import use_cpu_cores
from jptycho.preprocess.cpu_devices import choose_cpu_devices


def main() -> None:
    """Measure what is asked for and add it to ``results/half_sets.json``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="+", help="case:dose")
    parser.add_argument("--epochs", nargs="*", type=int, default=[6, 12, 20])
    parser.add_argument("--seed", type=int, default=0, help="of the noise")
    options = parser.parse_args()
    use_cpu_cores(choose_cpu_devices(print))
    from record import load, save

    for case in options.cases:
        name, dose = case.split(":")
        for epochs in options.epochs:
            row = parts(name, float(dose), epochs, options.seed)
            seed = f", seed {options.seed}" if options.seed else ""
            save("half_sets", {**load("half_sets"), f"{name}, {dose} e/A^2{seed}, {epochs} epochs": row})
            print(name, dose, epochs, row, flush=True)


def parts(name: str, dose: float, epochs: int, seed: int) -> dict[str, Any]:
    """The scores of every step of the filter."""
    from unittest import mock

    from cases import numbers
    from recordings import CASES, recording

    import jptycho
    from jptycho.cli.demo import score
    from jptycho.diagnostics.half_set_filter import half_set_filter
    from jptycho.solvers.ensemble import EnsembleSolver

    case, scan = CASES[name, "small"], recording(name, "small", dose, seed)
    thick = {"slices": case.slices, "slice_thickness": case.slice_thickness} if case.slices > 1 else {}
    plain = jptycho.reconstruct(scan, object=thick, seed=seed, pixels={"epochs": epochs, "half_sets": False})
    run = run_of(scan, thick, seed)
    found, weighted, gained = steps(run, epochs)
    apart = lambda config, member, members, epochs, sampling: EnsembleSolver(member, members)  # noqa: E731
    with mock.patch("jptycho.reconstruction.half_sets._solver", apart):
        _, weighted_apart, gained_apart = steps(run, epochs)
    assert found.members is not None
    images = {
        "all electrons": plain.phase,
        "mean of halves": found.object[:, 0],
        "global weights": half_set_filter(*arguments(run, found), local=False).mean[:, 0],
        "local weights": weighted,
        "local weights and gains": gained,
        "own probes, local weights": weighted_apart,
        "own probes, local weights and gains": gained_apart,
    }
    return {
        label: numbers(score(plain, image, scan.truth)) | missing_contrast(name, plain, image)
        for label, image in images.items()
    }


def missing_contrast(name: str, result: Any, phase: Any) -> dict[str, float]:
    """Contrast of whole columns and of sites that lack atoms, with the number of each; empty where none does."""
    import dataclasses

    import numpy as np
    import specimens
    from acquire import cell_and_origin, positions_on_grid
    from priors import aligned
    from recordings import CASES, recording
    from scipy import ndimage

    from jptycho.optics.electron import wavelength

    if name != "vacancies":
        return {}
    case = CASES[name, "small"]
    shape, origin = cell_and_origin(case, positions_on_grid(case))
    atoms = specimens.vacancies((shape[1] * case.sampling, shape[0] * case.sampling))
    shown = dataclasses.replace(result, phase=np.asarray(phase))
    image, truth, sampling = aligned(shown, recording(name, "small", case.dose, 0))
    truth = passed(truth, sampling, 2e-3 * case.semiangle_cutoff / wavelength(case.energy))
    top, _, left, _ = result.field_of_view
    corner = np.asarray(result.attributes["origin"]) + np.multiply((top, left), sampling)

    def inside(kind: str) -> np.ndarray:
        pixels = (atoms.info[kind][:, ::-1] + origin * case.sampling - corner) / np.asarray(sampling)
        return pixels[((pixels > 2) & (pixels < np.asarray(image.shape) - 3)).all(axis=1)]

    def at(kind: str, values: np.ndarray) -> float:
        return float(ndimage.map_coordinates(values, inside(kind).T, order=3).mean())

    found, height = {}, [at("whole", values) - float(values.mean()) for values in (image, truth)]
    found["contrast of whole columns"] = round(height[0] / height[1], 3)
    for kind in ("one", "both"):
        dark = [at("whole", values) - at(kind, values) for values in (image, truth)]
        found[f"{len(inside(kind))} sites that lack {kind}"] = round(dark[0] / height[0] / (dark[1] / height[1]), 3)
    return found


def passed(image: Any, sampling: tuple[float, float], limit: float) -> Any:
    """An image without what lies beyond a frequency in Å⁻¹: what a perfect image of this probe would show of it."""
    import numpy as np

    rows, columns = (np.fft.fftfreq(n, step) for n, step in zip(image.shape, sampling, strict=True))
    inside = np.hypot(rows[:, None], columns) <= limit
    return np.fft.ifft2(np.fft.fft2(image) * inside).real


def steps(run: Any, epochs: int) -> tuple[Any, Any, Any]:
    """Both halves, what the filter makes of them, and that with the gains."""
    from jptycho.diagnostics.half_set_filter import half_set_filter
    from jptycho.reconstruction.half_sets import combine_halves

    found = estimate_halves(run, epochs)
    return found, half_set_filter(*arguments(run, found)).mean[:, 0], combine_halves(run, found, 0).object[:, 0]


def estimate_halves(run: Any, epochs: int) -> Any:
    """Object and probe of both half sets."""
    from jptycho.config.stages import HALF_SETS
    from jptycho.reconstruction.context import Progress, Stage
    from jptycho.reconstruction.half_sets import begin_half_sets
    from jptycho.reconstruction.stages import run_stage

    keep = lambda context, stage, progress, reached: dataclasses.replace(progress, estimate=reached.last)  # noqa: E731
    start = run.problem.estimate
    return run_stage(run, Stage(HALF_SETS, run.config, epochs, begin_half_sets, keep), Progress(start, start)).estimate


def arguments(run: Any, found: Any) -> tuple[Any, ...]:
    """Of the filter."""
    return (*found.members, found.coverage, run.problem.setup.grid.sampling)


def run_of(scan: Any, thick: dict[str, Any], seed: int) -> Any:
    """A run by half sets that nothing has been done in."""
    import time

    from jptycho.assembly.auto import prepare_from_config, resolve_auto
    from jptycho.config.run import with_changes
    from jptycho.preprocess.thinning import make_half_sets
    from jptycho.reconstruction.context import Context

    config = with_changes(None, {"object": thick, "seed": seed})
    whole = prepare_from_config(config, scan)
    quiet = (print, lambda record, channels: None, lambda what, done, total: None)
    halves = (make_half_sets(whole, seed),)
    told = (*quiet, lambda: False, None, time.perf_counter())
    return Context(resolve_auto(config, whole), whole, whole, *told, half_sets=halves)


if __name__ == "__main__":
    main()
