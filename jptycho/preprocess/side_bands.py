"""A first phase from what the beams of the bright disk do together: single side-band, and Wigner deconvolution."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np

from jptycho.optics.frequencies import host_frequencies
from jptycho.preprocess.prepare import Problem, shared_by_slices
from jptycho.preprocess.reshape import change_slices
from jptycho.types import Array, Complex, Float, Grid, Shaped

LEAST_OVERLAP = 1e-3  # of the whole disk's: where the side bands are less, a spatial frequency is left out
OUTSIDE = 0.1  # of the largest product of two amplitudes: below it a point lies outside one of two disks
NOISE = 1e-2  # of the probe's largest Wigner distribution, squared, that the deconvolution takes for noise
LEAST_SEEN = 1e-3  # of the probe's Wigner distribution, that is above the noise: where less is, a frequency is left out
TOGETHER = 32  # spatial frequencies that are worked on at once


@jax.jit
def single_side_band(
    counts: Shaped[Array, "scan ky kx"],
    positions: Float[Array, "scan 2"],
    probe: Complex[Array, "ky kx"],
    grid: Grid,
    q: Float[Array, "q 2"],
) -> Complex[Array, "q"]:
    """The phase's Fourier coefficients, from where a beam of the bright disk meets only one side band of the object.

    With G(q, k) = mean over p of (I(p, k) - ⟨I(k)⟩) exp(-2πi q·p), Γ₋ = Ψ*(k) Ψ(k - q), Γ₊ = Ψ(k) Ψ*(k + q) and
    Γ = Γ₋ where Γ₊ vanishes, -Γ₊ where Γ₋ does, else 0: φ(q) = Σ_k Γ* G / (i Σ_k |Γ|²). Aberrations that the probe
    has are corrected; the object is taken for 1 + i φ.

    Args:
        counts: fractions of the average pattern, zero frequency at [0, 0], zero where the detector is blind.
        positions: of the probe in Å.
        probe: where it meets the object, of unit intensity, centre at [0, 0].
        grid: of its window.
        q: spatial frequencies in Å⁻¹ along (y, x), no higher than the positions resolve; not zero.

    Returns:
        φ(q) in rad, φ(r) = Σ φ(q) exp(2πi q·r) where positions cover whole periods; 0 where the bands are too narrow.

    Source:
        Pennycook, Lupini, Yang, Murfitt, Jones & Nellist, Ultramicroscopy 151 (2015) 160, Eq. 4 to 6.

    Example:
        >>> grid = Grid((4, 4), (1.0, 1.0))
        >>> flat, places = jnp.ones((3, 4, 4)), jnp.zeros((3, 2))
        >>> single_side_band(flat, places, jnp.ones((4, 4), complex), grid, jnp.array([[0.1, 0.0]])).shape
        (1,)
    """
    fluctuation = counts - jnp.mean(counts, axis=0)[None]
    here = jnp.fft.fft2(probe, norm="ortho")
    whole = jnp.sum(jnp.abs(here) ** 4)

    def one(at: Float[Array, "2"]) -> Array:
        below = here.conj() * _shifted(probe, grid, at)
        above = here * _shifted(probe, grid, -at).conj()
        single = jnp.minimum(jnp.abs(below), jnp.abs(above)) < OUTSIDE * jnp.max(jnp.abs(here)) ** 2
        band = jnp.where(single, below - above, 0.0)
        power = jnp.sum(jnp.abs(band) ** 2)
        overlap = jnp.sum(band.conj() * _interference(fluctuation, positions, at))
        found = -1j * overlap / jnp.maximum(power, 1e-30).astype(overlap.dtype)
        return jnp.where(power > LEAST_OVERLAP * whole, found, 0.0)

    return jax.lax.map(one, q, batch_size=TOGETHER)


@jax.jit
def wigner_deconvolution(
    counts: Shaped[Array, "scan ky kx"],
    positions: Float[Array, "scan 2"],
    probe: Complex[Array, "ky kx"],
    grid: Grid,
    q: Float[Array, "q 2"],
    noise: Float[Array, ""] | float = NOISE,
) -> Complex[Array, "q"]:
    """The transmission's Fourier coefficients, by dividing the probe's Wigner distribution out of the data's.

    Over k, G(q, k) = mean over p of I(p, k) exp(-2πi q·p) is the convolution of O(k + q) O*(k) with Ψ(k - q) Ψ*(k);
    transformed, it is a product H(q, r) = L(q, r) C(q, r). So O(q) O*(0) is the mean over r of H C* / (|C|² + ε).

    Args:
        counts: fractions of the average pattern, zero frequency at [0, 0], zero where the detector is blind.
        positions: of the probe in Å.
        probe: where it meets the object, of unit intensity, centre at [0, 0].
        grid: of its window.
        q: spatial frequencies in Å⁻¹ along (y, x), no higher than the positions resolve; at zero the mean is used.
        noise: ε over the largest |C|² of q = 0.

    Returns:
        O(q) O*(0), of an object whose mean transmission is real Σ O(q) exp(2πi q·r) but for a factor.

    Source:
        Rodenburg & Bates, Phil. Trans. R. Soc. A 339 (1992) 521, section 4; Yang et al., Ultramicroscopy 180
        (2017) 173.

    Example:
        >>> grid = Grid((4, 4), (1.0, 1.0))
        >>> flat, places = jnp.ones((3, 4, 4)) / 16, jnp.zeros((3, 2))
        >>> spot = jnp.zeros((4, 4), complex).at[0, 0].set(1.0)
        >>> float(wigner_deconvolution(flat, places, spot, grid, jnp.zeros((1, 2)), 0.0)[0].real.round(3))
        1.0
    """
    mean, kind = jnp.mean(counts, axis=0), probe.dtype
    fluctuation = counts - mean[None]
    here = jnp.fft.fft2(probe, norm="ortho")
    level = noise * jnp.max(jnp.abs(jnp.fft.ifft2(jnp.abs(here) ** 2))) ** 2

    def one(at: Float[Array, "2"]) -> Array:
        own = jnp.fft.ifft2(here.conj() * _shifted(probe, grid, at))
        constant = jnp.where(jnp.sum(at**2) > 0, 0.0, 1.0).astype(mean.dtype) * mean
        data = jnp.fft.ifft2(_interference(fluctuation, positions, at) + constant.astype(kind))
        power = jnp.abs(own) ** 2
        weight = 1 / jnp.maximum(power + level, 1e-30)
        seen = jnp.mean(power * weight)
        found = jnp.mean(data * own.conj() * weight.astype(kind)) / jnp.maximum(seen, 1e-30).astype(kind)
        return jnp.where(seen > LEAST_SEEN, found, 0.0)

    return jax.lax.map(one, q, batch_size=TOGETHER)


def _interference(
    fluctuation: Float[Array, "scan ky kx"], positions: Float[Array, "scan 2"], q: Float[Array, "2"]
) -> Complex[Array, "ky kx"]:
    """G(q, k): the mean over positions of I exp(-2πi q·p)."""
    angle = -2 * math.pi * (positions @ q)
    parts = (jnp.tensordot(wave, fluctuation, axes=1) / len(positions) for wave in (jnp.cos(angle), jnp.sin(angle)))
    return jax.lax.complex(*parts)


def _shifted(probe: Complex[Array, "ky kx"], grid: Grid, q: Float[Array, "2"]) -> Complex[Array, "ky kx"]:
    """Ψ(k - q): the probe times exp(2πi q·r), transformed."""
    axes = (jnp.fft.fftfreq(n, 1 / n) * step for n, step in zip(grid.shape, grid.sampling, strict=True))
    y, x = (2 * math.pi * along * place for along, place in zip(axes, q, strict=True))
    angle = y[:, None] + x[None, :]
    return jnp.fft.fft2(probe * jax.lax.complex(jnp.cos(angle), jnp.sin(angle)), norm="ortho")


def single_side_band_phase(problem: Problem, positive: bool = False) -> Float[np.ndarray, "slices channels Y X"]:
    """:func:`single_side_band` of a scan as a phase on its canvas, shared equally by the slices.

    Args:
        problem: the scan made ready.
        positive: whether the smallest phase where patterns were taken is zero instead of the mean.

    Returns:
        channels in rad like those of the problem's guess.
    """
    q, index = _resolved(problem)
    spectrum = np.zeros(problem.estimate.object.shape[-2:], complex)
    spectrum[index] = np.asarray(single_side_band(*_as_measured(problem), q))
    phase = np.fft.ifft2(spectrum, norm="forward").real * _cover(problem)
    return shared_by_slices(problem, phase, _visited(problem), positive)


def wigner_phase(problem: Problem, positive: bool = False) -> Float[np.ndarray, "slices channels Y X"]:
    """The phase of :func:`wigner_deconvolution` of a scan on its canvas, shared equally by the slices.

    Args:
        problem: the scan made ready.
        positive: whether the smallest phase where patterns were taken is zero instead of the mean.

    Returns:
        channels in rad like those of the problem's guess.
    """
    q, index = _resolved(problem)
    spectrum = np.zeros(problem.estimate.object.shape[-2:], complex)
    measured = _as_measured(problem)
    spectrum[index] = np.asarray(wigner_deconvolution(*measured, q))
    middle = complex(wigner_deconvolution(*measured, jnp.zeros((1, 2)))[0])
    phase = np.angle(middle + np.fft.ifft2(spectrum, norm="forward") * _cover(problem))
    return shared_by_slices(problem, phase, _visited(problem), positive)


def _as_measured(problem: Problem) -> tuple[Array, Array, Array, Grid]:
    """Fractions, positions in Å on the canvas, the strongest mode where it meets the object's middle, and its grid."""
    setup, grid = problem.setup, problem.setup.grid
    counts = jnp.asarray(problem.counts, jnp.float32) * (setup.mask > 0).astype(jnp.float32)[None] / setup.dose
    modes = change_slices(problem.estimate, 1, setup).probe
    probe = modes[int(jnp.argmax(jnp.sum(jnp.abs(modes) ** 2, axis=(1, 2))))]
    positions = problem.estimate.positions * jnp.asarray(grid.sampling, jnp.float32)[None]
    return counts, positions, probe / jnp.linalg.norm(probe).astype(probe.dtype), grid


