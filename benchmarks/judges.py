"""How well judges that know no truth choose among the epochs of a DGP: by how much SSIM each misses the best.

    python benchmarks/judges.py gold:100 gold:500 mof:100 apoferritin:100 duck:500 [--seed 0]

Every judge sees the images of the epochs of the networks and the held-out tenth of the electrons, all with one probe,
that of the result. *Likelihood*, *squares* (the misfit Σ (y - λ)², which is unbiased up to a constant) and
*amplitudes*: of the held-out electrons. *After the gains*: the likelihood once each band is as strong as they
confirm; it is compared by the SSIM of the image with those gains. *Correlation*: of the image with an unfiltered
estimate that pixels make from the held-out electrons alone in a few epochs, each frequency weighted by the ring
correlation of the half sets; shifts and ramps between the two are not undone. *Smoothed*: the mean likelihood of five
epochs. *Run*: what the run itself chose by; *run, with gains* the same choice by the ruler of *after the gains*.
*Last*: no judge.
"""

from __future__ import annotations

import argparse
import dataclasses
from typing import Any

import numpy as np

from jptycho.parallel import use_cpu_cores
from jptycho.preprocess.cpu_devices import choose_cpu_devices

SMOOTH = 5  # epochs
ESTIMATE = 6  # epochs of pixels on the held-out electrons


def main() -> None:
    """Measure what is asked for, add it to ``results/judges.json`` and print the means."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", help="case:dose; none: print what there is")
    parser.add_argument("--seed", type=int, default=0, help="of the noise")
    options = parser.parse_args()
    use_cpu_cores(choose_cpu_devices(print))
    from record import add, load

    for case in options.cases:
        name, dose = case.split(":")
        row = misses(name, float(dose), options.seed)
        add("judges", f"{name}, {dose} e/A^2, seed {options.seed}", row)
        print(name, dose, row, flush=True)
    rows = list(load("judges").values())
    for judge in rows[0]["missed"] if rows else ():
        missed = [row["missed"][judge] for row in rows]
        print(f"{judge:20} {np.mean(missed):.4f} on average, {max(missed):.4f} at most ({len(missed)} runs)")


def misses(name: str, dose: float, seed: int) -> dict[str, Any]:
    """SSIM of the best epoch, and what each judge's choice lacks of it."""
    from cases import scored_run
    from recordings import CASES, recording

    case, scan, images = CASES[name, "small"], recording(name, "small", dose, seed), []
    thick = {"slices": case.slices, "slice_thickness": case.slice_thickness} if case.slices > 1 else {}
    # The probe of the result must not have seen the electrons that judge.
    validation = {"all_electrons": False}
    rows, result = scored_run(scan, images, method="dgp", object=thick, seed=seed, validation=validation)
    epochs = [n for n, row in enumerate(rows) if row["stage"] == "dgp"]
    images, rows = [images[n] for n in epochs], [rows[n] for n in epochs]
    judge = judge_of(scan, thick, seed, result)
    scores = {label: [] for label in ("likelihood", "squares", "amplitudes", "after the gains", "correlation")}
    gained = []
    for image in images:
        values, with_gains = judge(image)
        gained.append(ssim(result, with_gains, scan))
        for label, value in values.items():
            scores[label].append(value)
    run = [row["validation_loss"] for row in rows]
    likelihood = np.asarray(scores["likelihood"])
    window = np.ones(SMOOTH)
    smoothed = np.convolve(likelihood, window, "same") / np.convolve(np.ones(len(likelihood)), window, "same")
    choices = {
        "run": int(np.argmin(run)),
        **{label: int(np.argmin(values)) for label, values in scores.items()},
        "smoothed": int(np.argmin(smoothed)),
        "last": len(images) - 1,
    }
    plain = [row["ssim"] for row in rows]
    missed = {label: round(max(plain) - plain[n], 4) for label, n in choices.items()}
    missed["after the gains"] = round(max(gained) - gained[choices["after the gains"]], 4)
    missed["run, with gains"] = round(max(gained) - gained[choices["run"]], 4)
    best = {"best SSIM": max(plain), "best SSIM with gains": round(max(gained), 4)}
    chosen = {"gained": round(gained[choices["run"]], 4), "epochs": {k: n + 1 for k, n in choices.items()}}
    return {**best, "missed": missed, **chosen}


