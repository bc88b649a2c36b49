"""Stages of pixels: plain ones, the polish after networks, and the repetition with all electrons."""

from __future__ import annotations

import dataclasses

from jptycho.assembly.advice import advice
from jptycho.assembly.build import build_solver, loss_of
from jptycho.assembly.devices import pixel_mesh
from jptycho.assembly.placing import place
from jptycho.assembly.unknowns import without_stale_parts
from jptycho.config.run import Config
from jptycho.parallel import on_one_device, replicate
from jptycho.preprocess.prepare import Problem
from jptycho.reconstruction.context import Context, Fit, Progress, Reached, Stage, stream
from jptycho.reconstruction.stages import estimate_of, log_best, reference_of, validation_loss
from jptycho.representations.base import initialise
from jptycho.representations.estimate import Estimate
from jptycho.solvers.base import init_state
from jptycho.solvers.epochs import DONE, EpochLoop, run_epochs


def begin_pixels(context: Context, stage: Stage, progress: Progress, resumed: bool) -> Fit:
    """Pixels from the estimate so far."""
    del resumed
    return _fit(context, stage, progress.estimate, context.problem, stage.epochs or 0)


def begin_anew(context: Context, stage: Stage, progress: Progress, resumed: bool) -> Fit:
    """Pixels from the start, but at the positions so far: with wrong ones the probe took up a part of their scale."""
    flat, now = context.problem.estimate, progress.estimate
    parts = {name: value for name, value in flat.shared.items() if name not in context.problem.unknowns}
    blank = dataclasses.replace(now, object=flat.object, probe=flat.probe, shared=now.shared | parts)
    return begin_pixels(context, stage, dataclasses.replace(progress, estimate=blank), resumed)


def conclude_pixels(context: Context, stage: Stage, progress: Progress, reached: Reached) -> Progress:
    """Hand on the best epoch."""
    log_best(context, stage, reached)
    return dataclasses.replace(progress, estimate=reached.best, start=progress.estimate)


def conclude_polish(context: Context, stage: Stage, progress: Progress, reached: Reached) -> Progress:
    """Hand on the best epoch, or what the stage began with where that predicts better what is held out."""
    begun = progress.estimate
    if context.validation is not None:
        value = validation_loss(
            context.validation, loss_of(stage.config, context.extension), pixel_mesh(stage.config), begun
        )
        if value < reached.loss:
            context.log(
                f"{stage.name}: no epoch predicts what is held out better than the start, {value:.6g}, which is kept"
            )
            return dataclasses.replace(progress, start=begun, best_epoch=0)
    return conclude_pixels(context, stage, progress, reached)


def begin_repeat(context: Context, stage: Stage, progress: Progress, resumed: bool) -> Fit:
    """The stage before from its start, with what was held out.

    What held-out electrons had to decide is decided by then, and they are a tenth of what was paid for.
    """
    if not resumed:
        context.log(f"repeats these {progress.best_epoch} epochs with all electrons, those included that were held out")
    scheduled = stage.scheduled or progress.best_epoch
    return dataclasses.replace(_fit(context, stage, progress.start, context.whole, scheduled), validated=False)


def conclude_repeat(context: Context, stage: Stage, progress: Progress, reached: Reached) -> Progress:
    """Hand on the last epoch, or what there was before where the repetition was interrupted."""
    del context, stage
    return dataclasses.replace(progress, estimate=reached.last) if reached.status == DONE else progress


def _fit(context: Context, stage: Stage, estimate: Estimate, problem: Problem, scheduled: int) -> Fit:
    """Pixels from an estimate, their learning rates scheduled for some epochs."""
    mesh = pixel_mesh(stage.config)
    solver = build_solver(stage.config, problem, mesh, scheduled, context.extension)
    estimate = without_stale_parts(stage.config, problem, estimate)
    params, constants = initialise(solver.model, stream(context, stage.name, "weights"), estimate)
    data = place(problem.counts, problem.setup, mesh, reference_of(context, stage.config, problem), stage.config.seed)
    return Fit(solver, mesh, params, constants, data)


def estimate_by_pixels(
    context: Context, config: Config, problem: Problem, epochs: int, name: str
) -> tuple[Estimate, str]:
    """Some epochs of pixels that no checkpoint keeps and nothing validates, and their status."""
    stage = Stage(name, config, epochs, begin_pixels, conclude_pixels)
    fit = _fit(context, stage, problem.estimate, problem, epochs)
    constants = replicate(fit.mesh, fit.constants)
    state = init_state(fit.solver, fit.mesh, fit.params, constants, stream(context, name, "epochs"))
    what = (name, fit.solver, fit.mesh, constants, fit.data, epochs, context.started, advice(config, "pixels"))
    state, status = run_epochs(
        EpochLoop(*what, announce=context.announce),
        state,
        lambda record, now: context.announce(name, record.epoch, record.epochs),
        context.stop,
    )
    return on_one_device(estimate_of(problem.estimate, fit.solver, state, constants)), status
