"""Wrong input at the command line: one message that helps, exit code 2, nothing written."""

import subprocess
import sys
import tomllib

import h5py
import numpy as np
import pytest

import jptycho
from tests.cli.calling import call

GOOD = {
    "energy": 300e3,
    "semiangle_cutoff": 20.0,
    "defocus": 100.0,
    "step": 1.2,
    "reciprocal_sampling": 0.078125,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    where = tmp_path_factory.mktemp("wrong")
    rng = np.random.default_rng(0)
    disk = np.zeros((32, 32))
    disk[10:23, 10:23] = 4
    counts = rng.poisson(disk, (6, 7, 32, 32)).astype(np.float32)
    np.save(where / "good.npy", counts)
    for name, value in (("nan", np.nan), ("negative", -2)):
        bad = counts.copy()
        bad[2, 3, 4, 5] = value
        np.save(where / f"{name}.npy", bad)
    np.save(where / "zero.npy", np.zeros_like(counts))
    np.save(where / "list.npy", counts.reshape(42, 32, 32))
    with h5py.File(where / "whole.h5", "w") as file:
        file["dp"] = counts
        file["blind"] = np.ones((32, 32))
        file["blind"][2:31, 2:31] = 0.0
    (where / "truncated.h5").write_bytes((where / "whole.h5").read_bytes()[:5000])
    (where / "occupied.h5").write_bytes(b"precious")
    return where


def toml(value):
    return str(value).lower() if isinstance(value, bool) else repr(value).replace("(", "[").replace(")", "]")


def configure(folder, file="good.npy", text="", output="out.h5", **data):
    """The TOML of a run; what stands before ``---`` in the text comes first."""
    lines = [f"{k} = {toml(v)}" for k, v in {**GOOD, **data}.items() if v is not None]
    head, _, tail = text.partition("---")
    table = [head, "[data]", f'file = "{file}"', *lines, "[output]", f'file = "{output}"', "report = false", tail]
    (folder / "run.toml").write_text("\n".join(table))


def call_in_a_process(folder, *words):
    """The command line as a shell starts it."""
    command = [sys.executable, "-m", "jptycho.cli", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, cwd=folder)


def run(folder, start=call, **given):
    """How a run ends, and whether the folder is as it was."""
    configure(folder, **given)
    before = sorted(p.name for p in folder.iterdir())
    done = start(folder, "reconstruct", "run.toml")
    return done, before == sorted(p.name for p in folder.iterdir())


CASES = {
    "energy in keV": ({"energy": 300.0}, ["data.energy", "eV", "300", "Did you mean 300000?"]),
    "step 100 times too large": ({"step": 120.0}, ["data.step", "120 Å", "do not overlap", "units"]),
    "semiangle in rad times 1e6": ({"semiangle_cutoff": 2000.0}, ["data.semiangle_cutoff", "mrad", "detector ends"]),
    "NaN": ({"file": "nan.npy"}, ["counts", "1 not finite", "pattern 17"]),
    "negative": ({"file": "negative.npy"}, ["counts", "1 negative", "pattern 17"]),
    "no electrons": ({"file": "zero.npy"}, ["counts", "zeros only"]),
    "scan shape": ({"scan_shape": (6, 8)}, ["data.scan_shape", "48 patterns", "42"]),
    "list without shape": ({"file": "list.npy"}, ["data.scan_shape", "list of 42"]),
    "batch larger than the scan": ({"text": "---[pixels]\nbatch = 64"}, ["pixels.batch", "64", "42 patterns"]),
    "missing file": ({"file": "none.npy"}, ["data.file", "no file", "none.npy"]),
    "truncated": ({"file": "truncated.h5"}, ["data.file", "truncated", "Copy it again"]),
    "unknown key": ({"text": "---[pixels]\nepoch = 3"}, ["pixels.epoch", "unknown key", "'epochs'"]),
    "missing energy": ({"energy": None}, ["data.energy", "missing", "eV"]),
    "no detector sampling": ({"reciprocal_sampling": None}, ["data.reciprocal_sampling", "missing"]),
    "DGP without pre-training": (
        {"text": 'method = "dgp"\n---[dgp]\npretrain_steps = 0'},
        ["dgp.pretrain_steps", "would forget the estimate", "pretrain_steps = 40"],
    ),
    "slices without thickness": ({"text": "---[object]\nslices = 3"}, ["object.slice_thickness", "3 slices"]),
    "result exists": ({"output": "occupied.h5"}, ["occupied.h5", "exists", "--overwrite"]),
    "result over the data": ({"output": "good.npy"}, ["output.file", ".h5"]),
    "zero step": ({"step": 0.0}, ["data.step", "greater than 0"]),
    "batch of none": ({"text": "---[pixels]\nbatch = 0"}, ["pixels.batch: expected", "0"]),
    "no defocus": ({"defocus": float("nan")}, ["data.defocus", "finite"]),
    "a gain that the counts contradict": (
        {"counts_per_electron": 40.0},
        ["data.counts_per_electron: 40", "an electron left about", "Correct it"],
    ),
    "a read-out noise that the counts contradict": (
        {"counts_per_electron": 1.0, "read_noise": 9.0},
        ["data.read_noise: 9 electrons", "darkest pixels vary by", "Correct it"],
    ),
    "a mask that leaves no disk": (
        {"file": "whole.h5", "counts": "dp", "mask": "blind"},
        ["data.mask: leaves 0% of the bright disk of 20 mrad", "at least 10%"],
    ),
    "unknown format": ({"file": "run.toml"}, ["data.file", "'.toml'", "NumPy array", "data.shape"]),
}


@pytest.mark.parametrize("name", CASES)
def test_one_message_and_nothing_written(folder, name):
    _refused(folder, *CASES[name])


def test_a_process_of_its_own_says_the_same(folder):
    _refused(folder, *CASES["missing file"], start=call_in_a_process)


def _refused(folder, change, words, **how):
    done, untouched = run(folder, **change, **how)
    assert done.returncode == 2, done.stderr + done.stdout
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1, done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    assert all(word in done.stderr for word in words), done.stderr
    assert untouched
    assert (folder / "occupied.h5").read_bytes() == b"precious"


def test_good_input_of_the_same_kind_passes(folder):
    done, _ = run(folder, text="---[pixels]\nepochs = 2\nhalf_sets = false", output="fine.h5")
    assert done.returncode == 0, done.stderr
    assert jptycho.read_result(folder / "fine.h5").attributes["status"] == "done"
    (folder / "fine.h5").unlink()


def test_simulate_and_print_config(folder):
    done = call(folder, "simulate", "sim.h5", "--dose", "-3")
    assert done.returncode == 2
    assert "dose" in done.stderr
    assert not (folder / "sim.h5").exists()
    configure(folder)
    shown = call(folder, "reconstruct", "run.toml", "--print-config", "--overwrite")
    assert shown.returncode == 0, shown.stderr
    values = tomllib.loads(shown.stdout)
    assert values["loss"] == "poisson"
    assert isinstance(values["pixels"]["batch"], int)
    assert isinstance(values["pixels"]["preconditioner"]["cutoff"], float)
