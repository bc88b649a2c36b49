"""Orientation of the scan, defocus and astigmatism together, from the interference of the bright disk's beams."""

from __future__ import annotations

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import minimize

from jptycho.preprocess.interference import Interference
from jptycho.types import Array, Complex, Float, Number

ASTIGMATIC = 0.2  # of the defocus, and of the depth of focus, that C12 may be
ANGLE = 8.0  # degrees between rotations that are looked at, in focus
MOST = 0.999  # of the power, that a model may explain
LEAST = 1e-3  # of a transfer's power, added so that one that vanishes gives nothing


@dataclasses.dataclass(frozen=True)
class Lens:
    """Aperture of the fit.

    Attributes:
        wavelength: Å.
        cutoff: radius of the aperture in Å⁻¹.
        edge: width of its edge in Å⁻¹.
    """

    wavelength: float
    cutoff: float
    edge: float

    @property
    def depth(self) -> float:
        """Depth of focus λ/α² in Å."""
        return 1 / (self.wavelength * self.cutoff**2)


def transfer(
    params: Float[Array, "4"], q: Float[Array, "2"], k: Float[Array, "k 2"], lens: Float[Array, "3"]
) -> Complex[Array, "k"]:
    """What a weak phase of one spatial frequency does to the patterns of the bright disk, in FFT over positions.

    Γ(q, k) = Ψ*(k) Ψ(k - q) - Ψ(k) Ψ*(k + q), Ψ = A exp(-iχ), for an object 1 + i φ; q = R(θ) q_scan.

    Args:
        params: θ in rad; C10, C12 cos 2φ12, C12 sin 2φ12 in Å.
        q: along the scan's axes, swapped where they are transposed.
        k: of the detector.
        lens: wavelength, cutoff and edge.

    Returns:
        Γ / i.

    Source:
        Rodenburg, McCallum & Nellist, Ultramicroscopy 48 (1993) 304.
    """
    cos, sin = jnp.cos(params[0]), jnp.sin(params[0])
    turned = jnp.stack([cos * q[0] - sin * q[1], sin * q[0] + cos * q[1]])[None]

    def wave(at: Float[Array, "k 2"]) -> tuple[Array, Array]:
        y, x = at[:, 0], at[:, 1]
        square = y**2 + x**2
        aperture = jnp.clip((lens[1] - jnp.sqrt(jnp.maximum(square, 1e-12))) / lens[2] + 0.5, 0.0, 1.0)
        chi = params[1] * square + params[2] * (x**2 - y**2) + params[3] * 2 * x * y
        return aperture, math.pi * lens[0] * chi

    (a, chi), (a_minus, chi_minus), (a_plus, chi_plus) = (wave(at) for at in (k, k - turned, k + turned))
    low, high = chi - chi_minus, chi_plus - chi
    return jax.lax.complex(
        a * (a_minus * jnp.cos(low) - a_plus * jnp.cos(high)), a * (a_minus * jnp.sin(low) - a_plus * jnp.sin(high))
    )


