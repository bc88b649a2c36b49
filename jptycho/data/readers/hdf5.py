"""HDF5 files: open, find and read arrays of any of them, and write one whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from jptycho.errors import FormatError, nearest_name
from jptycho.settings import Table

MATLAB = ".mat"
"""Suffix of files whose arrays were stored columns first, so that their axes arrive in reversed order."""


def open_hdf5(path: Path, file_error: str) -> Any:
    """Open an HDF5 file for reading, or say why not.

    Args:
        path: of the file.
        file_error: name of the argument that gave the path.

    Returns:
        the open :class:`h5py.File`, untyped: h5py's types do not tell a group from a dataset.

    Raises:
        FormatError: missing, truncated or no HDF5.
    """
    if not path.exists():
        raise FormatError(
            f"{file_error}: no file {str(path)!r}. Check the path; a relative one starts at the TOML file."
        )
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise FormatError(
            f"{file_error}: {str(path)!r} cannot be read as HDF5; it is truncated or of another format ({error}). "
            "Copy it again from its origin."
        ) from None


def refuse_existing(path: Path, overwrite: bool) -> None:
    """Refuse a file that exists, before any work is done for it.

    Args:
        path: of the file to be written.
        overwrite: whether an existing file may be replaced.

    Raises:
        FormatError: the file exists and may not be replaced, or its folder cannot be written to.
    """
    if path.exists() and not overwrite:
        raise FormatError(f"output: {str(path)!r} exists. Choose another name, or allow it with --overwrite.")
    parent = next(p for p in path.resolve().parents if p.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise FormatError(f"output: {str(parent)!r} is no folder that can be written to. Choose another.")


def atomic_write(path: Path, write: Callable[[h5py.File], None], overwrite: bool) -> None:
    """Write an HDF5 file that appears whole or not at all.

    Args:
        path: of the file.
        write: fills the open file.
        overwrite: whether an existing file may be replaced.

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


def read_array(path: Path, name: str, argument: str = "data.counts") -> np.ndarray:
    """One array of a file, whole.

    Args:
        path: of the file.
        name: of the dataset in it.
        argument: that gave the name, for the message.

    Returns:
        the array.

    Raises:
        FormatError: no such dataset, or the file is damaged.
    """
    with open_hdf5(path, "data.file") as file:
        dataset = find_dataset(file, name, path, argument)
        try:
            return _rows_first(file, np.asarray(dataset[()]))
        except OSError as error:
            raise FormatError(
                f"data.file: {str(path)!r} is damaged: {name!r} cannot be read ({error}). Copy it again."
            ) from None


def find_dataset(file: Any, name: str, path: Path, argument: str = "data.counts") -> Any:
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


def array_names(path: Path) -> dict[str, tuple[int, ...]]:
    """Every dataset of a file and its shape.

    Args:
        path: of the file.

    Returns:
        names to shapes.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    with open_hdf5(path, "data.file") as file:
        file.visititems(
            lambda n, item: shapes.update({n: _shape(file, item)}) if isinstance(item, h5py.Dataset) else None
        )
    return shapes


def shape_and_type(path: Path, name: str) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and type of a dataset, without reading it.

    Args:
        path: of the file.
        name: of the dataset.

    Returns:
        both.
    """
    with open_hdf5(path, "data.file") as file:
        dataset = find_dataset(file, name, path)
        return _shape(file, dataset), dataset.dtype


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


def _by_matlab(file: Any) -> bool:
    """Whether a file was stored columns first; one of our own never was, whatever its name."""
    return Path(file.filename).suffix.lower() == MATLAB and "schema" not in file.attrs


def _shape(file: Any, dataset: Any) -> tuple[int, ...]:
    """Shape as whoever wrote the file sees it."""
    return dataset.shape[::-1] if _by_matlab(file) else dataset.shape


def _rows_first(file: Any, array: np.ndarray) -> np.ndarray:
    """An array as whoever wrote the file sees it; complex numbers of MATLAB are pairs with names."""
    if not _by_matlab(file):
        return array
    if array.dtype.names == ("real", "imag"):
        array = array["real"] + 1j * array["imag"]
    return array.T
