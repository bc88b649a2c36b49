"""A search over a few settings: trials one after another, each judged by the same electrons that no run has seen."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from jptycho.automatic.search.bench import Bench, Told, make_bench, opened, pixels_of
from jptycho.automatic.search.found import Found, Plan, best_of, conclude, in_words, vertex_of
from jptycho.automatic.search.journal import Trial, Trials
from jptycho.automatic.search.proposals import check_optuna, propose
from jptycho.automatic.search.ranges import Range, check_ranges, choose_ranges, given_values
from jptycho.config.run import Config, with_changes
from jptycho.data.dataset import Dataset4D
from jptycho.errors import ConfigError, DivergenceError, OutOfMemoryError
from jptycho.preprocess.calibrate import check_calibration
from jptycho.reconstruction.context import Log
from jptycho.settings import Table
from jptycho.solvers.epochs import DONE, INTERRUPTED, Announce, interruptible
from jptycho.types import Float

EPOCHS = 8
"""Of a trial, at most."""
LAST = 2
"""Trials at the end that are not the sampler's: at the minimum of a parabola through the best so far."""


@dataclasses.dataclass(frozen=True)
class Size:
    """How long a search is.

    Attributes:
        trials: how many, those included that diverge.
        minutes: after which no trial is begun; None for no limit.
        epochs: of a trial, at most; no more than the run has.
    """

    trials: int = 30
    minutes: float | None = None
    epochs: int = EPOCHS


Judge = Callable[[Mapping[str, float]], Float[np.ndarray, "scan"] | None]
"""Gives the loss of every pattern with some values; None where it was interrupted."""


def search(
    dataset: Dataset4D | None,
    config: Config | None,
    over: Mapping[str, tuple[float, float] | None],
    *,
    size: Size | None = None,
    log: Log | None = None,
    announce: Announce | None = None,
    folder: Path | None = None,
) -> Found:
    """Search over a few settings of a run for those that predict unseen electrons best.

    Each trial is a short run of pixels with the settings of the run, by nine tenths of the electrons. The others judge
    it: no epoch, filter or strength of a band is chosen by them; only the beam's centre and the unit of the counts,
    which all trials share, are found by all electrons. Rates, batches and all else that is ``auto`` are chosen once,
    and the canvas holds the scan at every rotation, so that trials differ in what is searched over alone.

    Args:
        dataset: the scan; None for the one that ``config.data`` names.
        config: settings of the run; its seed is that of the search too.
        over: low and high of each setting, of :data:`KEYS`; None where the range is to be chosen.
        size: how many trials, of how many epochs, in what time.
        log: told in words what happens.
        announce: told what is done while no trial ends.
        folder: for the trials, from which the same search goes on; none by default. It stays.

    Returns:
        what was found; interrupted by Ctrl-C, SIGTERM or SIGUSR1 what was best so far.

    Raises:
        ConfigError: Optuna is not installed, ranges or settings that cannot be, electrons that cannot be divided, or no
            trial that ended.
        FormatError: data that cannot be read.
        KeyboardInterrupt: the user asked for the end before a trial ended.
    """
    check_ranges(over)
    size, log = size or Size(), log or _silent
    check_size(size)
    check_optuna()
    started, wanted = time.perf_counter(), pixels_of(with_changes(config, {}), size.epochs)
    dataset = opened(wanted, dataset)
    check_calibration(dataset)
    ranges, given = choose_ranges(over, wanted, dataset), given_values(wanted, dataset, list(over))
    with interruptible() as stop:
        bench = make_bench(wanted, dataset, ranges, Told(log, announce or _unannounced, stop))
        log(_summary(bench, ranges))
        done = Trials(folder, _identity(bench, ranges))
        spent = time.perf_counter() - started
        limit = math.inf if size.minutes is None else 60.0 * size.minutes - spent
        plan = Plan(ranges, given, size.trials, limit, wanted.seed)
        return run_trials(plan, bench.losses, done, bench.told)


