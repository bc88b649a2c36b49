"""How well a state predicts electrons that it has not seen, and how well anything could predict those that it has."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jptycho.forward.fields import Fields, ScanFields, Setup
from jptycho.forward.model import predict
from jptycho.objective.data_term import batch_loss, noise_of
from jptycho.objective.losses import Loss
from jptycho.parallel import sum_over_shards
from jptycho.representations.estimate import Estimate, fields_of
from jptycho.settings import AUTO, Count, Field, Section, Share
from jptycho.solvers.base import ScanData, Solver, State, rows_of
from jptycho.solvers.ensemble import EnsembleSolver, mean_of_members
from jptycho.solvers.exit_wave_updates import in_parts
from jptycho.solvers.streaming import StreamedScan, sum_over_parts
from jptycho.tracing import jit_settings
from jptycho.types import Array, Constants, Float, Params, PyTree


class ValidationSettings(Section):
    """``[validation]``: validate every epoch by electrons that the reconstruction does not see, and keep the best."""

    fraction: Share | Literal["auto"] = Field(
        AUTO,
        description="share of the electrons, or of the detector's pixels where those are not counted, that validates; "
        "auto: 0.1 for the DGP, and for pixels where electrons cannot be divided into half sets; else 0 (none)",
    )
    patience: Count = Field(5, description="epochs without improvement after which a stage ends")
    all_electrons: bool = Field(
        True, description="repeat the last stage of pixels with all electrons, for as many epochs as were best"
    )


PARTS = 16  # patterns that are worked on together


NOISY = 24  # patterns, whose noise is drawn to know the loss that it gives alone


def render_estimate(solver: Solver, params: Params, constants: Constants) -> Estimate:
    """The unknowns that parameters stand for, without noise, compiled once for all runs of equal settings.

    That of an ensemble is the mean of :func:`render_members`, so that both share the program of the networks.

    Args:
        solver: the settings.
        params: of the representations.
        constants: likewise.

    Returns:
        the estimate.
    """
    if isinstance(solver, EnsembleSolver):
        return _mean(render_members(solver, params, constants))
    return _render(solver, params, constants)


@jit_settings("solver")
def render_members(solver: EnsembleSolver, params: Params, constants: Constants) -> Estimate:
    """The unknowns of each member of an ensemble, compiled once likewise.

    Args:
        solver: the settings.
        params: of the representations.
        constants: likewise.

    Returns:
        the estimates, with a leading axis.
    """
    return solver.every(params, constants)


@jit_settings("solver")
def _render(solver: Solver, params: Params, constants: Constants) -> Estimate:
    return solver.estimate(params, constants)


_mean = jax.jit(mean_of_members)


def validate_state(
    solver: Solver,
    mesh: Mesh,
    loss: Loss,
    state: State,
    constants: Constants,
    setup: Setup,
    held: ScanData | StreamedScan | None,
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Mean loss over the held-out electrons of every position, and what noise alone gives of the electrons seen.

    Only the first of its programs depends on the solver: stages of one run share the others.

    Args:
        solver: the settings.
        mesh: over scan positions.
        loss: of one pattern.
        state: to be validated, without noise of the representation; by its running mean where there is one.
        constants: of the representations.
        setup: of the electrons that are seen.
        held: the held-out electrons of the same positions; None where there are none.

    Returns:
        both means over patterns; the first not a number where nothing is held out.
    """
    estimate = render_estimate(solver, state.params, constants)
    if state.average is not None:
        estimate = dataclasses.replace(estimate, object=state.average)
    fields = _fields(estimate)
    validated = jnp.asarray(jnp.nan) if held is None else loss_of_fields(mesh, loss, fields, held)
    return validated, noise_loss(loss, fields, setup, jax.random.key(0))


_fields = jax.jit(fields_of)


@partial(jax.jit, static_argnames="loss")
def noise_loss(loss: Loss, fields: Fields, setup: Setup, key: Array) -> Float[Array, ""]:
    """The loss that remains where the model is true: its mean over electrons drawn at the predicted rates.

    Args:
        loss: of one pattern (static).
        fields: everything the physics sees.
        setup: constants of the run; its noise says how many electrons a pattern has.
        key: random key of the electrons.

    Returns:
        the mean over some of the patterns.
    """
    noise, count = noise_of(setup), len(fields.scan)
    some = jnp.asarray(np.linspace(0, count - 1, min(NOISY, count)).astype(int))

    def one(place: tuple[ScanFields, Array]) -> Array:
        row, own = place
        key_shot, key_read = jax.random.split(own)
        predicted = predict(fields, setup, row)
        shot = jax.random.poisson(key_shot, predicted * noise.electrons).astype(predicted.dtype)
        read = noise.read_out * jax.random.normal(key_read, predicted.shape, predicted.dtype)
        return jnp.sum(setup.mask * loss(predicted, (shot + read) / noise.electrons, noise))

    keys = jax.random.split(key, len(some))
    return jnp.mean(jax.lax.map(one, (fields.scan[some], keys)))


def loss_of_fields(mesh: Mesh, loss: Loss, fields: Fields, held: ScanData | StreamedScan) -> Float[Array, ""]:
    """Mean loss of given unknowns over electrons.

    Args:
        mesh: over scan positions (static).
        loss: of one pattern (static).
        fields: everything the physics sees.
        held: the electrons.

    Returns:
        the mean over patterns.
    """
    if isinstance(held, StreamedScan):
        total, weight = sum_over_parts(held, lambda part: _summed_loss(mesh, loss, fields, part))
        return total / weight
    return _mean_loss(mesh, loss, fields, held)


@partial(jax.jit, static_argnames=("mesh", "loss"))
def _mean_loss(mesh: Mesh, loss: Loss, fields: Fields, held: ScanData) -> Float[Array, ""]:
    """Mean loss over patterns in memory."""
    total, weight = _summed_loss(mesh, loss, fields, held)
    return total / weight


@partial(jax.jit, static_argnames=("mesh", "loss"))
def _summed_loss(mesh: Mesh, loss: Loss, fields: Fields, held: ScanData) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Sums of loss and weight over patterns."""
    local = held.weight.shape[1]

    def local_sums(shared: PyTree, rows: ScanFields, counts: Array, weight: Array) -> Array:
        now, setup = shared

        def add(total: Array, part: PyTree) -> Array:
            (patterns, own), w = part
            return total + batch_loss(loss, now, setup, patterns, own, w)[0]

        return in_parts(add, jnp.zeros(()), (counts, rows), weight, -(-local // PARTS))

    rows = rows_of(fields.scan, held)
    total = sum_over_shards(mesh, local_sums)((fields, held.setup), rows, held.counts, held.weight)
    return total, jnp.sum(held.weight)
