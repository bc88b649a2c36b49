"""``jptycho calibrate``: what it prints and writes, and what it refuses, without a fit of its own."""

import dataclasses
import json
import tomllib

import numpy as np
import pytest
from typer.testing import CliRunner

import jptycho
import jptycho.preprocess.scan_calibration as calibration
from jptycho.cli.calibrate import bad_pixels, describe, findings, new_bad_pixels
from jptycho.cli.found_file import new_configuration
from jptycho.cli.main import app
from jptycho.data.readers.open import open_dataset
from jptycho.errors import ConfigError, FormatError
from jptycho.preprocess.aberration_fit import AberrationFit
from jptycho.preprocess.disk import Disk
from jptycho.preprocess.orientation import CentreOrientation
from jptycho.preprocess.scan_calibration import ScanCalibration
from tests.preprocess.scans import Made, record

ERRORS = {"rotation": 0.12, "defocus": 2.4, "astigmatism": 1.5}
FIT = AberrationFit(np.array([np.radians(33.04), -212.3, 0.0, 12.0]), True, ERRORS, np.ones(5))
MASK = np.ones((32, 32))
MASK[3, 27] = 0
FOUND = ScanCalibration(
    disk=Disk((0.4, -0.2), (0.01, 0.02), 12.8, 0.03, (0.01, 0.0), (0.002, 0.002), 0.5),
    semiangle_cutoff=(19.02, 0.05),
    reciprocal_sampling=(0.078, 0.078),
    mask=MASK,
    fit=FIT,
    handed=7.1,
    positive=4.2,
    centres=CentreOrientation(33.5, 1.1, True, 0.06, 0.45),
    undecided=(),
)
TOML = """method = "pixels"

[data]
file = "scan.npy"
energy = 300e3
step = 0.8
semiangle_cutoff = 20.0
reciprocal_sampling = 0.078125
aberrations = { C30 = 1e4, C12 = 3.0 }

[pixels]
epochs = 3
"""


@pytest.fixture
def folder(tmp_path):
    np.save(tmp_path / "scan.npy", record(Made(shape=(3, 20))).read().reshape(3, 20, 32, 32))
    (tmp_path / "scan.toml").write_text(TOML)
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(app, ["calibrate", *map(str, arguments)])


@pytest.fixture
def told(monkeypatch):
    """Everything is known without a fit."""
    monkeypatch.setattr(calibration, "calibrate_scan", lambda dataset, lattice=None: scaled(lattice))


def scaled(lattice):
    return FOUND if lattice is None else dataclasses.replace(FOUND, step_scale=(1.025, 0.002))


@pytest.mark.usefixtures("told")
def test_what_was_found_is_printed_with_its_error_and_its_twin(folder):
    done = run(folder / "scan.toml")
    assert done.exit_code == 0
    for words in (
        "19.020 ± 0.050 mrad (given: 20 mrad)",
        "centre at pixel (16.400 ± 0.010, 15.800 ± 0.020)",
        "bad pixels        1: (3, 27)",
        "rotation          33.04 ± 0.12 degrees",
        "transpose         true (by 7.1 standard errors)",
        "defocus           212.3 ± 2.4 Å",
        "C12 12.0 ± 1.5 Å at phi12 0.79 rad",
        "twin              rotation -146.96 degrees with defocus -212.3 Å fits as well",
        "curl 6% of the field (45% the other way",
    ):
        assert words in done.stdout
    assert list(folder.glob("*.toml")) == [folder / "scan.toml"]


@pytest.mark.usefixtures("told")
def test_the_configuration_that_is_written_is_the_given_one_with_what_was_found(folder):
    new = folder / "deeper" / "found.toml"
    assert run(folder / "scan.toml", "--write", new).exit_code == 0
    text = new.read_text()
    values = tomllib.loads(text)
    assert values["method"] == "pixels"
    assert values["pixels"] == {"epochs": 3}
    data = values["data"]
    assert (new.parent / data["file"]).resolve() == (folder / "scan.npy").resolve()
    assert (data["rotation"], data["transpose"], data["defocus"]) == (33.04, True, 212.3)
    assert data["semiangle_cutoff"] == 19.02
    assert data["aberrations"] == {"C30": 1e4, "C12": 12.0, "phi12": 0.785}
    assert "rotation = 33.04  # degrees, ± 0.12" in text
    assert "twin with the phase inverted: rotation = -146.96, defocus = -212.3" in text
    options = {name: value for name, value in data.items() if name != "file"}
    scan = open_dataset(new.parent / data["file"], **options)
    assert scan.calibration.rotation == 33.04
    assert dict(scan.calibration.aberrations) == {"C30": 1e4, "C12": 12.0, "phi12": 0.785}
    # The bad pixel is one that a run leaves out, and not found again.
    assert data["bad_pixels"] == [[3, 27]]
    assert scan.mask is not None
    assert np.argwhere(scan.mask == 0).tolist() == [[3, 27]]
    assert new_bad_pixels(FOUND, scan) == []
    assert "Calibration: scan.toml" in new.with_suffix(".html").read_text()


