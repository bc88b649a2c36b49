"""Data losses in scale-free units: the intensity of an average pattern sums to one.

Each compares the predicted with the measured pattern, both as fractions of the average pattern's electrons, pixel by
pixel. All are normalised alike: times the electrons of an average pattern they are negative log-likelihoods, so near a
good model they agree, and a rate or weight carries over from one to another, and to any count scale, batch or scan.
Mask and sum are applied in :mod:`jptycho.objective.data_term`, in one place.
"""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
from jax.scipy.special import xlogy

from jptycho.forward.fields import Noise
from jptycho.types import Array, Float

Loss = Callable[[Array, Array, Noise], Array]
"""(predicted, measured, noise) -> the loss of each pixel: a function of a module, or a frozen dataclass with a call."""

FLOOR = 0.03
"""Added to both intensities, as a fraction of the mean over the detector.

It keeps roots and logarithms finite, and it conditions the Poisson likelihood: where the model is still dark, y / I has
no bound and one stray electron would outweigh the bright disk. A perfect model still has zero loss and gradient."""


def amplitude_loss(
    predicted: Float[Array, "ky kx"], measured: Float[Array, "ky kx"], noise: Noise
) -> Float[Array, "ky kx"]:
    """2 (√(I + ε) - √(y + ε))²: Gaussian noise of variance 1/4 electron after the square root.

    Args:
        predicted: I, intensity as a fraction of the average pattern.
        measured: y, likewise; negative counts are taken for zero, for they have no root.
        noise: not used.

    Returns:
        the loss of each pixel.

    Source:
        Godard et al., Opt. Express 20 (2012) 25914.

    Example:
        >>> one = jnp.ones((2, 2))
        >>> float(amplitude_loss(4 * one, one, Noise(one[0, 0], one[0, 0])).mean().round(1))
        2.0
    """
    del noise
    floor = FLOOR / predicted.size
    return 2 * (jnp.sqrt(predicted + floor) - jnp.sqrt(_not_negative(measured) + floor)) ** 2


def poisson_loss(
    predicted: Float[Array, "ky kx"], measured: Float[Array, "ky kx"], noise: Noise
) -> Float[Array, "ky kx"]:
    """Half the Poisson deviance, I - y + y log(y / I), with I and y raised by the floor.

    Args:
        predicted: I, intensity as a fraction of the average pattern.
        measured: y, likewise; not negative.
        noise: not used.

    Returns:
        the loss of each pixel.

    Source:
        Thibault & Guizar-Sicairos, New J. Phys. 14 (2012) 063004, eq. 5.

    Example:
        >>> one = jnp.ones((2, 2))
        >>> float(poisson_loss(one, one, Noise(one[0, 0], one[0, 0])).sum())
        0.0
    """
    del noise
    return _deviance(predicted, measured, FLOOR / predicted.size)


def anscombe_loss(
    predicted: Float[Array, "ky kx"], measured: Float[Array, "ky kx"], noise: Noise
) -> Float[Array, "ky kx"]:
    """2 (√(I + 3/8 D) - √(y + 3/8 D))²: the root that makes the variance of D y electrons a quarter down to about four.

    Args:
        predicted: I, intensity as a fraction of the average pattern.
        measured: y, likewise; negative counts are taken for zero, for they have no root.
        noise: its electrons are D.

    Returns:
        the loss of each pixel.

    Source:
        Anscombe, Biometrika 35 (1948) 246, eq. 1.

    Example:
        >>> one = jnp.ones((2, 2))
        >>> float(anscombe_loss(one, one, Noise(one[0, 0], one[0, 0])).sum())
        0.0
    """
    shift = 3 / (8 * noise.electrons) + FLOOR / predicted.size
    return 2 * (jnp.sqrt(predicted + shift) - jnp.sqrt(_not_negative(measured) + shift)) ** 2


def intensity_loss(
    predicted: Float[Array, "ky kx"], measured: Float[Array, "ky kx"], noise: Noise
) -> Float[Array, "ky kx"]:
    """N/2 (I - y)²: Gaussian noise, in each of N pixels of the variance that the mean pixel has.

    Args:
        predicted: I, intensity as a fraction of the average pattern.
        measured: y, likewise.
        noise: not used.

    Returns:
        the loss of each pixel.

    Source:
        Godard et al., Opt. Express 20 (2012) 25914, for the comparison of noise models.

    Example:
        >>> one = jnp.ones((2, 2))
        >>> float(intensity_loss(2 * one, one, Noise(one[0, 0], one[0, 0])).sum())
        8.0
    """
    del noise
    return 0.5 * predicted.size * (predicted - measured) ** 2


def mixed_loss(
    predicted: Float[Array, "ky kx"], measured: Float[Array, "ky kx"], noise: Noise
) -> Float[Array, "ky kx"]:
    """Poisson and Gaussian read-out noise: n + σ² is nearly Poisson of mean λ + σ², so both are raised by σ².

    Where read-out noise makes y + σ² negative it keeps its sign: clipped, dark pixels would seem brighter.

    Args:
        predicted: I, intensity as a fraction of the average pattern.
        measured: y, likewise; may be negative.
        noise: electrons of an average pattern and σ.

    Returns:
        the loss of each pixel.

    Source:
        Snyder, Helstrom, Lanterman, Faisal & White, J. Opt. Soc. Am. A 12 (1995) 272.

    Example:
        >>> one = jnp.ones((2, 2))
        >>> float(mixed_loss(one, one, Noise(one[0, 0], 3 * one[0, 0])).sum())
        0.0
    """
    return _deviance(predicted, measured, noise.read_out**2 / noise.electrons + FLOOR / predicted.size)


def squared_error(predicted: Float[Array, "ky kx"], measured: Float[Array, "ky kx"]) -> Float[Array, "ky kx"]:
    """(√I - √y)², with one root instead of two: for reports, whose error is the root of its sum over Σ y.

    Args:
        predicted: I, intensity as a fraction of the average pattern.
        measured: y, likewise; what is negative counts as zero.

    Returns:
        of each pixel.

    Example:
        >>> float(squared_error(jnp.full((1, 1), 4.0), jnp.ones((1, 1)))[0, 0])
        1.0
    """
    measured = _not_negative(measured)
    return predicted + measured - 2 * jnp.sqrt(predicted * measured)


def _deviance(predicted: Array, measured: Array, shift: Array | float) -> Array:
    model, data = predicted + shift, measured + shift
    # Below zero the data have no logarithm; any constant does, and the shift makes the loss one of electrons.
    return model - data + xlogy(data, jnp.where(data > 0, data, shift)) - data * jnp.log(model)


def _not_negative(measured: Array) -> Array:
    """Read-out noise below zero has no root and no logarithm."""
    return jnp.maximum(measured, 0.0)
