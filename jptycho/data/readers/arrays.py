"""NumPy files: an .npy file and what lies unpacked in an .npz archive are read in part; what is packed, in order.

Nothing is ever unpickled, and what a header says of a size is compared with the file before anything is read.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy as np

from jptycho.data.readers.base import Contents, Index, StoredArray, guard, in_file, naming_errors
from jptycho.errors import FormatError
from jptycho.settings import Table

Bytes = io.BufferedIOBase | IO[bytes]
"""An open file or member of an archive."""
SINGLE = "array"
"""The name under which the only array of an .npy file is known."""
LARGEST_RATIO = 1032
"""That deflate reaches; whoever claims more claims what is not there."""
LONGEST_HEADER = 2**16
BUFFER = 2**22
LOCAL_HEADER = 30
"""Bytes of an archive's member before its name."""


def open_npy(path: Path, options: Table) -> Contents:
    """Open an .npy file.

    Args:
        path: of the file.
        options: of the ``[data]`` table.

    Returns:
        its array, under the name ``"array"``.

    Raises:
        FormatError: damaged, or Python objects.
    """
    del options
    with naming_errors(path, "a NumPy array"), path.open("rb") as file:
        shape, order, dtype = _header(file)
        array = in_file(path, dtype, shape, file.tell(), order)
    if array.complete is not None and (order == "F" or len(shape) < 3 or not array.complete):
        raise FormatError(
            f"data.file: {str(path)!r} cannot be read; it is truncated or of another format: it is shorter than its "
            f"shape {shape} of {dtype}. Copy it again from its origin."
        )
    return Contents("NumPy array", {SINGLE: guard(array, path, SINGLE)})


def open_npz(path: Path, options: Table) -> Contents:
    """Open an .npz archive.

    Args:
        path: of the file.
        options: of the ``[data]`` table.

    Returns:
        its arrays; one of Python objects is not among them.

    Raises:
        FormatError: damaged.
    """
    del options
    arrays = {}
    with naming_errors(path, "a NumPy archive"), zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            if entry.filename.endswith(".npy"):
                name = entry.filename.removesuffix(".npy")
                stored = _member(path, archive, entry)
                if stored is not None:
                    arrays[name] = guard(stored, path, name)
        if not arrays:
            held = ", ".join(archive.namelist()[:5]) or "nothing"
            raise FormatError(
                f"data.file: {str(path)!r} is an archive without an array of numbers; it holds {held}. "
                "Unpack it and name one of its files."
            )
    return Contents("NumPy archive", arrays)


def _header(file: Bytes) -> tuple[tuple[int, ...], str, np.dtype]:
    """Shape, order and type of an array; what follows is its data."""
    version = np.lib.format.read_magic(file)
    begin, width = file.tell(), 2 if version == (1, 0) else 4
    if int.from_bytes(file.read(width), "little") > LONGEST_HEADER:
        raise ValueError("its header is longer than any")
    file.seek(begin)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, columns_first, dtype = read(file, max_header_size=LONGEST_HEADER)
    if dtype.hasobject:
        raise ValueError("its values are Python objects, which may run anything")
    if any(length < 0 for length in shape):
        raise ValueError(f"its shape is {shape}")
    return shape, "F" if columns_first else "C", dtype


def _member(path: Path, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> StoredArray | None:
    """An array of an archive; None for one of Python objects."""
    with archive.open(entry) as file:
        try:
            shape, order, dtype = _header(file)
        except ValueError as error:
            if "Python objects" in str(error):
                return None
            raise
        start = file.tell()
    there, size = path.stat().st_size, math.prod(shape) * dtype.itemsize
    if start + size != entry.file_size or entry.compress_size > there:
        raise ValueError(f"{entry.filename} has {entry.file_size} bytes, not those of shape {shape} of {dtype}")
    if entry.compress_type == zipfile.ZIP_STORED:
        return in_file(path, dtype, shape, _data_offset(path, entry) + start, order)
    if entry.file_size > LARGEST_RATIO * (entry.compress_size + 64):
        raise ValueError(f"{entry.filename} cannot have {entry.file_size} bytes")
    return StoredArray(shape, dtype, _unpacking(path, entry.filename, (shape, order, dtype, start)))


def _data_offset(path: Path, entry: zipfile.ZipInfo) -> int:
    """Where an unpacked member begins: behind its own header, whose length differs from that in the directory."""
    with path.open("rb") as file:
        file.seek(entry.header_offset)
        header = file.read(LOCAL_HEADER)
    if len(header) < LOCAL_HEADER or not header.startswith(b"PK\x03\x04"):
        raise ValueError(f"{entry.filename} is not where the archive says")
    lengths = int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
    return entry.header_offset + LOCAL_HEADER + lengths


def _unpacking(
    path: Path, name: str, described: tuple[tuple[int, ...], str, np.dtype, int]
) -> Callable[[Index], np.ndarray]:
    """Reads parts of a packed member: it is unpacked from where the last part ended, or else from its beginning."""
    shape, order, dtype, start = described
    opened: list[Bytes] = []
    in_lines = bool(shape) and order == "C"
    line = math.prod(shape[1:] if in_lines else shape) * dtype.itemsize
    end = start + math.prod(shape) * dtype.itemsize

    def get(index: Index) -> np.ndarray:
        low, high, step = (index[0] if index else slice(None)).indices(shape[0]) if in_lines else (0, 1, 1)
        high = max(low, high)
        try:
            _go_to(opened, path, name, start + low * line)
            data = _take(opened[0], (high - low) * line)
            if opened[0].tell() >= end:
                opened[0].read(1)  # compares the checksum
                opened.pop().close()
        except BaseException:
            while opened:
                opened.pop().close()
            raise
        if not in_lines:
            return np.frombuffer(data, dtype).reshape(shape, order="F")[index]
        return np.frombuffer(data, dtype).reshape(high - low, *shape[1:])[(slice(None, None, step), *index[1:])]

    return get


def _go_to(opened: list[Bytes], path: Path, name: str, begin: int) -> None:
    """Have a member open where some of its unpacked bytes begin."""
    if opened and begin < opened[0].tell():
        opened.pop().close()
    if not opened:
        with zipfile.ZipFile(path) as archive:  # a member that is open outlives it
            opened.append(archive.open(name))
    while opened[0].tell() < begin:
        _take(opened[0], min(begin - opened[0].tell(), BUFFER))


def _take(file: Bytes, length: int) -> bytearray:
    """So many bytes, unpacked into their final place."""
    data = bytearray(length)
    view, filled = memoryview(data), 0
    while filled < length:
        got = file.read(min(length - filled, BUFFER))
        if not got:
            raise EOFError("it ends too early")
        view[filled : filled + len(got)] = got
        filled += len(got)
    return data
