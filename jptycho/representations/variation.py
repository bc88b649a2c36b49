"""A probe that differs from pattern to pattern: a few modes that all share, and their weights at each position."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from jptycho.forward.beam import VARIATION, WEIGHTS
from jptycho.optics.waves import intensity, to_complex
from jptycho.representations.estimate import Estimate
from jptycho.representations.per_pattern import hat_functions
from jptycho.types import Array, Complex, Constants, Float, Params

MOST = 12
"""Modes: powers of the angle from the second to the fourth."""
SEEN = 0.1
"""Of the mean intensity in the aperture: where the probe has as much, a mode moves half as fast as in its middle."""
LEAST = 1e-3
"""Of it, below which the modes begin as zero."""
LEAST_NORM = 1e-20


@dataclasses.dataclass(frozen=True)
class ProbeVariation:
    """The modes Q of :class:`jptycho.forward.beam.VaryProbe`, of mean square one over the aperture.

    They begin as aberrations of second order (defocus, astigmatism) and higher, orthogonal to each other and to a shift
    of the probe, which is one of the positions.

    Attributes:
        count: of modes, at most ``MOST``.
    """

    count: int

    def init(self, key: Array, estimate: Estimate) -> tuple[Params, Constants]:
        """No step away from the estimate's modes, or from aberrations; the constants are those and the aperture."""
        del key
        weight = aperture(estimate.probe)
        given = estimate.shared.get(VARIATION)
        start = first_modes(weight, self.count) if given is None else given
        return jnp.zeros((2, *start.shape), weight.dtype), (start, weight)

    def apply(self, params: Params, constants: Constants, key: Array | None) -> Complex[Array, "n ky kx"]:
        """Modes in FFT order: phase in rad, imaginary, and the amplitude's logarithm."""
        del key
        start, weight = constants
        step = weight / (weight + SEEN / pixels_of(weight))
        modes = start + jax.lax.complex(params[0], params[1]) * to_complex(step)[None]
        square = jnp.sum(intensity(modes) * weight[None], axis=(1, 2), keepdims=True)
        return modes / to_complex(jnp.sqrt(jnp.maximum(square, LEAST_NORM)))


def aperture(probe: Complex[Array, "modes y x"]) -> Float[Array, "ky kx"]:
    """The share of the beam at each angle.

    Args:
        probe: its modes.

    Returns:
        intensity of the spectrum in FFT order, of sum one.

    Example:
        >>> aperture(jnp.ones((1, 2, 2), complex)).tolist()
        [[1.0, 0.0], [0.0, 0.0]]
    """
    weight = jnp.sum(intensity(jnp.fft.fft2(probe, norm="ortho")), axis=0)
    return weight / jnp.sum(weight)


def pixels_of(weight: Float[Array, "ky kx"]) -> Float[Array, ""]:
    """How many pixels the aperture has.

    Args:
        weight: of :func:`aperture`.

    Returns:
        (Σ w)² / Σ w².

    Example:
        >>> float(pixels_of(jnp.array([[0.5, 0.5, 0.0]])))
        2.0
    """
    return 1 / jnp.sum(weight**2)


