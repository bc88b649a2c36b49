"""Damaged files of every format end in a message: no other exception, no signal, no memory beyond what there is."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from jptycho.data.readers import crash_safe
from jptycho.data.readers.crash_safe import check_hdf5
from jptycho.errors import FormatError

from .mutate import ALL
from .samples import SAMPLES

ROOT = Path(__file__).parents[3]
QUICK, MANY = 2, 100
"""Files of each format."""


def outcomes(folder: Path, count: int, seed: int) -> dict[str, dict[str, int]]:
    """What comes of damaged files of every format, by another process."""
    command = [sys.executable, "-m", "tests.data.readers.mutate", str(folder / "damaged"), str(count), str(seed)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    last = (folder / "damaged" / "now").read_text()
    assert done.returncode == 0, f"ended by {done.returncode} over {last}: {done.stderr[-1000:]}"
    return json.loads(done.stdout)


def expect_only_messages(found: dict[str, dict[str, int]], count: int) -> None:
    assert set(found) == set(ALL)
    for name, results in found.items():
        assert set(results) <= {"read", "refused"}, name
        assert sum(results.values()) == count
    # Damage that nobody notices would be none.
    assert sum(results.get("refused", 0) for results in found.values()) > 0.2 * count * len(found)


def test_damaged_files_are_read_or_refused(tmp_path: Path):
    expect_only_messages(outcomes(tmp_path, QUICK, 0), QUICK)


@pytest.mark.slow
def test_many_damaged_files_are_read_or_refused(tmp_path: Path):
    expect_only_messages(outcomes(tmp_path, MANY, 7), MANY)


def test_the_other_process_may_have_ended_for_want_of_work(tmp_path: Path):
    SAMPLES["hdf5"].write(tmp_path / "a.h5")
    SAMPLES["jptycho"].write(tmp_path / "b.h5")
    check_hdf5(tmp_path / "a.h5")
    (process,) = crash_safe._running
    process.terminate()
    process.wait()
    check_hdf5(tmp_path / "b.h5")
    assert crash_safe._running != [process]


PROGRAM = """
import os, sys, json
for line in sys.stdin:
    path = json.loads(line)
    if path.endswith("end.h5"):
        os.kill(os.getpid(), {signal})
    print(json.dumps({{"files": []}}), flush=True)
"""


def test_a_crash_of_the_other_process_is_a_message(tmp_path: Path, monkeypatch):
    """And the next file is looked at by a new one."""
    program = tmp_path / "probe.py"
    program.write_text(PROGRAM.format(signal=int(signal.SIGSEGV)))
    for name in ("end.h5", "good.h5"):
        (tmp_path / name).write_bytes(b"1")
    crash_safe._stop()
    monkeypatch.setattr(crash_safe, "SCRIPT", program)
    with pytest.raises(FormatError, match=r"data\.file: .*end\.h5' cannot be read as HDF5; .* ends too early"):
        check_hdf5(tmp_path / "end.h5")
    check_hdf5(tmp_path / "good.h5")
    crash_safe._stop()


def test_a_file_is_looked_at_once_until_it_changes(tmp_path: Path, monkeypatch):
    path, asked = tmp_path / "a.h5", []
    SAMPLES["hdf5"].write(path)
    ask = crash_safe._ask
    monkeypatch.setattr(crash_safe, "_ask", lambda name: asked.append(name) or ask(name))
    for _ in range(3):
        check_hdf5(path)
    assert asked == [str(path.resolve())]
    path.write_bytes(path.read_bytes()[:-100])
    for _ in range(2):
        with pytest.raises(FormatError, match="truncated"):
            check_hdf5(path, "dgp.start_file")
    assert len(asked) == 2


def test_a_part_of_a_master_file_that_changes_is_looked_at_again(tmp_path: Path):
    SAMPLES["DECTRIS"].write(tmp_path / "a_master.h5")
    check_hdf5(tmp_path / "a_master.h5")
    part = tmp_path / "a_master_data_000002.h5"
    with part.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * 1500)
    with pytest.raises(FormatError, match="cannot be read as HDF5"):
        check_hdf5(tmp_path / "a_master.h5")


def test_where_no_other_process_can_be_started_the_file_is_opened_all_the_same(tmp_path: Path, monkeypatch):
    (tmp_path / "a.h5").write_bytes(b"no HDF5")
    crash_safe._stop()
    monkeypatch.setattr(sys, "executable", "")
    check_hdf5(tmp_path / "a.h5")
