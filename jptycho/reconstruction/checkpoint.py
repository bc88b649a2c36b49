"""Where a run goes on: its checkpoint says in which stage, after which epoch, and what that stage began with."""

from __future__ import annotations

import dataclasses
import hashlib
import re
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from jptycho.config.stages import KEPT, POSITIONS
from jptycho.data.checkpoints import load_checkpoint, load_facts, save_checkpoint
from jptycho.errors import CheckpointError, ConfigError
from jptycho.reconstruction.context import Context, Progress
from jptycho.representations.estimate import Estimate
from jptycho.settings import Table
from jptycho.solvers.epochs import Record

LAYOUT = 2
"""Of what a checkpoint keeps: another one cannot be gone on from."""


def stage_of_checkpoint(context: Context) -> str | None:
    """Name of the stage in which a run can go on; ConfigError where settings, data or version were others."""
    facts = load_facts(folder_of(context))
    if facts is None:
        return None
    if facts.get("layout") != LAYOUT:
        raise ConfigError(
            f"checkpoint: {str(context.checkpoint)!r} was made by another version of jptycho, which keeps other things "
            "in it. Go on with that version, or delete it to start from the beginning."
        )
    for name, what in (("configuration", "settings"), ("data", "data")):
        if facts[name] != context.identity[name]:
            raise ConfigError(
                f"checkpoint: {str(context.checkpoint)!r} was made with other {what}. Restore them to go on, "
                "or delete it to start from the beginning."
            )
    return facts["stage"]


def folder_of(context: Context) -> Path:
    """Where the checkpoint is; a path that does not exist where none is wanted."""
    return context.checkpoint if context.checkpoint is not None else Path("/nonexistent")


def fingerprint(context: Context) -> Table:
    """What must be equal for a run to go on, as JSON: settings and data, wherever the files are now."""
    problem, digest = context.whole, hashlib.sha256()
    for array in (
        problem.counts[:: max(1, len(problem.counts) // 64)],
        problem.estimate.positions,
        problem.estimate.probe,
        problem.setup.mask,
        () if problem.setup.centre is None else problem.setup.centre,
    ):
        digest.update(np.ascontiguousarray(array).tobytes())
    brought = context.extension.functions
    if problem.unknowns or problem.setup.effects or brought:
        with np.printoptions(threshold=sys.maxsize):
            more = repr((sorted(problem.unknowns.items()), problem.setup.effects, *brought))
        digest.update(re.sub(r" at 0x[0-9a-f]+", "", more).encode())  # another process has other addresses
    starts = {table: {"start_file"} for table in ("dgp", "pixels")}
    apart = {"output": True, "compilation_cache": True, "memory": True, "data": {"file"}, **starts}
    configuration = context.config.model_dump(exclude=apart, mode="json")
    return {"layout": LAYOUT, "configuration": configuration, "data": digest.hexdigest()}


def save(context: Context, stage: str, progress: Progress, tree: Table, facts: Table) -> None:
    """Write a checkpoint; where that fails, say so: the run is worth more than its checkpoint.

    ``progress`` is what the stage began with, and the history with its epochs; ``tree`` and ``facts`` are the stage's.
    """
    began = {"estimate": _arrays(progress.estimate), "start": _arrays(progress.start)}
    if stage.startswith((POSITIONS, KEPT)) and progress.pairs:  # which only hand them on
        began["pairs"] = {str(number): _arrays(pair) for number, pair in enumerate(progress.pairs)}
    layout = jax.tree.map(lambda leaf: [list(leaf.shape), str(leaf.dtype)], began)
    whole = (
        dict(context.identity)
        | facts
        | {
            "stage": stage,
            "began": layout,
            "best_epoch": progress.best_epoch,
            "history": [dataclasses.asdict(record) for record in progress.history],
        }
    )
    try:
        save_checkpoint(folder_of(context), tree | began, whole)
    except CheckpointError as error:
        context.log(f"{error} The run goes on; if it is interrupted, it goes on from the checkpoint before, if any.")


def restore(context: Context, tree: Table) -> tuple[Table, Table]:
    """Arrays and facts of a stage from a checkpoint; ``tree`` has their structure, shapes and devices."""
    facts = load_facts(folder_of(context)) or {}
    return load_checkpoint(folder_of(context), tree | _blank(facts)), facts


def began(context: Context, saved: Table, facts: Table) -> Progress:
    """What the stage of a checkpoint began with, and the history up to it."""
    flat = context.problem.estimate
    estimate, start = (dataclasses.replace(flat, **saved[name]) for name in ("estimate", "start"))
    pairs = tuple(dataclasses.replace(flat, **pair) for _, pair in sorted(saved.get("pairs", {}).items()))
    history = tuple(Record(**record) for record in facts["history"])
    return Progress(estimate, start, facts["best_epoch"], pairs, history)


def blank_progress(context: Context) -> Progress:
    """Zeros of the shapes that the stage of a checkpoint began with, to make its fit from."""
    facts = load_facts(folder_of(context)) or {}
    return began(context, _blank(facts), facts)


def _blank(facts: Table) -> Table:
    is_leaf = lambda node: isinstance(node, list)  # noqa: E731
    zeros: Table = jax.tree.map(lambda leaf: jnp.zeros(*leaf), facts["began"], is_leaf=is_leaf)
    return zeros


def _arrays(estimate: Estimate) -> Table:
    """The arrays of an estimate that there are, by name."""
    every = {field.name: getattr(estimate, field.name) for field in dataclasses.fields(estimate)}
    return {name: value for name, value in every.items() if jax.tree.leaves(value)}
