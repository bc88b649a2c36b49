"""MATLAB files: version 5 by SciPy, a variable at a time and whole; version 7.3 is HDF5 and read as such.

MATLAB stores columns first; arrays are given with the axes that their author sees. PtychoShelves keeps its patterns as
(y, x, scan): an array of three axes whose first two alone are equal is taken for that and turned to (scan, y, x).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np

from jptycho.data.readers.base import Contents, Index, StoredArray, guard, naming_errors
from jptycho.data.readers.hdf5 import open_hdf5, stored_arrays
from jptycho.data.readers.matlab_sizes import LARGEST_RATIO, check_sizes
from jptycho.data.readers.views import permute
from jptycho.settings import Table

NAME = "a MATLAB file"
SIGNATURE = b"MATLAB 5.0 MAT-file"
TYPES = {
    "double": "f8",
    "single": "f4",
    "int8": "i1",
    "uint8": "u1",
    "int16": "i2",
    "uint16": "u2",
    "int32": "i4",
    "uint32": "u4",
    "int64": "i8",
    "uint64": "u8",
}


def open_version_5(path: Path, options: Table) -> Contents:
    """Open a file of version 5.

    Args:
        path: of the file.
        options: of the ``[data]`` table.

    Returns:
        its variables of numbers.

    Raises:
        FormatError: damaged.
    """
    from scipy.io import whosmat  # noqa: PLC0415

    del options
    arrays = {}
    with naming_errors(path, NAME):
        check_sizes(path)
        for name, shape, kind in whosmat(str(path)):
            if kind in TYPES:
                # As it will be: a complex one says so only when it is read.
                dtype = np.dtype(TYPES[kind])
                if math.prod(shape) > LARGEST_RATIO * path.stat().st_size or any(n < 0 for n in shape):
                    raise ValueError(f"{name} cannot have shape {shape}")
                arrays[name] = guard(StoredArray(shape, dtype, _variable(path, name, shape)), path, name)
    return Contents("MATLAB", _patterns_first(arrays))


def open_version_7_3(path: Path, options: Table) -> Contents:
    """Open a file of version 7.3.

    Args:
        path: of the file.
        options: of the ``[data]`` table.

    Returns:
        its arrays.

    Raises:
        FormatError: damaged.
    """
    del options
    with open_hdf5(path, "data.file") as file:
        return Contents("MATLAB", _patterns_first(stored_arrays(file, path)))


def _variable(path: Path, name: str, shape: tuple[int, ...]) -> Callable[[Index], np.ndarray]:
    """Reads a variable once; what is asked for later comes from memory."""
    kept: list[np.ndarray] = []

    def get(index: Index) -> np.ndarray:
        from scipy.io import loadmat  # noqa: PLC0415

        if not kept:
            found = loadmat(str(path), variable_names=[name], squeeze_me=False)[name]
            if not isinstance(found, np.ndarray) or found.dtype.hasobject or found.shape != shape:
                raise ValueError("it is not what its header says")
            kept.append(found)
        return kept[0][index]

    return get


def _patterns_first(arrays: dict[str, StoredArray]) -> dict[str, StoredArray]:
    """Arrays, those of (y, x, scan) turned to (scan, y, x)."""
    return {name: permute(array, (2, 0, 1)) if _is_last(array.shape) else array for name, array in arrays.items()}


def _is_last(shape: tuple[int, ...]) -> bool:
    return len(shape) == 3 and shape[0] == shape[1] != shape[2]
