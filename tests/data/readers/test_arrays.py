"""NumPy files, of whose arrays only headers are read."""

import zipfile
from pathlib import Path

import numpy as np
import pytest

from jptycho.data.readers.arrays import SINGLE, array_names, read_array, shape_and_type
from jptycho.errors import FormatError

PATTERNS = np.arange(3 * 4 * 5, dtype=np.uint16).reshape(3, 4, 5)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "many.npz"
    np.savez_compressed(path, patterns=PATTERNS, probe=np.ones((4, 5), complex), fortran=np.asfortranarray(PATTERNS))
    return path


def test_every_array_of_an_archive_is_listed(archive: Path):
    assert array_names(archive) == {"patterns": (3, 4, 5), "probe": (4, 5), "fortran": (3, 4, 5)}
    assert shape_and_type(archive, "patterns") == ((3, 4, 5), np.dtype(np.uint16))
    assert shape_and_type(archive, "probe") == ((4, 5), np.dtype(complex))


@pytest.mark.parametrize("name", ["patterns", "fortran"])
def test_arrays_come_back_whichever_axis_is_first_in_memory(archive: Path, name: str):
    np.testing.assert_array_equal(read_array(archive, name), PATTERNS)


def test_a_single_array_has_a_name_of_its_own_and_is_mapped(tmp_path: Path):
    np.save(tmp_path / "one.npy", PATTERNS)
    assert array_names(tmp_path / "one.npy") == {SINGLE: (3, 4, 5)}
    found = read_array(tmp_path / "one.npy", SINGLE)
    assert isinstance(found, np.memmap)
    np.testing.assert_array_equal(found, PATTERNS)


def test_a_header_of_the_second_version_is_read(tmp_path: Path):
    """NumPy writes it where the names of a structure's parts are long."""
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as file, file.open("new.npy", "w") as member:
        np.lib.format.write_array(member, PATTERNS, version=(2, 0))
    assert array_names(tmp_path / "a.npz") == {"new": (3, 4, 5)}
    np.testing.assert_array_equal(read_array(tmp_path / "a.npz", "new"), PATTERNS)


def test_a_wrong_name_suggests_the_nearest(archive: Path, tmp_path: Path):
    with pytest.raises(FormatError, match=r"data\.mask: .* no array 'patern'\. Did you mean 'patterns'\?"):
        shape_and_type(archive, "patern", "data.mask")
    np.save(tmp_path / "one.npy", PATTERNS)
    with pytest.raises(FormatError, match=r"data\.counts: .* Known: array"):
        read_array(tmp_path / "one.npy", "zzz")


@pytest.mark.parametrize("name", ["no.npy", "no.npz"])
def test_a_missing_file_is_named(tmp_path: Path, name: str):
    with pytest.raises(FormatError, match=rf"data\.file: no file '.*{name}'\. Check the path"):
        array_names(tmp_path / name)


@pytest.mark.parametrize("name", ["many.npz", "one.npy"])
def test_a_truncated_file_is_refused(archive: Path, tmp_path: Path, name: str):
    np.save(tmp_path / "one.npy", PATTERNS)
    path = tmp_path / name
    path.write_bytes(path.read_bytes()[:150])
    with pytest.raises(FormatError, match=r"data\.file: .* cannot be read; it is truncated or of another format"):
        array_names(path)


def test_objects_are_not_unpickled(tmp_path: Path):
    """A pickle may run anything."""
    np.savez(tmp_path / "evil.npz", a=np.array([{}, None], object))
    with pytest.raises(FormatError, match="'a' cannot be read"):
        read_array(tmp_path / "evil.npz", "a")


def test_a_damaged_array_of_an_archive_is_named(tmp_path: Path):
    path = tmp_path / "noise.npz"
    np.savez_compressed(path, noise=np.random.default_rng(0).integers(0, 99, 4000))
    whole = bytearray(path.read_bytes())
    whole[2000] ^= 0xFF
    path.write_bytes(whole)
    assert array_names(path) == {"noise": (4000,)}
    with pytest.raises(FormatError, match=r"data\.file: .* is damaged: 'noise' cannot be read .*Copy it again"):
        read_array(path, "noise")


def test_an_empty_file_is_refused(tmp_path: Path):
    path = tmp_path / "empty.npy"
    path.write_bytes(b"")
    with pytest.raises(FormatError, match=r"data\.file: .*empty\.npy.* truncated"):
        array_names(path)


def test_an_archive_whose_compressed_bytes_are_damaged_is_refused(tmp_path: Path):
    path = tmp_path / "damaged.npz"
    np.savez_compressed(path, counts=np.arange(4000).reshape(50, 80))
    data = bytearray(path.read_bytes())
    start = data.index(b"counts.npy") + len(b"counts.npy")
    data[start : start + 40] = bytes(255 for _ in range(40))
    path.write_bytes(bytes(data))
    with pytest.raises(FormatError, match=r"data\.file: .*damaged\.npz"):
        read_array(path, "counts")
