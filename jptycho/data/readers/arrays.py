"""NumPy files: .npy is mapped, .npz is looked into without unpacking its arrays."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np

from jptycho.errors import FormatError, nearest_name

SINGLE = "array"
"""The name under which the only array of an .npy file is known."""
DAMAGED = (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error)
"""What NumPy and zipfile raise where a file is not what it should be."""


def array_names(path: Path) -> dict[str, tuple[int, ...]]:
    """Every array of a NumPy file and its shape; reads headers only.

    Args:
        path: of the .npy or .npz file.

    Returns:
        names to shapes.

    Raises:
        FormatError: missing or damaged.
    """
    return {name: shape for name, (shape, _) in _headers(path).items()}


def shape_and_type(path: Path, name: str, argument: str = "data.counts") -> tuple[tuple[int, ...], np.dtype]:
    """Shape and type of an array, without reading it.

    Args:
        path: of the file.
        name: of the array.
        argument: that gave the name, for the message.

    Returns:
        both.

    Raises:
        FormatError: no such array.
    """
    headers = _headers(path)
    if name not in headers:
        raise FormatError(f"{argument}: {str(path)!r} holds no array {name!r}.{nearest_name(name, headers)}")
    return headers[name]


def read_array(path: Path, name: str, argument: str = "data.counts") -> np.ndarray:
    """One array, whole (.npz) or mapped (.npy).

    Args:
        path: of the file.
        name: of the array.
        argument: that gave the name, for the message.

    Returns:
        the array.

    Raises:
        FormatError: damaged.
    """
    shape_and_type(path, name, argument)
    try:
        if path.suffix.lower() == ".npy":
            return np.load(path, mmap_mode="r", allow_pickle=False)
        with np.load(path, allow_pickle=False) as archive:
            return archive[name]
    except DAMAGED as error:
        raise FormatError(
            f"data.file: {str(path)!r} is damaged: {name!r} cannot be read ({error}). Copy it again from its origin."
        ) from None


def _headers(path: Path) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
    if not path.exists():
        raise FormatError(f"data.file: no file {str(path)!r}. Check the path; a relative one starts at the TOML file.")
    try:
        if path.suffix.lower() == ".npy":
            array = np.load(path, mmap_mode="r", allow_pickle=False)
            return {SINGLE: (array.shape, array.dtype)}
        with zipfile.ZipFile(path) as archive:
            return {entry.removesuffix(".npy"): _header(archive, entry) for entry in archive.namelist()}
    except DAMAGED as error:
        raise FormatError(
            f"data.file: {str(path)!r} cannot be read; it is truncated or of another format ({error}). "
            "Copy it again from its origin."
        ) from None


def _header(archive: zipfile.ZipFile, entry: str) -> tuple[tuple[int, ...], np.dtype]:
    with archive.open(entry) as member:
        version = np.lib.format.read_magic(member)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(member)
    return shape, dtype
