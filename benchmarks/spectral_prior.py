"""The spectrum that half sets confirm as a prior inside the fit, against the same spectrum as a filter afterwards.

    python benchmarks/spectral_prior.py gold:500 apoferritin:100 mof:100 [--epochs 20]

Correlation / fine / SSIM with the truth of pixels by all electrons: unfiltered; filtered by half sets with one weight a
frequency, and as by default; maximum a posteriori, with the data loss in nats and ½ Σ |x_k|² / S_k beside it, S the
smoothed cross-spectrum of the half sets; and again with S re-estimated from that by a step of expectation-maximisation
(the noise in it is that of the half sets' mean, which is fitted less tightly than all electrons at once).
The prior is an extension as a user would bring it. *Preconditioner*: no prior, but steps that are √S long at each
frequency (of the mean over slices, relative to the largest, at least a hundredth) in place of the default's; slow
structure then moves several times further a step too. With it also the prior, and half sets with the filter. The half
sets share a probe that is held, pixels by all electrons move theirs: in the last row they hold it as well.
"""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from typing import Any
from unittest import mock

import jax.numpy as jnp
import numpy as np

from jptycho.parallel import use_cpu_cores
from jptycho.preprocess.cpu_devices import choose_cpu_devices

PRIOR: dict[str, Any] = {}
"""Of the scan at hand: ``inverse``, 1 / S (depth modes, Y, X), ``depth``, their cosines, and ``window``."""


