"""The stage that finds positions: object and probe are held, each pattern is searched for around where it should be."""

from __future__ import annotations

import dataclasses

import numpy as np

from jptycho.assembly.build import loss_of
from jptycho.assembly.placement import (
    build_search,
    follow,
    placement_of,
    probe_width,
    searched_within,
    summarise_affine,
)
from jptycho.parallel import make_mesh, on_one_device
from jptycho.reconstruction.context import Context, Fit, Progress, Reached, Stage, stream
from jptycho.solvers.base import distribute


def begin_positions(context: Context, stage: Stage, progress: Progress, resumed: bool) -> Fit:
    """Positions from those so far, around those that the scan says or, of what patterns share, that were found."""
    del resumed
    config, problem, mesh = stage.config, context.problem, make_mesh()
    key, estimate = stream(context, stage.name, "weights"), on_one_device(progress.estimate)
    solver, params, constants = build_search(config, problem, estimate, loss_of(config, context.extension), key)
    if said := searched_within(solver, float(np.mean(problem.setup.grid.sampling))):
        context.log(f"{stage.name}: {said}")
    return Fit(solver, mesh, params, constants, distribute(problem.counts, problem.setup, mesh), validated=False)


def conclude_positions(context: Context, stage: Stage, progress: Progress, reached: Reached) -> Progress:
    """Hand on the positions, with what was held moved along with them."""
    found, held = on_one_device((reached.last.positions, progress.estimate.positions))
    sampling = context.problem.setup.grid.sampling
    away = [np.asarray(found - p) * sampling for p in (context.problem.estimate.positions, held)]
    nominal, before = (float(np.sqrt(np.mean(far**2))) for far in away)
    unit = context.problem.dataset.calibration.length_unit.replace("A", "Å")
    moved = f"{nominal:.3g} {unit} from where the scan says, {before:.3g} {unit} from where they were"
    context.log(f"{stage.name}: {moved}, root mean square along an axis")
    memory, width = on_one_device(reached.memory), probe_width(progress.estimate.probe)
    placement = placement_of(memory, on_one_device(progress.estimate), stage.config.refine, sampling)
    if stage.config.refine.position_affine:
        for line in summarise_affine(placement, context.problem.dataset):
            context.log(f"{stage.name}: {line}")
    carry = lambda one: dataclasses.replace(follow(on_one_device(one), found, held, width), placement=placement)  # noqa: E731
    return dataclasses.replace(progress, estimate=carry(progress.estimate), pairs=tuple(map(carry, progress.pairs)))
