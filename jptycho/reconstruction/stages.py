"""One function runs a stage: its epochs, what validates them, its checkpoints, and what is handed on."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from functools import partial

import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jptycho.assembly.advice import advice
from jptycho.assembly.build import loss_of, penalties_of
from jptycho.assembly.placing import place
from jptycho.config.run import Config
from jptycho.forward.fields import Setup
from jptycho.objective.losses import Loss
from jptycho.objective.reference import Reference
from jptycho.parallel import copied, replicate
from jptycho.preprocess.prepare import Problem
from jptycho.preprocess.reference import check_reference, make_reference
from jptycho.reconstruction.checkpoint import began, restore, save
from jptycho.reconstruction.context import Context, Fit, Progress, Reached, Stage, stream
from jptycho.representations.base import MANY, Representation
from jptycho.representations.estimate import Estimate, fields_of
from jptycho.settings import AUTO, Table
from jptycho.solvers.base import Solver, State, init_state
from jptycho.solvers.ensemble import EnsembleSolver, member_channels
from jptycho.solvers.epochs import INTERRUPTED, EpochLoop, Record, Validate, run_epochs
from jptycho.solvers.half_sets import HalfSetSolver
from jptycho.solvers.validation import loss_of_fields, render_estimate, render_members, validate_state
from jptycho.tracing import jit_settings
from jptycho.types import Array, Constants, Params, PyTree


def run_stage(context: Context, stage: Stage, progress: Progress, resumed: bool = False) -> Progress:
    """Begin a stage, run its epochs and conclude it.

    Args:
        context: of the run.
        stage: what is optimised, by what, how long.
        progress: what it begins with; where it goes on from a checkpoint only its shapes matter.
        resumed: whether it does.

    Returns:
        what it hands on.
    """
    epochs = progress.best_epoch if stage.epochs is None else stage.epochs
    if not epochs:
        return progress
    fit = stage.begin(context, stage, progress, resumed)
    if fit is None:
        return dataclasses.replace(progress, status=INTERRUPTED)
    stage = dataclasses.replace(stage, epochs=epochs)
    progress, reached = _optimise(context, stage, fit, progress, resumed)
    if reached is None:
        return dataclasses.replace(progress, status=INTERRUPTED)
    progress = dataclasses.replace(progress, best_epoch=reached.epoch, history=reached.history, status=reached.status)
    return stage.conclude(context, stage, progress, reached)


@dataclasses.dataclass
class BestEpoch:
    """The best epoch of a stage so far.

    Attributes:
        state: then.
        value: its validation loss.
        epoch: its number; 0 before the first.
    """

    state: State
    value: float = math.inf
    epoch: int = 0


def _optimise(
    context: Context, stage: Stage, fit: Fit, progress: Progress, resumed: bool
) -> tuple[Progress, Reached | None]:
    """The epochs of a stage, from its checkpoint where there is one; what it began with, and how it ended.

    None where an interruption was asked for before the first; the checkpoint is that of its beginning.
    """
    solver, held = fit.solver, context.validation if fit.validated else None
    constants = replicate(fit.mesh, fit.constants)
    state = init_state(solver, fit.mesh, fit.params, constants, stream(context, stage.name, "epochs"))
    # A copy: the first epoch takes the state's arrays.
    best = None if held is None else BestEpoch(copied(state))
    if resumed:
        saved, facts = restore(context, _tree(state, constants, best))
        progress, state, constants = began(context, saved, facts), saved["state"], saved["constants"]
        best = BestEpoch(saved["best"], *facts["best"]) if "best" in saved else None
        context.log(f"goes on from the checkpoint after epoch {int(state.epoch)} of {stage.name}")
    history, saved_at = list(progress.history), time.perf_counter()

    def keep(now: State) -> None:
        now_in = dataclasses.replace(progress, history=tuple(history))
        save(context, stage.name, now_in, _tree(now, constants, best), _facts(best))

    def observe(record: Record, now: State) -> None:
        nonlocal saved_at
        history.append(record)
        show = fit.show or (lambda state: object_channels(solver, state, constants))
        context.callback(record, lambda: jnp.copy(show(now)))
        if best is not None and record.validation_loss < best.value:
            # The next epoch takes the state's arrays.
            best.state, best.value, best.epoch = copied(now), record.validation_loss, record.epoch
        due = time.perf_counter() - saved_at >= 60 * stage.config.output.checkpoint_minutes
        if context.checkpoint is not None and (due or context.stop()):
            keep(now)
            saved_at = time.perf_counter()

    def enough() -> bool:
        return best is not None and _without_progress(stage, history) > stage.config.validation.patience

    loop = _loop(context, stage, fit, held, constants)
    state, status = run_epochs(loop, state, observe, context.stop, enough)
    if int(state.epoch) == 0:
        if context.checkpoint is not None:
            keep(state)
        return progress, None
    rendered = partial(estimate_of, progress.estimate, solver, constants=constants)
    return progress, _reached(solver, rendered, state, best, (status, tuple(history)))


def _reached(
    solver: Solver,
    rendered: Callable[[State], Estimate],
    state: State,
    best: BestEpoch | None,
    ended: tuple[str, tuple[Record, ...]],
) -> Reached:
    """How a stage ended: with its last epoch, or where that was validated with its best."""
    last = rendered(state)
    if best is None:
        return Reached(last, last, solver, int(state.epoch), math.inf, *ended, state.optimiser)
    found = last if best.epoch == int(state.epoch) else rendered(best.state)
    return Reached(found, last, solver, best.epoch, best.value, *ended)


def _loop(context: Context, stage: Stage, fit: Fit, held: Problem | None, constants: Constants) -> EpochLoop:
    """The epochs of a stage, each validated where electrons are held out."""
    validate = _validate(context, stage, fit, held, constants)
    what = (stage.name, fit.solver, fit.mesh, constants, fit.data, stage.epochs or 0, context.started)
    return EpochLoop(*what, advice(stage.config, stage.name), validate, held is not None, context.announce)


def _without_progress(stage: Stage, history: list[Record]) -> int:
    """Epochs of a stage since its best, that one included.

    The start does not count: pre-training only approximates it, and what follows may still surpass it.
    """
    validated = [record.validation_loss for record in history if record.stage == stage.name]
    return len(validated) - int(np.argmin(validated or [0]))


def _facts(best: BestEpoch | None) -> Table:
    return {} if best is None else {"best": [best.value, best.epoch]}


def _tree(state: State, constants: Constants, best: BestEpoch | None) -> dict[str, PyTree]:
    return {"state": state, "constants": constants} | ({} if best is None else {"best": best.state})


def _validate(context: Context, stage: Stage, fit: Fit, problem: Problem | None, constants: Constants) -> Validate:
    """The validation loss of a state, where electrons are held out, and what noise alone gives."""
    held = None if problem is None else place(problem.counts, problem.setup, fit.mesh)
    setup: Setup = fit.data.setup
    loss = loss_of(stage.config, context.extension)
    return lambda state: validate_state(fit.solver, fit.mesh, loss, state, constants, setup, held)


def log_best(context: Context, stage: Stage, reached: Reached) -> None:
    """Say which epoch of a validated stage was best."""
    if reached.epoch and math.isfinite(reached.loss):
        context.log(
            f"{stage.name}: epoch {reached.epoch} predicts what is held out best, {reached.loss:.6g}; it is kept"
        )


def reference_of(context: Context, config: Config, problem: Problem) -> Reference:
    """What penalties and projections compare the unknowns with; ConfigError where the scan cannot give it."""
    penalties = config.penalties
    radius = None if penalties.support_radius == AUTO else float(penalties.support_radius)
    reference = make_reference(problem, radius)
    check_reference(reference, penalties_of(config, context.extension))
    return reference


def validation_loss(problem: Problem, loss: Loss, mesh: Mesh, estimate: Estimate) -> float:
    """How well an estimate predicts held-out electrons: the mean loss over their patterns."""
    held = place(problem.counts, problem.setup, mesh)
    return float(loss_of_fields(mesh, loss, replicate(mesh, fields_of(estimate)), held))


def estimate_of(estimate: Estimate, solver: Solver, state: State, constants: Constants) -> Estimate:
    """An estimate with the unknowns that a state stands for."""
    now = render_estimate(solver, state.params, constants)
    found = dataclasses.replace(
        estimate,
        object=object_channels(solver, state, constants),
        **{name: getattr(now, name) for name in ("probe", "positions", "thickness", "tilt", *MANY)},
    )
    if not isinstance(solver, EnsembleSolver):
        return found
    every = render_members(solver, state.params, constants)
    now = _confirmed(solver, state, every, now) if isinstance(solver, HalfSetSolver) else now
    many = {"members": member_channels(state), "member_probes": every.probe}
    return dataclasses.replace(found, probe=now.probe, shared=now.shared, **many)


def object_channels(solver: Solver, state: State, constants: Constants) -> Array:
    """The object (slices, channels, Y, X) that a state stands for: the running mean where there is one."""
    if state.average is not None:
        return state.average
    return _applied(solver.model.object, state.params["object"], constants["object"])


@jit_settings("solver")
def _confirmed(solver: HalfSetSolver, state: State, every: Estimate, mean: Estimate) -> Estimate:
    """An estimate with the probe that both half sets confirm."""
    return solver.confirmed(state, every, mean)


@jit_settings("representation")
def _applied(representation: Representation, params: Params, constants: Constants) -> Array:
    """A representation without noise, compiled once for all runs of equal settings."""
    return representation.apply(params, constants, None)
