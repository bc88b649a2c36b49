"""What looks at HDF5 files in a process of its own: crashes, endless reading and what no file has are answers."""

import json
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from jptycho.data.readers import probe

from .samples import SAMPLES


def answers(*paths: Path) -> list[dict[str, object]]:
    """As the other process gives them."""
    asked = "".join(json.dumps(str(path)) + "\n" for path in paths)
    done = subprocess.run(
        [sys.executable, "-P", probe.__file__], input=asked, capture_output=True, text=True, check=True
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_files_are_answered_in_turn(tmp_path: Path):
    good, cut, none = tmp_path / "a.h5", tmp_path / "cut.h5", tmp_path / "none.h5"
    SAMPLES["hdf5"].write(good)
    cut.write_bytes(good.read_bytes()[:500])
    found = answers(good, cut, none, good)
    assert (found[0], found[3]) == ({"files": []}, {"files": []})
    assert "truncated" in str(found[1]["error"])
    assert "No such file" in str(found[2]["error"])


def test_files_that_belong_to_one_are_named(tmp_path: Path):
    SAMPLES["DECTRIS"].write(tmp_path / "a_master.h5")
    parts = [str(tmp_path / f"a_master_data_00000{n}.h5") for n in (1, 2)]
    assert probe.probe(str(tmp_path / "a_master.h5")) == parts
    Path(parts[1]).unlink()
    assert probe.probe(str(tmp_path / "a_master.h5")) == parts[:1]


def test_groups_that_hold_each_other_come_to_an_end(tmp_path: Path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["a/b"] = h5py.SoftLink("/a")
        file["a/c"], file["gone"] = file["a"], h5py.SoftLink("/nowhere")
        file["text"], file["nothing"] = "words", h5py.Empty("f")
        file.attrs["reference"] = file["a"].ref
    assert probe.probe(str(tmp_path / "a.h5")) == []


def test_more_objects_than_any_scan_has_are_refused(tmp_path: Path, monkeypatch):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for number in range(30):
            file.create_group(f"g{number}")
    monkeypatch.setattr(probe, "OBJECTS", 20)
    assert probe.answer(str(tmp_path / "a.h5")) == {"error": "more objects than any scan has"}


def test_of_a_large_array_first_and_last_part_are_read(tmp_path: Path, monkeypatch):
    noise = np.random.default_rng(0).integers(0, 255, (20, 30, 16), np.uint8)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        stored = file.create_dataset("dp", data=noise, chunks=(1, 30, 16), compression="gzip", fletcher32=True)
        places = [stored.id.get_chunk_info(n).byte_offset + 50 for n in (0, 9, 19)]
    whole = (tmp_path / "a.h5").read_bytes()
    monkeypatch.setattr(probe, "SMALL", 1000)
    for place, seen in zip(places, (True, False, True), strict=True):
        damaged = bytearray(whole)
        damaged[place] ^= 0xFF
        (tmp_path / "b.h5").write_bytes(damaged)
        assert ("error" in probe.answer(str(tmp_path / "b.h5"))) is seen
    monkeypatch.undo()
    assert "error" not in probe.answer(str(tmp_path / "a.h5"))


BADLY = """
import os, signal, sys, time
sys.path.insert(0, {folder!r})
import probe
probe.probe, probe.SECONDS = (lambda path: {act}), 1
sys.stdout.write(probe.in_child("a.h5"))
"""


@pytest.mark.parametrize(
    ("act", "words"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", "the HDF5 library crashes"),
        ("time.sleep(60)", "the HDF5 library does not come to an end"),
        ("bytearray(2**40)", "MemoryError"),
    ],
)
def test_a_child_that_ends_badly_is_an_answer(act: str, words: str):
    program = BADLY.format(folder=str(Path(probe.__file__).parent), act=act)
    done = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True, timeout=20)
    assert json.loads(done.stdout) == {"error": words}
