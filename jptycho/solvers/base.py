"""The protocol of a solver: what it is given, what it carries from epoch to epoch and what it reports."""

from __future__ import annotations

import dataclasses
from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jptycho.forward.fields import Fields
from jptycho.parallel import replicate
from jptycho.representations.estimate import Estimate, fields_of
from jptycho.solvers.constraints import (
    Constrained,
    check_denoisers,
    check_projections,
    constrain_params,
    constrained,
)
from jptycho.solvers.scan_data import Part, ScanData, distribute, in_halves, reference_in, rows_of, split_scan
from jptycho.tracing import jit_settings
from jptycho.types import Array, Constants, Float, Params, PyTree, pytree

__all__ = [
    "Metrics",
    "Part",
    "ScanData",
    "Solver",
    "State",
    "constrained_at_end",
    "distribute",
    "epoch",
    "epochs_after",
    "in_halves",
    "init_state",
    "reference_in",
    "rendered",
    "rows_of",
    "split_scan",
    "steps_before",
    "summarise_metrics",
]


@pytree
class State:
    """All that changes during a run; saved whole, so a run goes on exactly where it stopped.

    Attributes:
        params: of the representations, real leaves.
        optimiser: what the solver remembers, such as an Optax state.
        average: running mean of the rendered object channels, or None.
        key: random key.
        epoch: epochs done, scalar.
    """

    params: Params
    optimiser: PyTree
    average: PyTree
    key: Array
    epoch: Array


@pytree
class Metrics:
    """One epoch in numbers.

    Attributes:
        loss: mean over patterns, as seen while the epoch ran.
        amplitude_error:  error √(Σ(√I - √y)² / Σy), likewise.
        finite: whether every number stayed finite.
    """

    loss: Float[Array, ""]
    amplitude_error: Float[Array, ""]
    finite: Array


@runtime_checkable
class Solver(Constrained, Protocol):
    """A frozen, hashable dataclass of settings, so that equal solvers share one compilation."""

    def init(self, params: Params, constants: Constants) -> tuple[PyTree, Array | None]:
        """What the solver remembers before the first epoch, and the running mean of the object or None."""
        ...

    def epoch(self, mesh: Mesh, state: State, constants: Constants, data: ScanData) -> tuple[State, Metrics]:
        """See every pattern once: a pure function, compiled by :func:`epoch`."""
        ...

    def estimate(self, params: Params, constants: Constants) -> Estimate:
        """The unknowns, and what is held fixed beside them."""
        ...


def init_state(solver: Solver, mesh: Mesh, params: Params, constants: Constants, key: Array) -> State:
    """State before the first epoch.

    Args:
        solver: the settings.
        mesh: on whose devices the state lives.
        params: of :func:`jptycho.representations.base.initialise`.
        constants: likewise.
        key: random key of batches and noise.

    Returns:
        the state; it holds copies.

    Raises:
        ConfigError: a projection or denoiser that the representation cannot honour.
    """
    check_projections(solver.model, solver.projections)
    check_denoisers(solver.model, solver.denoisers)
    memory, average = _begun(solver, *replicate(mesh, (params, constants)))
    return replicate(mesh, State(params, memory, average, key, jnp.zeros((), int)))


@jit_settings("solver")
def _begun(solver: Solver, params: Params, constants: Constants) -> tuple[PyTree, Array | None]:
    """What a solver remembers at first, in one program."""
    return solver.init(params, constants)


@jit_settings("solver", static=("mesh",), donate=("state",))
def epoch(solver: Solver, mesh: Mesh, state: State, constants: Constants, data: ScanData) -> tuple[State, Metrics]:
    """See every pattern once, then apply the denoisers and the projections.

    Of a part of a scan its patterns; the epoch is over, and what ends it is done, after the last part.

    Args:
        solver: the settings; their structure is static, their numbers are traced.
        mesh: over scan positions (static).
        state: before; its arrays are donated.
        constants: of the representations.
        data: the scan.

    Returns:
        the state after, and the epoch's metrics.
    """
    after, metrics = solver.epoch(mesh, state, constants, data)
    after = dataclasses.replace(after, params=constrained_at_end(solver, after.params, constants, data))
    # What comes out lies as what went in: else the next call would compile once more.
    after = jax.lax.with_sharding_constraint(after, NamedSharding(mesh, PartitionSpec()))
    largest = jnp.stack([jnp.max(jnp.abs(leaf)) for leaf in jax.tree.leaves(after.params)])
    finite = jnp.isfinite(metrics.loss) & jnp.all(jnp.isfinite(largest))
    return after, dataclasses.replace(metrics, finite=finite)


def constrained_at_end(solver: Solver, params: Params, constants: Constants, data: ScanData) -> Params:
    """Parameters after denoisers and projections, where an epoch ends with these data.

    Args:
        solver: the settings.
        params: of its representations.
        constants: likewise.
        data: the scan, or a part of it.

    Returns:
        the parameters.
    """
    if data.part is None or not constrained(solver):
        return constrain_params(solver, params, constants, data.reference)
    end = data.part.number == data.part.parts - 1
    return jax.lax.cond(
        end, lambda now: constrain_params(solver, now, constants, data.reference), lambda now: now, params
    )


def epochs_after(state: State, data: ScanData) -> Array:
    """Epochs that are done once these data have been seen.

    Args:
        state: before.
        data: the scan, or a part of it.

    Returns:
        one more, unless parts follow.
    """
    if data.part is None:
        return state.epoch + 1
    return state.epoch + (data.part.number == data.part.parts - 1).astype(state.epoch.dtype)


def steps_before(state: State, data: ScanData, steps: int) -> Array:
    """Steps of the run before those of these data.

    Args:
        state: before.
        data: the scan, or a part of it.
        steps: that are taken with them.

    Returns:
        their number.
    """
    if data.part is None:
        return state.epoch * steps
    return (state.epoch * data.part.parts + data.part.number) * steps


def summarise_metrics(losses: Array, errors: Array, weight: Array) -> Metrics:
    """Metrics of an epoch from sums over its patterns.

    Args:
        losses: weighted sums of the loss.
        errors: weighted sums of the squared amplitude error.
        weight: of every pattern.

    Returns:
        the metrics; whether all is finite is found by :func:`epoch`.
    """
    total = jnp.sum(weight)
    return Metrics(jnp.sum(losses) / total, jnp.sqrt(jnp.maximum(jnp.sum(errors), 0.0) / total), jnp.array(True))


def rendered(solver: Solver, params: Params, constants: Constants) -> Fields:
    """Everything the physics sees of parameters.

    Args:
        solver: the settings.
        params: of its representations.
        constants: likewise.

    Returns:
        the fields.
    """
    return fields_of(solver.estimate(params, constants))
