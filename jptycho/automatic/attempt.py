"""One attempt of an automatic run: begun where there is time, judged by held-out electrons, written down."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable

import numpy as np

from jptycho.assembly.build import loss_of
from jptycho.automatic.clock import Clock, Pace
from jptycho.automatic.journal import Decision, Journal, recall, remember
from jptycho.automatic.judge import Comparison, compare, losses_by_pattern
from jptycho.config.run import Config
from jptycho.data.checkpoints import remove_checkpoint
from jptycho.errors import ConfigError
from jptycho.parallel import on_one_device
from jptycho.preprocess.prepare import Problem
from jptycho.reconstruction.carry import as_seen_by
from jptycho.reconstruction.checkpoint import stage_of_checkpoint
from jptycho.reconstruction.confirmed import confirm_bands
from jptycho.reconstruction.context import Context, Progress, Stage
from jptycho.reconstruction.reconstruct import run_stages
from jptycho.representations.estimate import Estimate, fields_of
from jptycho.solvers.epochs import DONE, INTERRUPTED, Record
from jptycho.types import Array, Float


@dataclasses.dataclass(frozen=True)
class Start:
    """What fits begin with that are compared.

    Attributes:
        context: the scan of as many slices and modes as nothing asks for more than.
        progress: the start that it says.
    """

    context: Context
    progress: Progress


@dataclasses.dataclass(frozen=True)
class Run:
    """What the steps of a run share.

    Attributes:
        wanted: the configuration as given.
        journal: what was decided.
        clock: how long it may take.
        asked: whether the user asked for the end.
        start: what the first fit begins with, and every trial: the start that a scan says.
        unseen: the scan by electrons that decide what is kept, and nothing else: no epoch or gain was chosen by them.
    """

    wanted: Config
    journal: Journal
    clock: Clock
    asked: Callable[[], bool]
    start: Start
    unseen: Problem


@dataclasses.dataclass(frozen=True)
class Now:
    """How far a run is.

    Attributes:
        given: the settings that are kept, with ``auto``.
        context: the scan of the slices and modes that are kept.
        progress: what is kept; interrupted where the user asked for the end.
        pace: of pixels.
        rest: stages that only all electrons are still to see.
    """

    given: Config
    context: Context
    progress: Progress
    pace: Pace
    rest: tuple[Stage, ...] = ()


@dataclasses.dataclass(frozen=True)
class Attempt:
    """Something that may be better than what there is.

    Attributes:
        name: what it is, in words.
        context: with its settings; the scan of the slices and modes before.
        stages: that it takes.
        begun: what they begin with.
        needed: seconds that it will take.
        reserved: seconds that must be left after it.
        least: standard errors by which it must be better.
        confirm: whether what there is gets each band as strong as held-out electrons confirm, as the attempt does.
    """

    name: str
    context: Context
    stages: tuple[Stage, ...]
    begun: Progress
    needed: float
    reserved: float
    least: float
    confirm: bool = False


def tried(run: Run, now: Now, attempt: Attempt) -> Now | None:
    """What an attempt reaches where it is kept; None where it is not, or not begun."""
    name, known = attempt.name, run.journal.decisions.get(attempt.name)
    if run.asked():
        return interrupted(now)
    if known is not None:
        attempt.context.log(known.words)
    elif lacking := run.clock.lacks(attempt.needed, attempt.reserved):
        known = decided(run, now.context, name, Decision(False, f"{name}: not tried, for that {lacking}", timely=False))
    if known is not None and not known.kept:
        return None
    context, progress = fitted(run, attempt, known is not None)
    if run.asked() and progress.status != DONE:
        return interrupted(now)
    if known is None:
        words, kept = _judged(attempt, _compared(run, now, (context, progress), attempt), progress.status != DONE)
        known = decided(run, now.context, name, Decision(kept, words))
    if not known.kept:
        return None
    return dataclasses.replace(now, context=context, progress=dataclasses.replace(progress, status=DONE))


def fitted(run: Run, attempt: Attempt, known: bool) -> tuple[Context, Progress]:
    """What stages were given last and reached, from where an earlier run left them.

    They are interrupted where the user, or the time, ended them; but the time ends no fit before its first epoch where
    there is no picture yet.
    """
    context, seen = attempt.context, list(attempt.begun.history)
    if known and (progress := recall(context)) is not None:
        return as_seen_by(context, attempt.stages[-1]), progress

    def callback(record: Record, channels: Callable[[], Array]) -> None:
        seen.append(record)
        context.callback(record, channels)

    def over() -> bool:
        return bool(seen) and run.clock.elapsed > run.clock.limit - attempt.reserved

    on = _begun_before(context)  # the stages add the seconds that they had taken
    begun = dataclasses.replace(
        context,
        callback=callback,
        stop=lambda: run.asked() or over(),
        started=time.perf_counter() if on else run.clock.started,
    )
    reached, progress = run_stages(begun, attempt.stages, attempt.begun)
    if progress.status == DONE or not (run.asked() or known):
        remember(context, progress)
    return reached, progress


def _begun_before(context: Context) -> bool:
    """Whether a checkpoint holds the attempt; one of what was kept before something else was is in the way."""
    try:
        return stage_of_checkpoint(context) is not None
    except ConfigError:  # the journal is of this run
        if context.checkpoint is not None:
            remove_checkpoint(context.checkpoint)
        return False


def interrupted(now: Now) -> Now:
    """What there was, as the result of a run that the user ended."""
    return dataclasses.replace(now, progress=dataclasses.replace(now.progress, status=INTERRUPTED))


def decided(run: Run, context: Context, name: str, decision: Decision) -> Decision:
    """A decision, written down with the time."""
    return run.journal.add(context.log, name, dataclasses.replace(decision, seconds=run.clock.elapsed))


def _compared(run: Run, now: Now, reached: tuple[Context, Progress], attempt: Attempt) -> Comparison:
    """What decides, predicted by what there is and by what was tried; networks that go back to their start are that."""
    context, before = now.context, now.progress.estimate
    if attempt.confirm and context.validation is not None:
        before, _ = confirm_bands(context, before, context.validation)
    after, judges = reached[1], [run.unseen]
    if context.validation is not None and not (attempt.confirm or run.unseen.undivided):
        judges.append(context.validation)  # by which half sets choose nothing
    if attempt.confirm and any(np.allclose(before.object, one.object) for one in (after.estimate, after.start)):
        return Comparison(0.0, 0.0)
    weights = np.array([judge.electrons for judge in judges]) / sum(judge.electrons for judge in judges)
    contexts = [dataclasses.replace(context, validation=judge) for judge in judges]
    losses = [np.array([_losses(own, one) for own in contexts]) for one in (before, after.estimate)]
    return compare(*(weights @ each for each in losses))


def _losses(context: Context, estimate: Estimate) -> Float[np.ndarray, "scan"]:
    held = context.validation
    assert held is not None
    fields = fields_of(on_one_device(estimate))
    return np.asarray(losses_by_pattern(loss_of(context.config, context.extension), fields, held.setup, held.counts))


def _judged(attempt: Attempt, found: Comparison, cut: bool) -> tuple[str, bool]:
    """The comparison and what follows from it, in words, and whether the attempt, maybe cut short, is kept."""
    name = f"{attempt.name}, which ran out of time" if cut else attempt.name
    if not found.difference:
        return f"{name}: nothing that predicts what is held out better than what there was: not kept", False
    kept = found.difference > 0 and found.significance >= attempt.least
    asked = f", {attempt.least:g} are asked for" if attempt.least else ""
    then = "kept" if kept else f"not kept{asked}"
    return f"{name}: what is held out is predicted better by {found}: {then}", kept
