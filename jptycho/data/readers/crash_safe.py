"""Asks another process whether an HDF5 file can be read, before this one opens it."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

from jptycho.errors import FormatError

Stamp = tuple[str, int, int]
"""Path, size and time of the last change."""
SCRIPT = Path(__file__).with_name("probe.py")
_lock = threading.Lock()
_running: list[subprocess.Popen[str]] = []
_known: dict[Stamp, tuple[list[Stamp], str | None]] = {}


def check_hdf5(path: Path, argument: str = "data.file") -> None:
    """Refuse a file over which the HDF5 library fails, crashes or never returns.

    The file is read in another process first, once for as long as neither it nor a file that belongs to it changes.

    Args:
        path: of an existing file.
        argument: that gave the path.

    Raises:
        FormatError: it cannot be read.
    """
    here = _stamp(str(path.resolve()))
    with _lock:
        others, wrong = _known.get(here, ([], None))
        if here not in _known or any(_stamp(other[0]) != other for other in others):
            files, wrong = _ask(here[0])
            _known[here] = [_stamp(name) for name in files], wrong
    if wrong is not None:
        raise FormatError(
            f"{argument}: {str(path)!r} cannot be read as HDF5; it is truncated or of another format ({wrong}). "
            "Copy it again from its origin."
        )


def _stamp(path: str) -> Stamp:
    """What tells that a file has not changed."""
    try:
        found = os.stat(path)
    except OSError:
        return path, -1, -1
    return path, found.st_size, found.st_mtime_ns


def _ask(path: str) -> tuple[list[str], str | None]:
    """Further files that belong to one, and what is wrong with it, as the other process says."""
    for _ in range(2):  # it ends by itself when it has nothing to do for a while
        process = _process()
        if process is None or process.stdin is None or process.stdout is None:
            return [], None
        try:
            process.stdin.write(json.dumps(path) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except OSError:
            line = ""
        if line:
            said = json.loads(line)
            return said.get("files", []), said.get("error")
        _stop()
    return [], "the process that looks at it ends too early"


def _process() -> subprocess.Popen[str] | None:
    """The other process; None where there can be none: without ``fork`` it could not survive a crash itself."""
    if not _running and sys.executable and hasattr(os, "fork"):
        _running.append(
            subprocess.Popen(
                [sys.executable, "-P", str(SCRIPT)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        )
    return _running[0] if _running else None


@atexit.register
def _stop() -> None:
    """End the other process."""
    while _running:
        process = _running.pop()
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):  # what it was not told any more
                if pipe is not None:
                    pipe.close()