def ssim(result: Any, phase: Any, scan: Any) -> float:
    """Of a phase (slices, Y, X) with the truth."""
    from cases import numbers

    from jptycho.cli.demo import score

    return numbers(score(result, phase, scan.truth))["ssim"]


def judge_of(scan: Any, thick: dict[str, Any], seed: int, result: Any) -> Any:
    """A function of an image: what each judge makes of it, less is better, and the image with its gains."""
    import jax.numpy as jnp
    from half_sets import run_of

    from jptycho.objective.losses import amplitude_loss, intensity_loss, poisson_loss
    from jptycho.parallel import make_mesh
    from jptycho.preprocess.thinning import hold_out
    from jptycho.reconstruction.confirmed import confirm_bands
    from jptycho.reconstruction.pixels import estimate_by_pixels
    from jptycho.reconstruction.stages import validation_loss

    mesh, run = make_mesh(), run_of(scan, thick, seed)
    _, held, _ = hold_out(run.problem, float(run.config.validation.fraction or 0.1), seed)
    probe = jnp.asarray(np.fft.ifftshift(result.probe, axes=(-2, -1)))
    estimate = dataclasses.replace(run.problem.estimate, probe=probe)
    alone = dataclasses.replace(held, estimate=estimate)
    other = np.asarray(estimate_by_pixels(run, run.config, alone, ESTIMATE, "comparison")[0].object[:, 0])
    weight = ring_weights(scan, thick, seed, other.shape)
    reference = np.fft.fft2(other - other.mean(axis=(-2, -1), keepdims=True))

    def judge(image: Any) -> tuple[dict[str, float], Any]:
        phase = jnp.asarray(image)[:, None]
        shown = dataclasses.replace(estimate, object=jnp.concatenate([phase, jnp.zeros_like(phase)], axis=1))
        confirmed, _ = confirm_bands(run, shown, held)
        spectrum = np.fft.fft2(image - np.mean(image, axis=(-2, -1), keepdims=True))
        common = np.sum(weight * np.real(spectrum * reference.conj()))
        values = {
            "likelihood": validation_loss(held, poisson_loss, mesh, shown),
            "squares": validation_loss(held, intensity_loss, mesh, shown),
            "amplitudes": validation_loss(held, amplitude_loss, mesh, shown),
            "after the gains": validation_loss(held, poisson_loss, mesh, confirmed),
            "correlation": -float(common / np.sqrt(np.sum(weight * np.abs(spectrum) ** 2))),
        }
        return values, confirmed.object[:, 0]

    return judge


def ring_weights(scan: Any, thick: dict[str, Any], seed: int, shape: tuple[int, ...]) -> np.ndarray:
    """The ring correlation of the half sets at every frequency of the canvas."""

    from half_sets import arguments, estimate_halves, run_of

    from jptycho.diagnostics.half_set_filter import half_set_filter
    from jptycho.optics.frequencies import host_frequencies

    run = run_of(scan, thick, seed)
    found = estimate_halves(run, 12)
    filtered = half_set_filter(*arguments(run, found))
    radius = np.hypot(*host_frequencies(shape[-2:], run.problem.setup.grid.sampling))
    frequency, correlation = np.asarray(filtered.frequency), np.asarray(filtered.correlation)
    correlation = correlation if correlation.ndim == 1 else correlation.mean(axis=tuple(range(correlation.ndim - 1)))
    return np.interp(radius, frequency, np.clip(correlation, 0, 1))


if __name__ == "__main__":
    main()
