"""NumPy files, of whose arrays only headers are read."""

import zipfile
from pathlib import Path

import numpy as np
import pytest

from jptycho.data.readers.arrays import SINGLE, open_npy, open_npz
from jptycho.data.readers.base import EVERYTHING, read_rows
from jptycho.data.readers.registry import open_contents
from jptycho.errors import FormatError

PATTERNS = np.arange(3 * 4 * 5, dtype=np.uint16).reshape(3, 4, 5)


def array_names(path: Path) -> dict[str, tuple[int, ...]]:
    return {name: array.shape for name, array in open_contents(path, {}).arrays.items()}


def read_array(path: Path, name: str) -> np.ndarray:
    return open_contents(path, {}).arrays[name].get(EVERYTHING)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "many.npz"
    np.savez_compressed(path, patterns=PATTERNS, probe=np.ones((4, 5), complex), fortran=np.asfortranarray(PATTERNS))
    return path


def test_every_array_of_an_archive_is_listed(archive: Path):
    assert array_names(archive) == {"patterns": (3, 4, 5), "probe": (4, 5), "fortran": (3, 4, 5)}
    found = open_npz(archive, {}).arrays
    assert (found["patterns"].dtype, found["probe"].dtype) == (np.dtype(np.uint16), np.dtype(complex))


@pytest.mark.parametrize("name", ["patterns", "fortran"])
def test_arrays_come_back_whichever_axis_is_first_in_memory(archive: Path, name: str):
    np.testing.assert_array_equal(read_array(archive, name), PATTERNS)


def test_a_single_array_has_a_name_of_its_own_and_is_whole(tmp_path: Path):
    np.save(tmp_path / "one.npy", PATTERNS)
    assert array_names(tmp_path / "one.npy") == {SINGLE: (3, 4, 5)}
    found = read_array(tmp_path / "one.npy", SINGLE)
    assert open_npy(tmp_path / "one.npy", {}).arrays[SINGLE].complete is None
    np.testing.assert_array_equal(found, PATTERNS)


def test_a_header_of_the_second_version_is_read(tmp_path: Path):
    """NumPy writes it where the names of a structure's parts are long."""
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as file, file.open("new.npy", "w") as member:
        np.lib.format.write_array(member, PATTERNS, version=(2, 0))
    assert array_names(tmp_path / "a.npz") == {"new": (3, 4, 5)}
    np.testing.assert_array_equal(read_array(tmp_path / "a.npz", "new"), PATTERNS)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("order", ["C", "F"])
def test_parts_are_those_of_the_whole_in_any_order(tmp_path: Path, save, order: str):
    patterns = np.asarray(np.random.default_rng(0).integers(0, 9, (5, 3, 4, 6)), np.uint16, order=order)
    save(tmp_path / "a.npz", a=patterns)
    stored, flat = open_npz(tmp_path / "a.npz", {}).arrays["a"], patterns.reshape(-1, 4, 6)
    for rows in (slice(0, 4), slice(4, 15), slice(2, 3), slice(None), [14, 0, 1, 7], slice(None, None, 4), []):
        np.testing.assert_array_equal(read_rows(stored, rows), flat[rows])


def test_a_packed_archive_is_unpacked_once_when_read_in_order(tmp_path: Path, monkeypatch):
    np.savez_compressed(tmp_path / "a.npz", a=np.arange(6000).reshape(60, 10, 10))
    stored, opened = open_npz(tmp_path / "a.npz", {}).arrays["a"], []
    open_member = zipfile.ZipFile.open
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *a, **k: opened.append(1) or open_member(*a, **k))
    for start in range(0, 60, 7):
        np.testing.assert_array_equal(read_rows(stored, slice(start, start + 7))[0, 0, 0], 100 * start)
    assert len(opened) == 1


def test_a_header_that_claims_more_than_the_file_has_allocates_nothing(tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as file:
        header = np.lib.format.MAGIC_PREFIX + bytes([1, 0])
        text = b"{'descr': '<f8', 'fortran_order': False, 'shape': (100000, 1000, 1000), }".ljust(117) + b"\n"
        file.writestr("a.npy", header + len(text).to_bytes(2, "little") + text + bytes(64))
    with pytest.raises(FormatError, match=r"a\.npy has 192 bytes, not those of shape \(100000, 1000, 1000\)"):
        open_npz(tmp_path / "a.npz", {})


@pytest.mark.parametrize("name", ["no.npy", "no.npz"])
def test_a_missing_file_is_named(tmp_path: Path, name: str):
    with pytest.raises(FormatError, match=rf"data\.file: no file '.*{name}'\. Check the path"):
        array_names(tmp_path / name)


@pytest.mark.parametrize("name", ["many.npz", "one.npy"])
def test_a_truncated_file_is_refused(archive: Path, tmp_path: Path, name: str):
    np.save(tmp_path / "one.npy", PATTERNS)
    path = tmp_path / name
    path.write_bytes(path.read_bytes()[:150])
    with pytest.raises(FormatError, match=r"data\.file: .* cannot be read.*; it is truncated or of another format"):
        array_names(path)


def test_objects_are_not_unpickled(tmp_path: Path):
    """A pickle may run anything."""
    objects = np.array([{}, None], object)
    np.savez(tmp_path / "evil.npz", a=objects, b=PATTERNS)
    assert array_names(tmp_path / "evil.npz") == {"b": (3, 4, 5)}
    np.save(tmp_path / "evil.npy", objects)
    with pytest.raises(FormatError, match=r"evil\.npy' cannot be read as a NumPy array; .* Python objects"):
        array_names(tmp_path / "evil.npy")


def test_an_archive_of_something_else_says_what_it_holds(tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as file:
        file.writestr("scan.mib", b"MQ1")
    with pytest.raises(FormatError, match=r"without an array of numbers; it holds scan\.mib\. Unpack it"):
        array_names(tmp_path / "a.npz")


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
