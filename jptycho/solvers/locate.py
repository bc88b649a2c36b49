"""Where one pattern was recorded: a search over trial positions, then Gauss-Newton, object and probe known."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp

from jptycho.forward.fields import Fields, ScanFields, Setup
from jptycho.forward.model import predict
from jptycho.objective.data_term import as_fractions, noise_of
from jptycho.objective.losses import FLOOR, Loss, squared_error
from jptycho.types import Array, Float, Shaped, pytree

Pattern = Callable[[Array], Array]
"""The predicted pattern as a function of its position."""
STEPS = 4  # of Gauss-Newton, from either start; each is quadratically convergent near the minimum


@pytree
class Located:
    """Where one pattern was recorded, as far as it tells.

    Attributes:
        displacement: from the nominal position, pixels (2,): the maximum of the posterior.
        information: Fisher information of the pattern on it, pixels⁻² (2, 2).
        misfit: Pearson's χ² as a multiple of what noise alone gives.
        loss: of the pattern there.
        residual: squared amplitude error there.
    """

    displacement: Float[Array, "*scan 2"]
    information: Float[Array, "*scan 2 2"]
    misfit: Float[Array, "*scan"]
    loss: Float[Array, "*scan"]
    residual: Float[Array, "*scan"]


@pytree
class Prior:
    """What is known of a position beforehand.

    Attributes:
        nominal: where the scan says it was, canvas pixels.
        spread: standard deviation of displacements from there along an axis, pixels.
    """

    nominal: Float[Array, "2"]
    spread: Float[Array, ""]


def locate(
    loss: Loss,
    fields: Fields,
    setup: Setup,
    counts: Shaped[Array, "ky kx"],
    row: ScanFields,
    prior: Prior,
    trials: Float[Array, "trials 2"],
) -> Located:
    """Where one pattern was recorded, object and probe known.

    Args:
        loss: of one pattern; times the electrons it is the negative log-likelihood (static).
        fields: the unknowns.
        setup: constants of the run.
        counts: as stored.
        row: of the scan, with the position so far.
        prior: of the position.
        trials: offsets from the nominal position.

    Returns:
        what it tells.
    """
    measured, noise = as_fractions(counts, setup), noise_of(setup)
    predicted = partial(_predicted, fields, setup, row)
    cost = partial(_cost, loss, predicted, measured, setup, prior)
    costs = jax.lax.map(lambda offset: cost(prior.nominal + offset), trials)
    starts = jnp.stack([row.position, prior.nominal + trials[jnp.argmin(costs)]])
    ends, values = jax.lax.map(partial(_descend, loss, predicted, measured, setup, prior), starts)
    position = ends[jnp.argmin(values)]
    intensity, slopes = linearised(predicted, position)
    variance = intensity + noise.read_out**2 / noise.electrons  # of y, times the electrons
    weight = setup.mask / (variance + FLOOR / intensity.size)
    return Located(
        displacement=position - prior.nominal,
        information=information_on(loss, intensity, slopes, setup),
        misfit=noise.electrons * jnp.sum(weight * (intensity - measured) ** 2) / jnp.sum(weight * variance),
        loss=jnp.sum(setup.mask * loss(intensity, measured, noise)),
        residual=jnp.sum(setup.mask * squared_error(intensity, measured)),
    )


def _predicted(fields: Fields, setup: Setup, row: ScanFields, position: Float[Array, "2"]) -> Float[Array, "ky kx"]:
    return predict(fields, setup, dataclasses.replace(row, position=position))


def _cost(
    loss: Loss,
    predicted: Pattern,
    measured: Float[Array, "ky kx"],
    setup: Setup,
    prior: Prior,
    position: Float[Array, "2"],
) -> Float[Array, ""]:
    """Negative logarithm of the posterior, in nats."""
    noise = noise_of(setup)
    misfit = jnp.sum(setup.mask * loss(predicted(position), measured, noise))
    return noise.electrons * misfit + 0.5 * jnp.sum((position - prior.nominal) ** 2) / prior.spread**2


def _descend(
    loss: Loss,
    predicted: Pattern,
    measured: Float[Array, "ky kx"],
    setup: Setup,
    prior: Prior,
    start: Float[Array, "2"],
) -> tuple[Float[Array, "2"], Float[Array, ""]]:
    """Gauss-Newton steps of at most a pixel, each taken where it helps and else a quarter of it tried; and the cost."""
    noise, precision = noise_of(setup), 1 / prior.spread**2
    cost = partial(_cost, loss, predicted, measured, setup, prior)

    def step(carry: tuple[Array, Array, Array], _: None) -> tuple[tuple[Array, Array, Array], None]:
        position, value, share = carry
        intensity, slopes = linearised(predicted, position)
        force = jax.grad(lambda i: jnp.sum(setup.mask * loss(i, measured, noise)))(intensity)
        gradient = noise.electrons * jnp.einsum("ayx,yx->a", slopes, force) + (position - prior.nominal) * precision
        curvature = information_on(loss, intensity, slopes, setup) + precision * jnp.eye(2, dtype=precision.dtype)
        move = -share * jnp.linalg.solve(curvature, gradient)
        trial = position + move / jnp.maximum(1.0, jnp.linalg.norm(move))
        reached = cost(trial)
        better = reached < value
        position, value = jnp.where(better, trial, position), jnp.where(better, reached, value)
        return (position, value, jnp.where(better, 1.0, 0.25) * share), None

    value = cost(start)
    begun = (start, value, jnp.ones_like(value))
    (position, value, _), _ = jax.lax.scan(step, begun, None, length=STEPS)
    return position, value


def linearised(
    predicted: Pattern, position: Float[Array, "2"]
) -> tuple[Float[Array, "ky kx"], Float[Array, "2 ky kx"]]:
    """The pattern at a position, and its derivatives along (y, x)."""
    intensity, along = jax.linearize(predicted, position)
    # Within a shard a tangent must vary from shard to shard as the position does: add a zero that does.
    return intensity, jax.vmap(along)(jnp.eye(2, dtype=position.dtype) + 0 * position[None])


def information_on(
    loss: Loss, intensity: Float[Array, "ky kx"], slopes: Float[Array, "numbers ky kx"], setup: Setup
) -> Float[Array, "numbers numbers"]:
    """Jᵀ ℓ'' J in electrons, ℓ'' the curvature of the loss where the pattern is what is expected."""
    noise, expected = noise_of(setup), jax.lax.stop_gradient(intensity)
    slope = jax.grad(lambda i: jnp.sum(setup.mask * loss(i, expected, noise)))
    weight = jax.jvp(slope, (intensity,), (jnp.ones_like(intensity),))[1]
    return noise.electrons * jnp.einsum("ayx,yx,byx->ab", slopes, weight, slopes)
