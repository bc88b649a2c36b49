"""Data losses in scale-free units: the intensity of an average pattern sums to one.

Each compares the predicted with the measured pattern, both as fractions of the average pattern's counts, and gives the
sum over the detector. A count scale therefore drops out, and a rate or weight carries over to any data.
"""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp

from jptycho.types import Array, Float

Loss = Callable[[Array, Array, Array], Array]

FLOOR = 0.03
"""Added to both intensities, as a fraction of the mean over the detector.

It keeps roots and logarithms finite, and it conditions the Poisson likelihood: where the model is still dark, y / I has
no bound and one stray electron would outweigh the bright disk. A perfect model still has zero loss and gradient."""


def amplitude_loss(
    predicted: Float[Array, "ky kx"], measured: Float[Array, "ky kx"], mask: Float[Array, "ky kx"]
) -> Float[Array, ""]:
    """Σ m (√(I + ε) - √(y + ε))²: Gaussian noise after the square root.

    Args:
        predicted: I, intensity as a fraction of the average pattern.
        measured: y, likewise.
        mask: m, weight of each detector pixel.

    Returns:
        the loss; its square root is the usual amplitude error.

    Source:
        Godard et al., Opt. Express 20 (2012) 25914.

    Example:
        >>> one = jnp.ones((2, 2))
        >>> float(amplitude_loss(one, one, one))
        0.0
    """
    floor = FLOOR / predicted.size
    return jnp.sum(mask * (jnp.sqrt(predicted + floor) - jnp.sqrt(measured + floor)) ** 2)


def poisson_loss(
    predicted: Float[Array, "ky kx"], measured: Float[Array, "ky kx"], mask: Float[Array, "ky kx"]
) -> Float[Array, ""]:
    """Half the Poisson deviance, Σ m (I - y + y log(y / I)), with I and y raised by the floor.

    Times the counts of an average pattern it is the negative log-likelihood above that of a perfect model.

    Args:
        predicted: I, intensity as a fraction of the average pattern.
        measured: y, likewise.
        mask: m, weight of each detector pixel.

    Returns:
        the loss.

    Source:
        Thibault & Guizar-Sicairos, New J. Phys. 14 (2012) 063004, eq. 5.

    Example:
        >>> one = jnp.ones((2, 2))
        >>> float(poisson_loss(one, one, one))
        0.0
    """
    floor = FLOOR / predicted.size
    model, data = predicted + floor, measured + floor
    return jnp.sum(mask * (model - data + data * jnp.log(data / model)))


LOSSES: dict[str, Loss] = {"amplitude": amplitude_loss, "poisson": poisson_loss}
