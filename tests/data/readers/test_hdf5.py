"""HDF5 files of others: what is found, what is said where it is not, and what is never replaced."""

import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from jptycho.data.readers.base import EVERYTHING, read_rows
from jptycho.data.readers.hdf5 import (
    find_dataset,
    open_hdf5,
    read_attributes,
    refuse_existing,
    stored_arrays,
    text_of,
)
from jptycho.errors import FormatError


def array_names(path: Path) -> dict[str, tuple[int, ...]]:
    with open_hdf5(path, "data.file") as file:
        return {name: array.shape for name, array in stored_arrays(file, path).items()}


def stored_array(path: Path, name: str):
    with open_hdf5(path, "data.file") as file:
        return stored_arrays(file, path)[name]


@pytest.fixture
def some_file(tmp_path: Path) -> Path:
    """Arrays of different types at two levels, and attributes."""
    path = tmp_path / "some.h5"
    with h5py.File(path, "w") as file:
        file["entry/patterns"] = np.arange(2 * 3 * 4 * 5, dtype=np.uint16).reshape(2, 3, 4, 5)
        file["entry/positions"] = np.zeros((6, 2), np.float32)
        file["gain"] = 2.5
        file.attrs.update({"author": "somebody", "dose": 40.0, "sampling": (0.3, 0.4)})
    return path


def cut_in_half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_a_missing_file_is_named_with_its_argument(tmp_path: Path):
    with pytest.raises(FormatError, match=r"dgp\.start_file: no file '.*nothing\.h5'\. Check the path"):
        open_hdf5(tmp_path / "nothing.h5", "dgp.start_file").__enter__()


def test_a_file_that_is_no_hdf5_or_truncated_is_refused(some_file: Path, tmp_path: Path):
    (tmp_path / "text.h5").write_text("not at all" * 100)
    cut_in_half(some_file)
    for path in (tmp_path / "text.h5", some_file):
        with pytest.raises(FormatError, match=r"data\.file: .* cannot be read as HDF5; it is truncated .*Copy it"):
            array_names(path)


def test_an_open_file_cannot_be_changed(some_file: Path):
    with open_hdf5(some_file, "data.file") as file, pytest.raises((ValueError, OSError)):
        file.create_dataset("more", data=1.0)


def test_a_wrong_name_suggests_the_nearest(some_file: Path):
    with open_hdf5(some_file, "data.file") as file:
        np.testing.assert_array_equal(find_dataset(file, "entry/positions", some_file)[()], np.zeros((6, 2)))
        with pytest.raises(FormatError, match=r"data\.probe: .* no dataset 'entry/patern'\. Did you mean 'entry/patte"):
            find_dataset(file, "entry/patern", some_file, "data.probe")
        with pytest.raises(FormatError, match=r"data\.counts: .* Known: entry/patterns, entry/positions, gain\."):
            find_dataset(file, "zzz", some_file)


def test_a_group_is_no_array(some_file: Path):
    with open_hdf5(some_file, "data.file") as file, pytest.raises(FormatError, match="no dataset 'entry'"):
        find_dataset(file, "entry", some_file)


def test_every_array_is_listed_with_its_shape(some_file: Path):
    assert array_names(some_file) == {"entry/patterns": (2, 3, 4, 5), "entry/positions": (6, 2), "gain": ()}
    assert stored_array(some_file, "entry/patterns").dtype == np.dtype(np.uint16)
    with h5py.File(some_file, "a") as file:
        file["text"], file["date"] = "words", h5py.Empty("f")
    assert {"text", "date"}.isdisjoint(array_names(some_file))


def test_rows_are_those_of_the_array(some_file: Path):
    stored = stored_array(some_file, "entry/patterns")
    patterns = np.arange(2 * 3 * 4 * 5, dtype=np.uint16).reshape(6, 4, 5)
    for rows in (slice(None), slice(1, 5), slice(3, 4), [5, 0, 1], slice(5, None, -2)):
        np.testing.assert_array_equal(read_rows(stored, rows), patterns[rows])


