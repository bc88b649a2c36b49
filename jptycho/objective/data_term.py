"""The mean loss of a batch of patterns: mask, unit and sum are applied here, for all losses."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jptycho.forward.fields import Fields, Noise, ScanFields, Setup
from jptycho.forward.model import predict
from jptycho.objective.losses import Loss, squared_error
from jptycho.types import Array, Float, Shaped


def noise_of(setup: Setup) -> Noise:
    """The detector's noise, where nothing else is said that of electron counts.

    Args:
        setup: constants of the run.

    Returns:
        its noise.

    Example:
        >>> from jptycho.types import Grid
        >>> setup = Setup(jnp.ones((8, 8)), jnp.array(50.0), Grid((8, 8), (0.5, 0.5)), 0.02)
        >>> float(noise_of(setup).electrons)
        50.0
    """
    return Noise(setup.dose, jnp.zeros_like(setup.dose)) if setup.noise is None else setup.noise


def as_fractions(counts: Shaped[Array, "*scan ky kx"], setup: Setup) -> Float[Array, "*scan ky kx"]:
    """Counts as fractions of the average pattern, as the model predicts them.

    Args:
        counts: as stored.
        setup: constants of the run.

    Returns:
        y, in the type of the setup's dose.

    Example:
        >>> from jptycho.types import Grid
        >>> setup = Setup(jnp.ones((1, 2)), jnp.array(50.0), Grid((1, 2), (0.5, 0.5)), 0.02)
        >>> as_fractions(jnp.array([[25, 100]], jnp.uint8), setup).tolist()
        [[0.5, 2.0]]
    """
    return counts.astype(setup.dose.dtype) / setup.dose


def batch_loss(
    loss: Loss,
    fields: Fields,
    setup: Setup,
    counts: Shaped[Array, "batch ky kx"],
    rows: ScanFields,
    weight: Float[Array, "batch"],
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Weighted sums over a batch of the loss and of the squared amplitude error.

    Args:
        loss: one of the data losses (static).
        fields: the unknowns.
        setup: constants of the run.
        counts: as stored; read as fractions of the average pattern.
        rows: of the scan, one for each pattern.
        weight: of each pattern; zero for padding.

    Returns:
        Σ weight · loss, and Σ weight · amplitude error² (for the report; no gradient).
    """
    noise = noise_of(setup)

    def one(pattern: Array, row: ScanFields) -> tuple[Array, Array]:
        measured = as_fractions(pattern, setup)
        predicted = predict(fields, setup, row)
        residual = squared_error(jax.lax.stop_gradient(predicted), measured)
        return jnp.sum(setup.mask * loss(predicted, measured, noise)), jnp.sum(setup.mask * residual)

    losses, residuals = jax.vmap(one)(counts, rows)
    return jnp.sum(weight * losses), jnp.sum(weight * residuals)
