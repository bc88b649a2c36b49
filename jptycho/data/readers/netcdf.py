"""Classic NetCDF files (those of version 4 are HDF5), read by SciPy through a short-lived map."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from jptycho.data.readers.base import Contents, Index, StoredArray, guard, naming_errors
from jptycho.settings import Table

NAME = "NetCDF"


class _Bounded(io.BufferedReader):
    """A file of which no more is asked for than is left of it: a reader sets aside what it asks for."""

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(path))
        self.size = path.stat().st_size

    def read(self, size: int | None = -1, /) -> bytes:
        """As of any file."""
        left = max(self.size - self.tell(), 0)
        return super().read(left if size is None or size < 0 else min(size, left))


def open_netcdf(path: Path, options: Table) -> Contents:
    """Open a NetCDF file.

    Args:
        path: of the file.
        options: of the ``[data]`` table.

    Returns:
        its variables.

    Raises:
        FormatError: damaged.
    """
    from scipy.io import netcdf_file  # noqa: PLC0415

    del options
    arrays = {}
    with naming_errors(path, NAME), warnings.catch_warnings(action="ignore"):
        with netcdf_file(_Bounded(path), "r", mmap=True) as file:
            described = {
                name: (tuple(int(n) for n in found.data.shape), found.data.dtype)
                for name, found in file.variables.items()
            }
        for name, (shape, dtype) in described.items():
            if dtype.kind in "uif":
                arrays[name] = guard(StoredArray(shape, dtype, _part_of(path, name)), path, name)
    return Contents(NAME, arrays)


def _part_of(path: Path, name: str) -> Callable[[Index], np.ndarray]:
    def get(index: Index) -> np.ndarray:
        from scipy.io import netcdf_file  # noqa: PLC0415

        with warnings.catch_warnings(action="ignore"), netcdf_file(_Bounded(path), "r", mmap=True) as file:
            return np.array(file.variables[name].data[index])

    return get
