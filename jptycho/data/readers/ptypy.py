"""Prepared data of ptypy (.ptyd): patterns and positions in numbered chunks, (scan, y, x) and (scan, 2) in m."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from jptycho.data.dataset import Calibration
from jptycho.data.readers.base import Contents, Node
from jptycho.data.readers.hdf5 import is_dataset, is_group, stored, stored_arrays
from jptycho.data.readers.views import concatenate

METRE = 1e10
"""Å."""
MOST_POSITIONS = 10_000_000


def describe(file: Node, path: Path, wanted: str | None) -> Contents | None:
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
    if not is_group(chunks):
        return None
    names = sorted((name for name in chunks if name.isdigit()), key=int)
    groups = [chunks[name] for name in names if is_dataset(chunks[name].get("data"))]
    parts = [stored(group["data"], path) for group in groups if group["data"].ndim == 3]
    if not parts:
        return None
    arrays = {"chunks": concatenate(parts), **stored_arrays(file, path)}
    listed = [group.get("positions") for group in groups]
    positions = None
    fits = all(is_dataset(one) and one.ndim == 2 and one.shape[1] == 2 for one in listed)
    if fits and sum(len(one) for one in listed) <= MOST_POSITIONS:
        positions = METRE * np.concatenate([np.asarray(one[()], float) for one in listed])
    return Contents("ptypy", arrays, "chunks", Calibration(), positions=positions)
