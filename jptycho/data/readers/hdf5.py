"""HDF5 files: open, find and read arrays of any of them, and write one whole or not at all."""

from __future__ import annotations

import contextlib
import math
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np

from jptycho.data.readers.base import Index, Node, StoredArray, guard, naming_errors
from jptycho.data.readers.crash_safe import check_hdf5
from jptycho.data.readers.files import read_head
from jptycho.data.readers.views import permute
from jptycho.errors import FormatError, nearest_name
from jptycho.settings import Table

MATLAB = ".mat"
"""Suffix of files whose arrays were stored columns first, so that their axes arrive in reversed order."""
LARGEST_RATIO = 2000
"""Between an array and what is stored of it."""
SMALL = 2**16
"""Bytes up to which nobody asks whether an array is really there."""
MOST_CHUNKS = 10_000_000


@contextlib.contextmanager
def open_hdf5(path: Path, argument: str) -> Iterator[Node]:
    """Open an HDF5 file for reading, or say why not; the same for whatever fails while it is open.

    Args:
        path: of the file.
        argument: that gave the path.

    Yields:
        the open :class:`h5py.File`, untyped: h5py's types do not tell a group from a dataset.

    Raises:
        FormatError: missing, truncated, damaged or no HDF5.
    """
    read_head(path, argument)
    check_hdf5(path, argument)
    with naming_errors(path, "HDF5", argument), h5py.File(path, "r") as file:
        yield file


def refuse_existing(path: Path, overwrite: bool | None) -> None:
    """Refuse a file that exists, before any work is done for it.

    Args:
        path: of the file to be written.
        overwrite: whether an existing file may be replaced; None where nobody can allow it.

    Raises:
        FormatError: the file exists and may not be replaced, or its folder cannot be written to.
    """
    if path.exists() and not overwrite:
        allowed = "" if overwrite is None else ", or allow it with --overwrite"
        raise FormatError(f"output: {str(path)!r} exists. Choose another name{allowed}.")
    parent = next(p for p in path.resolve().parents if p.exists())
    try:
        tempfile.TemporaryFile(dir=parent).close()  # permissions alone do not say it
    except OSError:
        raise FormatError(f"output: {str(parent)!r} is no folder that can be written to. Choose another.") from None


def atomic_write(path: Path, write: Callable[[h5py.File], None], overwrite: bool) -> None:
    """Write an HDF5 file that appears whole or not at all.

    Args:
        path: of the file.
        write: fills the open file.
        overwrite: whether an existing file may be replaced; None where nobody can allow it.

    Raises:
        FormatError: the file exists and may not be replaced.
    """
    refuse_existing(path, overwrite)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    os.close(handle)
    try:
        with h5py.File(temporary, "w") as file:
            write(file)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)


def find_dataset(file: Node, name: str, path: Path, argument: str = "data.counts") -> Node:
    """A dataset by name.

    Args:
        file: open file.
        name: of the dataset.
        path: of the file, for the message.
        argument: that gave the name, for the message.

    Returns:
        the dataset, unread.

    Raises:
        FormatError: no such dataset; the message names the nearest.
    """
    found = file.get(name)
    if isinstance(found, h5py.Dataset):
        return found
    names: list[str] = []
    file.visititems(lambda n, item: names.append(n) if isinstance(item, h5py.Dataset) else None)
    raise FormatError(f"{argument}: {str(path)!r} holds no dataset {name!r}.{nearest_name(name, names)}")


def stored_arrays(file: Node, path: Path) -> dict[str, StoredArray]:
    """Every array of an open file.

    Args:
        file: open.
        path: of the file.

    Returns:
        names to arrays of numbers, unread.
    """
    found: dict[str, StoredArray] = {}

    def visit(name: str, item: Node) -> None:
        if isinstance(item, h5py.Dataset) and item.shape is not None and _is_numeric(item.dtype):
            found[name] = stored(item, path)

    file.visititems(visit)
    return found


