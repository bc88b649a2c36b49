"""The command line called within the tests' own process: starting another takes seconds."""

import contextlib
import io
import signal
import subprocess
import sys
from pathlib import Path

from jptycho.cli.main import main


def call(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """What ``jptycho`` says and how it ends, called in a folder."""
    out, err = io.StringIO(), io.StringIO()
    handler, arguments, code = signal.getsignal(signal.SIGINT), sys.argv, 0
    try:
        with contextlib.chdir(folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            sys.argv = ["jptycho", *words]
            try:
                main()
            except SystemExit as ended:
                code = int(ended.code or 0)
    finally:
        sys.argv = arguments
        signal.signal(signal.SIGINT, handler)
    return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())
