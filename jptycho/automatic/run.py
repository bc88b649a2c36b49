"""The steps of an automatic run: pixels first, then whatever unused electrons say is better."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from functools import partial

from jptycho.assembly.auto import resolve_auto
from jptycho.automatic.attempt import Attempt, Now, Run, decided, fitted, interrupted, tried
from jptycho.automatic.clock import Pace, measured_pace, seconds_of_networks, seconds_of_pixels
from jptycho.automatic.journal import Decision
from jptycho.automatic.trials import Trial, families, split_stages
from jptycho.config.run import Config, with_changes
from jptycho.errors import ConfigError, DivergenceError, OutOfMemoryError
from jptycho.preprocess.reshape import reshaped
from jptycho.reconstruction.checkpoint import fingerprint
from jptycho.reconstruction.context import Context, Progress, Stage
from jptycho.reconstruction.plan import plan
from jptycho.reconstruction.reconstruct import divide
from jptycho.settings import AUTO
from jptycho.solvers.epochs import DONE, INTERRUPTED

FIRST, NETWORKS, FINAL = "pixels", "networks", "all electrons"
"""What the steps are called that a run has besides those of its settings."""


def run_steps(run: Run, now: Now) -> Now:
    """Pixels, everything that is tried, and all electrons at the end.

    Args:
        run: what the steps share.
        now: the start: its progress is what the run begins with.

    Returns:
        what is kept.
    """
    now = _first(run, now)
    if now.progress.status == DONE and run.journal.decisions[FIRST].kept:
        for family in families(run.wanted):
            for trial in family:
                enough = now.given.object.slices >= trial.least_slices
                before, now = now, _surviving(run, now, trial.name, partial(_with_pixels, run, now, trial), enough)
                if now is before or now.progress.status != DONE:
                    break
            if now.progress.status != DONE:
                return now
        if run.wanted.automatic.networks:
            now = _surviving(run, now, NETWORKS, partial(_with_networks, run, now))
    return now if now.progress.status != DONE else _with_all_electrons(run, now)


def _surviving(run: Run, now: Now, name: str, attempt: Callable[[], Now], wanted: bool = True) -> Now:
    """What there is after an attempt: what there was before where it fails, or is not wanted."""
    if not wanted:
        return now
    try:
        return attempt()
    except (ConfigError, DivergenceError, OutOfMemoryError) as error:
        decided(run, now.context, name, Decision(False, f"{name}: not kept, {error}"))
        return now


def _first(run: Run, now: Now) -> Now:
    """Pixels by the electrons that are not held out; nothing where there is no time for more than the final fit."""
    _, context, stages = _arranged(run, now, Trial(FIRST, {}))
    stages, _ = split_stages(stages, FIRST)
    needed, waves = seconds_of_pixels(now.pace, epochs_in(stages), waves_of(now.given)), waves_of(now.given)
    known = run.journal.decisions.get(FIRST)
    if known is None and (lacking := run.clock.lacks(needed, _final_seconds(now))):
        words = f"nothing is tried: pixels without the electrons that are held out for that {lacking}"
        known = decided(run, context, FIRST, Decision(False, words, timely=False))
    if known is not None and not known.kept:
        return now
    begun, attempt = time.perf_counter(), Attempt(FIRST, context, stages, now.progress, needed, 0.0, 0.0)
    context, progress = fitted(run, attempt, known is not None)
    if run.asked() and progress.status != DONE:
        return dataclasses.replace(now, context=context, progress=progress)
    if known is None:
        pace = measured_pace(progress.history, stages[-1].name, time.perf_counter() - begun, waves)
        known = decided(run, context, FIRST, Decision(True, overhead=pace.overhead, pace=pace.epoch))
    progress, pace = dataclasses.replace(progress, status=DONE), Pace(known.pace, known.overhead)
    return dataclasses.replace(now, context=context, progress=progress, pace=pace)


def _with_pixels(run: Run, now: Now, trial: Trial) -> Now:
    """Pixels with other settings, kept where held-out electrons are predicted better beyond chance."""
    given, context, stages = _arranged(run, now, trial, run.start.context)
    stages, _ = split_stages(stages, trial.name)
    begun = dataclasses.replace(run.start.progress, history=now.progress.history)
    reserved = _final_seconds(now)
    if run.wanted.automatic.networks and int(context.config.dgp.ensemble_size) > 1:
        # Where electrons are few, networks are worth more than slices and modes.
        reserved += seconds_of_networks(now.pace, now.context.config)
    needed, least = seconds_of_pixels(now.pace, epochs_in(stages), waves_of(given)), run.wanted.automatic.significance
    after = tried(run, now, Attempt(trial.name, context, stages, begun, needed, reserved, least))
    if after is None or after.progress.status != DONE:
        return now if after is None else after
    return dataclasses.replace(after, given=given)


def _with_networks(run: Run, now: Now) -> Now:
    """Deep generative priors from what is kept, kept where held-out electrons are predicted better by them.

    An image by networks has no more unknowns than one by pixels: no significance speaks for the older one.
    """
    _, context, stages = _arranged(run, now, Trial(NETWORKS, {}))
    _, stages = split_stages(stages, NETWORKS)
    rest = tuple(stage for stage in stages if stage.epochs is None)
    stages = tuple(stage for stage in stages if stage.epochs is not None)
    needed = seconds_of_networks(now.pace, context.config)
    attempt = Attempt(NETWORKS, context, stages, now.progress, needed, 0.0, least=0.0, confirm=True)
    after = tried(run, now, dataclasses.replace(attempt, reserved=_final_seconds(now)))
    if after is None:
        return now
    polished = after.progress.history[-1].stage == stages[-1].name  # not where the time was over before
    return dataclasses.replace(after, rest=rest if polished else ())


def _with_all_electrons(run: Run, now: Now) -> Now:
    """What is kept, once more with the electrons that were held out."""
    if run.asked() and now.progress.history:
        return interrupted(now)
    if by_networks(run):
        return _concluded(run, now, now.context, now.rest, now.progress) if now.rest else now
    context, stages = _by_all(now)
    known = run.journal.decisions.get(FINAL)
    if known is None:
        known = _final_epochs(run, now, stages)
    if not known.epochs:
        return now
    stages = (*stages[:-1], dataclasses.replace(stages[-1], epochs=known.epochs))
    return _concluded(run, now, context, stages, _from_blank(now))


def _concluded(run: Run, now: Now, context: Context, stages: tuple[Stage, ...], begun: Progress) -> Now:
    """The last fit of a run, which nothing is left to judge by: what there was where it does not end by itself."""
    attempt = Attempt(FINAL, _in_its_place(run, context, FINAL), stages, begun, 0.0, 0.0, 0.0)
    reached, progress = fitted(run, attempt, known=True)
    if progress.status == DONE or not now.progress.history:
        status = INTERRUPTED if run.asked() and progress.status != DONE else DONE
        return dataclasses.replace(now, context=reached, progress=dataclasses.replace(progress, status=status))
    if run.asked():
        return interrupted(now)
    context.log(f"{FINAL}: the time is over before that ends; what there was before is kept")
    return now


def _from_blank(now: Now) -> Progress:
    """What is kept of everything but the object, which begins anew."""
    blank = now.context.problem.estimate.object
    return dataclasses.replace(now.progress, estimate=dataclasses.replace(now.progress.estimate, object=blank))


def _final_epochs(run: Run, now: Now, stages: tuple[Stage, ...]) -> Decision:
    """How many epochs of pixels with all electrons there is time for; at least one where there is no picture yet."""
    waves, wanted = waves_of(now.given), stages[-1].epochs or 1
    left = run.clock.limit - run.clock.elapsed - now.pace.overhead
    epochs = int(min(wanted, max(0.0, left / (waves * now.pace.epoch))))
    if not now.progress.history:
        epochs = max(1, epochs)
    timely = epochs == wanted
    words = "" if timely else f"all electrons: {epochs} epochs of {wanted}, for which there is time"
    return decided(run, now.context, FINAL, Decision(epochs > 0, words, epochs=epochs, timely=timely))


def _by_all(now: Now) -> tuple[Context, tuple[Stage, ...]]:
    """The scan by all electrons, and the stages of pixels that it takes."""
    changes = {"method": "pixels", "pixels": {"half_sets": AUTO}, "validation": {"fraction": 0}}
    given = with_changes(now.given, changes)
    whole = now.context.whole
    config = resolve_auto(given, whole)
    stages = plan(config, whole)
    problem, held, half_sets, _ = divide(config, whole, stages, now.context.extension)
    context = dataclasses.replace(now.context, config=config, problem=problem, validation=held, half_sets=half_sets)
    return context, stages


def _arranged(
    run: Run, now: Now, trial: Trial, begun: Context | None = None
) -> tuple[Config, Context, tuple[Stage, ...]]:
    """A trial's settings with ``auto``, the run with them, by default on what is kept, and the stages they come to."""
    given = with_changes(now.given, trial.changes)
    whole = reshaped(now.context.whole, given.object.slices, given.probe.modes, None)
    config = resolve_auto(given, whole)
    context = _in_its_place(run, dataclasses.replace(begun or now.context, config=config), trial.name)
    return given, context, plan(config, whole)


def _in_its_place(run: Run, context: Context, name: str) -> Context:
    """A run whose checkpoints are those of a step."""
    context = dataclasses.replace(context, checkpoint=run.journal.place(name))
    return dataclasses.replace(context, identity=fingerprint(context))


def _final_seconds(now: Now) -> float:
    """What all electrons will take in the end."""
    return seconds_of_pixels(now.pace, now.given.pixels.epochs, waves_of(now.given))


def by_networks(run: Run) -> bool:
    """Whether networks made what is kept."""
    found = run.journal.decisions.get(NETWORKS)
    return run.wanted.automatic.networks and found is not None and found.kept


def waves_of(config: Config) -> int:
    """Slices times modes, which a pattern takes the time of."""
    return config.object.slices * config.probe.modes


def epochs_in(stages: tuple[Stage, ...]) -> int:
    """Epochs of stages in all."""
    return sum(stage.epochs or 0 for stage in stages)
