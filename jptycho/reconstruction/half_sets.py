"""The object by each half of the electrons alone, and what both confirm of it: the stage of the half sets."""

from __future__ import annotations

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp

from jptycho.assembly.build import loss_of
from jptycho.assembly.devices import pixel_mesh
from jptycho.assembly.ensembles import stack
from jptycho.assembly.placing import place, side_by_side
from jptycho.assembly.stage_solvers import half_set_solver
from jptycho.assembly.unknowns import without_stale_parts
from jptycho.diagnostics.half_set_filter import HalfSets, half_set_filter
from jptycho.diagnostics.resolution import RingCorrelation, resolution_at
from jptycho.parallel import on_one_device
from jptycho.reconstruction.confirmed import band_losses, summarise_gains
from jptycho.reconstruction.context import Context, Fit, Progress, Reached, Stage, stream
from jptycho.reconstruction.stages import reference_of
from jptycho.representations.base import initialise
from jptycho.representations.estimate import Estimate
from jptycho.representations.object_kinds import admit
from jptycho.solvers.band_gains import best_gains, frequency_bands, with_gains
from jptycho.solvers.base import State
from jptycho.solvers.ensemble import member_channels
from jptycho.solvers.epochs import DONE
from jptycho.solvers.half_sets import HalfSetSolver
from jptycho.solvers.probe_filter import align_modes
from jptycho.types import Array

GOLD_STANDARD = 1 / 7
"""Ring correlation of halves where that of their mean with the truth is a half (Rosenthal & Henderson, J. Mol. Biol.
333 (2003) 721)."""


def begin_half_sets(context: Context, stage: Stage, progress: Progress, resumed: bool) -> Fit:
    """Pixels by each half of the electrons, all in one program, from a blank object."""
    del resumed
    config, mesh, problem = stage.config, pixel_mesh(stage.config), context.half_sets[0][0]
    estimate, epochs = without_stale_parts(config, problem, blank(context, progress)), stage.epochs or 0
    count, sampling = 2 * len(context.half_sets), problem.setup.grid.sampling
    solver = half_set_solver(config, problem, mesh, count, epochs, context.extension)
    started = [initialise(solver.model, stream(context, stage.name, "weights", n), estimate) for n in range(count)]

    def filtered(state: State) -> Array:
        objects = on_one_device(member_channels(state))
        pairs = range(0, count, 2)
        means = [half_set_filter(objects[n], objects[n + 1], estimate.coverage, sampling).mean for n in pairs]
        return jnp.mean(jnp.stack(means), axis=0)

    counts = side_by_side([half.counts for pair in context.half_sets for half in pair])
    data = place(counts, problem.setup, mesh, reference_of(context, config, context.problem), config.seed)
    params, constants = (stack([start[n] for start in started]) for n in (0, 1))
    # The halves validate each other.
    return Fit(solver, mesh, params, constants, data, validated=False, show=filtered)


def blank(context: Context, progress: Progress) -> Estimate:
    """Where the half sets start: the object of the file, and whatever else is known so far."""
    return dataclasses.replace(progress.estimate, object=context.problem.estimate.object, half_sets=None)


def conclude_half_sets(context: Context, stage: Stage, progress: Progress, reached: Reached) -> Progress:
    """Filter what the halves give by what both confirm: the mean over pairs, and every pair.

    An estimate that came from a file goes on beside the pairs.
    """
    start = blank(context, progress)
    if reached.status == DONE and isinstance(reached.solver, HalfSetSolver):
        moved = _change(reached.last, start)
        context.log(f"both half sets confirm that the probe differs from its start by {moved:.1%} of it")
    context.announce("filtering the half sets", 0, 0)
    own = dataclasses.replace(context, config=stage.config)
    pairs = tuple(combine_halves(own, reached.last, number) for number in range(len(context.half_sets)))
    if context.config.method == "dgp" and context.config.dgp.start_file is not None:
        return dataclasses.replace(progress, pairs=pairs)
    mean = jnp.mean(jnp.stack([pair.object for pair in pairs]), axis=0)
    estimate = dataclasses.replace(pairs[0], object=mean, half_sets=None)
    return dataclasses.replace(progress, estimate=estimate, start=start, pairs=pairs)


def _change(found: Estimate, start: Estimate) -> float:
    """How far a stage moved the probe, mixtures of modes aside, relative to where it was."""
    after, before = on_one_device((found.probe, start.probe))
    return float(jnp.linalg.norm(align_modes(after, before) - before) / jnp.linalg.norm(before))


def combine_halves(context: Context, found: Estimate, number: int) -> Estimate:
    """One estimate from a pair of halves: the Wiener-filtered mean, each band as strong as the other half confirms."""
    found = on_one_device(found)
    objects, probes = found.members, found.member_probes
    assert objects is not None
    assert probes is not None
    first, second = 2 * number, 2 * number + 1
    sampling, (rows, columns) = context.problem.setup.grid.sampling, found.coverage.shape
    filtered = half_set_filter(objects[first], objects[second], found.coverage, sampling)
    bands = jnp.asarray(frequency_bands((rows, columns), sampling), found.object.dtype)
    validators = zip(filtered.half_sets, probes[first : second + 1], reversed(context.half_sets[number]), strict=True)
    loss = loss_of(context.config, context.extension)
    losses = [
        band_losses(loss, dataclasses.replace(found, object=half, probe=probe), bands, half_scan)
        for half, probe, half_scan in validators
    ]
    gains = best_gains(jax.tree.map(jnp.add, *losses))
    context.log(_summarise(filtered, gains))
    allowed = partial(admit, context.config.object.kind)
    return dataclasses.replace(
        found,
        object=allowed(with_gains(filtered.mean, bands, gains)),
        half_sets=jnp.stack([allowed(with_gains(half, bands, gains)) for half in filtered.half_sets]),
        members=None,
        member_probes=None,
    )


def _summarise(filtered: HalfSets, gains: Array) -> str:
    rings = RingCorrelation(*jax.device_get((filtered.frequency, filtered.correlation)))
    limit = resolution_at(rings, GOLD_STANDARD)
    detail = f"{1 / limit:.3g} Å" if limit else "no detail at all"
    return f"half sets agree to {detail} (ring correlation 1/7) and confirm {summarise_gains(gains)}"
