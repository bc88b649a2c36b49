"""What the stages of a run are given, and what they hand on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path

import jax
from jax.sharding import Mesh

from jptycho.assembly.extension import PLAIN, Extension
from jptycho.config.run import Config
from jptycho.preprocess.prepare import Problem
from jptycho.randomness import named_key
from jptycho.representations.estimate import Estimate
from jptycho.solvers.base import ScanData, Solver, State
from jptycho.solvers.epochs import DONE, Announce, Record
from jptycho.solvers.streaming import StreamedScan
from jptycho.types import Array, Constants, Params, PyTree

Log = Callable[[str], None]
Callback = Callable[[Record, Callable[[], Array]], None]
"""Called after each epoch with its record and a function that gives the object's channels then."""


@dataclasses.dataclass(frozen=True)
class Context:
    """What every stage of a run is given.

    Attributes:
        config: without ``auto``.
        problem: the scan made ready, by the electrons that are reconstructed.
        whole: the same by all electrons.
        log: told in words what happens.
        callback: called after each epoch.
        announce: told what is done between epochs.
        stop: asked after each epoch.
        checkpoint: folder, or None for none.
        started: clock reading, from which seconds are counted.
        validation: the same scan by the electrons that are held out, or None.
        half_sets: for each network the scan by each half of the electrons; they validate it.
        extension: what the user brought.
        identity: of settings and data, which a checkpoint keeps.
    """

    config: Config
    problem: Problem
    whole: Problem
    log: Log
    callback: Callback
    announce: Announce
    stop: Callable[[], bool]
    checkpoint: Path | None
    started: float
    validation: Problem | None = None
    half_sets: tuple[tuple[Problem, Problem], ...] = ()
    extension: Extension = PLAIN
    identity: Mapping[str, object] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far a run is: what a stage begins with, and what it hands on.

    Attributes:
        estimate: the best so far.
        start: what the last stage began with.
        best_epoch: of the last stage, whose estimate it is; 0 where the start was kept.
        pairs: the estimate by each pair of half sets, filtered, with the filtered halves; empty where there is none.
        history: of every epoch so far.
        status: ``"done"`` or ``"interrupted"``.
    """

    estimate: Estimate
    start: Estimate
    best_epoch: int = 0
    pairs: tuple[Estimate, ...] = ()
    history: tuple[Record, ...] = ()
    status: str = DONE


@dataclasses.dataclass(frozen=True)
class Fit:
    """What a stage optimises.

    Attributes:
        solver: its settings.
        mesh: devices.
        params: to start from.
        constants: of the representations.
        data: the scan on its devices, or what reads it in every epoch.
        validated: whether held-out electrons validate every epoch.
        show: the object of a state as a callback sees it; None for that of the solver.
    """

    solver: Solver
    mesh: Mesh
    params: Params
    constants: Constants
    data: ScanData | StreamedScan
    validated: bool = True
    show: Callable[[State], Array] | None = None


@dataclasses.dataclass(frozen=True)
class Reached:
    """How the epochs of a stage ended.

    Attributes:
        best: the estimate of the best epoch; of the last one where nothing is held out.
        last: the estimate of the last epoch.
        solver: that made them.
        epoch: whose estimate the best is; 0 where none was better than what it began with.
        loss: validation loss then; infinite where nothing is held out.
        status: ``"done"`` or ``"interrupted"``.
        history: of every epoch of the run so far.
        memory: what the solver remembers after the last epoch.
    """

    best: Estimate
    last: Estimate
    solver: Solver
    epoch: int
    loss: float
    status: str
    history: tuple[Record, ...]
    memory: PyTree = None


@dataclasses.dataclass(frozen=True)
class Stage:
    """A part of a run with a solver of its own.

    Attributes:
        name: in the history and in checkpoints; no two stages of a run share it.
        config: without ``auto``, for this stage.
        epochs: at most; None for as many as were best in the stage before.
        begin: makes the fit from the progress so far; only its shapes matter where the last argument, whether a
            checkpoint holds the state, is true. None where an interruption was asked for meanwhile.
        conclude: what is handed on, from the progress that the stage began with and what it reached.
        window: detector pixels that are kept, or padded to, along (y, x); None for all as they are.
        scheduled: epochs that the learning rates are scheduled for; None for as many as there are.
    """

    name: str
    config: Config
    epochs: int | None
    begin: Callable[[Context, Stage, Progress, bool], Fit | None]
    conclude: Callable[[Context, Stage, Progress, Reached], Progress]
    window: tuple[int, int] | None = None
    scheduled: int | None = None


def stream(context: Context, *names: str | int) -> Array:
    """The random key of a part of a run: of a stage, a purpose, a number."""
    return named_key(jax.random.key(context.config.seed), *names)
