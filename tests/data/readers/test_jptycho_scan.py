"""jptycho's own scans: what is written comes back, what is damaged or newer is refused with its name."""

import dataclasses
from pathlib import Path

import h5py
import numpy as np
import pytest

from jptycho.data.dataset import Calibration, Dataset4D, Truth, from_arrays
from jptycho.data.readers.hdf5 import open_hdf5
from jptycho.data.readers.jptycho_scan import VERSION, is_scan, read_scan, write_scan
from jptycho.errors import FormatError

CALIBRATION = Calibration(
    200e3, 21.5, -300.0, (("C30", 1e4), ("C12", 5.0)), (1.0, 1.25), (0.05, 0.07), -12.5, True, 3.5, 0.25
)  # fmt: skip


def scan() -> Dataset4D:
    """Everything that a scan can hold, and no two axes of equal length."""
    rng = np.random.default_rng(0)
    return from_arrays(
        rng.poisson(3.0, (2, 3, 6, 7)).astype(np.uint16),
        CALIBRATION,
        rng.uniform(size=(6, 2)),
        rng.normal(size=(2, 6, 7)) + 1j * rng.normal(size=(2, 6, 7)),
        Truth(rng.normal(size=(5, 9)).astype(np.float32), (0.3, 0.4), (-2.0, 1.0)),
        rng.uniform(size=(6, 7)).round(),
    )


def test_a_scan_comes_back_whole(tmp_path: Path):
    written = scan()
    write_scan(tmp_path / "a.h5", written)
    found = read_scan(tmp_path / "a.h5")
    assert (found.shape, found.dtype) == (written.shape, written.dtype)
    given = dataclasses.asdict(written.calibration) | {"aberrations": dict(CALIBRATION.aberrations)}
    assert dataclasses.asdict(found.calibration) | {"aberrations": dict(found.calibration.aberrations)} == given
    for name in ("positions", "probe", "mask"):
        np.testing.assert_array_equal(getattr(found, name), getattr(written, name))
    np.testing.assert_array_equal(found.read(), written.read())
    assert found.truth is not None
    assert (found.truth.sampling, found.truth.origin) == ((0.3, 0.4), (-2.0, 1.0))
    assert str(tmp_path / "a.h5") in found.source


def test_what_is_unknown_stays_unknown(tmp_path: Path):
    write_scan(tmp_path / "a.h5", from_arrays(np.ones((4, 3, 5), np.uint8), Calibration()))
    found = read_scan(tmp_path / "a.h5")
    assert found.calibration == Calibration()
    assert (found.positions, found.probe, found.mask, found.truth) == (None, None, None, None)


def test_numbers_in_the_file_have_their_units(tmp_path: Path):
    """For whoever opens it with h5py alone."""
    write_scan(tmp_path / "a.h5", scan(), extra={"dose": 12.0})
    with h5py.File(tmp_path / "a.h5") as file:
        assert file.attrs["dose"] == 12.0
        stored = file["calibration"].attrs
        assert (stored["energy"], stored["energy_unit"]) == (200e3, "eV")
        assert (stored["reciprocal_sampling_unit"], stored["rotation_unit"]) == ("1/Å", "degree")
        assert file["positions"].attrs["unit"] == "Å"


def test_only_an_own_scan_is_one(tmp_path: Path):
    write_scan(tmp_path / "own.h5", scan())
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["counts"] = np.ones((2, 3, 4, 5))
        file.attrs["schema"] = "jptycho-result"
    assert is_scan(tmp_path / "own.h5")
    assert not is_scan(tmp_path / "other.h5")
    with pytest.raises(FormatError, match=r"data\.file: no file"):
        is_scan(tmp_path / "missing.h5")


def test_a_truncated_scan_is_refused(tmp_path: Path):
    path = tmp_path / "a.h5"
    write_scan(path, scan())
    path.write_bytes(path.read_bytes()[:-2000])
    for read in (is_scan, read_scan):
        with pytest.raises(FormatError, match=r"data\.file: .*a\.h5' cannot be read as HDF5; it is truncated"):
            read(path)


def test_a_scan_of_a_newer_version_is_refused(tmp_path: Path):
    write_scan(tmp_path / "a.h5", scan(), extra={"schema_version": VERSION + 1})
    with pytest.raises(FormatError, match=rf"data\.file: .* has schema {VERSION + 1}; .* Update jptycho"):
        read_scan(tmp_path / "a.h5")


@pytest.mark.parametrize(
    ("part", "message"), [("calibration", r"data\.file: .* no calibration"), ("counts", r"data\.counts: .* no dataset")]
)
def test_a_scan_that_lacks_a_part_is_refused(tmp_path: Path, part: str, message: str):
    write_scan(tmp_path / "a.h5", scan())
    with h5py.File(tmp_path / "a.h5", "a") as file:
        del file[part]
    with pytest.raises(FormatError, match=message):
        read_scan(tmp_path / "a.h5")


def test_reading_closes_the_file(tmp_path: Path):
    """So that it can be written again in the same process."""
    write_scan(tmp_path / "a.h5", scan())
    read_scan(tmp_path / "a.h5").read()
    with h5py.File(tmp_path / "a.h5", "a") as file:
        file.attrs["note"] = "changed"
    with open_hdf5(tmp_path / "a.h5", "data.file") as file:
        assert file.attrs["note"] == "changed"