def test_a_scan_that_was_not_written_to_its_end_says_how_much_there_is(tmp_path: Path):
    """Its shape is that of the whole, and what is missing would be read as zeros."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        part = file.create_dataset("part", (6, 7, 64, 32), np.uint16, chunks=(1, 1, 32, 32), compression="gzip")
        for line in range(3):
            part[line] = 1
        part[3, :4], part[3, 4, :32] = 1, 1
        file.create_dataset("none", (6, 7, 64, 32), np.uint16, chunks=(2, 7, 64, 32))
        file.create_dataset("never", (6, 7, 64, 32), np.uint16)
        file["whole"] = np.ones((6, 7, 64, 32), np.uint16)
    found = {name: stored_array(tmp_path / "a.h5", name).complete for name in ("part", "none", "never", "whole")}
    assert found == {"part": 3 * 7 + 4, "none": 0, "never": 0, "whole": None}


def test_text_is_read_however_it_was_stored(tmp_path: Path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["word"] = "nm"
        file.attrs.update({"unit": np.bytes_(b"mrad"), "units": np.array([b"nm"]), "step": 4})
    with h5py.File(tmp_path / "a.h5") as file:
        found = [text_of(value) for value in (file["word"][()], *map(file.attrs.get, ("unit", "units", "step")))]
    assert found == ["nm", "mrad", "nm", ""]


def test_attributes_are_those_of_the_root(some_file: Path):
    found = read_attributes(some_file)
    assert set(found) == {"author", "dose", "sampling"}
    assert (found["author"], found["dose"]) == ("somebody", 40.0)
    np.testing.assert_array_equal(found["sampling"], (0.3, 0.4))


def test_shapes_of_matlab_are_reversed_and_its_arrays_with_them(tmp_path: Path):
    path, image = tmp_path / "their.mat", np.arange(2 * 3 * 4.0).reshape(2, 3, 4)
    with h5py.File(path, "w") as file:
        file["stack"] = image
    assert array_names(path) == {"stack": (4, 3, 2)}
    np.testing.assert_array_equal(stored_array(path, "stack").get(EVERYTHING), np.einsum("abc->cba", image))


def test_a_damaged_array_is_named(tmp_path: Path):
    """The file opens, for its header is whole, but one of its compressed chunks is not what it was."""
    path, noise = tmp_path / "a.h5", np.random.default_rng(0).integers(0, 99, 4000)
    with h5py.File(path, "w") as file:
        stored = file.create_dataset("counts", data=noise, chunks=(4000,), compression="gzip", fletcher32=True)
        where = stored.id.get_chunk_info(0)
    whole = bytearray(path.read_bytes())
    whole[where.byte_offset + where.size // 2] ^= 0xFF
    path.write_bytes(whole)
    with pytest.raises(FormatError, match=r"data\.file: .* cannot be read as HDF5; .*filter.*Copy it again"):
        array_names(path)


def test_what_exists_is_refused_unless_it_may_be_replaced(some_file: Path, tmp_path: Path):
    with pytest.raises(FormatError, match=r"output: .*some\.h5' exists\. Choose another name, or .*--overwrite"):
        refuse_existing(some_file, overwrite=False)
    refuse_existing(some_file, overwrite=True)
    refuse_existing(tmp_path / "new" / "deep" / "file.h5", overwrite=False)
    assert not (tmp_path / "new").exists()


def test_a_folder_that_is_none_is_refused(some_file: Path):
    with pytest.raises(FormatError, match=r"output: .*some\.h5' is no folder that can be written to"):
        refuse_existing(some_file / "out.h5", overwrite=True)


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to the root user")
def test_a_folder_that_is_closed_is_refused(tmp_path: Path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(FormatError, match="no folder that can be written to"):
            refuse_existing(tmp_path / "out.h5", overwrite=False)
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="no folder that allows what it cannot do")
def test_a_folder_that_permissions_allow_and_that_takes_nothing_is_refused():
    with pytest.raises(FormatError, match=r"output: '/proc' is no folder that can be written to"):
        refuse_existing(Path("/proc/out.h5"), overwrite=False)