@pytest.mark.usefixtures("told")
@pytest.mark.parametrize("apart", [True, False])
def test_comments_stay_and_paths_lead_where_they_led(folder, apart):
    np.save(folder / "mask.npy", np.ones((32, 32)))
    given = TOML.replace('file = "scan.npy"', 'file = "scan.npy"  # of Monday\nmask_file = "mask.npy"')
    given = given.replace("[pixels]", "# quick\n[pixels]").replace("step = 0.8", "step = 0.8  # as the software says")
    if apart:
        given = given.replace(
            "aberrations = { C30 = 1e4, C12 = 3.0 }", "[data.aberrations]\nC30 = 1e4\nC12 = 3.0  # old"
        )
    (folder / "scan.toml").write_text(given)
    new = folder / "deeper" / "found.toml"
    assert run(folder / "scan.toml", "--write", new).exit_code == 0
    text = new.read_text()
    for kept in ('file = "../scan.npy"  # of Monday', "step = 0.8  # as the software says", "# quick\n[pixels]"):
        assert kept in text
    data = tomllib.loads(text)["data"]
    assert (new.parent / data["mask_file"]).resolve() == (folder / "mask.npy").resolve()
    assert data["aberrations"] == {"C30": 1e4, "C12": 12.0, "phi12": 0.785}
    assert run(new).exit_code == 0


@pytest.mark.usefixtures("told")
def test_nothing_is_written_over_unless_asked(folder):
    old = folder / "old.toml"
    old.write_text("precious")
    refused = run(folder / "scan.toml", "--write", old)
    assert isinstance(refused.exception, FormatError)
    assert "exists. Choose another name, or allow it with --overwrite." in str(refused.exception)
    assert old.read_text() == "precious"
    assert run(folder / "scan.toml", "--write", old, "--overwrite").exit_code == 0
    assert "rotation = 33.04" in old.read_text()
    wrong = run(folder / "scan.toml", "--write", folder / "out.h5")
    assert "expected a name that ends in .toml" in str(wrong.exception)


@pytest.mark.usefixtures("told")
@pytest.mark.parametrize("by_option", [True, False])
def test_a_lattice_scales_the_step(folder, by_option):
    if not by_option:
        (folder / "scan.toml").write_text(TOML.replace("step = 0.8", "step = 0.8\nlattice = 2.35"))
    options = ("--lattice", 2.35) if by_option else ()
    done = run(folder / "scan.toml", *options, "--write", folder / "new.toml")
    assert "step              1.0250 ± 0.0020 times the given, by the lattice" in done.stdout
    text = (folder / "new.toml").read_text()
    assert "step = 0.82  # Å, 1.0250 ± 0.002 of the given by the lattice" in text
    assert tomllib.loads(text)["data"]["lattice"] == 2.35
    refused = run(folder / "scan.toml", "--lattice", -1)
    assert "data.lattice: expected a spacing in Å above 0, found -1.0" in str(refused.exception)


@pytest.mark.usefixtures("told")
def test_a_step_that_the_scan_states_is_scaled_too(folder):
    scan = record(Made(shape=(3, 20)))
    jptycho.write_scan(folder / "own.h5", scan)
    (folder / "own.toml").write_text('[data]\nfile = "own.h5"\n')
    assert run(folder / "own.toml", "--lattice", 2.35, "--write", folder / "new.toml").exit_code == 0
    step = tomllib.loads((folder / "new.toml").read_text())["data"]["step"]
    assert step == pytest.approx(1.025 * scan.calibration.step[0])


def test_a_configuration_that_cannot_be_changed_is_refused_before_anything_is_fitted(folder):
    (folder / "inline.toml").write_text('data = { file = "scan.npy", energy = 300e3, step = 0.8 }\n')
    refused = run(folder / "inline.toml", "--write", folder / "new.toml")
    assert "cannot be changed line by line" in str(refused.exception)


@pytest.mark.usefixtures("told")
def test_a_page_alone_goes_where_it_is_asked_for(folder):
    assert run(folder / "scan.toml", "--page", folder / "seen.html").exit_code == 0
    assert (folder / "seen.html").exists()
    again = run(folder / "scan.toml", "--page", folder / "seen.html")
    assert "exists. Choose another name" in str(again.exception)
    wrong = run(folder / "scan.toml", "--page", folder / "seen.pdf")
    assert "--page: expected a name that ends in .html" in str(wrong.exception)


@pytest.mark.usefixtures("told")
def test_names_stand_whole_on_the_page_and_before_the_printed_lines(folder):
    text = TOML.replace("reciprocal_sampling = 0.078125\n", "")
    (folder / "scan.toml").write_text(text)
    done = run(folder / "scan.toml", "--page", folder / "seen.html")
    assert "\nreciprocal_sampling  0.078 Å⁻¹ a pixel" in done.stdout
    page = (folder / "seen.html").read_text()
    assert "<td>reciprocal_sampling</td><td>0.078 Å⁻¹ a pixel, from the semiangle given</td>" in page
    for line, name in zip(done.stdout.splitlines(), ("semiangle_cutoff", "bright disk"), strict=False):
        assert line.startswith(f"{name:18}")
        assert f"<td>{name}</td><td>{line[18:]}</td>" in page


