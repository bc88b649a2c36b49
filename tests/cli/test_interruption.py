"""Ctrl-C at the command line: when the process is guarded, and what it says."""

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from jptycho.cli import interruption
from jptycho.cli.interruption import INTERRUPTED, NOTICES, guard, is_command, release, say_nothing

FILE = Path(interruption.__file__)


@pytest.fixture(autouse=True)
def _own_handler() -> Iterator[None]:
    """Python's own at first; as it was afterwards."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in (signal.SIGINT, *NOTICES)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_guarded_process_is_released_once():
    assert not release()
    guard()
    assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    assert release()
    assert not release()
    for number in (signal.SIGINT, *NOTICES):
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)


@pytest.mark.parametrize("other", [signal.SIG_IGN, signal.SIG_DFL, lambda *_: None])
def test_whoever_handles_ctrl_c_already_keeps_it(other):
    signal.signal(signal.SIGINT, other)
    guard()
    assert signal.getsignal(signal.SIGINT) is other
    assert not release()


def test_only_the_main_thread_guards():
    thread = threading.Thread(target=guard)
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_where_all_has_been_said_the_process_just_ends():
    say_nothing()
    assert signal.getsignal(signal.SIGINT) == signal.SIG_DFL


@pytest.mark.parametrize(
    ("started", "first", "own"),
    [
        (["python", "-m", "jptycho.cli", "demo"], "/x/jptycho/cli/__main__.py", True),
        (["python", "-X", "importtime", "-m", "jptycho.cli"], "", True),
        (["/bin/python", "/bin/jptycho", "demo"], "/bin/jptycho", True),
        (["python", "jptycho.exe"], "jptycho.exe", True),
        (["python", "-m", "pytest", "jptycho.cli"], "/x/pytest/__main__.py", False),
        (["python", "mine.py", "jptycho"], "mine.py", False),
        (["python", "-m"], "-m", False),
    ],
)
def test_a_command_is_told_from_a_program_that_imports(
    monkeypatch: pytest.MonkeyPatch, started: list[str], first: str, own: bool
):
    monkeypatch.setattr(sys, "orig_argv", started)
    monkeypatch.setattr(sys, "argv", [first, *started[2:]])
    assert is_command() == own
    monkeypatch.setattr(sys, "argv", [])
    assert is_command() == (own and "-m" in started)


def ended(code: str) -> tuple[int, str, str]:
    """Exit code, output and errors of a process that has only this file of the package."""
    load = (
        "import importlib.util, signal, os; "
        f"spec = importlib.util.spec_from_file_location('interruption', {str(FILE)!r}); "
        "module = importlib.util.module_from_spec(spec); spec.loader.exec_module(module); "
    )
    done = subprocess.run([sys.executable, "-c", load + code], capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, done.stdout, done.stderr


def test_a_guarded_process_ends_with_one_line_even_where_exceptions_are_swallowed():
    code = "module.guard()\ntry:\n    signal.raise_signal(signal.SIGINT)\nexcept BaseException:\n    print('swallowed')"
    assert ended(code) == (INTERRUPTED, "", "interrupted: nothing was written\n")


def test_the_end_says_what_is_left_after_all_that_was_printed():
    code = "print('before', end=''); module.end('a result is in a.h5')"
    assert ended(code) == (INTERRUPTED, "before", "interrupted: a result is in a.h5\n")


def test_the_file_needs_nothing_but_the_standard_library():
    code = "import sys; print('jax' in sys.modules or 'numpy' in sys.modules)"
    assert ended(code)[1] == "False\n"
