"""Orientation of the scan, defocus and astigmatism together, from the interference of the bright disk's beams."""

from __future__ import annotations

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import minimize

from jptycho.preprocess.interference import Interference
from jptycho.preprocess.weak_phase import LEAST, Lens, evidence, transfer
from jptycho.types import Array, Complex, Float

ROUND = 64  # bins, of whose multiples there are as many
ASTIGMATIC = 0.1  # of the defocus, and of the depth of focus, that C12 may be


def _total(params: Array, *data: Array) -> Array:
    return jnp.sum(evidence(params, *data))


_many = jax.jit(lambda params, *data: jax.lax.map(lambda one: _total(one, *data), params))
_slope = jax.jit(jax.value_and_grad(_total))
_curvature = jax.jit(jax.hessian(_total))
_slopes = jax.jit(jax.jacfwd(evidence))


@dataclasses.dataclass(frozen=True)
class AberrationFit:
    """Orientation and aberrations that explain a scan best, by 180 degrees and a sign of all aberrations unknown.

    Attributes:
        params: θ in rad; C10, C12 cos 2φ12 and C12 sin 2φ12 in Å, in the detector's axes.
        transpose: whether detector rows run along the fast axis.
        errors: standard errors of ``rotation`` in degrees, ``defocus`` and ``astigmatism`` in Å.
        evidence: logarithm of the likelihood's ratio to noise, of each frequency.
        repetition: how often the frequencies say the same.
    """

    params: Float[np.ndarray, "4"]
    transpose: bool
    errors: dict[str, float]
    evidence: Float[np.ndarray, "q"]
    repetition: float = 1.0

    @property
    def rotation(self) -> float:
        """Degrees in (-180, 180]."""
        return 180 - (180 - math.degrees(self.params[0])) % 360

    @property
    def defocus(self) -> float:
        """Å, positive for underfocus; minus C10."""
        return -float(self.params[1])

    @property
    def astigmatism(self) -> float:
        """C12 in Å."""
        return float(np.hypot(*self.params[2:]))

    @property
    def azimuth(self) -> float:
        """phi12 in rad."""
        return 0.5 * math.atan2(self.params[3], self.params[2])

    @property
    def contrast(self) -> float:
        """Standard deviations of noise by which the evidence exceeds what noise gives at one place."""
        count = len(self.evidence)
        return (float(self.evidence.sum()) - count) / math.sqrt(count * self.repetition)

    def repeating(self, repetition: float) -> AberrationFit:
        """The same with errors that know how often the frequencies say the same."""
        errors = {name: error * math.sqrt(repetition) for name, error in self.errors.items()}
        return dataclasses.replace(self, errors=errors, repetition=repetition)

    def turned(self, degrees: float) -> AberrationFit:
        """The same with another rotation."""
        return dataclasses.replace(self, params=self.params + np.array([math.radians(degrees), 0, 0, 0]))

    def twin(self) -> AberrationFit:
        """The other description that fits as well: turned by 180 degrees, all aberrations and the phase inverted."""
        params = self.params * [1, -1, -1, -1] + [math.pi, 0, 0, 0]
        return dataclasses.replace(self, params=params)


def kernel_arguments(data: Interference, lens: Lens, transpose: bool) -> tuple[Array, ...]:
    """What the kernels take; empty bins make their number round, so that scans of about equal disks share programs.

    Args:
        data: the scan.
        lens: its aperture.
        transpose: whether detector rows run along the fast axis.

    Returns:
        frequencies, values, bins, heights and the lens.
    """
    q = data.q[:, ::-1] if transpose else data.q
    spare = -len(data.k) % ROUND
    k, height = np.pad(data.k, ((0, spare), (0, 0))), np.pad(data.height, (0, spare))
    values = np.pad(data.values, ((0, 0), (0, spare)))
    constants = [lens.wavelength, lens.cutoff, lens.edge]
    real = (jnp.asarray(x, jnp.float32) for x in (q, k, height, constants))
    q_, k_, height_, constants_ = real
    return q_, jnp.asarray(values), k_, height_, constants_


