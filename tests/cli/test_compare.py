"""``jptycho compare`` and ``jptycho export`` as a user calls them."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from jptycho.data.results import write_result
from tests.cli.calling import call
from tests.report.results import made_up


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where, rng = tmp_path_factory.mktemp("compare"), np.random.default_rng(0)
    made = made_up()
    said = {"origin": np.zeros(2), "slice_thickness": 5.0, "kind": "phase", "configuration": "", "objective": ""}
    clean = ndimage.gaussian_filter(rng.normal(size=(2, 40, 50)), (0, 2, 2), mode="wrap")
    for name, level, unit in (("one", 0.0, "Å"), ("two", 0.5, "Å"), ("pixels", 0.0, "px")):
        phase = clean + level * clean.std() * rng.normal(size=clean.shape)
        attributes = {**made.attributes, **said, "length_unit": unit}
        write_result(where / f"{name}.h5", made_up(phase=phase, attributes=attributes))
    (where / "text.h5").write_text("no HDF5")
    (where / "occupied.png").write_text("precious")
    (where / "occupied.tif").write_text("precious")
    return where


def test_equal_results_agree_up_to_the_last_frequency(folder: Path):
    done = call(folder, "compare", "one.h5", "one.h5")
    assert done.stdout.count("nowhere up to") == 2


def test_two_results_are_compared_in_words_numbers_and_a_picture(folder: Path):
    done = call(folder, "compare", "one.h5", "two.h5", "--picture", "both.png")
    assert done.returncode == 0, done.stderr
    assert "30 x 36 pixels" in done.stdout
    assert "FRC below 1/2" in done.stdout
    assert "wrote both.png" in done.stdout
    assert Image.open(folder / "both.png").size[0] > 1000
    (folder / "both.png").unlink()
    found = json.loads(call(folder, "compare", "one.h5", "two.h5", "--json").stdout)
    # Two slices, each with half as much noise as signal: their sums have as little.
    assert found["correlation"] == pytest.approx(1 / np.sqrt(1.25), abs=0.03)
    assert 0 < found["frc"]["below_half_at"] <= found["frc"]["below_seventh_at"]
    same = json.loads(call(folder, "compare", "one.h5", "one.h5", "--json").stdout)
    assert same["correlation"] == pytest.approx(1, abs=1e-6)
    assert same["frc"]["below_half_at"] == same["frc"]["frequency"][-1]


def test_a_result_is_exported(folder: Path):
    tifffile = pytest.importorskip("tifffile")
    done = call(folder, "export", "one.h5", "one.ome.tif")
    assert (done.returncode, done.stdout) == (0, "wrote one.ome.tif\n"), done.stderr
    assert tifffile.imread(folder / "one.ome.tif").shape == (2, 30, 36)
    (folder / "one.ome.tif").unlink()


CASES = {
    "no file": (["compare", "one.h5", "none.h5"], ["second result", "none.h5"]),
    "no result": (["compare", "text.h5", "one.h5"], ["first result", "text.h5"]),
    "another unit": (["compare", "one.h5", "pixels.h5"], ["lengths are in Å and px"]),
    "a picture that exists": (["compare", "one.h5", "two.h5", "--picture", "occupied.png"], ["occupied.png", "exists"]),
    "a picture of another kind": (["compare", "one.h5", "two.h5", "--picture", "a.pdf"], ["output", ".png"]),
    "export of no result": (["export", "text.h5", "new.tif"], ["text.h5"]),
    "export over a file": (["export", "one.h5", "occupied.tif"], ["occupied.tif", "exists", "--overwrite"]),
    "export of another kind": (["export", "one.h5", "new.jpg"], ["cannot write '.jpg'", ".zarr"]),
    "export into a file": (["export", "one.h5", "occupied.png/new.tif"], ["occupied.png", "folder"]),
}


@pytest.mark.parametrize("name", CASES)
def test_one_message_and_nothing_written(folder: Path, name: str):
    words, parts = CASES[name]
    before = sorted(p.name for p in folder.iterdir())
    done = call(folder, *words)
    assert done.returncode == 2, done.stderr + done.stdout
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1, done.stderr
    assert all(part in done.stderr for part in parts), done.stderr
    assert sorted(p.name for p in folder.iterdir()) == before
    assert (folder / "occupied.png").read_text() == (folder / "occupied.tif").read_text() == "precious"