def first_modes(weight: Float[Array, "ky kx"], count: int) -> Complex[Array, "n ky kx"]:
    """The first aberrations, i q_j(k): q_j orthonormal over the aperture, of second order and higher.

    Args:
        weight: of :func:`aperture`.
        count: how many, at most ``MOST`` (static).

    Returns:
        modes in FFT order.

    Example:
        >>> modes = first_modes(aperture(jnp.zeros((1, 8, 8), complex).at[0, 0, 0].set(1)), 3)
        >>> [round(float(jnp.mean(jnp.abs(mode) ** 2)), 4) for mode in modes]
        [1.0, 1.0, 1.0]
    """
    axes = [jnp.fft.fftfreq(n).astype(weight.dtype) * n for n in weight.shape]
    ky, kx = jnp.meshgrid(*axes, indexing="ij")
    ky, kx = ky - jnp.sum(weight * ky), kx - jnp.sum(weight * kx)
    # An aperture is round, whatever the pixels of the detector.
    ky, kx = (k / jnp.sqrt(jnp.maximum(jnp.sum(weight * k**2), LEAST_NORM)) for k in (ky, kx))
    powers = [jnp.ones_like(ky), ky, kx, ky**2 + kx**2, ky**2 - kx**2, ky * kx]
    powers += [ky ** (n - m) * kx**m for n in (3, 4) for m in range(n + 1)]
    terms = jnp.stack([term.ravel() for term in powers[: 3 + count]], axis=1)
    triangle = jnp.linalg.qr(terms * jnp.sqrt(weight).reshape(-1, 1))[1]
    modes = (terms @ jnp.linalg.inv(triangle))[:, 3:].T.reshape(count, *weight.shape)
    return 1j * to_complex(jnp.where(weight > LEAST / pixels_of(weight), modes, 0.0))


@dataclasses.dataclass(frozen=True)
class VariationWeights:
    """How much of each of these modes a pattern has: of a phase, root mean square over the aperture in rad.

    They are zero on average, for the mean is the probe.

    Attributes:
        count: of modes.
        knots: in time, between which weights are linear; 0 for a value of its own for each pattern.
    """

    count: int
    knots: int = 0

    def init(self, key: Array, estimate: Estimate) -> tuple[Params, Constants]:
        """The guess, or none of them; the constants are the weights of the knots."""
        del key
        rows = estimate.extra.get(WEIGHTS, jnp.zeros((len(estimate.positions), self.count), estimate.coverage.dtype))
        if not self.knots:
            return rows, None
        hats = hat_functions(len(rows), self.knots).astype(rows.dtype)
        return jnp.linalg.lstsq(hats, rows)[0], hats

    def apply(self, params: Params, constants: Constants, key: Array | None) -> Float[Array, "scan n"]:
        """A row for each pattern."""
        del key
        rows = params if constants is None else constants @ params
        return rows - jnp.mean(rows, axis=0, keepdims=True)


def ordered_variation(
    weight: Float[Array, "ky kx"], modes: Complex[Array, "n ky kx"], weights: Float[Array, "scan n"]
) -> tuple[Complex[Array, "n ky kx"], Float[Array, "scan n"], Float[Array, "n"]]:
    """The same variation by orthonormal modes in the order of what they hold, and how much that is.

    Σ_j w_j Q_j stays what it is for every pattern.

    Args:
        weight: of :func:`aperture`.
        modes: Q.
        weights: w, zero on average.

    Returns:
        modes that are orthonormal over the aperture; weights; the mean of their squares over the scan: of the intensity
        the share by which patterns differ, to first order.

    Example:
        >>> even = jnp.full((2, 2), 0.25)
        >>> _, weights, share = ordered_variation(even, 2j * jnp.ones((1, 2, 2)), jnp.array([[0.1], [-0.1]]))
        >>> round(abs(float(weights[0, 0])), 3), round(float(share[0]), 3)
        (0.2, 0.04)
    """
    seen = jnp.maximum(weight, LEAST * LEAST / pixels_of(weight))
    root = to_complex(jnp.sqrt(seen))[None]
    flat = jnp.concatenate([(modes * root).real, (modes * root).imag], axis=1).reshape(len(modes), -1)
    basis, triangle = jnp.linalg.qr(flat.T)
    left, sizes, right = jnp.linalg.svd(weights @ triangle.T, full_matrices=False)
    real, imaginary = jnp.split((right @ basis.T).reshape(len(right), 2 * weight.shape[0], weight.shape[1]), 2, axis=1)
    found = left * sizes[None]
    return jax.lax.complex(real, imaginary) / root, found, jnp.mean(found**2, axis=0)