def refine_near(data: Interference, lens: Lens, start: AberrationFit) -> AberrationFit:
    """The best fit to finer data than those of a start, whose maximum is narrower than that is certain.

    Args:
        data: the scan.
        lens: its aperture.
        start: a fit to coarser data.

    Returns:
        the fit.
    """
    turns, moves = np.radians(np.arange(-16.0, 16.1, 2.0)), np.array([-0.4, 0.0, 0.4]) * lens.depth
    # Far out of focus the start is certain, and a degree moves the images by more than a bin.
    turns = turns / max(1.0, abs(start.defocus) / lens.depth / 2)
    grid = np.array([start.params * [1, 1, 0, 0] + [turn, move, 0, 0] for turn in turns for move in moves])
    score = np.asarray(_many(jnp.asarray(grid, jnp.float32), *kernel_arguments(data, lens, start.transpose)))
    return refine_aberrations(data, lens, start.transpose, grid[int(np.argmax(score))])


def refine_aberrations(
    data: Interference,
    lens: Lens,
    transpose: bool,
    start: Float[np.ndarray, "4"],
    astigmatic: bool = True,
) -> AberrationFit:
    """Orientation, defocus and astigmatism of the greatest likelihood near a start.

    Astigmatism stays small against the defocus or the depth of focus: a scan whose axes are swapped looks as if it were
    in focus and as astigmatic as it is defocused.

    Args:
        data: the scan.
        lens: its aperture.
        transpose: whether detector rows run along the fast axis.
        start: as :func:`transfer` takes them.
        astigmatic: whether C12 is fitted and errors are found; else it is zero.

    Returns:
        the maximum; its errors are those of independent spatial frequencies, from their scatter.
    """
    unit = np.array([0.1, *[lens.depth] * 3])
    arguments = kernel_arguments(data, lens, transpose)
    most = (ASTIGMATIC * abs(start[1]) / lens.depth + ASTIGMATIC) * astigmatic

    def negative(x: np.ndarray) -> tuple[float, np.ndarray]:
        value, slope = _slope(jnp.asarray(x * unit, jnp.float32), *arguments)
        return -float(value) / len(data.q), -np.asarray(slope, np.float64) * unit / len(data.q)

    bounds = [(None, None)] * 2 + [(-most, most)] * 2
    options = {"maxiter": 30, "ftol": 1e-7, "gtol": 1e-3}
    first = np.append(start[:2] / unit[:2], np.clip(start[2:] / unit[2:], -most, most))
    found = minimize(negative, first, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    params = jnp.asarray(found.x * unit, jnp.float32)
    spread = _errors(params, unit, arguments) if astigmatic else np.full(4, np.nan)
    named = {
        "rotation": math.degrees(spread[0]),
        "defocus": float(spread[1]),
        "astigmatism": float(np.hypot(*spread[2:]) / 2**0.5),
    }
    return AberrationFit(np.asarray(params, np.float64), transpose, named, np.asarray(evidence(params, *arguments)))


def _errors(params: Array, unit: np.ndarray, arguments: tuple[Array, ...]) -> np.ndarray:
    """Standard errors: curvature and scatter of the slopes together."""
    bread = np.linalg.pinv(-np.asarray(_curvature(params, *arguments), np.float64) * np.outer(unit, unit))
    pulls = np.asarray(_slopes(params, *arguments), np.float64) * unit
    return np.sqrt(np.maximum(np.diag(bread @ (pulls.T @ pulls) @ bread), 0)) * unit


def phase_spectrum(data: Interference, lens: Lens, fit: AberrationFit) -> Complex[np.ndarray, "q"]:
    """The weak phase that explains each spatial frequency best: φ = Σ Γ* G / i Σ |Γ|².

    Args:
        data: the scan.
        lens: its aperture.
        fit: orientation and aberrations.

    Returns:
        its Fourier transform at the frequencies of the data, in any unit.
    """
    return np.asarray(_phases(jnp.asarray(fit.params, jnp.float32), *kernel_arguments(data, lens, fit.transpose)))


@jax.jit
def _phases(params: Array, q: Array, values: Array, k: Array, height: Array, lens: Array) -> Array:
    def one(place: tuple[Array, Array]) -> Array:
        model = transfer(params, place[0], k, lens)
        model = jax.lax.complex(model.real * height, model.imag * height)
        power = jnp.sum(model.real**2 + model.imag**2) + LEAST * k.shape[0]
        overlap = jnp.sum(model.conj() * place[1])
        return jax.lax.complex(overlap.imag / power, -overlap.real / power)

    return jax.vmap(one)((q, values))
