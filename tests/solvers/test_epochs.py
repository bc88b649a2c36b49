"""What asks a run to stop after its epoch, and what is as it was afterwards."""

import signal
from collections.abc import Iterator

import pytest

from jptycho.solvers.epochs import NOTICES, interruptible


@pytest.fixture(autouse=True)
def _own_handlers() -> Iterator[None]:
    """Nobody else's; as they were afterwards."""
    numbers = (signal.SIGINT, *NOTICES)
    before = {number: signal.getsignal(number) for number in numbers}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in NOTICES:
        signal.signal(number, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, *NOTICES])
def test_a_signal_asks_for_a_stop_and_is_given_back(number: signal.Signals):
    before = signal.getsignal(number)
    with interruptible() as stop:
        assert not stop()
        signal.raise_signal(number)
        assert stop()
    assert signal.getsignal(number) is before


def test_a_second_ctrl_c_interrupts_and_a_second_notice_does_not():
    with interruptible() as stop:
        for number in (*NOTICES, *NOTICES):
            signal.raise_signal(number)
        assert stop()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_a_notice_that_somebody_else_handles_stays_theirs():
    heard = []
    signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    with interruptible() as stop:
        signal.raise_signal(signal.SIGTERM)
        assert not stop()
    assert heard == [signal.SIGTERM]


def test_a_notice_that_the_command_line_made_an_exception_is_taken():
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with interruptible() as stop:
        signal.raise_signal(signal.SIGTERM)
        assert stop()
    assert signal.getsignal(signal.SIGTERM) is signal.default_int_handler
