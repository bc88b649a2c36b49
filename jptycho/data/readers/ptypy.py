"""Prepared data of ptypy (.ptyd): patterns and positions in numbered chunks, (scan, y, x) and (scan, 2) in m."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from jptycho.data.dataset import Calibration
from jptycho.data.readers.base import Contents
from jptycho.data.readers.hdf5 import stored, stored_arrays
from jptycho.data.readers.views import concatenate

METRE = 1e10
"""Å."""
MOST_POSITIONS = 10_000_000


def describe(file: Any, path: Path, wanted: str | None) -> Contents | None:
    """What a ptypy file holds.

    Args:
        file: open HDF5 file.
        path: of the file.
        wanted: unused: there is one array of patterns.

    Returns:
        its contents; None if it has no chunks.
    """
    del wanted
    chunks = file.get("chunks")
    if not isinstance(chunks, h5py.Group):
        return None
    names = sorted((name for name in chunks if name.isdigit()), key=int)
    groups = [chunks[name] for name in names if isinstance(chunks[name].get("data"), h5py.Dataset)]
    parts = [stored(group["data"], path) for group in groups if group["data"].ndim == 3]
    if not parts:
        return None
    arrays = {"chunks": concatenate(parts), **stored_arrays(file, path)}
    listed = [group.get("positions") for group in groups]
    positions = None
    fits = all(isinstance(one, h5py.Dataset) and one.ndim == 2 and one.shape[1] == 2 for one in listed)
    if fits and sum(len(one) for one in listed) <= MOST_POSITIONS:
        positions = METRE * np.concatenate([np.asarray(one[()], float) for one in listed])
    return Contents("ptypy", arrays, "chunks", Calibration(), positions=positions)
