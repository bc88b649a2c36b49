"""What the trials of a search say together: the best, its error, and by how much it is better."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np

from jptycho.automatic.judge import Comparison, compare
from jptycho.automatic.search.journal import Trial
from jptycho.automatic.search.parabola import find_vertex
from jptycho.automatic.search.ranges import KEYS, Range
from jptycho.errors import ConfigError
from jptycho.solvers.epochs import DONE

END = 0.02
"""Share of a range that counts as its end."""


@dataclasses.dataclass(frozen=True)
class Found:
    """What a search found.

    Attributes:
        values: of the best trial, by name: of those that chance alone may have put behind the lowest score, the one
            nearest the minimum of a parabola, where there is one.
        errors: standard error of each setting that is no whole number, as a parabola through the best trials has it;
            empty where there is none that could be trusted. By the noise of what judges and what the parabola leaves of
            the scores, as if that were noise: where these are lopsided it is too small, by 1.1 to 1.8 in simulated
            searches. What the runs' model gets wrong is not in it.
        score: mean loss of the best trial on unseen electrons.
        over_second: how much better it predicts them than the best of all others; None where there is none.
        over_given: than the settings as given; None where these were not tried. The best was chosen by these electrons:
            of n trials that are alike the best leads the first by some √(2 ln n) standard errors, 2.6 of 30.
        ranges: that were searched.
        given: values as settings and scan say.
        trials: every one, in its order.
        status: ``"done"``, or ``"interrupted"`` by the user.
    """

    values: dict[str, float]
    errors: dict[str, float]
    score: float
    over_second: Comparison | None
    over_given: Comparison | None
    ranges: tuple[Range, ...]
    given: dict[str, float]
    trials: tuple[Trial, ...]
    status: str = DONE


@dataclasses.dataclass(frozen=True)
class Plan:
    """How a search goes.

    Attributes:
        ranges: of what is searched over.
        given: values as settings and scan say: the first trial, where they lie within.
        trials: how many.
        limit: seconds after which none is begun.
        seed: of what is tried.
    """

    ranges: tuple[Range, ...]
    given: dict[str, float]
    trials: int
    limit: float = math.inf
    seed: int = 0


def vertex_of(
    ranges: Sequence[Range], done: Sequence[Trial], best: Trial
) -> tuple[dict[str, float], dict[str, float]] | None:
    """Where a parabola through the best trials is lowest, of what is no whole number.

    Args:
        ranges: of what is searched over.
        done: what was tried.
        best: of them; the parabola goes through trials with the same whole numbers.

    Returns:
        values and their errors by name; None where no parabola can be trusted.
    """
    free = [one for one in ranges if not one.whole]
    whole = [one.name for one in ranges if one.whole]
    alike = [t for t in done if t.ended and all(t.values[name] == best.values[name] for name in whole)]
    if not free:
        return None
    low, width = np.array([one.low for one in free]), np.array([one.high - one.low for one in free])
    points = np.array([[t.values[one.name] for one in free] for t in alike])
    found = find_vertex((points - low) / width, np.stack([t.losses for t in alike]))
    if found is None:
        return None
    place = np.clip(low + width * found.place, low, low + width)
    names = [one.name for one in free]
    errors = (float(error) for error in width * found.errors)
    return dict(zip(names, map(float, place), strict=True)), dict(zip(names, errors, strict=True))


def best_of(done: Sequence[Trial]) -> Trial | None:
    """The trial that predicts unseen electrons best.

    Args:
        done: what was tried.

    Returns:
        the trial; None where none has a score.
    """
    return min((trial for trial in done if trial.ended), key=lambda trial: trial.score, default=None)


def conclude(plan: Plan, done: Sequence[Trial], status: str) -> Found:
    """What trials say together.

    Args:
        plan: how the search went.
        done: what was tried.
        status: how it ended.

    Returns:
        what was found.

    Raises:
        ConfigError: no trial ended.
    """
    best = best_of(done)
    if best is None:
        why = f"; the last: {done[-1].failed}" if done else ""
        raise ConfigError(f"search: none of {len(done)} trials ended{why}. Narrow the ranges, or correct the settings.")
    vertex = vertex_of(plan.ranges, done, best)
    best = best if vertex is None else _nearest(done, best, *vertex)
    second = best_of([trial for trial in done if trial is not best])
    given = next((trial for trial in done if trial.ended and dict(trial.values) == plan.given), None)
    return Found(
        values=dict(best.values),
        errors={} if vertex is None else _errors(best, *vertex),
        score=best.score,
        over_second=None if second is None else compare(second.losses, best.losses),
        over_given=None if given is None else compare(given.losses, best.losses),
        ranges=plan.ranges,
        given=plan.given,
        trials=tuple(done),
        status=status,
    )


def _nearest(done: Sequence[Trial], best: Trial, place: Mapping[str, float], errors: Mapping[str, float]) -> Trial:
    """Of the trials that chance alone may have put behind the best, the one nearest the minimum of the parabola.

    All trials say where that is, and one score alone where the best is: runs that differ by little scatter in theirs.
    In searches of three recordings the rotation of the lowest score was off by 0.1, 0.4 and 0.9°, that of the nearest
    by at most 0.3°.
    """
    kept = [
        trial
        for trial in done
        if trial.ended
        and all(trial.values[name] == value for name, value in best.values.items() if name not in place)
        and (trial is best or compare(trial.losses, best.losses).significance < 1)
    ]
    least = 1e-12
    return min(kept, key=lambda t: sum(((t.values[n] - place[n]) / max(errors[n], least)) ** 2 for n in place))


def _errors(best: Trial, place: Mapping[str, float], errors: Mapping[str, float]) -> dict[str, float]:
    """Of the best trial's values: that of the parabola's minimum, and how far from it they are."""
    return {name: math.hypot(error, best.values[name] - place[name]) for name, error in errors.items()}


def at_an_end(found: Found) -> tuple[Range, ...]:
    """Ranges at an end of which the best lies, so that a better one may lie beyond.

    Args:
        found: of a search.

    Returns:
        those of them that do not end where nothing lies beyond.
    """
    near = []
    for one in found.ranges:
        value, key, reach = found.values[one.name], KEYS[one.name], 0.0 if one.whole else END * (one.high - one.low)
        if (value <= one.low + reach and one.low > key.least) or (value >= one.high - reach and one.high < key.most):
            near.append(one)
    return tuple(near)


def in_words(values: Mapping[str, float]) -> str:
    """Values with their units.

    Args:
        values: by name.

    Returns:
        one line.

    Example:
        >>> in_words({"defocus": 200.0, "modes": 2.0})
        'defocus 200 Å, modes 2'
    """
    return ", ".join(f"{name} {value:.5g} {KEYS[name].unit}".rstrip() for name, value in values.items())
