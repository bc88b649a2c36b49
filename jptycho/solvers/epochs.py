"""The one impure place among the solvers: runs epochs, reports, stops, and survives an interruption."""

from __future__ import annotations

import dataclasses
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from jptycho.errors import DivergenceError
from jptycho.solvers.base import Metrics, ScanData, Solver, State, epoch
from jptycho.solvers.streaming import StreamedScan, streamed_epoch
from jptycho.types import Array, Constants

DONE, INTERRUPTED = "done", "interrupted"


@dataclasses.dataclass(frozen=True)
class Record:
    """One epoch as it is reported.

    Attributes:
        stage: such as ``"pixels"`` or ``"dgp"``.
        epoch: number within the stage, from 1.
        epochs: that the stage will have.
        loss: mean over patterns.
        amplitude_error: √(Σ(√I - √y)² / Σy).
        seconds: since the run began, compilation and earlier stages included.
        validation_loss: mean loss over held-out electrons; not a number where none are.
        noise: loss that noise alone would give, expected of the same loss at the predicted rates.
    """

    stage: str
    epoch: int
    epochs: int
    loss: float
    amplitude_error: float
    seconds: float
    validation_loss: float = math.nan
    noise: float = math.nan


Watch = Callable[[Record, State], None]
Announce = Callable[[str, int, int], None]
"""Called with what a run does where no epoch is reported, how much of it is done, and of how much: 0 where unknown."""
Validate = Callable[[State], tuple[Array, Array]]
"""Gives the held-out loss of a state, and the loss that noise alone would give."""


NOTICES = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGUSR1") if hasattr(signal, name))
"""What a batch system sends before it ends a job."""


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Turn the first Ctrl-C into a request to stop after the epoch; a second one interrupts at once.

    The notice of a batch system, SIGTERM or SIGUSR1, asks too, where nobody else handles it; it may come often.

    Yields:
        a function that says whether to stop.
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return

    def ask(signum: int, frame: object) -> None:
        if asked.is_set() and signum == signal.SIGINT:
            raise KeyboardInterrupt
        asked.set()

    nobody = (signal.SIG_DFL, signal.default_int_handler)
    free = [number for number in NOTICES if signal.getsignal(number) in nobody]
    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, *free)}
    try:
        yield asked.is_set
    finally:
        for number, handler in before.items():
            if handler is not None:  # else it was not set from Python
                signal.signal(number, handler)


@dataclasses.dataclass(frozen=True)
class EpochLoop:
    """The epochs of a stage: everything that :func:`run_epochs` needs besides the state.

    Attributes:
        name: such as ``"pixels"`` or ``"dgp"``.
        solver: its settings.
        mesh: devices.
        constants: of the representations.
        data: the scan on its devices, or what reads it in every epoch.
        epochs: in all.
        started: clock reading at the run's start.
        advice: what to do where it diverges.
        validate: of a state, or None.
        has_validation: whether its held-out loss is a number.
        announce: told that the first epoch is compiled.
    """

    name: str
    solver: Solver
    mesh: Mesh
    constants: Constants
    data: ScanData | StreamedScan
    epochs: int
    started: float
    advice: str = "Lower its rates."
    validate: Validate | None = None
    has_validation: bool = False
    announce: Announce = lambda what, done, total: None


def run_epochs(
    loop: EpochLoop, state: State, callback: Watch, stop: Callable[[], bool], enough: Callable[[], bool] = lambda: False
) -> tuple[State, str]:
    """Run epochs until the loop's number is reached, a stop is asked for or more would not help.

    There is one host sync an epoch.

    Args:
        loop: what to run.
        state: to start from; its arrays are donated.
        callback: called after each epoch.
        stop: asked before the first epoch and after each.
        enough: asked before each epoch; ends the stage as done.

    Returns:
        the last state and ``"done"`` or ``"interrupted"``.

    Raises:
        DivergenceError: the loss, or that of held-out electrons, is not finite.
    """
    first = int(state.epoch) + 1
    if first <= loop.epochs and stop():  # asked for since the stage before
        return state, INTERRUPTED
    for number in range(first, loop.epochs + 1):
        if enough():
            return state, DONE
        if number == first:
            loop.announce(f"{loop.name}: compiling", 0, 0)
        state, metrics = _epoch(loop, state)
        validated = (jnp.nan, jnp.nan) if loop.validate is None else loop.validate(state)
        metrics, validated = jax.device_get((metrics, validated))
        loss, error = float(metrics.loss), float(metrics.amplitude_error)
        if not metrics.finite:
            raise DivergenceError(f"loss: not finite in epoch {number} of {loop.name}. {loop.advice}")
        if loop.has_validation and not math.isfinite(validated[0]):
            raise DivergenceError(f"held-out loss: not finite in epoch {number} of {loop.name}. {loop.advice}")
        seconds = time.perf_counter() - loop.started
        callback(Record(loop.name, number, loop.epochs, loss, error, seconds, *map(float, validated)), state)
        if stop() and number < loop.epochs:
            return state, INTERRUPTED
    return state, DONE


def _epoch(loop: EpochLoop, state: State) -> tuple[State, Metrics]:
    """One epoch, of patterns in memory or read meanwhile."""
    if isinstance(loop.data, StreamedScan):
        return streamed_epoch(loop.solver, loop.mesh, state, loop.constants, loop.data)
    return epoch(loop.solver, loop.mesh, state, loop.constants, loop.data)
