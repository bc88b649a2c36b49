"""What a run prints while it goes: a line that is renewed on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time

from rich.console import Console
from rich.status import Status

from jptycho.solvers.loop import Record

QUIET_SECONDS = 5.0  # between lines where there is no terminal


class Progress:
    """Prints epoch, loss, speed and time left."""

    def __init__(self, console: Console) -> None:
        """Start with nothing shown."""
        self._console = console
        self._status: Status | None = None
        self._last: Record | None = None
        self._printed = 0.0

    def __enter__(self) -> Progress:
        """Nothing is shown before the first epoch."""
        return self

    def __exit__(self, *_: object) -> None:
        """The terminal is left as it was, whatever happened."""
        self.close()

    def __call__(self, record: Record) -> None:
        """Show an epoch."""
        previous = self._last if self._last and self._last.stage == record.stage else None
        self._last = record
        text = f"{record.stage} epoch {record.epoch}/{record.epochs}  loss {record.loss:.5g}  error {record.error:.4f}"
        if previous and record.seconds > previous.seconds:
            pace = record.seconds - previous.seconds
            text += f"  {pace:.2f} s/epoch  {pace * (record.epochs - record.epoch):.0f} s left"
        if self._console.is_terminal:
            if self._status is None:
                self._status = self._console.status(text)
                self._status.start()
            self._status.update(text)
        elif record.epoch in (1, record.epochs) or time.monotonic() - self._printed > QUIET_SECONDS:
            self._console.print(text)
            self._printed = time.monotonic()
        if record.epoch == record.epochs:
            self.close()
            if self._console.is_terminal:
                self._console.print(text)

    def close(self) -> None:
        """Remove the line."""
        if self._status is not None:
            self._status.stop()
            self._status = None
