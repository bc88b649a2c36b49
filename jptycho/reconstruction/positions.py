"""The stage that finds positions: object and probe are held, each pattern is searched for around where it should be."""

from __future__ import annotations

import dataclasses

import numpy as np

from jptycho.assembly.build import loss_of
from jptycho.assembly.found_positions import summarise_found
from jptycho.assembly.placement import build_search, follow, placement_of, probe_width, searched_within
from jptycho.assembly.placing import place
from jptycho.parallel import make_mesh, on_one_device
from jptycho.reconstruction.context import Context, Fit, Progress, Reached, Stage, stream


def begin_positions(context: Context, stage: Stage, progress: Progress, resumed: bool) -> Fit:
    """Positions from those so far, around those that the scan says or, of what patterns share, that were found."""
    del resumed
    config, problem, mesh = stage.config, context.problem, make_mesh()
    key, estimate = stream(context, stage.name, "weights"), on_one_device(progress.estimate)
    solver, params, constants = build_search(config, problem, estimate, loss_of(config, context.extension), key)
    if said := searched_within(solver, float(np.mean(problem.setup.grid.sampling))):
        context.log(f"{stage.name}: {said}")
    return Fit(solver, mesh, params, constants, place(problem.counts, problem.setup, mesh), validated=False)


def conclude_positions(context: Context, stage: Stage, progress: Progress, reached: Reached) -> Progress:
    """Hand on the positions, with what was held moved along with them."""
    found, refine, before = on_one_device(reached.last.positions), stage.config.refine, on_one_device(progress.estimate)
    memory, width = on_one_device(reached.memory), probe_width(before.probe)
    placement = placement_of(memory, before, refine, context.problem.setup.grid.sampling)
    moved = [
        dataclasses.replace(follow(on_one_device(one), found, before.positions, width), placement=placement)
        for one in (before, *progress.pairs)
    ]
    for line in summarise_found(moved[0], before, context.problem, refine):
        context.log(f"{stage.name}: {line}")
    return dataclasses.replace(progress, estimate=moved[0], pairs=tuple(moved[1:]))
