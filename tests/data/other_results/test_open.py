"""Reconstructions of other packages, read from files of their own layout."""

import zipfile

import numpy as np
import pytest

import jptycho
from jptycho.data.other_results import OtherResult, read_start
from jptycho.data.results import write_result

from ...report.results import made_up
from .packages import PACKAGES, SAMPLING, THICKNESS, WAVELENGTH, Made, made

STORED = 2e-6
"""Relative error of numbers that most packages keep in single precision."""


def written(tmp_path, package: str, one: Made) -> OtherResult:
    name, write = PACKAGES[package]
    write(tmp_path / name, one)
    found = read_start(tmp_path / name)
    assert isinstance(found, OtherResult)
    return found


@pytest.mark.parametrize("package", PACKAGES)
@pytest.mark.parametrize("slices", [1, 3])
def test_object_probe_and_positions_are_those_that_were_written(tmp_path, package, slices):
    one = made(slices)
    found = written(tmp_path, package, one)
    assert package.startswith(found.package)
    transmission = np.exp(1j * found.phase - found.absorption)
    # A constant phase of a slice means nothing.
    turn = np.exp(1j * np.angle((one.transmission / transmission).mean(axis=(1, 2), keepdims=True)))
    np.testing.assert_allclose(transmission * turn, one.transmission, atol=3e-6)
    np.testing.assert_allclose(found.probe, one.probe, atol=STORED * np.abs(one.probe).max())
    np.testing.assert_allclose(found.centres, one.centres, atol=1e-4)
    np.testing.assert_allclose(found.sampling, SAMPLING, rtol=STORED)
    assert found.thickness == (None if slices == 1 else pytest.approx(THICKNESS))
    assert found.wavelength == (pytest.approx(WAVELENGTH) if "Shelves" in package else None)


@pytest.mark.parametrize("package", PACKAGES)
def test_modes_come_by_their_strength(tmp_path, package):
    one = made(modes=3)
    weak_first = Made(one.transmission, one.probe[::-1], one.centres)
    power = (np.abs(written(tmp_path, package, weak_first).probe) ** 2).sum(axis=(1, 2))
    assert (np.diff(power) < 0).all()


def test_a_result_of_this_package_stays_one(tmp_path):
    write_result(tmp_path / "r.h5", made_up(absorption=None, attributes=made_up().attributes | OWN))
    assert isinstance(read_start(tmp_path / "r.h5"), jptycho.Result)


OWN = {"kind": "phase", "origin": np.zeros(2), "slice_thickness": 4.0}


def test_what_no_package_wrote_is_said(tmp_path):
    np.save(tmp_path / "a.npy", np.ones((3, 3)))
    (tmp_path / "empty.h5").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    for name, message in (
        ("a.npy", "is no result of jptycho, PtyRAD, phaser, py4DSTEM, quantem or PtychoShelves"),
        ("empty.h5", "is empty"),
        ("folder", "is a folder"),
        ("none.mat", "no file"),
    ):
        with pytest.raises(jptycho.FormatError, match=f"dgp.start_file: .*{message}") as caught:
            read_start(tmp_path / name, "dgp.start_file")
        assert "\n" not in str(caught.value)


def test_a_zip_of_something_else_is_said_to_be_one(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.ones(3), y=np.zeros(2))
    np.savez_compressed(tmp_path / "b.npz", x=np.ones(300))
    with zipfile.ZipFile(tmp_path / "weights.pt", "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}.")
    for name, held in (
        ("a.npz", r"'x\.npy', 'y\.npy'"),
        ("b.npz", r"'x\.npy'"),
        ("weights.pt", r"'archive/data\.pkl'"),
    ):
        with pytest.raises(jptycho.FormatError, match=rf"pixels\.start_file: .* is a zip of {held}, and no result of"):
            read_start(tmp_path / name, "pixels.start_file")


def test_a_zip_that_was_made_of_a_store_says_what_to_name(tmp_path):
    PACKAGES["quantem, a folder"][1](tmp_path / "ptycho", made())
    for compression, inside in ((zipfile.ZIP_DEFLATED, ""), (zipfile.ZIP_STORED, "ptycho/")):
        with zipfile.ZipFile(tmp_path / "again.zip", "w", compression) as archive:
            for place in sorted((tmp_path / "ptycho").rglob("*")):
                if place.is_file():
                    archive.write(place, inside + str(place.relative_to(tmp_path / "ptycho")))
        with pytest.raises(
            jptycho.FormatError, match=rf"Unpack it, and name the folder that holds '{inside}zarr\.json'"
        ):
            read_start(tmp_path / "again.zip")


@pytest.mark.parametrize("package", PACKAGES)
def test_numbers_that_are_none_are_refused(tmp_path, package):
    one = made()
    one.transmission[0, 3, 4] = np.nan
    with pytest.raises(jptycho.FormatError, match="values that are not finite"):
        written(tmp_path, package, one)
    with pytest.raises(jptycho.FormatError, match="its probe is zero"):
        written(tmp_path, package, Made(made().transmission, 0 * one.probe, one.centres))