def _step(problem: Problem) -> tuple[float, float]:
    """Å between positions: of a raster its steps, else of as many on a square lattice."""
    if problem.dataset.calibration.step is not None:
        return problem.dataset.calibration.step
    places = np.asarray(problem.estimate.positions) * problem.setup.grid.sampling
    same = math.sqrt(float(np.prod(np.ptp(places, axis=0) + 1e-12)) / len(places))
    return same, same


def _resolved(problem: Problem) -> tuple[Array, tuple[np.ndarray, ...]]:
    """The canvas's spatial frequencies that the positions resolve, without zero, and their places in its FFT."""
    canvas = problem.estimate.object.shape[-2:]
    axes = np.broadcast_arrays(*host_frequencies(canvas, problem.setup.grid.sampling))
    radius = np.hypot(*axes)
    index = np.nonzero((radius > 0) & (radius <= 0.5 / max(_step(problem))))
    return jnp.asarray(np.stack([axis[index] for axis in axes], axis=1), jnp.float32), index


def _cover(problem: Problem) -> float:
    """The area that the positions stand for, over that of the canvas: its Fourier series is of a whole period."""
    area = np.prod(problem.estimate.object.shape[-2:]) * np.prod(problem.setup.grid.sampling)
    return float(len(problem.counts) * np.prod(_step(problem)) / area)


def _visited(problem: Problem) -> np.ndarray:
    """Where on the canvas patterns were taken."""
    seen = np.zeros(problem.estimate.object.shape[-2:], bool)
    seen[tuple(np.round(np.asarray(problem.estimate.positions)).astype(int).T)] = True
    return seen
