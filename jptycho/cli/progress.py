"""What a run prints while it goes: a line that is renewed on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import math
import threading
import time

from rich.console import Console
from rich.status import Status

from jptycho.solvers.epochs import Record

QUIET_SECONDS = 5.0  # between lines where there is no terminal
BEAT = 0.5  # seconds between two looks at a phase
PATIENCE = 1.0  # seconds after which a phase that goes on is shown where there is no terminal


class Progress:
    """Prints epoch, loss, speed and time left; and, while no epoch is reported, what is done and for how long."""

    def __init__(self, console: Console) -> None:
        """Start with nothing shown."""
        self._console = console
        self._status: Status | None = None
        self._last: Record | None = None
        self._printed = 0.0
        self._phase, self._part, self._since = "", "", 0.0
        self._lock, self._over = threading.Lock(), threading.Event()

    def __enter__(self) -> Progress:
        """From here on a phase that goes on is shown even while it does not report."""
        threading.Thread(target=self._beat, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """The terminal is left as it was, whatever happened."""
        self._over.set()
        self.close()

    def announce(self, what: str, done: int, total: int) -> None:
        """Show what is done while no epoch is reported."""
        with self._lock:
            if what != self._phase:
                self._phase, self._since = what, time.monotonic()
                self._printed = self._since - QUIET_SECONDS + PATIENCE
            self._part = f" {done}/{total}" if total else ""
            self._show_phase()

    def __call__(self, record: Record) -> None:
        """Show an epoch."""
        with self._lock:
            self._phase = ""
            text = self._text(record)
            if self._console.is_terminal:
                self._renew(text)
            elif record.epoch in (1, record.epochs) or time.monotonic() - self._printed > QUIET_SECONDS:
                self._console.print(text)
                self._printed = time.monotonic()
        if record.epoch == record.epochs:
            self.close()
            if self._console.is_terminal:
                self._console.print(text)

    def close(self) -> None:
        """Remove the line."""
        with self._lock:
            self._phase = ""
            if self._status is not None:
                self._status.stop()
                self._status = None

    def _text(self, record: Record) -> str:
        previous = self._last if self._last and self._last.stage == record.stage else None
        self._last = record
        noise = "" if math.isnan(record.noise) else f" (noise alone {record.noise:.4g})"
        text = f"{record.stage} epoch {record.epoch}/{record.epochs}  loss {record.loss:.5g}{noise}"
        text += f"  error {record.amplitude_error:.4f}"
        if not math.isnan(record.validation_loss):
            text += f"  held out {record.validation_loss:.5g}"
        if previous and record.seconds > previous.seconds:
            pace = record.seconds - previous.seconds
            text += f"  {pace:.2f} s/epoch  {pace * (record.epochs - record.epoch):.0f} s left"
        return text

    def _beat(self) -> None:
        while not self._over.wait(BEAT):
            with self._lock:
                self._show_phase()

    def _show_phase(self) -> None:
        if not self._phase:
            return
        now = time.monotonic()
        text = f"{self._phase}{self._part}  {now - self._since:.0f} s"
        if self._console.is_terminal:
            self._renew(text)
        elif now - self._printed > QUIET_SECONDS:
            self._console.print(text)
            self._printed = now

    def _renew(self, text: str) -> None:
        if self._status is None:
            self._status = self._console.status(text)
            self._status.start()
        self._status.update(text)