@jax.jit
def evidence(
    params: Float[Array, "4"],
    q: Float[Array, "q 2"],
    values: Complex[Array, "q k"],
    k: Float[Array, "k 2"],
    height: Float[Array, "k"],
    lens: Float[Array, "3"],
) -> Float[Array, "q"]:
    """How much more likely a weak phase makes what each spatial frequency shows, its size and the noise both unknown.

    -K ln(1 - |Σ Γ* G|² / Σ |Γ|² Σ |G|²), K bins: about one where there is nothing.

    Args:
        params: as :func:`transfer` takes them.
        q: along the scan's axes, swapped where they are transposed.
        values: of :class:`Interference`.
        k: likewise.
        height: likewise.
        lens: as :func:`transfer` takes it.

    Returns:
        logarithm of the likelihood's ratio.
    """

    def one(place: tuple[Array, Array]) -> Array:
        model = transfer(params, place[0], k, lens)
        model = jax.lax.complex(model.real * height, model.imag * height)
        power = jnp.sum(model.real**2 + model.imag**2) + LEAST
        overlap = jnp.sum(model.conj() * place[1])
        whole = jnp.sum(place[1].real ** 2 + place[1].imag ** 2)
        share = (overlap.real**2 + overlap.imag**2) / (power * whole + LEAST)
        return -k.shape[0] * jnp.log1p(-jnp.minimum(share, MOST))

    return jax.vmap(one)((q, values))


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
        errors: standard errors of ``rotation`` in degrees, ``C10`` and ``C12`` in Å.
        evidence: logarithm of the likelihood's ratio to noise, of each frequency.
    """

    params: Float[np.ndarray, "4"]
    transpose: bool
    errors: dict[str, float]
    evidence: Float[np.ndarray, "q"]

    @property
    def rotation(self) -> float:
        """Degrees in (-180, 180]."""
        return 180 - (180 - math.degrees(self.params[0])) % 360

    @property
    def C10(self) -> float:
        """Å; minus the defocus."""
        return float(self.params[1])

    @property
    def C12(self) -> float:
        """Å."""
        return float(np.hypot(*self.params[2:]))

    @property
    def phi12(self) -> float:
        """Rad."""
        return 0.5 * math.atan2(self.params[3], self.params[2])

    def twin(self) -> AberrationFit:
        """The other description that fits as well: turned by 180 degrees, all aberrations and the phase inverted."""
        params = self.params * [1, -1, -1, -1] + [math.pi, 0, 0, 0]
        return dataclasses.replace(self, params=params)


def search_aberrations(
    data: Interference, lens: Lens, largest: float, step: float = 0.75, candidates: int = 3
) -> list[tuple[bool, np.ndarray]]:
    """The most likely orientations and defoci of a grid that leaves nothing out.

    Args:
        data: the scan.
        lens: its aperture.
        largest: defocus in Å to look for, of either sign.
        step: of the defocus in depths of focus λ/α².
        candidates: how many maxima of each handedness.

    Returns:
        transpose and parameters, of each handedness the best first.
    """
    depth = lens.depth
    count = max(1, math.ceil(largest / (step * depth)))
    defoci = np.linspace(-largest, largest, 2 * count + 1)
    out = []
    for transpose in (False, True):
        grid = []
        for C10 in defoci:
            # The farther out of focus, the farther the images of the disk's border move with the angle.
            turns = math.ceil(180 / np.clip(ANGLE * 4 * depth / max(abs(C10), 1e-9), 1.5, ANGLE))
            grid += [(angle, C10, 0.0, 0.0) for angle in np.arange(turns) * math.pi / turns]
        points = np.array(grid)
        score = np.asarray(_many(jnp.asarray(points, jnp.float32), *_arguments(data, lens, transpose)))
        out += [(transpose, points[i]) for i in _maxima(points, score, depth, candidates)]
    return out


def _maxima(points: np.ndarray, score: np.ndarray, depth: float, count: int) -> list[int]:
    """The highest points of a grid that are not beside a higher one."""
    chosen: list[int] = []
    for i in np.argsort(-score):
        turn = np.abs((points[chosen, 0] - points[i, 0] + math.pi / 2) % math.pi - math.pi / 2) if chosen else np.ones(1)
        if not chosen or np.all((turn > math.radians(2 * ANGLE)) | (np.abs(points[chosen, 1] - points[i, 1]) > 2 * depth)):
            chosen.append(int(i))
        if len(chosen) == count:
            break
    return chosen


def _arguments(data: Interference, lens: Lens, transpose: bool) -> tuple[Array, ...]:
    q = data.q[:, ::-1] if transpose else data.q
    real = (jnp.asarray(x, jnp.float32) for x in (data.k, data.height, [lens.wavelength, lens.cutoff, lens.edge]))
    k, height, constants = real
    return jnp.asarray(q, jnp.float32), jnp.asarray(data.values), k, height, constants


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
    turns = turns / max(1.0, abs(start.C10) / lens.depth / 2)
    grid = np.array([start.params * [1, 1, 0, 0] + [turn, move, 0, 0] for turn in turns for move in moves])
    score = np.asarray(_many(jnp.asarray(grid, jnp.float32), *_arguments(data, lens, start.transpose)))
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
        the maximum; its errors are those of spatial frequencies that vary independently, so the model's are in them.
    """
    unit = np.array([0.1, *[lens.depth] * 3])
    arguments = _arguments(data, lens, transpose)
    most = (ASTIGMATIC * abs(start[1]) / lens.depth + ASTIGMATIC) * astigmatic

    def negative(x: np.ndarray) -> tuple[float, np.ndarray]:
        value, slope = _slope(jnp.asarray(x * unit, jnp.float32), *arguments)
        return -float(value) / len(data.q), -np.asarray(slope, np.float64) * unit / len(data.q)

    bounds = [(None, None)] * 2 + [(-most, most)] * 2
    options = {"maxiter": 30, "ftol": 1e-7, "gtol": 1e-3}
    found = minimize(
        negative, np.clip(start / unit, *zip(*[(-1e9, 1e9)] * 2, *bounds[2:], strict=False)), jac=True, method="L-BFGS-B", bounds=bounds, options=options
    )
    params = jnp.asarray(found.x * unit, jnp.float32)
    spread = _errors(params, unit, arguments) if astigmatic else np.full(4, np.nan)
    named = {"rotation": math.degrees(spread[0]), "C10": float(spread[1]), "C12": float(np.hypot(*spread[2:]) / 2**0.5)}
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
    return np.asarray(_phases(jnp.asarray(fit.params, jnp.float32), *_arguments(data, lens, fit.transpose)))


@jax.jit
def _phases(params: Array, q: Array, values: Array, k: Array, height: Array, lens: Array) -> Array:
    def one(place: tuple[Array, Array]) -> Array:
        model = transfer(params, place[0], k, lens)
        model = jax.lax.complex(model.real * height, model.imag * height)
        power = jnp.sum(model.real**2 + model.imag**2) + LEAST * k.shape[0]
        overlap = jnp.sum(model.conj() * place[1])
        return jax.lax.complex(overlap.imag / power, -overlap.real / power)

    return jax.vmap(one)((q, values))
