"""Gradient descent by Optax through ``render`` and ``predict``: one compiled epoch."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jptycho.forward.model import Fields
from jptycho.objective.compose import batch_loss
from jptycho.objective.losses import LOSSES
from jptycho.parallel import replicate, sum_over_shards
from jptycho.representations.base import ModelSpec, render_channels
from jptycho.scan import batch_plan
from jptycho.solvers.base import Metrics, ScanData, State, split_positions
from jptycho.types import Array


@dataclasses.dataclass(frozen=True)
class GradientSolver:
    """Adam on the parameters of object and probe; hashable, so equal settings share one compilation.

    Attributes:
        model: representations of object and probe.
        loss: ``"amplitude"`` or ``"poisson"``.
        object_rate: learning rate of the object's parameters.
        probe_rate: learning rate of the probe's parameters; 0 holds the probe.
        steps: optimiser steps an epoch.
        micro_batches: parts of a step whose gradients are accumulated before the representation sees them.
        warm_up: steps over which the rates rise from zero.
        decay_steps: steps over which the rates then fall on a cosine; 0 keeps them.
        average: weight of the past in the running mean of the object over steps; 0 keeps none.
    """

    model: ModelSpec
    loss: str
    object_rate: float
    probe_rate: float
    steps: int
    micro_batches: int = 1
    warm_up: int = 0
    decay_steps: int = 0
    average: float = 0.0


def optimiser(solver: GradientSolver) -> optax.GradientTransformation:
    """Adam with separate rates for object and probe.

    Args:
        solver: the settings.

    Returns:
        the Optax transformation of ``{"object": ..., "probe": ...}``.
    """

    def rate(peak: float) -> optax.Schedule:
        if solver.decay_steps:
            return optax.warmup_cosine_decay_schedule(
                0.0 if solver.warm_up else peak, peak, solver.warm_up, solver.warm_up + solver.decay_steps, 0.1 * peak
            )
        return optax.linear_schedule(0.0, peak, solver.warm_up) if solver.warm_up else optax.constant_schedule(peak)

    adam: dict[Hashable, optax.GradientTransformation] = {
        "object": optax.adam(rate(solver.object_rate), eps=1e-12),
        "probe": optax.adam(rate(solver.probe_rate), eps=1e-12) if solver.probe_rate else optax.set_to_zero(),
    }
    return optax.partition(adam, {"object": "object", "probe": "probe"})


def init_state(solver: GradientSolver, mesh: Mesh, params: Any, constants: Any, key: Array) -> State:
    """State before the first epoch.

    Args:
        solver: the settings.
        mesh: on whose devices the state lives.
        params: of :func:`jptycho.representations.base.initialise`.
        constants: likewise.
        key: random key of batches and noise.

    Returns:
        the state; it holds copies.
    """
    average = None
    if solver.average:
        average = solver.model.object.apply(params["object"], constants["object"], None)
    state = State(params, optimiser(solver).init(params), average, key, jnp.zeros((), int))
    return replicate(mesh, state)


@partial(jax.jit, static_argnames=("solver", "mesh"), donate_argnames="state")
def epoch(solver: GradientSolver, mesh: Mesh, state: State, constants: Any, data: ScanData) -> tuple[State, Metrics]:
    """See every pattern once.

    Args:
        solver: the settings (static).
        mesh: over scan positions (static).
        state: before; its arrays are donated.
        constants: of the representations.
        data: the scan.

    Returns:
        the state after, and the epoch's metrics.
    """
    key, key_plan, key_noise = jax.random.split(state.key, 3)
    plan = batch_plan(key_plan, data.weight, solver.steps)
    noise_keys = jax.random.split(key_noise, solver.steps)
    objective = _sharded_gradient(solver, mesh, data)
    transform = optimiser(solver)

    def step(carry: tuple[Any, Any, Any], batch: Any) -> tuple[tuple[Any, Any, Any], Any]:
        params, opt, average = carry
        index, weight, noise_key = batch
        fields, pull_back, channels = jax.vjp(
            lambda p: render_channels(solver.model, p, constants, noise_key), params, has_aux=True
        )
        (loss, error), cotangent = objective(fields, index, weight)
        (gradient,) = pull_back(cotangent)
        updates, opt = transform.update(gradient, opt, params)
        params = optax.apply_updates(params, updates)
        if solver.average:
            average = solver.average * average + (1 - solver.average) * channels
        return (params, opt, average), (loss, error)

    carry = (state.params, state.optimiser, state.average)
    (params, opt, average), (losses, errors) = jax.lax.scan(step, carry, (*plan, noise_keys))
    total = jnp.sum(data.weight)
    loss, error = jnp.sum(losses) / total, jnp.sqrt(jnp.sum(errors) / total)
    after = State(params, opt, average, key, state.epoch + 1)
    # What comes out lies as what went in: else the next call would compile once more.
    after = jax.lax.with_sharding_constraint(after, NamedSharding(mesh, PartitionSpec()))
    largest = jnp.stack([jnp.max(jnp.abs(leaf)) for leaf in jax.tree.leaves(params)])
    return after, Metrics(loss, error, jnp.isfinite(loss) & jnp.all(jnp.isfinite(largest)))


def _sharded_gradient(solver: GradientSolver, mesh: Mesh, data: ScanData) -> Any:
    """A function (fields, index, weight) -> ((Σ loss, Σ residual), gradient of the mean loss)."""
    loss = LOSSES[solver.loss]
    shards, local = data.weight.shape

    def local_sums(shared: Any, positions: Array, counts: Array, index: Array, weight: Array) -> Any:
        fields, setup = shared
        return batch_loss(loss, fields, setup, counts[index], positions[index], weight)

    sums = sum_over_shards(mesh, local_sums)

    def objective(fields: Fields, index: Array, weight: Array) -> tuple[Array, Array]:
        positions = split_positions(fields.positions, shards, local)
        return sums((fields, data.setup), positions, data.counts, index, weight)

    gradient = jax.value_and_grad(objective, has_aux=True)

    def whole_step(fields: Fields, index: Array, weight: Array) -> Any:
        total = jnp.sum(weight)
        if solver.micro_batches == 1:
            sums, cotangent = gradient(fields, index, weight)
        else:
            parts = [_micro(x, solver.micro_batches) for x in (index, weight)]
            zero = jax.tree.map(jnp.zeros_like, ((total, total), fields))

            def add(carry: Any, part: Any) -> tuple[Any, None]:
                return jax.tree.map(jnp.add, carry, gradient(fields, *part)), None

            (sums, cotangent), _ = jax.lax.scan(add, zero, tuple(parts))
        return sums, jax.tree.map(lambda g: g / total, cotangent)

    return whole_step


def _micro(array: Array, parts: int) -> Array:
    """(shards, batch) -> (parts, shards, batch / parts), padded with zeros."""
    shards, batch = array.shape
    size = -(-batch // parts)
    padded = jnp.pad(array, ((0, 0), (0, parts * size - batch)))
    return padded.reshape(shards, parts, size).swapaxes(0, 1)