def run_trials(plan: Plan, judge: Judge, done: Trials, told: Told) -> Found:
    """Trials until there are as many as wanted, the time is over or the user asks for the end.

    Args:
        plan: how the search goes.
        judge: of some values.
        done: what was tried before.
        told: who is told.

    Returns:
        what was found.

    Raises:
        ConfigError: no trial ended.
        KeyboardInterrupt: the user asked for the end before one did.
    """
    started, status = time.perf_counter(), DONE
    if done.all:
        told.log(f"goes on behind {len(done.all)} trials")
    while len(done.all) < plan.trials:
        begun = time.perf_counter()
        longest = max((trial.seconds for trial in done.all[1:]), default=0.0)
        rest = plan.limit - (begun - started)
        if longest > rest and done.all:
            told.log(f"the time is over after {len(done.all)} trials of {plan.trials}")
            break
        if told.stop():
            status = INTERRUPTED
            break
        values = next_values(plan, done.all, _left(plan.trials - len(done.all), longest, rest))
        told.announce(f"trial {len(done.all) + 1}", len(done.all), plan.trials)
        try:
            losses, failed = judge(values), ""
        except (DivergenceError, OutOfMemoryError, ConfigError) as error:
            losses, failed = np.full(1, math.nan), str(error)
        if losses is None:
            status = INTERRUPTED
            break
        done.add(_trial(values, losses, failed, time.perf_counter() - begun), told.log)
        told.log(_in_words(done.all, plan.trials))
    if status == INTERRUPTED and best_of(done.all) is None:
        raise KeyboardInterrupt
    return conclude(plan, done.all, status)


def _trial(values: Mapping[str, float], losses: np.ndarray, failed: str, seconds: float) -> Trial:
    score = float(losses.mean(dtype=np.float64))
    if not math.isfinite(score):
        return Trial(values, math.nan, seconds, failed or "the loss on unseen electrons is not finite")
    return Trial(values, score, seconds, "", losses)


def next_values(plan: Plan, done: Sequence[Trial], left: int) -> dict[str, float]:
    """What to try next: what is given, then what the sampler proposes, at last where a parabola is lowest.

    Args:
        plan: how the search goes.
        done: what was tried.
        left: trials to come that there is time for, this one among them.

    Returns:
        values by name.
    """
    within = all(one.low <= plan.given[one.name] <= one.high for one in plan.ranges)
    if not done and within:
        return {one.name: plan.given[one.name] for one in plan.ranges}
    if left <= LAST and (best := best_of(done)) is not None:
        vertex = vertex_of(plan.ranges, done, best)
        if vertex is not None:
            return dict(best.values) | vertex[0]
    tried = [(trial.values, trial.score if trial.ended else None) for trial in done]
    return propose(plan.ranges, tried, plan.seed, len(done))


def _left(trials: int, longest: float, rest: float) -> int:
    """How many of these trials there is time for, one at least: the last are not the sampler's."""
    return trials if not longest or longest * trials <= rest else max(1, int(rest / longest))


def _in_words(done: Sequence[Trial], trials: int) -> str:
    """The last trial in one line."""
    last, best = done[-1], best_of(done)
    said = f"trial {len(done)}/{trials}: {in_words(last.values)}: "
    if not last.ended:
        return said + f"failed, {last.failed}"
    return said + f"{last.score:.6g}" + (", the best so far" if last is best else "")


def _summary(bench: Bench, ranges: Sequence[Range]) -> str:
    """What is searched and by what it is judged."""
    rows, columns = bench.canvas
    epochs, halves = bench.config.pixels.epochs, " of half sets" if bench.half_sets else ""
    return (
        f"searches {'; '.join(map(str, ranges))}. Each trial: {epochs} epochs of pixels{halves} on a canvas of "
        f"{rows} x {columns}, judged by {bench.unseen.electrons:.4g} electrons per pattern that it has not seen"
    )


def _identity(bench: Bench, ranges: Sequence[Range]) -> Table:
    """What must be equal for a search to go on."""
    digest = hashlib.sha256()
    rest = bench.rest
    for array in (rest.counts[:: max(1, len(rest.counts) // 64)], rest.estimate.positions, rest.estimate.probe):
        digest.update(np.ascontiguousarray(array).tobytes())
    apart = {"output": True, "compilation_cache": True, "memory": True, "data": {"file"}}
    return {
        "configuration": bench.config.model_dump(exclude=apart, mode="json"),
        "data": digest.hexdigest(),
        "ranges": [[one.name, one.low, one.high] for one in ranges],
    }


def check_size(size: Size) -> None:
    """Refuse a search that is none.

    Args:
        size: of it.

    Raises:
        ConfigError: no trial, no epoch, no time.
    """
    for name in ("trials", "epochs"):
        if getattr(size, name) < 1:
            raise ConfigError(f"{name}: {getattr(size, name)}; expected 1 or more. Allow at least one.")
    if size.minutes is not None and not 0 < size.minutes < math.inf:
        raise ConfigError(f"minutes: {size.minutes:g}; expected a time above 0. Correct it, or leave it out.")


def _silent(message: str) -> None:
    """Say nothing."""


def _unannounced(what: str, done: int, total: int) -> None:
    """Wait in silence."""