@pytest.mark.usefixtures("told")
def test_json_holds_numbers_with_errors(folder):
    values = json.loads(run(folder / "scan.toml", "--json").stdout)
    assert values["found"]["rotation"] == pytest.approx([33.04, 0.12])
    assert values["twin"]["defocus"] == pytest.approx([-212.3, 2.4])
    assert values["bad_pixels"] == [[3, 27]]
    assert values["centre_of_mass"]["curl"] == 0.06


def test_what_cannot_be_told_is_said_and_nothing_of_it_is_written(folder):
    why = "orientation and defocus: the scan is a single row or nearly so, which shows no rotation"
    done = run(folder / "scan.toml", "--write", folder / "new.toml")  # three rows: a true run, quick without a fit
    assert done.exit_code == 0
    assert f"cannot be told    {why}" in done.stdout
    text = (folder / "new.toml").read_text()
    assert f"# cannot be told: {why}" in text
    assert "rotation" not in tomllib.loads(text)["data"]
    assert tomllib.loads(text)["data"]["semiangle_cutoff"] == pytest.approx(20.0, rel=0.01)


def test_a_configuration_without_a_scan_is_refused(folder):
    (folder / "empty.toml").write_text("[data]\nenergy = 3e5\n")
    refused = run(folder / "empty.toml")
    assert isinstance(refused.exception, ConfigError)
    assert "data.file: missing in" in str(refused.exception)
    missing = run(folder / "no.toml")
    assert isinstance(missing.exception, FormatError)


def test_lines_and_numbers_agree(folder):
    scan = open_dataset(folder / "scan.npy", energy=3e5, step=0.8)
    unknown = dataclasses.replace(FOUND, fit=None, centres=None, undecided=("x: y",))
    assert describe(unknown, scan)[-1] == ("cannot be told", "x: y")
    assert dict(describe(unknown, scan))["reciprocal_sampling"].startswith("0.078 Å⁻¹ a pixel")
    assert "found" not in findings(unknown, scan)
    assert bad_pixels(FOUND, scan) == [(3, 27)]
    text = '[data]\nfile = "scan.npy"\nenergy = 3e5\nstep = 0.8\n'
    text = new_configuration(text, unknown, scan, folder / "a.toml", folder / "b.toml")
    assert "# cannot be told: x: y" in text
    assert new_configuration(text, unknown, scan, folder / "a.toml", folder / "b.toml").count("cannot be told") == 1
    assert tomllib.loads(text)["data"]["reciprocal_sampling"] == [0.078, 0.078]
    assert tomllib.loads(text)["data"]["file"] == "scan.npy"


@pytest.mark.parametrize("size", [1, 2])
def test_a_sampling_is_written_of_the_pixels_that_the_file_stores(folder, size):
    """The scan, opened by what is written, has the sampling that was found."""
    scan = open_dataset(folder / "scan.npy", energy=3e5, step=0.8, bin=size)
    text = f'[data]\nfile = "scan.npy"\nenergy = 3e5\nstep = 0.8\nbin = {size}\n'
    written = tomllib.loads(new_configuration(text, FOUND, scan, folder / "a.toml", folder / "b.toml"))["data"]
    again = open_dataset(folder / written.pop("file"), **written)
    assert again.calibration.reciprocal_sampling == pytest.approx(FOUND.reciprocal_sampling)


@pytest.mark.usefixtures("told")
def test_lines_of_a_configuration_of_windows_stay_so(folder):
    (folder / "scan.toml").write_bytes(TOML.replace("\n", "\r\n").encode())
    assert run(folder / "scan.toml", "--write", folder / "new.toml").exit_code == 0
    found = (folder / "new.toml").read_bytes()
    assert b"rotation = 33.04" in found
    assert found.count(b"\n") == found.count(b"\r\n") == found.count(b"\r") > TOML.count("\n")


@pytest.mark.parametrize("part", [{"crop": [28, 30]}, {"bin": 2}])
def test_bad_pixels_of_a_part_are_written_as_those_of_the_whole(folder, part):
    """A run by what is written leaves out the pixel that was found."""
    scan = open_dataset(folder / "scan.npy", energy=3e5, step=0.8, **part)
    mask = np.ones(scan.shape[-2:])
    mask[3, 7] = 0
    found = dataclasses.replace(FOUND, mask=mask)
    text = f'[data]\nfile = "scan.npy"\nenergy = 3e5\nstep = 0.8\n{"".join(f"{k} = {v}" for k, v in part.items())}\n'
    places = folder / "a.toml", folder / "b.toml"
    written = tomllib.loads(new_configuration(text, found, scan, *places, new_bad_pixels(found, scan)))["data"]
    again = open_dataset(folder / written.pop("file"), **written)
    np.testing.assert_array_equal(again.mask, mask)
    assert new_bad_pixels(found, again) == []
