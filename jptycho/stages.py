"""A run's stages: what they share, the epochs of each, and checkpoints."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jptycho.config import Config
from jptycho.config_solvers import AUTO
from jptycho.constraints import penalties_of
from jptycho.data.checkpoints import load_checkpoint, load_facts, save_checkpoint
from jptycho.errors import ConfigError
from jptycho.forward.model import Fields
from jptycho.parallel import replicate
from jptycho.preprocess.knowledge import check_known, known_of
from jptycho.preprocess.prepare import Problem
from jptycho.representations.base import Guess, Representation, transmission
from jptycho.solvers.base import ScanData, Solver, State, distribute, init_state
from jptycho.solvers.ensemble import EnsembleSolver, member_channels
from jptycho.solvers.loop import Record, Stage, run_epochs
from jptycho.solvers.validation import held_out_loss, loss_of_fields
from jptycho.types import Array
from jptycho.words import advice

PIXELS, DGP = "pixels", "dgp"
Say = Callable[[str], None]
Observer = Callable[[Record, Callable[[], Array]], None]
"""Called after each epoch with its record and a function that gives the object's channels then."""


@dataclasses.dataclass
class Run:
    """A run under way: what the stages share. The only mutable record of the package.

    Attributes:
        config: effective configuration.
        problem: the scan made ready.
        say: told in words what happens.
        observe: called after each epoch.
        stop: asked after each epoch.
        checkpoint: folder, or None for none.
        started: clock reading.
        held: the same scan by the electrons that are held out, or None.
        halves: for each network the scan by each half of the electrons, or None; they judge it.
        history: of every epoch so far.
    """

    config: Config
    problem: Problem
    say: Say
    observe: Observer
    stop: Callable[[], bool]
    checkpoint: Path | None
    started: float
    held: Problem | None = None
    halves: list[tuple[Problem, Problem]] | None = None
    history: list[Record] = dataclasses.field(default_factory=list)


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
        saved = load_checkpoint(_folder(run), _tree(state, constants, best) | {"start": began})
        state, constants, began = saved["state"], saved["constants"], saved["start"]
        guess = dataclasses.replace(guess, **began)
        facts = load_facts(_folder(run)) or {}
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
        run.observe(record, lambda: object_channels(solver, now, constants))
        if best is not None and record.held_out < best.value:
            # The next epoch takes the state's arrays.
            best.state, best.value, best.epoch = jax.tree.map(jnp.copy, now), record.held_out, record.epoch
        due = time.perf_counter() - saved_at >= 60 * run.config.output.checkpoint_minutes
        if run.checkpoint is not None and (due or run.stop()):
            _save(run, name, _tree(now, constants, best) | {"start": began}, best)
            saved_at = time.perf_counter()

    def enough() -> bool:
        # The start does not count: pre-training only approximates it, and what follows may still surpass it.
        judged = [record.held_out for record in run.history if record.stage == name]
        return best is not None and len(judged) - int(np.argmin(judged or [0])) > run.config.stop.patience

    state, status = run_epochs(stage, state, observe, run.stop, enough)
    return _kept(run, name, best, guess) or _estimate(guess, solver, best.state if best else state, constants), status


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
    """The best before the first epoch: nothing, or of the priors the start, by its held-out loss."""
    # A copy: the first epoch takes the state's arrays.
    best = Best(jax.tree.map(jnp.copy, state), math.inf)
    if name == DGP and run.held is not None:
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


def _estimate(guess: Guess, solver: Solver, state: State, constants: Any) -> Guess:
    """The guess, with the unknowns that a state stands for."""
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


def has_checkpoint(run: Run, stage: str) -> bool:
    """Whether a run can go on in the middle of a stage.

    Args:
        run: the run.
        stage: ``"pixels"`` or ``"dgp"``.

    Returns:
        whether its checkpoint is of that stage.

    Raises:
        ConfigError: the checkpoint was made with other settings.
    """
    facts = load_facts(_folder(run))
    if facts is None:
        return False
    for name, what in (("configuration", "settings"), ("data", "data")):
        if facts[name] != _facts(run)[name]:
            raise ConfigError(
                f"checkpoint: {str(run.checkpoint)!r} was made with other {what}. Restore them to go on, "
                "or delete it to start from the beginning."
            )
    return facts["stage"] == stage


def _folder(run: Run) -> Path:
    return run.checkpoint if run.checkpoint is not None else Path("/nonexistent")


def _facts(run: Run) -> dict[str, Any]:
    """What must be equal for a run to go on: settings and data, wherever the files are now."""
    problem, digest = run.problem, hashlib.sha256()
    for array in (
        problem.counts[:: max(1, len(problem.counts) // 64)],
        problem.guess.positions,
        problem.guess.probe,
        problem.setup.mask,
    ):
        digest.update(np.ascontiguousarray(array).tobytes())
    settings = run.config.model_dump(exclude={"output": True, "data": {"file"}, "dgp": {"start_file"}}, mode="json")
    return {"configuration": settings, "data": digest.hexdigest()}


def _tree(state: State, constants: Any, best: Best | None) -> dict[str, Any]:
    return {"state": state, "constants": constants} | ({} if best is None else {"best": best.state})


def _save(run: Run, stage: str, tree: dict[str, Any], best: Best | None) -> None:
    history = [dataclasses.asdict(record) for record in run.history]
    facts = {**_facts(run), "stage": stage, "history": history}
    save_checkpoint(_folder(run), tree, facts | ({} if best is None else {"best": [best.value, best.epoch]}))
