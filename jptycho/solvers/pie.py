"""The ptychographic iterative engines: ePIE, rPIE and momentum PIE, for one slice or several, one mode or several."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from jptycho.forward.detector import modulus_constraint
from jptycho.forward.fields import Fields, ScanFields, Setup
from jptycho.forward.patches import fourier_shift
from jptycho.objective.data_term import as_fractions
from jptycho.objective.denoisers import Denoising
from jptycho.objective.projections import Projection
from jptycho.optics.waves import intensity, to_complex
from jptycho.parallel import sum_over_shards
from jptycho.representations.base import ModelSpec, render
from jptycho.representations.estimate import Estimate
from jptycho.scan import batch_plan
from jptycho.settings import Count, Field, Positive, Section
from jptycho.solvers.base import (
    Metrics,
    ScanData,
    State,
    epochs_after,
    rendered,
    rows_of,
    steps_before,
    summarise_metrics,
)
from jptycho.solvers.constraints import constrained
from jptycho.solvers.exit_wave_updates import (
    ExitWaves,
    add_windows,
    changed,
    in_parts,
    kind_of,
    of_kind,
    pattern_loss,
    propagate_exit_waves,
    with_probe,
)
from jptycho.tracing import is_zero
from jptycho.types import Array, Constants, Integer, Number, Params, PyTree


@dataclasses.dataclass(frozen=True)
class PIESolver:
    """O += β_O P* χ / ((1 - α_O) |P|² + α_O max |P|²), and P likewise; hashable.

    With several patterns a step, numerators and |P|² are summed over the object and the probe's updates averaged; with
    one, this is the published engine. α = 1 is ePIE, α < 1 rPIE, momentum > 0 mPIE.

    Attributes:
        model: its object is a :class:`jptycho.representations.pixels.ChannelObject`.
        steps: an epoch; as many as there are patterns for the published engine.
        object_step: β_O.
        probe_step: β_P; 0 holds the probe.
        object_alpha: α_O.
        probe_alpha: α_P.
        momentum: η of v ← η v + (O - O_T), O ← O + η v, and the probe likewise; 0 for none.
        period: T, steps between these.
        micro_batches: parts of a step.
        projections: after each epoch.
        denoisers: of the object, before the projections.

    Source:
        Maiden & Rodenburg, Ultramicroscopy 109 (2009) 1256 (ePIE); Maiden, Johnson & Li, Optica 4 (2017) 736 (rPIE,
        mPIE); Maiden, Humphry & Rodenburg, JOSA A 29 (2012) 1606 (several slices).
    """

    model: ModelSpec
    steps: int
    object_step: Number = 1.0
    probe_step: Number = 0.1
    object_alpha: Number = 1.0
    probe_alpha: Number = 1.0
    momentum: Number = 0.0
    period: Integer = 20
    micro_batches: int = 1
    projections: tuple[Projection, ...] = ()
    denoisers: tuple[Denoising, ...] = ()

    def init(self, params: Params, constants: Constants) -> tuple[PyTree, Array | None]:
        """Velocities, and object and probe at the last momentum step."""
        if is_zero(self.momentum):
            return None, None
        fields = rendered(self, params, constants)
        unknowns = (fields.object, fields.probe)
        return {"velocity": jax.tree.map(jnp.zeros_like, unknowns), "last": unknowns}, None

    def epoch(self, mesh: Mesh, state: State, constants: Constants, data: ScanData) -> tuple[State, Metrics]:
        """Every batch of a plan corrects object and probe in turn."""
        return _epoch(self, mesh, state, constants, data)

    def estimate(self, params: Params, constants: Constants) -> Estimate:
        """The unknowns."""
        return render(self.model, params, constants)


class PIESettings(Section):
    """``[pie]``: ePIE, rPIE and momentum PIE; one pattern a step (pixels.batch = 1) is the published engine."""

    object_step: Positive = Field(PIESolver.object_step, description="of a full correction")
    probe_step: Positive = Field(PIESolver.probe_step, description="likewise")
    alpha: float = Field(0.2, gt=0, le=1, description="rPIE and mPIE: weight of max |P|² against |P|²")
    momentum: float = Field(0.5, gt=0, lt=1, description="mPIE: what is kept of the velocity")
    period: Count = Field(PIESolver.period, description="mPIE: steps between momentum steps")


def _epoch(solver: PIESolver, mesh: Mesh, state: State, constants: Constants, data: ScanData) -> tuple[State, Metrics]:
    key, key_plan = jax.random.split(state.key)
    index, weight = batch_plan(key_plan, data.weight, solver.steps)
    start = rendered(solver, state.params, constants)
    single = mesh.size == 1 and index.shape[2] == 1
    advance = _one_pattern(solver, start, data) if single else _whole_batch(solver, mesh, start, data)

    def step(carry: PyTree, batch: PyTree) -> tuple[PyTree, PyTree]:
        unknowns, memory, number = carry
        unknowns, metrics = advance(unknowns, *batch)
        if not is_zero(solver.momentum):
            unknowns, memory = _accelerate(solver, unknowns, memory, number + 1)
        return (unknowns, memory, number + 1), metrics

    memory = state.optimiser
    if not is_zero(solver.momentum) and constrained(solver):
        # What a projection or denoiser changed is no motion.
        first = jnp.array(True) if data.part is None else data.part.number == 0
        now = (start.object, start.probe)
        memory = memory | {"last": jax.tree.map(lambda n, last: jnp.where(first, n, last), now, memory["last"])}
    carry = ((start.object, start.probe), memory, steps_before(state, data, solver.steps))
    (unknowns, memory, _), (losses, errors) = jax.lax.scan(step, carry, (index, weight))
    params = changed(solver.model, state.params, constants, *unknowns)
    return State(params, memory, None, key, epochs_after(state, data)), summarise_metrics(losses, errors, data.weight)


def _new_object(solver: PIESolver, old: Array, to_object: Array, seen: Array) -> Array:
    """O + β P* χ / ((1 - α) |P|² + α max |P|²), as the object's kind allows it."""
    most, alpha = jnp.max(seen, axis=(1, 2), keepdims=True), solver.object_alpha
    step = solver.object_step * to_object / to_complex((1 - alpha) * seen + alpha * most + 1e-30)
    return of_kind(kind_of(solver.model), old + step)


