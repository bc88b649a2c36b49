"""EMD files: of NCEM/Berkeley, of py4DSTEM, prismatic and fpd, all of which describe every axis of an array.

Groups that hold an array say so by ``emd_group_type``; beside it lie ``dim0, dim1, ...`` or ``dim1, dim2, ...``, each
with its coordinates and ``units``. Axes are stored as (slow, fast, y, x); those of length one beyond four are left out.
A rotation or flip that py4DSTEM has found is not taken over, for its sign convention is another.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from jptycho.data.dataset import Calibration
from jptycho.data.readers.axes import Axis, axis_of, spacings_of
from jptycho.data.readers.base import Contents, Node
from jptycho.data.readers.hdf5 import is_dataset, is_group, stored, stored_arrays, text_of
from jptycho.data.readers.views import squeeze

ARRAYS = ("data", "datacube", "counts")
"""What the array of a group is called."""


def describe(file: Node, path: Path, wanted: str | None) -> Contents | None:
    """What an EMD file holds.

    Args:
        file: open HDF5 file.
        path: of the file.
        wanted: name of the array that is asked for.

    Returns:
        its contents; None if it is no EMD file.
    """
    groups: list[Node] = []

    def visit(_name: str, item: Node) -> None:
        if is_group(item) and _holds_array(item):
            groups.append(item)

    file.visititems(visit)
    if not groups:
        return None
    arrays, found = stored_arrays(file, path), {}
    for group in groups:
        dataset = next(group[name] for name in ARRAYS if is_dataset(group.get(name)))
        name = dataset.name.strip("/")
        if name in arrays:
            arrays[name] = squeeze(stored(dataset, path))
            found[name] = _axes(group, dataset)
    scans = [name for name in found if _is_scan(arrays[name].shape)]
    chosen = wanted if wanted in found else scans[0] if len(scans) == 1 else None
    spacings = spacings_of(found[chosen] if chosen else [])
    calibration = Calibration(step=spacings.step, reciprocal_sampling=spacings.reciprocal)
    return Contents("EMD", arrays, chosen, calibration, spacings.angular)


def _holds_array(group: Node) -> bool:
    kind = group.attrs.get("emd_group_type")
    said = text_of(kind) == "array" or (isinstance(kind, int | np.integer) and int(kind) == 1)
    return said and any(is_dataset(group.get(name)) for name in ARRAYS)


def _is_scan(shape: tuple[int, ...]) -> bool:
    """Whether an array can be patterns of a raster; one pixel is no pattern."""
    return len(shape) == 4 and min(shape[-2:]) > 1


def _axes(group: Node, dataset: Node) -> list[Axis]:
    """Axes of an array, those of length one beyond four left out as in the array itself."""
    first = 0 if "dim0" in group else 1
    axes = []
    for number, length in enumerate(dataset.shape):
        named = group.get(f"dim{number + first}")
        if is_dataset(named):
            axes.append((length, axis_of(np.asarray(named[()]), text_of(named.attrs.get("units")))))
        else:
            axes.append((length, Axis()))
    while len(axes) > 4 and any(length == 1 for length, _ in axes):
        axes.remove(next(one for one in axes if one[0] == 1))
    return [axis for _, axis in axes]
