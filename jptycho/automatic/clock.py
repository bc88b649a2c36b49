"""How long a run may take, and how long what is left to try would take."""

from __future__ import annotations

import dataclasses
import math
import time

import numpy as np

from jptycho.config.run import Config
from jptycho.diagnostics.cost import COMPILING, NETWORK_COMPILING, NETWORK_EPOCH, estimate_cost
from jptycho.errors import ConfigError
from jptycho.preprocess.memory import RunShape
from jptycho.preprocess.prepare import Problem
from jptycho.solvers.epochs import Record


@dataclasses.dataclass(frozen=True)
class Pace:
    """What a fit of pixels took.

    Attributes:
        epoch: seconds of one epoch, of one slice and mode.
        overhead: seconds besides the epochs: compilation, filter, validation.
    """

    epoch: float
    overhead: float


@dataclasses.dataclass(frozen=True)
class Clock:
    """The time of a run.

    Attributes:
        started: reading of ``time.perf_counter`` from which seconds are counted.
        limit: seconds that the run may take; infinite for no limit.
    """

    started: float
    limit: float = math.inf

    @property
    def elapsed(self) -> float:
        """Seconds so far."""
        return time.perf_counter() - self.started

    def lacks(self, needed: float, reserved: float = 0.0) -> str:
        """Why something is not begun, in words; empty where there is time for it."""
        left = self.limit - self.elapsed - reserved
        if needed <= left:
            return ""
        return f"takes some {needed:.0f} s, and {max(0.0, left):.0f} s are left for it of {self.limit:.0f} s"


def predicted_pace(problem: Problem) -> Pace:
    """What pixels will take, before any epoch has been timed.

    Args:
        problem: the scan made ready.

    Returns:
        within a factor of two or so.
    """
    rows, columns = problem.estimate.object.shape[-2:]
    cost = estimate_cost(problem.dataset, (rows, columns), RunShape(half_sets=not problem.undivided))
    return Pace(cost.epoch_seconds, COMPILING)


def measured_pace(history: tuple[Record, ...], stage: str, seconds: float, waves: int) -> Pace:
    """What pixels took.

    Args:
        history: of the run.
        stage: of which the epochs are taken.
        seconds: that all took, besides epochs too.
        waves: slices times modes.

    Returns:
        their pace.

    Example:
        >>> took = [Record("pixels", n, 3, 1.0, 0.1, 10.0 + n) for n in (1, 2, 3)]
        >>> measured_pace(tuple(took), "pixels", 16.0, 2)
        Pace(epoch=0.5, overhead=13.0)
    """
    times = [record.seconds for record in history if record.stage == stage]
    epoch = float(np.median(np.diff(times))) if len(times) > 1 else seconds / max(1, len(times))
    return Pace(epoch / waves, max(0.0, seconds - len(times) * epoch))


def seconds_of_pixels(pace: Pace, epochs: int, waves: int) -> float:
    """What pixels will take: epochs of some slices and modes."""
    return pace.overhead + epochs * waves * pace.epoch


def seconds_of_networks(pace: Pace, config: Config) -> float:
    """What networks and their polish will take."""
    dgp, waves = config.dgp, config.object.slices * config.probe.modes
    each = (NETWORK_EPOCH + waves) * pace.epoch
    polish = (2 * dgp.polish_epochs) * waves * pace.epoch
    return NETWORK_COMPILING * pace.overhead + dgp.epochs * int(dgp.ensemble_size) * each + polish


def check_time(limit: float, pace: Pace) -> None:
    """Refuse a limit in which not even one epoch fits.

    Args:
        limit: seconds that the run may take.
        pace: of pixels.

    Raises:
        ConfigError: there is not enough time.
    """
    least = seconds_of_pixels(pace, 1, 1)
    if limit < least:
        raise ConfigError(
            f"automatic.minutes: {limit / 60:g}, but one epoch takes some {least:.0f} s, compilation included. "
            f"Allow at least {math.ceil(least / 6) / 10:g}."
        )
