"""The stage that finds positions: object and probe are held, each pattern is searched for around its nominal place."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from jptycho.assembly.build import loss_of
from jptycho.assembly.placing import place
from jptycho.optics.probe import disk_radius
from jptycho.parallel import make_mesh, on_one_device
from jptycho.reconstruction.context import Context, Fit, Progress, Reached, Stage, stream
from jptycho.representations.base import ModelSpec, initialise
from jptycho.representations.per_position import FreePositions
from jptycho.representations.pixels import ChannelObject, PixelProbe
from jptycho.solvers.positions import PositionSolver

CAPTURE = 0.35
"""Spacing of trial positions in 1 / q, q the radius of the disk: from within half the finest fringes that it makes, a
pattern finds its place by itself."""
REACH = 2.5  # standard deviations of the displacements that are tried
MOST = 6  # trial positions on each side


def begin_positions(context: Context, stage: Stage, progress: Progress, resumed: bool) -> Fit:
    """Positions from those so far, around those that the scan says."""
    del resumed
    config, problem, mesh = stage.config, context.problem, make_mesh()
    nominal, estimate = problem.estimate.positions, on_one_device(progress.estimate)
    model = ModelSpec(ChannelObject(config.object.kind), PixelProbe(), positions=FreePositions(centred=False))
    key, started = stream(context, stage.name, "weights"), dataclasses.replace(estimate, positions=nominal)
    params, constants = initialise(model, key, started)
    params["positions"] = estimate.positions - nominal
    spread = config.refine.position_error / float(np.mean(problem.setup.grid.sampling))
    spacing = CAPTURE / float(disk_radius(problem.estimate.probe))
    reach = min(MOST, max(1, math.ceil(REACH * spread / spacing)))
    if REACH * spread > MOST * spacing:
        within = MOST * spacing * float(np.mean(problem.setup.grid.sampling))
        context.log(f"{stage.name}: searched no further than {within:.3g} from where the scan says, along each axis")
    solver = PositionSolver(model, loss_of(config, context.extension), spread, spacing, reach)
    return Fit(solver, mesh, params, constants, place(problem.counts, problem.setup, mesh), validated=False)


def conclude_positions(context: Context, stage: Stage, progress: Progress, reached: Reached) -> Progress:
    """Hand on the positions beside what was held."""
    positions = on_one_device(reached.last.positions)
    sampling = np.asarray(context.problem.setup.grid.sampling)
    others = (context.problem.estimate.positions, on_one_device(progress.estimate.positions))
    nominal, before = (float(np.sqrt(np.mean((np.asarray(positions - p) * sampling) ** 2))) for p in others)
    unit = context.problem.dataset.calibration.length_unit.replace("A", "Å")
    moved = f"{nominal:.3g} {unit} from where the scan says, {before:.3g} {unit} from where they were"
    context.log(f"{stage.name}: {moved}, root mean square along an axis")
    estimate = dataclasses.replace(progress.estimate, positions=positions)
    pairs = tuple(dataclasses.replace(pair, positions=positions) for pair in progress.pairs)
    return dataclasses.replace(progress, estimate=estimate, pairs=pairs)