def stored(dataset: Node, path: Path) -> StoredArray:
    """An array of an open file, to be read when that is closed again.

    Args:
        dataset: in the open file, or in another one to which that links.
        path: of the open file.

    Returns:
        the array; of MATLAB, with its axes as its author sees them.

    Raises:
        FormatError: it is packed in a way that cannot be undone here.
    """
    name = str(dataset.name)
    path = path if dataset.file.filename == str(path) else Path(dataset.file.filename)
    pairs = dataset.dtype.names is not None
    dtype = np.result_type(dataset.dtype[0], np.complex64) if pairs else dataset.dtype

    def get(index: Index) -> np.ndarray:
        with open_hdf5(path, "data.file") as file:
            found = file[name]
            _check_filters(found, path)
            part = np.asarray(found[index])
        if pairs:
            first, second = part.dtype.names or ("", "")
            part = (part[first] + 1j * part[second]).astype(dtype)
        return part

    array = guard(StoredArray(dataset.shape, np.dtype(dtype), get, _complete(dataset)), path, name.strip("/"))
    return permute(array, tuple(range(dataset.ndim))[::-1]) if _by_matlab(dataset.file) else array


def is_group(item: Node) -> bool:
    """Whether something is a group.

    Args:
        item: anything.

    Returns:
        whether it is.
    """
    return isinstance(item, h5py.Group)


def is_dataset(item: Node) -> bool:
    """Whether something is an array.

    Args:
        item: anything.

    Returns:
        whether it is.
    """
    return isinstance(item, h5py.Dataset)


def _is_numeric(dtype: np.dtype) -> bool:
    """Whether values are numbers; a complex one may be a pair with names."""
    if dtype.names is not None:
        return len(dtype.names) == 2 and all(dtype[n].kind == "f" for n in (0, 1))
    return dtype.kind in "uifcb"


def _check_filters(dataset: Node, path: Path) -> None:
    """Refuse an array that is packed by something that is not installed."""
    plist = dataset.id.get_create_plist()
    for number in range(plist.get_nfilters()):
        code = plist.get_filter(number)[0]
        if not h5py.h5z.filter_avail(code):
            with contextlib.suppress(ImportError):
                import hdf5plugin  # noqa: F401, PLC0415
        if not h5py.h5z.filter_avail(code):
            raise FormatError(
                f"data.file: {str(path)!r} is packed by filter {code} of HDF5, which is not installed. "
                "Install it with: pip install 'jptycho[formats]'"
            )


def _complete(dataset: Node) -> int | None:
    """Number of patterns, counted from the first, that were written; None for all.

    An array that was never written, or in part, still has its full shape, and zeros where nothing is.
    """
    size = dataset.size * dataset.dtype.itemsize
    if size <= SMALL or dataset.is_virtual:
        return None
    if dataset.external:
        return 0
    there = dataset.id.get_storage_size()
    if dataset.chunks is None:
        return None if there >= size else 0
    grid = [-(-n // step) for n, step in zip(dataset.shape, dataset.chunks, strict=True)]
    if math.prod(grid) > MOST_CHUNKS or size > LARGEST_RATIO * max(there, 1) + SMALL:
        return 0
    if dataset.id.get_num_chunks() >= math.prod(grid):
        return None
    written = np.zeros(grid, bool)

    def mark(chunk: Node) -> None:
        written[tuple(start // step for start, step in zip(chunk.chunk_offset, dataset.chunks, strict=True))] = True

    dataset.id.chunk_iter(mark)
    leading = max(dataset.ndim - 2, 1)
    whole = np.asarray(written.reshape(*grid[:leading], -1).all(axis=-1))
    for axis in range(leading):
        whole = np.repeat(whole, dataset.chunks[axis], axis=axis)
    whole = whole[tuple(slice(n) for n in dataset.shape[:leading])].ravel()
    return int(np.argmin(whole)) if not whole.all() else None


def read_attributes(path: Path) -> Table:
    """The root attributes of a file.

    Args:
        path: of the file.

    Returns:
        names to values.

    Raises:
        FormatError: no HDF5.
    """
    with open_hdf5(path, "file") as file:
        return dict(file.attrs)


def text_of(value: object) -> str:
    """Text of an attribute, however it was stored.

    Args:
        value: bytes, text, or an array of one of them.

    Returns:
        the text; empty for anything else.

    Example:
        >>> text_of(np.array([b"nm"])), text_of(3.0)
        ('nm', '')
    """
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.ravel()[0]
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str) else ""


def _by_matlab(file: Node) -> bool:
    """Whether a file was stored columns first; one of our own never was, whatever its name."""
    return Path(file.filename).suffix.lower() == MATLAB and "schema" not in file.attrs
