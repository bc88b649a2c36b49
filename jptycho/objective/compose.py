"""The mean loss of a batch of patterns."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jptycho.forward.model import Fields, Setup, predict
from jptycho.objective.losses import Loss
from jptycho.types import Array, Float, Shaped


def batch_loss(
    loss: Loss,
    fields: Fields,
    setup: Setup,
    counts: Shaped[Array, "batch ky kx"],
    positions: Float[Array, "batch 2"],
    weight: Float[Array, "batch"],
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Weighted sums over a batch of the loss and of the squared amplitude error's denominator.

    Args:
        loss: one of the data losses (static).
        fields: the unknowns.
        setup: constants of the run.
        counts: as stored; read as fractions of the average pattern.
        positions: of the patterns on the canvas, pixels.
        weight: of each pattern; zero for padding.

    Returns:
        Σ weight · loss, and Σ weight · amplitude loss (for the report; no gradient).
    """

    def one(pattern: Array, position: Array) -> tuple[Array, Array]:
        measured = pattern.astype(setup.dose.dtype) / setup.dose
        predicted = predict(fields, setup, position)
        # (√I - √y)², with one root instead of two.
        seen = jax.lax.stop_gradient(predicted)
        residual = seen + measured - 2 * jnp.sqrt(seen * measured)
        return loss(predicted, measured, setup.mask), jnp.sum(setup.mask * residual)

    losses, residuals = jax.vmap(one)(counts, positions)
    return jnp.sum(weight * losses), jnp.sum(weight * residuals)