def _one_pattern(solver: PIESolver, start: Fields, data: ScanData) -> Callable[..., PyTree]:
    """(unknowns, index, weight) -> (unknowns, metrics) for one pattern a step, which changes its window only."""
    rows = rows_of(start.scan, data)[0]

    def advance(unknowns: tuple[Array, Array], index: Array, weight: Array) -> PyTree:
        transmission, probe = unknowns
        which = index[0, 0]
        item = (data.counts[0, which], rows[which])
        (to_patches, seen, update, metrics), corner = _correction(
            solver, with_probe(start, transmission, probe), data.setup, item, weight[0, 0]
        )
        at = (0, corner[0], corner[1])
        patches = jax.lax.dynamic_slice(transmission, at, to_patches.shape)
        patches = _new_object(solver, patches, to_patches, seen)
        transmission = jax.lax.dynamic_update_slice(transmission, patches, at)
        return (transmission, probe + solver.probe_step * update), metrics

    return advance


def _whole_batch(solver: PIESolver, mesh: Mesh, start: Fields, data: ScanData) -> Callable[..., PyTree]:
    """(unknowns, index, weight) -> (unknowns, metrics) for several patterns a step, over all devices."""
    correct = _sharded_corrections(solver, mesh, data)

    def advance(unknowns: tuple[Array, Array], index: Array, weight: Array) -> PyTree:
        transmission, probe = unknowns
        fields = with_probe(start, transmission, probe)
        to_object, seen, to_probe, total, metrics = correct(fields, index, weight)
        probe = probe + solver.probe_step * to_probe / to_complex(jnp.maximum(total, 1.0))
        return (_new_object(solver, transmission, to_object, seen), probe), metrics

    return advance


