"""A run's stages: the epochs of each, what judges them and which is kept."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jptycho.config_solvers import AUTO
from jptycho.constraints import penalties_of
from jptycho.data.checkpoints import load_checkpoint, load_facts
from jptycho.forward.model import Fields
from jptycho.parallel import replicate
from jptycho.preprocess.knowledge import check_known, known_of
from jptycho.preprocess.prepare import Problem
from jptycho.representations.base import Guess, Representation, transmission
from jptycho.run import DGP, Run, folder_of, has_checkpoint, save
from jptycho.solvers.base import ScanData, Solver, State, distribute, init_state
from jptycho.solvers.ensemble import EnsembleSolver, member_channels
from jptycho.solvers.loop import Record, Stage, run_epochs
from jptycho.solvers.validation import held_out_loss, loss_of_fields
from jptycho.types import Array
from jptycho.words import advice


def optimise(
    run: Run, name: str, solver: Solver, mesh: Mesh, guess: Guess, start: tuple[Any, Any], epochs: int
) -> tuple[Guess, str]:
    """Run the epochs of a stage, from its checkpoint where there is one, saving checkpoints on the way.

    Args:
        run: the run.
        name: ``PIXELS`` or ``DGP``.
        solver: its settings.
        mesh: devices.
        guess: what the stage began with.
        start: parameters and constants.
        epochs: in all.

    Returns:
        the estimate reached, and the status.
    """
    params, constants = start
    constants = replicate(mesh, constants)
    began = {name: getattr(guess, name) for name in ("object", "probe", "positions", "tilt")}
    data = _distributed(run, mesh, name)
    state = init_state(solver, mesh, params, constants, jax.random.key(run.config.seed + 2))
    best = None if run.held is None else _nothing_yet(run, mesh, guess, state, name)
    if has_checkpoint(run, name):
        saved = load_checkpoint(folder_of(run), _tree(state, constants, best) | {"start": began})
        state, constants, began = saved["state"], saved["constants"], saved["start"]
        guess = dataclasses.replace(guess, **began)
        facts = load_facts(folder_of(run)) or {}
        best = None if best is None else Best(saved["best"], *facts["best"])
        run.history[:] = [Record(**record) for record in facts["history"]]
        run.started -= run.history[-1].seconds if run.history else 0.0
        run.say(f"goes on from the checkpoint after epoch {int(state.epoch)} of {name}")
    judge = _judge(run, solver, mesh, constants)
    stage = Stage(name, solver, mesh, constants, data, epochs, run.started, advice(run.config, name), judge)
    saved_at = time.perf_counter()

    def observe(record: Record, now: State) -> None:
        nonlocal saved_at
        run.history.append(record)
        run.observe(record, lambda: jnp.copy(object_channels(solver, now, constants)))
        if best is not None and record.held_out < best.value:
            # The next epoch takes the state's arrays.
            best.state, best.value, best.epoch = jax.tree.map(jnp.copy, now), record.held_out, record.epoch
        due = time.perf_counter() - saved_at >= 60 * run.config.output.checkpoint_minutes
        if run.checkpoint is not None and (due or run.stop()):
            tree = _tree(now, constants, best) | {"start": began}
            save(run, name, tree, {} if best is None else {"best": [best.value, best.epoch]})
            saved_at = time.perf_counter()

    def enough() -> bool:
        # The start does not count: pre-training only approximates it, and what follows may still surpass it.
        judged = [record.held_out for record in run.history if record.stage == name]
        return best is not None and len(judged) - int(np.argmin(judged or [0])) > run.config.stop.patience

    state, status = run_epochs(stage, state, observe, run.stop, enough)
    return _kept(run, name, best, guess) or estimate_of(guess, solver, best.state if best else state, constants), status


def _kept(run: Run, name: str, best: Best | None, guess: Guess) -> Guess | None:
    """Say which epoch is kept; the start where none is better."""
    if best is None:
        return None
    if not best.epoch:
        run.say(f"{name}: no epoch predicts what is held out better than the start, {best.value:.6g}, which is kept")
        return guess
    run.say(f"{name}: epoch {best.epoch} predicts what is held out best, {best.value:.6g}; it is kept")
    return None


def _distributed(run: Run, mesh: Mesh, name: str) -> ScanData:
    """The scan on its devices, with what penalties and projections compare the unknowns with."""
    penalties = run.config.penalties
    radius = None if penalties.support_radius == AUTO else float(penalties.support_radius)
    known = known_of(run.problem, radius, penalties.amorphous_corner)
    check_known(known, penalties_of(penalties))
    counts, setup = run.problem.counts, run.problem.setup
    if name == DGP and run.halves is not None:
        halved = [np.stack([first.counts, second.counts], axis=1) for first, second in run.halves]
        counts, setup = np.stack(halved, axis=1), run.halves[0][0].setup
        counts = counts[:, 0] if len(halved) == 1 else counts
    elif name == DGP and run.config.dgp.members > 1:
        counts = counts[:, None]
    return distribute(counts, setup, mesh, known)


def _nothing_yet(run: Run, mesh: Mesh, guess: Guess, state: State, name: str) -> Best:
    """The best before the first epoch: nothing, or of the priors the start, by its held-out loss.

    An earlier result may have seen the electrons that are held out now: it is no judge's case.
    """
    # A copy: the first epoch takes the state's arrays.
    best = Best(jax.tree.map(jnp.copy, state), math.inf)
    if name == DGP and run.held is not None and run.config.dgp.start_file is None:
        best.value = judged(run.held, run.config.loss, mesh, guess)
    return best


def judged(problem: Problem, loss: str, mesh: Mesh, guess: Guess) -> float:
    """How well an estimate predicts electrons that are held out.

    Args:
        problem: their scan.
        loss: one of ``LOSSES``.
        mesh: devices.
        guess: the estimate.

    Returns:
        the mean loss over patterns.
    """
    held = distribute(problem.counts, problem.setup, mesh)
    fields = Fields(transmission(guess.object), guess.probe, guess.positions, guess.thickness, guess.tilt)
    return float(loss_of_fields(mesh, loss, replicate(mesh, fields), held))


def estimate_of(guess: Guess, solver: Solver, state: State, constants: Any) -> Guess:
    """The guess, with the unknowns that a state stands for.

    Args:
        guess: what else is known.
        solver: its settings.
        state: after some epochs.
        constants: of the representations.

    Returns:
        the estimate.
    """
    fields = _fields(solver, state.params, constants)
    return dataclasses.replace(
        guess,
        object=object_channels(solver, state, constants),
        probe=fields.probe,
        positions=fields.positions,
        tilt=fields.tilt,
        members=member_channels(state) if isinstance(solver, EnsembleSolver) else None,
    )


@dataclasses.dataclass
class Best:
    """The best epoch of a stage so far.

    Attributes:
        state: then.
        value: its held-out loss, or that of the start.
        epoch: its number; 0 while none is better than the start.
    """

    state: State
    value: float
    epoch: int = 0


def _judge(run: Run, solver: Solver, mesh: Mesh, constants: Any) -> Callable[[State], Array] | None:
    """The held-out loss of a state, where electrons are held out."""
    if run.held is None:
        return None
    held = distribute(run.held.counts, run.held.setup, mesh)
    return lambda state: held_out_loss(solver, mesh, run.config.loss, state, constants, held)


def object_channels(solver: Solver, state: State, constants: Any) -> Array:
    """The object that a state stands for: the running mean where there is one.

    Args:
        solver: its settings.
        state: after some epochs.
        constants: of the representations.

    Returns:
        phase in rad and absorption (slices, channels, Y, X).
    """
    if state.average is not None:
        return state.average
    return _applied(solver.model.object, state.params["object"], constants["object"])


@partial(jax.jit, static_argnames="solver")
def _fields(solver: Solver, params: Any, constants: Any) -> Fields:
    """Everything the physics sees, compiled once for all runs of equal settings."""
    return solver.fields(params, constants)


@partial(jax.jit, static_argnames="representation")
def _applied(representation: Representation, params: Any, constants: Any) -> Array:
    """A representation without noise, compiled once for all runs of equal settings."""
    return representation.apply(params, constants, None)


def _tree(state: State, constants: Any, best: Best | None) -> dict[str, Any]:
    return {"state": state, "constants": constants} | ({} if best is None else {"best": best.state})
