"""``jptycho inspect`` as a user calls it: what it says, what it writes, and what it refuses."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import jptycho
from jptycho.cli.data_options import data_options
from jptycho.data.dataset import Calibration, from_arrays
from jptycho.data.readers.jptycho_scan import write_scan
from jptycho.data.readers.options import DataSettings
from jptycho.errors import ConfigError
from tests.cli.calling import call

OPTIONS = {"energy": 300e3, "semiangle-cutoff": 20.0, "defocus": 100.0, "step": 1.2, "reciprocal-sampling": 0.078125}
GIVEN = [word for name, value in OPTIONS.items() for word in (f"--{name}", str(value))]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("inspect")
    y, x = np.indices((32, 32)) - 16
    counts = np.random.default_rng(0).poisson(4.0 * (np.hypot(y, x) * 0.078125 * 19.6875 <= 20), (10, 12, 32, 32))
    np.save(where / "good.npy", counts.astype(np.uint16))
    np.save(where / "list.npy", counts.reshape(120, 32, 32).astype(np.uint16))
    np.savez(where / "two.npz", a=counts.astype(np.uint8), b=counts.astype(np.uint8))
    (where / "empty.h5").write_bytes(b"")
    (where / "text.h5").write_text("no HDF5 at all")
    (where / "text.npy").write_text("no array at all")
    (where / "folder.h5").mkdir()
    (where / "notes.txt").write_text("energy 300 kV, camera length 115 mm")
    (where / "occupied.toml").write_text("precious")
    (where / "bad.toml").write_text("[data\n")
    return where


def test_options_may_stand_anywhere():
    assert data_options(["--step", "1.5", "scan.h5", "--transpose", "--defocus=-50"]) == (
        "scan.h5",
        {"step": 1.5, "transpose": True, "defocus": -50},
    )
    assert data_options(["--transpose", "false", "--scan-shape", "4,8"]) == (
        None,
        {"transpose": False, "scan_shape": [4, 8]},
    )
    assert set(data_options([f"--{n}=1" for n in DataSettings.model_fields if n != "file"])[1]) == {
        name for name in DataSettings.model_fields if name != "file"
    }


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--enrgy", "3"], "--enrgy: unknown option. Did you mean 'energy'?"),
        (["--energy"], "--energy: has no value; expected eV."),
        (["one.h5", "two.h5"], "two.h5: unexpected after one.h5"),
    ],
)
def test_wrong_words_are_named(words: list[str], part: str):
    with pytest.raises(ConfigError) as caught:
        data_options(words)
    assert part in str(caught.value)


def test_before_anything_is_set_a_file_is_described(folder: Path):
    done = call(folder, "inspect", "good.npy")
    assert done.returncode == 0, done.stderr
    assert "10 x 12 x 32 x 32" in done.stdout
    assert "all of 120 patterns" in done.stdout
    assert "? data.energy is not known: give --energy, eV." in done.stdout
    assert done.stdout.rstrip().endswith("This scan can be reconstructed once what is missing is given.")
    assert "Traceback" not in done.stderr


def test_what_it_writes_is_a_configuration_and_a_picture(folder: Path):
    done = call(folder, "inspect", *GIVEN, "good.npy", "--write", "start.toml", "--picture", "look.png")
    assert done.returncode == 0, done.stderr
    assert "✓ a count is an electron." in done.stdout
    assert "wrote start.toml" in done.stdout
    assert Image.open(folder / "look.png").size[0] > 800
    text = (folder / "start.toml").read_text()
    assert "# good: a count is an electron." in text
    config = jptycho.load_config(folder / "start.toml")
    assert Path(config.data.file).resolve() == (folder / "good.npy").resolve()
    assert (config.data.energy, config.data.step, config.method) == (300e3, (1.2, 1.2), "pixels")
    shown = call(folder, "reconstruct", "start.toml", "--print-config")
    assert shown.returncode == 0, shown.stderr
    assert 'loss = "poisson"' in shown.stdout
    from_it = call(folder, "inspect", "start.toml", "--json")
    assert json.loads(from_it.stdout)["verdict"][-1]["kind"] == "good"
    for name in ("start.toml", "look.png"):
        (folder / name).unlink()


def test_json_holds_the_numbers(folder: Path):
    done = call(folder, "inspect", "good.npy", "--json", *GIVEN)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    counts = np.load(folder / "good.npy").astype(float)
    assert found["counts"]["per_pattern"]["mean"] == pytest.approx(counts.sum(axis=(2, 3)).mean())
    assert found["counts"]["sampled_patterns"] == found["counts"]["patterns"] == 120
    assert found["electrons"]["dose"] == pytest.approx(counts.sum(axis=(2, 3)).mean() / 1.44)
    assert found["geometry"]["probe_diameter"] == pytest.approx(4 + 1.22 * 0.0196875 / 0.02, rel=1e-4)
    assert found["arrays"] == [{"name": "array", "shape": [10, 12, 32, 32], "dtype": "uint16"}]
    assert found["cost"]["fits"] is True
    assert found["cost"]["seconds"] > 0


def test_settings_of_a_run_decide_what_it_takes(folder: Path):
    lines = "\n".join(f"{name.replace('-', '_')} = {value}" for name, value in OPTIONS.items())
    rich = '[object]\nkind = "complex"\nslices = 3\nslice_thickness = 9.0\n[probe]\nmodes = 2\n[pixels]\nepochs = 7\n'
    (folder / "rich.toml").write_text(f'[data]\nfile = "good.npy"\n{lines}\n{rich}')
    found = json.loads(call(folder, "inspect", "good.npy", "--config", "rich.toml", "--json").stdout)
    run = found["cost"]["run"]
    assert (run["slices"], run["channels"], run["modes"], run["epochs"]) == (3, 2, 2, 7)
    (folder / "rich.toml").unlink()


def test_a_scan_is_named_from_where_the_new_configuration_lies(folder: Path):
    lines = "\n".join(f"{name.replace('-', '_')} = {value}" for name, value in OPTIONS.items())
    for name in ("before", "after"):
        (folder / name).mkdir(exist_ok=True)
    text = f'# mine\n[data]\nfile = "gone.npy"\n{lines}\n'.replace("\n", "\r\n")
    (folder / "before" / "run.toml").write_bytes(text.encode())
    call(folder, "inspect", "good.npy", "--config", "before/run.toml", "--write", "after/run.toml")
    written = (folder / "after" / "run.toml").read_bytes()
    assert b"# mine\r\n" in written
    assert written.count(b"\n") == written.count(b"\r\n")  # every line ends as those of the given one
    assert call(folder, "inspect", "after/run.toml", "--json").returncode == 0
    (folder / "after" / "run.toml").unlink()


def test_what_a_file_says_of_its_pixels_is_said_of_the_stored_ones(folder: Path):
    """A comment that is taken for a key leads to the sampling that the file has."""
    write_scan(
        folder / "own.h5", from_arrays(np.load(folder / "good.npy"), Calibration(reciprocal_sampling=(0.078125, 0.08)))
    )
    call(folder, "inspect", "own.h5", *GIVEN[:-2], "--bin", "2", "--write", "own.toml")
    said = [line for line in (folder / "own.toml").read_text().splitlines() if "says reciprocal_sampling" in line]
    assert said == ["# the file says reciprocal_sampling = (0.078125, 0.08)"]
    for name in ("own.h5", "own.toml"):
        (folder / name).unlink()


CASES = {
    "energy in keV": (["good.npy", *GIVEN, "--energy", "300"], ["data.energy", "Did you mean 300000?"]),
    "angle in rad": (["good.npy", *GIVEN, "--semiangle-cutoff", "0.02"], ["data.semiangle_cutoff", "Did you mean 20?"]),
    "step 100 times too large": (["good.npy", *GIVEN, "--step", "120"], ["data.step", "do not overlap"]),
    "defocus 100 times too large": (["good.npy", *GIVEN, "--defocus", "1e4"], ["data.defocus", "wraps around"]),
    "scan shape": (["list.npy", *GIVEN, "--scan-shape", "10,13"], ["data.scan_shape", "130 patterns", "120"]),
    "word for a number": (["good.npy", "--energy", "high"], ["data.energy", "'high'"]),
    "two scans": (["two.npz", *GIVEN], ["data.counts", "a, b"]),
    "no file": (["none.npy"], ["data.file", "no file 'none.npy'"]),
    "no name": (["--energy", "3e5"], ["FILE: missing"]),
    "a folder": (["folder.h5"], ["folder.h5", "folder"]),
    "an empty file": (["empty.h5"], ["empty.h5"]),
    "text as HDF5": (["text.h5"], ["text.h5", "cannot be read"]),
    "text as NumPy": (["text.npy"], ["text.npy", "cannot be read"]),
    "another ending": (["notes.txt"], ["data.file", "txt"]),
    "not TOML": (["bad.toml"], ["not TOML"]),
    "an unknown option": (["good.npy", "--stepp", "1"], ["--stepp", "'step'"]),
    "a TOML file that exists": (["good.npy", *GIVEN, "--write", "occupied.toml"], ["occupied.toml", "exists"]),
    "a picture of another kind": (["good.npy", *GIVEN, "--picture", "a.jpg"], ["output", ".png"]),
    "a folder that is not there": (["good.npy", *GIVEN, "--write", "no/a.toml"], ["output", "folder"]),
}


@pytest.mark.parametrize("name", CASES)
def test_one_message_and_nothing_written(folder: Path, name: str):
    words, parts = CASES[name]
    writes = [] if "--write" in words or "--picture" in words else ["--write", "new.toml", "--picture", "new.png"]
    before = sorted(p.name for p in folder.iterdir())
    done = call(folder, "inspect", *words, *writes)
    assert done.returncode == 2, done.stderr + done.stdout
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1, done.stderr
    assert all(part in done.stderr for part in parts), done.stderr
    assert sorted(p.name for p in folder.iterdir()) == before
    assert (folder / "occupied.toml").read_text() == "precious"


def test_arrays_of_the_file_are_offered_and_a_configuration_keeps_its_comments(folder: Path):
    whole, chance = np.load(folder / "good.npy"), np.random.default_rng(1)
    extra = {"places": chance.uniform(size=(120, 2)), "wave": np.ones((32, 32), np.complex64), "vacuum": whole[0, 0]}
    np.savez(folder / "rich.npz", dp=whole, mask=np.ones((32, 32)), **extra)
    done = call(folder, "inspect", "rich.npz", *GIVEN, "--counts", "dp", "--write", "offered.toml")
    assert done.returncode == 0, done.stderr
    text = (folder / "offered.toml").read_text()
    for line in ('# positions = "places"', '# probe = "wave"', '# mask = "mask"', "# the file holds 'vacuum'"):
        assert line in text
    assert "the file holds 'places': give --positions" in done.stdout
    (folder / "sub").mkdir()
    mine = text.replace("defocus", "# measured on Monday\ndefocus", 1) + "\n[pixels]\nepochs = 7  # enough\n"
    (folder / "offered.toml").write_text(mine)
    again = call(folder, "inspect", "offered.toml", "--defocus", "150", "--write", "sub/new.toml")
    assert again.returncode == 0, again.stderr
    new = (folder / "sub" / "new.toml").read_text()
    for line in ("# measured on Monday\ndefocus = 150", "epochs = 7  # enough", '# positions = "places"'):
        assert line in new
    config = jptycho.load_config(folder / "sub" / "new.toml")
    assert Path(config.data.file).resolve() == (folder / "rich.npz").resolve()
    assert (config.data.defocus, config.pixels.epochs) == (150.0, 7)
    (folder / "sub" / "new.toml").unlink()
    (folder / "sub").rmdir()
    for name in ("rich.npz", "offered.toml"):
        (folder / name).unlink()