def _accelerate(solver: PIESolver, unknowns: PyTree, memory: PyTree, number: Array) -> tuple[PyTree, PyTree]:
    """Every T steps, add what momentum says; between them leave all as it is."""
    eta = solver.momentum

    def push(memory: PyTree) -> tuple[PyTree, PyTree]:
        velocity = jax.tree.map(lambda v, now, last: eta * v + now - last, memory["velocity"], unknowns, memory["last"])
        moved = jax.tree.map(lambda now, v: now + eta * v, unknowns, velocity)
        return moved, {"velocity": velocity, "last": moved}

    return jax.lax.cond(number % solver.period == 0, push, lambda memory: (unknowns, memory), memory)


def _correction(solver: PIESolver, fields: Fields, setup: Setup, item: tuple[Array, ScanFields], w: Array) -> PyTree:
    """Of one pattern: (Σ_m P* χ, |P|², probe update, (loss, error)), all times its weight, and its corner."""
    pattern, row = item
    measured = as_fractions(pattern, setup)
    waves = propagate_exit_waves(fields, setup, row)
    to_waves, to_patches = waves.adjoint(
        modulus_constraint(waves.exit, measured, setup, row, fields.shared) - waves.exit
    )
    seen = jnp.sum(intensity(waves.before), axis=1)
    update = _probe_update(solver, waves, to_waves)
    sums = (to_patches, seen, update, pattern_loss(waves.exit, measured, setup, row, fields.shared))
    return jax.tree.map(lambda x: w.astype(x.dtype) * x, sums), waves.window.corner


def _sharded_corrections(solver: PIESolver, mesh: Mesh, data: ScanData) -> Callable[..., PyTree]:
    """(fields, index, weight) -> Σ P* χ and Σ |P|² on the canvas, Σ probe update, Σ weight, (Σ loss, Σ error)."""

    def local_sums(shared: PyTree, rows: ScanFields, counts: Array, index: Array, weight: Array) -> PyTree:
        fields, setup = shared

        def one(item: PyTree, w: Array) -> PyTree:
            return _correction(solver, fields, setup, item, w)

        def gather(total: PyTree, part: PyTree) -> PyTree:
            (to_patches, seen, update, metrics), corners = jax.vmap(one)(*part)
            numerator, denominator, *rest = total
            rest = jax.tree.map(lambda a, b: a + jnp.sum(b, axis=0), rest, [update, metrics])
            return [add_windows(numerator, to_patches, corners), add_windows(denominator, seen, corners), *rest]

        zero = jnp.zeros(())
        start = [fields.object * 0, jnp.zeros(fields.object.shape), fields.probe * 0, (zero, zero)]
        items = (counts[index], rows[index])
        numerator, denominator, update, metrics = in_parts(gather, start, items, weight, solver.micro_batches)
        return numerator, denominator, update, jnp.sum(weight), metrics

    sums = sum_over_shards(mesh, local_sums)

    def correct(fields: Fields, index: Array, weight: Array) -> PyTree:
        return sums((fields, data.setup), rows_of(fields.scan, data), data.counts, index, weight)

    return correct


def _probe_update(solver: PIESolver, waves: ExitWaves, to_waves: Array) -> Array:
    """O* χ / ((1 - α) |O|² + α max |O|²), with O the product of the slices, moved back to the probe's own frame."""
    through = jnp.prod(intensity(waves.window.patches), axis=0)
    alpha = solver.probe_alpha
    damped = to_complex((1 - alpha) * through + alpha * jnp.max(through))
    return fourier_shift(to_waves / damped[None], -waves.window.shift)
