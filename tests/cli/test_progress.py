"""What a run prints: nothing is silent, and the loss stands beside what noise alone would give."""

import io
import time

import pytest
from rich.console import Console

from jptycho.cli import progress
from jptycho.cli.progress import Progress
from jptycho.solvers.epochs import Record


@pytest.fixture
def quick(monkeypatch):
    """The same in a tenth of the time."""
    monkeypatch.setattr(progress, "QUIET_SECONDS", 0.4)
    monkeypatch.setattr(progress, "PATIENCE", 0.1)
    monkeypatch.setattr(progress, "BEAT", 0.05)


def shown(act, terminal=False):
    text = io.StringIO()
    with Progress(Console(file=text, force_terminal=terminal, width=200)) as bar:
        act(bar)
    return text.getvalue()


@pytest.mark.usefixtures("quick")
def test_a_phase_that_says_nothing_is_shown_and_goes_on_being_shown():
    def act(bar):
        bar.announce("dgp: compiling", 0, 0)
        time.sleep(1.2)

    lines = shown(act).splitlines()
    assert len(lines) >= 2
    assert all(line.startswith("dgp: compiling  ") for line in lines)


@pytest.mark.usefixtures("quick")
def test_a_short_phase_is_not_worth_a_line_and_progress_counts():
    assert shown(lambda bar: bar.announce("writing", 0, 0)) == ""

    def act(bar):
        for done in range(12):
            bar.announce("pre-training", done, 12)
            time.sleep(0.1)

    lines = shown(act).splitlines()
    assert 2 <= len(lines) <= 4
    counted = [int(line.split()[1].split("/")[0]) for line in lines]
    assert counted == sorted(set(counted))
    assert counted[-1] >= 6


def test_an_epoch_shows_loss_noise_and_what_is_held_out():
    text = shown(lambda bar: bar(Record("dgp", 1, 8, 1.0512, 1.05, 3.0, 0.98, 1.0471)))
    assert "dgp epoch 1/8  loss 1.0512 (noise alone 1.047)  error 1.0500  held out 0.98" in text
    plain = shown(lambda bar: bar(Record("pixels", 1, 8, 0.5, 0.7, 3.0)))
    assert "noise" not in plain
    assert "held out" not in plain


def test_a_terminal_is_left_clean():
    def act(bar):
        bar.announce("reading the scan", 0, 0)
        bar(Record("pixels", 1, 2, 0.5, 0.7, 3.0))
        bar(Record("pixels", 2, 2, 0.4, 0.6, 4.0))

    text = shown(act, terminal=True)
    assert "pixels epoch 2/2  loss 0.4" in text
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")  # the cursor is shown again
