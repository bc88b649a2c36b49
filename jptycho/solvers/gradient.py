"""Gradient descent by Optax through ``render`` and ``predict``: one compiled epoch."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from jptycho.forward.fields import Fields, ScanFields
from jptycho.objective.data_term import batch_loss
from jptycho.objective.denoisers import Denoising
from jptycho.objective.losses import Loss
from jptycho.objective.penalties import Penalty, total_penalty
from jptycho.objective.projections import Projection
from jptycho.parallel import sum_over_shards
from jptycho.randomness import named_key
from jptycho.representations.base import ModelSpec, render, select_half
from jptycho.representations.estimate import Estimate, fields_of
from jptycho.scan import batch_plan
from jptycho.solvers.base import (
    Metrics,
    ScanData,
    State,
    epochs_after,
    in_halves,
    reference_in,
    rows_of,
    steps_before,
    summarise_metrics,
)
from jptycho.solvers.optimisers import LINE_SEARCH, Optimiser, build
from jptycho.tracing import is_zero, numpy_promotion
from jptycho.types import Array, Constants, Number, Params, PyTree

ADAM = Optimiser()
PROBE_MOVES = "probe moves"
"""Constant of a run that says whether the probe moves now; it does where there is none."""


@dataclasses.dataclass(frozen=True)
class GradientSolver:
    """An Optax optimiser on the parameters of every unknown; hashable, so equal settings share one compilation.

    Attributes:
        model: representations of the unknowns.
        loss: one of :mod:`jptycho.objective.losses`, or your own.
        object_rate: learning rate of the object's parameters.
        probe_rate: learning rate of the probe's parameters; 0 holds the probe.
        steps: optimiser steps an epoch.
        parts: of the scan that are seen one after another in an epoch, each in so many steps.
        micro_batches: parts of a step whose gradients are accumulated before the representation sees them.
        optimiser: Adam by default.
        ema_decay: weight of the past in the running mean of the object over steps; 0 keeps none.
        position_rate: learning rate of the positions in pixels, where they are refined.
        tilt_rate: learning rate of the tilt in mrad, likewise.
        extra_rates: pairs of name and learning rate of the further unknowns.
        penalties: beside the loss.
        projections: after each epoch.
        denoisers: of the object, before the projections.
    """

    model: ModelSpec
    loss: Loss
    object_rate: Number
    probe_rate: Number
    steps: int
    parts: int = 1
    micro_batches: int = 1
    optimiser: Optimiser = ADAM
    ema_decay: Number = 0.0
    position_rate: Number = 0.0
    tilt_rate: Number = 0.0
    extra_rates: tuple[tuple[str, Number], ...] = ()
    penalties: tuple[Penalty, ...] = ()
    projections: tuple[Projection, ...] = ()
    denoisers: tuple[Denoising, ...] = ()

    def init(self, params: Params, constants: Constants) -> tuple[PyTree, Array | None]:
        """The Optax state, and the running mean of the object, which the first step replaces."""
        average = None
        if not is_zero(self.ema_decay):
            shape = jax.eval_shape(self.model.object.apply, params["object"], constants["object"], None)
            average = jnp.zeros(shape.shape, shape.dtype)
        return transformation(self, params).init(params), average

    def epoch(self, mesh: Mesh, state: State, constants: Constants, data: ScanData) -> tuple[State, Metrics]:
        """Optimiser steps over the batches of a plan."""
        return _epoch(self, mesh, state, constants, data)

    def estimate(self, params: Params, constants: Constants) -> Estimate:
        """The unknowns."""
        return render(self.model, params, constants)


def transformation(solver: GradientSolver, params: Params) -> optax.GradientTransformationExtraArgs:
    """The Optax transformation of a solver's parameters.

    Args:
        solver: the settings.
        params: whose names say which unknowns there are.

    Returns:
        the transformation.
    """
    rates = {
        "object": solver.object_rate,
        "probe": solver.probe_rate,
        "positions": solver.position_rate,
        "tilt": solver.tilt_rate,
        **dict(solver.extra_rates),
    }
    return build(solver.optimiser, {name: rates[name] for name in params}, solver.steps * solver.parts)


def _epoch(
    solver: GradientSolver, mesh: Mesh, state: State, constants: Constants, data: ScanData
) -> tuple[State, Metrics]:
    key, key_epoch = jax.random.split(state.key)
    plan = batch_plan(named_key(key_epoch, "batches"), data.weight, solver.steps)
    noise_keys = jax.random.split(named_key(key_epoch, "noise"), solver.steps)
    # Halves of the electrons take turns, from a random one on.
    first_half = jax.random.randint(named_key(key_epoch, "half"), (), 0, 2)
    half_sets = (jnp.arange(solver.steps) + first_half) % 2
    objective = _objective(solver, mesh, constants, data)
    transform = transformation(solver, state.params)

    firsts = jnp.arange(solver.steps) + steps_before(state, data, solver.steps) == 0

    def step(carry: tuple[PyTree, PyTree, PyTree], now: PyTree) -> tuple[tuple[PyTree, PyTree, PyTree], PyTree]:
        (params, opt, average), (batch, first) = carry, now
        value, gradient, (loss, error), channels = objective(params, *batch)
        extra = {"value": value}
        if solver.optimiser.name in LINE_SEARCH:
            extra |= {"grad": gradient, "value_fn": _value_of(objective, batch)}
        with numpy_promotion():  # Optax counts steps in whole numbers
            updates, opt = transform.update(gradient, opt, params, **extra)
        updates = _where_probe_moves(updates, constants)
        params = optax.apply_updates(params, updates)
        if not is_zero(solver.ema_decay):
            past = jnp.where(first, 0.0, solver.ema_decay)
            average = past * average + (1 - past) * channels
        return (params, opt, average), (loss, error)

    carry = (state.params, state.optimiser, state.average)
    (params, opt, average), (losses, errors) = jax.lax.scan(step, carry, ((*plan, noise_keys, half_sets), firsts))
    return State(params, opt, average, key, epochs_after(state, data)), summarise_metrics(losses, errors, data.weight)


def _where_probe_moves(updates: PyTree, constants: Constants) -> PyTree:
    if PROBE_MOVES not in constants:
        return updates
    return updates | {"probe": jax.tree.map(lambda step: jnp.where(constants[PROBE_MOVES], step, 0), updates["probe"])}


def _value_of(objective: Callable[..., PyTree], batch: PyTree) -> Callable[[Params], Array]:
    """The value alone, whose gradient is the one that the objective computes anyway."""

    @jax.custom_vjp
    def value(params: Params) -> Array:
        return objective(params, *batch)[0]

    value.defvjp(
        lambda params: objective(params, *batch)[:2],
        lambda gradient, cotangent: (jax.tree.map(lambda g: cotangent * g, gradient),),
    )
    return value


def _objective(solver: GradientSolver, mesh: Mesh, constants: Constants, data: ScanData) -> Callable[..., PyTree]:
    """A function (params, index, weight, key, half) -> (value, gradient, (Σ loss, Σ residual), channels).

    The representation is evaluated once: the gradient with respect to the fields is gathered over all patterns first,
    and that of the penalties is added, before either goes back through it.
    """
    data_gradient = _sharded_gradient(solver, mesh, data)

    def evaluate(params: Params, index: Array, weight: Array, key: Array, half: Array) -> PyTree:
        free = select_half(solver.model, constants, half) if in_halves(data) else constants
        estimate, pull_back = jax.vjp(lambda p: render(solver.model, p, free, key), params)
        fields, to_estimate = jax.vjp(fields_of, estimate)
        sums, cotangent = data_gradient(fields, index, weight, half)
        value, (slope,) = sums[0] / jnp.sum(weight), to_estimate(cotangent)
        if solver.penalties:
            gradient_of = jax.value_and_grad(total_penalty, argnums=1)
            extra, more = gradient_of(solver.penalties, estimate, reference_in(data))
            value, slope = value + extra, jax.tree.map(jnp.add, slope, more)
        (gradient,) = pull_back(slope)
        if is_zero(solver.probe_rate):
            gradient = gradient | {"probe": jax.tree.map(jnp.zeros_like, gradient["probe"])}
        return value, gradient, sums, estimate.object

    return evaluate


def _sharded_gradient(solver: GradientSolver, mesh: Mesh, data: ScanData) -> Callable[..., PyTree]:
    """A function (fields, index, weight, half) -> ((Σ loss, Σ residual), gradient of the mean loss)."""
    halved = in_halves(data)

    def local_sums(shared: PyTree, rows: ScanFields, counts: Array, index: Array, weight: Array) -> PyTree:
        fields, setup, half = shared
        seen = counts[index, half] if halved else counts[index]
        return batch_loss(solver.loss, fields, setup, seen, rows[index], weight)

    sums = sum_over_shards(mesh, local_sums)

    def objective(fields: Fields, index: Array, weight: Array, half: Array) -> tuple[Array, Array]:
        rows = rows_of(fields.scan, data)
        return sums((fields, data.setup, half), rows, data.counts, index, weight)

    gradient = jax.value_and_grad(objective, has_aux=True)

    def whole_step(fields: Fields, index: Array, weight: Array, half: Array) -> PyTree:
        total = jnp.sum(weight)
        if solver.micro_batches == 1:
            sums, cotangent = gradient(fields, index, weight, half)
        else:
            parts = [_micro(x, solver.micro_batches) for x in (index, weight)]
            zero = jax.tree.map(jnp.zeros_like, ((total, total), fields))

            def add(carry: PyTree, part: PyTree) -> tuple[PyTree, None]:
                return jax.tree.map(jnp.add, carry, gradient(fields, *part, half)), None

            (sums, cotangent), _ = jax.lax.scan(add, zero, tuple(parts))
        return sums, jax.tree.map(lambda g: g / jnp.where(total > 0, total, 1).astype(g.dtype), cotangent)

    return whole_step


def _micro(array: Array, parts: int) -> Array:
    """(shards, batch) -> (parts, shards, batch / parts), padded with zeros."""
    shards, batch = array.shape
    size = -(-batch // parts)
    padded = jnp.pad(array, ((0, 0), (0, parts * size - batch)))
    return padded.reshape(shards, parts, size).swapaxes(0, 1)
