"""A run under way, and its checkpoints."""

from __future__ import annotations

import dataclasses
import hashlib
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jptycho.config.run import Config
from jptycho.data.checkpoints import load_facts, save_checkpoint
from jptycho.errors import CheckpointError, ConfigError
from jptycho.preprocess.prepare import Problem
from jptycho.randomness import named_key
from jptycho.reconstruction.extension import PLAIN, Extension
from jptycho.representations.base import Estimate
from jptycho.solvers.base import State
from jptycho.solvers.epochs import Announce, Record
from jptycho.types import Array

HALVES, PIXELS, DGP, POLISH, ALL = "half sets", "pixels", "dgp", "finish", "all electrons"
"""Stages of a run; the last repeats the one before with what was held out."""
Log = Callable[[str], None]
Callback = Callable[[Record, Callable[[], Array]], None]
"""Called after each epoch with its record and a function that gives the object's channels then."""


@dataclasses.dataclass
class Run:
    """A run under way: what the stages share. The only mutable record of the package.

    Attributes:
        config: effective configuration.
        problem: the scan made ready, by the electrons that are reconstructed.
        whole: the same by all electrons.
        log: told in words what happens.
        callback: called after each epoch.
        announce: told what is done between epochs.
        stop: asked after each epoch.
        checkpoint: folder, or None for none.
        started: clock reading.
        held: the same scan by the electrons that are held out, or None.
        half_sets: for each network the scan by each half of the electrons, or None; they judge it.
        history: of every epoch so far.
        fallback: estimate that is better than a stage interrupted in the middle; None where there is none.
        show: the object of a state as observers see it; None for that of the solver.
        extension: what the user brought.
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
    held: Problem | None = None
    half_sets: list[tuple[Problem, Problem]] | None = None
    history: list[Record] = dataclasses.field(default_factory=list)
    fallback: Estimate | None = None
    show: Callable[[State], Array] | None = None
    extension: Extension = PLAIN


def stream(run: Run, *names: str | int) -> Array:
    """The random key of a part of a run.

    Args:
        run: the run.
        *names: stage, purpose and number.

    Returns:
        the key.
    """
    return named_key(jax.random.key(run.config.seed), *names)


@dataclasses.dataclass(frozen=True)
class Reached:
    """How a stage ended.

    Attributes:
        estimate: the estimate that is kept.
        status: ``"done"`` or ``"interrupted"``.
        epoch: whose estimate it is; 0 where the start is kept.
        start: what it began with, from its checkpoint where there was one.
        last: the estimate of the last epoch.
    """

    estimate: Estimate
    status: str
    epoch: int
    start: Estimate
    last: Estimate


def has_checkpoint(run: Run, stage: str) -> bool:
    """Whether a run can go on in the middle of a stage.

    Args:
        run: the run.
        stage: of a run.

    Returns:
        whether its checkpoint is of that stage.

    Raises:
        ConfigError: the checkpoint was made with other settings.
    """
    facts = load_facts(folder_of(run))
    if facts is None:
        return False
    for name, what in (("configuration", "settings"), ("data", "data")):
        if facts[name] != _facts(run)[name]:
            raise ConfigError(
                f"checkpoint: {str(run.checkpoint)!r} was made with other {what}. Restore them to go on, "
                "or delete it to start from the beginning."
            )
    return facts["stage"] == stage


def folder_of(run: Run) -> Path:
    """Where the checkpoint is; a path that does not exist where none is wanted.

    Args:
        run: the run.

    Returns:
        the folder.
    """
    return run.checkpoint if run.checkpoint is not None else Path("/nonexistent")


def _facts(run: Run) -> dict[str, Any]:
    """What must be equal for a run to go on: settings and data, wherever the files are now."""
    problem, digest = run.whole, hashlib.sha256()
    for array in (
        problem.counts[:: max(1, len(problem.counts) // 64)],
        problem.estimate.positions,
        problem.estimate.probe,
        problem.setup.mask,
        () if problem.setup.centre is None else problem.setup.centre,
    ):
        digest.update(np.ascontiguousarray(array).tobytes())
    brought = run.extension.functions
    if problem.unknowns or problem.setup.effects or brought:
        with np.printoptions(threshold=sys.maxsize):
            more = repr((sorted(problem.unknowns.items()), problem.setup.effects, *brought))
        digest.update(re.sub(r" at 0x[0-9a-f]+", "", more).encode())  # another process has other addresses
    settings = run.config.model_dump(exclude={"output": True, "data": {"file"}, "dgp": {"start_file"}}, mode="json")
    return {"configuration": settings, "data": digest.hexdigest()}


def save(run: Run, stage: str, tree: dict[str, Any], more: dict[str, Any]) -> None:
    """Write a checkpoint; where that fails, say so: the run is worth more than its checkpoint.

    Args:
        run: the run.
        stage: in which it is.
        tree: arrays.
        more: facts about them.
    """
    history = [dataclasses.asdict(record) for record in run.history]
    facts = {**_facts(run), "stage": stage, "history": history}
    try:
        save_checkpoint(folder_of(run), tree, facts | more)
    except CheckpointError as error:
        run.log(f"{error} The run goes on; if it is interrupted, it goes on from the checkpoint before, if any.")
