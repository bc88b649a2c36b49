"""Which of the conventions for HDF5 a file keeps; arrays of any other HDF5 file are found by their names."""

from __future__ import annotations

from pathlib import Path

from jptycho.data.readers import emd, hyperspy, jptycho_scan, matlab, nexus, ptypy, velox
from jptycho.data.readers.base import Contents
from jptycho.data.readers.hdf5 import MATLAB, open_hdf5, stored, stored_arrays
from jptycho.settings import Table

CONVENTIONS = (emd.describe, velox.describe, ptypy.describe, nexus.describe)
"""Each says what a file holds, or None; the first that knows is believed."""


def open_file(path: Path, options: Table) -> Contents:
    """Open any HDF5 file.

    Args:
        path: of the file.
        options: of the ``[data]`` table; ``counts`` chooses an array.

    Returns:
        its arrays and what it states.

    Raises:
        FormatError: damaged.
    """
    wanted = options.get("counts")
    with open_hdf5(path, "data.file") as file:
        own = file.attrs.get("schema") == jptycho_scan.SCHEMA
        if own and wanted is None:
            return jptycho_scan.describe(file, path)
        if not own and path.suffix.lower() == MATLAB:
            return matlab.open_version_7_3(path, options)
        found = hyperspy.describe(file, lambda dataset: stored(dataset, path), wanted)
        for describe in () if own or found else CONVENTIONS:
            found = describe(file, path, wanted)
            if found is not None:
                break
        return found or Contents("HDF5", stored_arrays(file, path))
