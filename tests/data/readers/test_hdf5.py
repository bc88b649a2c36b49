"""HDF5 files of others: what is found, what is said where it is not, and what is never replaced."""

import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from jptycho.data.readers.hdf5 import (
    array_names,
    find_dataset,
    open_hdf5,
    read_array,
    read_attributes,
    refuse_existing,
    shape_and_type,
)
from jptycho.errors import FormatError


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
        open_hdf5(tmp_path / "nothing.h5", "dgp.start_file")


def test_a_file_that_is_no_hdf5_or_truncated_is_refused(some_file: Path, tmp_path: Path):
    (tmp_path / "text.h5").write_text("not at all" * 100)
    cut_in_half(some_file)
    for path in (tmp_path / "text.h5", some_file):
        with pytest.raises(FormatError, match=r"data\.file: .* cannot be read as HDF5; it is truncated .*Copy it"):
            open_hdf5(path, "data.file")


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
    with pytest.raises(FormatError, match="no dataset 'entry'"):
        read_array(some_file, "entry")


def test_every_array_is_listed_with_its_shape(some_file: Path):
    assert array_names(some_file) == {"entry/patterns": (2, 3, 4, 5), "entry/positions": (6, 2), "gain": ()}
    assert shape_and_type(some_file, "entry/patterns") == ((2, 3, 4, 5), np.dtype(np.uint16))
    assert shape_and_type(some_file, "entry/positions") == ((6, 2), np.dtype(np.float32))
    with pytest.raises(FormatError, match="Did you mean 'gain'"):
        shape_and_type(some_file, "gaim")


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
    assert shape_and_type(path, "stack")[0] == (4, 3, 2)
    np.testing.assert_array_equal(read_array(path, "stack"), np.einsum("abc->cba", image))


def test_a_damaged_array_is_named(tmp_path: Path):
    """The file opens, for its header is whole, but one of its compressed chunks is not what it was."""
    path, noise = tmp_path / "a.h5", np.random.default_rng(0).integers(0, 99, 4000)
    with h5py.File(path, "w") as file:
        stored = file.create_dataset("counts", data=noise, chunks=(4000,), compression="gzip", fletcher32=True)
        where = stored.id.get_chunk_info(0)
    whole = bytearray(path.read_bytes())
    whole[where.byte_offset + where.size // 2] ^= 0xFF
    path.write_bytes(whole)
    assert array_names(path) == {"counts": (4000,)}
    with pytest.raises(FormatError, match=r"data\.file: .* is damaged: 'counts' cannot be read"):
        read_array(path, "counts")


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
