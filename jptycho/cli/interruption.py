"""Ctrl-C at the command line before anything is written: one line instead of a traceback.

Imported before all else, and itself importing nothing but the standard library: loading JAX takes a second.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import NoReturn

COMMAND, MODULE = "jptycho", "jptycho.cli"
INTERRUPTED = 130  # exit code of a command that Ctrl-C has ended: 128 + SIGINT
NOTHING = "nothing was written"
NOTICES = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGUSR1") if hasattr(signal, name))
"""What a batch system sends before it ends a job."""


def guard() -> None:
    """Let Ctrl-C end the process at once, with one line; where it is ignored it stays so."""
    in_main = threading.current_thread() is threading.main_thread()
    if in_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)


def release() -> bool:
    """Let Ctrl-C be an exception again, for what must be cleaned up; so are the notices of batch systems.

    Returns:
        whether the process was guarded.
    """
    guarded = signal.getsignal(signal.SIGINT) is _end
    if guarded:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for number in NOTICES:
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, signal.default_int_handler)
    return guarded


def say_nothing() -> None:
    """Let Ctrl-C end the process at once and without a word: all has been said."""
    for number in (signal.SIGINT, *NOTICES):
        signal.signal(number, signal.SIG_DFL)


@contextlib.contextmanager
def in_one_line(left: Callable[[], str]) -> Iterator[None]:
    """While something may be half written Ctrl-C is an exception, so that it is removed; it ends with one line.

    Args:
        left: says what the command leaves, and what to do.

    Yields:
        nothing.
    """
    guarded = release()
    try:
        yield
    except KeyboardInterrupt:
        if not guarded:
            raise
        end(left())
    if guarded:
        say_nothing()


def is_command() -> bool:
    """Whether this process was started as the command line, and not by somebody who imports the library.

    Returns:
        whether.
    """
    arguments = sys.orig_argv
    as_module = any(arguments[i : i + 2] == ["-m", MODULE] for i in range(1, len(arguments) - 1))
    return as_module or Path(sys.argv[0] if sys.argv else "").stem == COMMAND


def end(left: str) -> NoReturn:
    """Say what is left and leave at once: compilations under way would outlive the end of the interpreter badly.

    Args:
        left: by the command, and what to do.
    """
    for number in (signal.SIGINT, *NOTICES):
        signal.signal(number, signal.SIG_IGN)  # one line, however often
    with contextlib.suppress(OSError):  # whoever read may be gone
        sys.stdout.flush()
    os.write(2, f"interrupted: {left}\n".encode())
    os._exit(INTERRUPTED)


def _end(signum: int, frame: FrameType | None) -> None:
    """An exception could be swallowed, or become another, in the middle of an import."""
    os.write(2, f"interrupted: {NOTHING}\n".encode())
    os._exit(INTERRUPTED)


if is_command():
    guard()