def main() -> None:
    """Measure what is asked for and add it to ``results/spectral_prior.json``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="+", help="case:dose")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the noise")
    options = parser.parse_args()
    use_cpu_cores(choose_cpu_devices(print))
    from record import add

    for case in options.cases:
        name, dose = case.split(":")
        row = compared(name, float(dose), options.epochs, options.seed)
        add("spectral_prior", f"{name}, {dose} e/A^2, seed {options.seed}, {options.epochs} epochs", row)
        print(name, dose, row, flush=True)


def spectral_prior(estimate: Any, reference: Any) -> Any:
    """½ Σ |x_k|² / S_k of the phase, in nats."""
    del reference
    spectra = jnp.fft.fft2(modes_of(estimate.object[:, 0]), norm="ortho")
    return 0.5 * jnp.sum(jnp.abs(spectra) ** 2 * PRIOR["inverse"])


def modes_of(phase: Any) -> Any:
    """A phase (slices, Y, X) by depth frequency, without its mean, where it was seen."""
    window = PRIOR["window"]
    phase = phase - jnp.sum(phase * window, axis=(1, 2), keepdims=True) / jnp.sum(window)
    return jnp.einsum("ds,syx->dyx", PRIOR["depth"], phase * window[None])


def compared(name: str, dose: float, epochs: int, seed: int) -> dict[str, Any]:
    """Scores of the filter and of the prior."""
    from cases import numbers
    from half_sets import arguments, estimate_halves, run_of
    from recordings import CASES, recording

    import jptycho
    from jptycho.cli.demo import score
    from jptycho.diagnostics.half_set_filter import coverage_window, depth_modes, half_set_filter
    from jptycho.objective.penalties import Penalty
    from jptycho.preprocess import choose_preconditioner

    case, scan = CASES[name, "small"], recording(name, "small", dose, seed)
    thick = {"slices": case.slices, "slice_thickness": case.slice_thickness} if case.slices > 1 else {}
    run = run_of(scan, thick, seed)
    found = estimate_halves(run, epochs)
    assert scan.truth is not None
    PRIOR["window"] = coverage_window(found.coverage)
    PRIOR["depth"] = jnp.asarray(depth_modes(case.slices), jnp.float32)
    confirmed, noise = powers(found.members[:, :, 0])
    signal = confirmed
    settings = {"object": thick, "seed": seed, "pixels": {"epochs": epochs, "half_sets": False}}
    plain = jptycho.reconstruct(scan, **settings)
    images = {
        "unfiltered": plain.phase,
        "filter, one weight a frequency": half_set_filter(*arguments(run, found), local=False).mean[:, 0],
        "filter": half_set_filter(*arguments(run, found)).mean[:, 0],
    }
    nats = len(run.problem.counts) * run.problem.electrons  # of the data loss, whose unit is one electron of a pattern
    seen = float(jnp.mean(PRIOR["window"] ** 2))  # of the canvas: S, of the windowed phase, is this share of its power
    for label in ("prior", "prior, spectrum re-estimated"):
        PRIOR["inverse"] = 1 / signal
        term = Penalty(Prior(label), seen / nats)
        phase = jptycho.reconstruct(scan, **settings, extension=jptycho.Extension(penalties=(term,))).phase
        images[label] = phase
        power = jnp.abs(jnp.fft.fft2(modes_of(jnp.asarray(phase)), norm="ortho")) ** 2
        signal = smoothed(power) + signal * noise / (signal + noise)
    PRIOR["inverse"], term = 1 / confirmed, Penalty(Prior("both"), seen / nats)
    with preconditioned(confirmed[0], choose_preconditioner(run.problem)):
        images["preconditioner"] = jptycho.reconstruct(scan, **settings).phase
        both = jptycho.Extension(penalties=(term,))
        images["prior and preconditioner"] = jptycho.reconstruct(scan, **settings, extension=both).phase
        again = half_set_filter(*arguments(run, estimate_halves(run, epochs)), local=False)
        images["preconditioner and filter, one weight a frequency"] = again.mean[:, 0]
        held = settings | {"probe": {"fixed": True}}
        images["prior and preconditioner, probe held"] = jptycho.reconstruct(scan, **held, extension=both).phase
    return {label: numbers(score(plain, np.asarray(image), scan.truth)) for label, image in images.items()}


LEAST = 1e-2
"""Of the longest step, so that what noise hides can still move."""


@contextlib.contextmanager
def preconditioned(power: Any, usual: Any) -> Iterator[None]:
    """Pixels whose steps are √power long at each frequency (Y, X), on average as with the usual preconditioner."""
    import jax

    from jptycho.representations import pixels

    weight = jnp.sqrt(power / jnp.max(power))
    weight = jnp.maximum(weight, LEAST)[:, : power.shape[1] // 2 + 1]
    weight = weight * jnp.mean(pixels.spectral_weight(usual, power.shape)) / jnp.mean(weight)
    jax.clear_caches()
    with mock.patch.object(pixels, "spectral_weight", return_value=weight):
        yield
    jax.clear_caches()


class Prior:
    """The prior of one label: what differs from label to label must be another function for the compiler."""

    def __init__(self, label: str) -> None:
        self.label = label

    def __call__(self, estimate: Any, reference: Any) -> Any:
        """Its value."""
        return spectral_prior(estimate, reference)


def powers(halves: Any) -> tuple[Any, Any]:
    """Power of the signal, and of the noise of the mean, at each frequency of depth and canvas."""
    from jptycho.diagnostics.half_set_filter import align_halves

    both = align_halves(halves[:, :, None], PRIOR["window"])[:, :, 0]
    first, second = (jnp.fft.fft2(modes_of(half), norm="ortho") for half in both)
    signal = smoothed(jnp.real(first * jnp.conj(second)))
    noise = smoothed(jnp.abs(first - second) ** 2 / 4)
    return jnp.maximum(signal, 1e-3 * noise), noise


def smoothed(power: Any) -> Any:
    """As the filter smooths its cross-spectrum."""
    from scipy import ndimage

    from jptycho.diagnostics.half_set_filter import RADIUS

    smooth = [ndimage.gaussian_filter(np.asarray(mode), RADIUS, mode="wrap") for mode in power]
    return jnp.asarray(np.stack(smooth), jnp.float32)


if __name__ == "__main__":
    main()
