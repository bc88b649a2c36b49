"""Ctrl-C at the command line at any moment: one line that is true, exit code 130, nothing half written."""

import signal
import subprocess
import sys
import threading
import time

import pytest

import jptycho


@pytest.fixture
def run_file(tmp_path, small_scan):
    jptycho.write_scan(tmp_path / "scan.h5", small_scan)

    def write(epochs):
        (tmp_path / "run.toml").write_text(
            f'[data]\nfile = "scan.h5"\n[pixels]\nepochs = {epochs}\n'
            "[output]\nreport = false\ncheckpoint_minutes = 0.0\n"
        )
        return tmp_path

    return write


def interrupt(arguments, ready, times=1, delay=0.0, number=signal.SIGINT):
    """Exit code and stderr of a command that gets Ctrl-C some time after a word appears in its output."""
    child = subprocess.Popen(
        [sys.executable, "-u", "-X", "importtime", "-m", "jptycho.cli", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    alarm = threading.Timer(120, child.kill)
    alarm.start()
    try:
        for line in child.stdout:
            if ready in line:
                break
        for _ in range(times):
            time.sleep(delay)
            child.send_signal(number)
        rest, _ = child.communicate(timeout=120)
    finally:
        alarm.cancel()
        child.kill()
    return child.returncode, [line for line in rest.splitlines() if "import time:" not in line and line.strip()]


@pytest.mark.parametrize("delay", [0.0, 0.1, 0.3, 0.7])
@pytest.mark.parametrize("ready", ["jptycho.cli.interruption", "jptycho.cli.progress"])
def test_ctrl_c_before_anything_is_written_is_one_line(run_file, delay, ready):
    """While modules are loaded, the scan is read, the first epoch is compiled."""
    folder = run_file(100_000)
    code, said = interrupt(["reconstruct", folder / "run.toml"], ready, 1, delay)
    if said[-1].startswith("interrupted: the result is that of the last epoch"):  # it was fast
        return
    assert (code, said[-1]) == (130, "interrupted: nothing was written")
    assert not any("Traceback" in line or "Error" in line or "Aborted" in line for line in said)
    assert sorted(path.name for path in folder.iterdir()) == ["run.toml", "scan.h5"]


TWICE = """
import os, signal, sys
from jptycho.cli import main as cli
def epoch(self, record):
    for _ in range(2 * (record.epoch == 3)):
        os.kill(os.getpid(), signal.SIGINT)
cli.Progress.__call__ = epoch
cli.main()
"""


@pytest.mark.slow
def test_ctrl_c_twice_is_one_line_and_the_same_command_goes_on(run_file):
    folder = run_file(5)
    arguments = ["reconstruct", str(folder / "run.toml")]
    done = subprocess.run([sys.executable, "-c", TWICE, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 130
    onward = f"run the same command again to go on from {folder / 'result.h5.checkpoint'}"
    assert done.stderr.splitlines() == [f"interrupted: no result was written; {onward}"]
    assert not (folder / "result.h5").exists()
    again = subprocess.run(
        [sys.executable, "-m", "jptycho.cli", *arguments], capture_output=True, text=True, check=False
    )
    assert "goes on from the checkpoint after epoch" in again.stdout
    assert len(jptycho.read_result(folder / "result.h5").history["loss"]) == 5


def test_ctrl_c_during_a_simulation_leaves_no_file(tmp_path):
    code, said = interrupt(["simulate", tmp_path / "scan.h5"], "jptycho.cli.progress", 1, 0.2)
    assert (code, said[-1], list(tmp_path.iterdir())) == (130, "interrupted: nothing was written", [])


@pytest.mark.parametrize("name", ["SIGTERM", pytest.param("SIGUSR1", marks=pytest.mark.slow)])
def test_the_notice_of_a_batch_system_ends_after_the_epoch_and_the_same_command_goes_on(run_file, name):
    folder = run_file(100_000)
    code, said = interrupt(["reconstruct", folder / "run.toml"], "epoch 1/", 1, 0.5, getattr(signal, name))
    assert code == 0
    assert said[-1].startswith("interrupted: the result is that of the last epoch; run with --overwrite to go on from")
    assert (folder / "result.h5").exists()


@pytest.mark.slow
def test_ctrl_c_in_a_search_leaves_the_best_so_far_and_it_goes_on(run_file):
    folder = run_file(1)
    words = ["search", folder / "run.toml", "--over", "defocus=60:160", "--trials", "5", "--write", folder / "new.toml"]
    code, said = interrupt(words, "trial 2/5")
    assert code == 0
    assert said[-1].startswith("interrupted: that is the best of ")
    assert "defocus" in (folder / "new.toml").read_text()
    command = [sys.executable, "-m", "jptycho.cli", *map(str, words), "--overwrite"]
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert "goes on behind " in again.stdout
    assert not (folder / "new.toml.search").exists()
