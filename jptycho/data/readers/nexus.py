"""NeXus files, CXI files, and what DECTRIS detectors such as ARINA write: a master file beside files of patterns.

The patterns are what an ``NXdata`` group calls its signal; CXI keeps them in ``entry_1/data_1/data``. Numbers of the
beam are those of photons there, so no energy is taken from such a file. DECTRIS writes patterns as a list: the scan's
shape is not stated. Its ``pixel_mask`` is used: 0 is a good pixel.
"""

from __future__ import annotations

import re
from pathlib import Path

import h5py
import numpy as np

from jptycho.data.dataset import Calibration
from jptycho.data.readers.axes import Axis, axis_of, spacings_of
from jptycho.data.readers.base import Contents, Node, StoredArray
from jptycho.data.readers.hdf5 import is_dataset, is_group, stored, stored_arrays, text_of
from jptycho.data.readers.views import concatenate, squeeze
from jptycho.errors import FormatError

PART = re.compile(r"data_\d{6}")
"""Name of a link of a master file to some of the patterns."""
MASK = "instrument/detector/detectorSpecific/pixel_mask"
CXI = "entry_1/data_1/data"


def describe(file: Node, path: Path, wanted: str | None) -> Contents | None:
    """What a NeXus, CXI or DECTRIS file holds.

    Args:
        file: open HDF5 file.
        path: of the file.
        wanted: name of the array that is asked for.

    Returns:
        its contents; None if it is none of these.
    """
    parts = file.get("entry/data")
    if is_group(parts) and any(PART.fullmatch(name) for name in parts):
        return _dectris(file, path)
    signals = _signals(file)
    if not signals and is_dataset(file.get(CXI)):
        signals = [(file[CXI], [])]
    if not signals:
        return None
    arrays = stored_arrays(file, path)
    named = {dataset.name.strip("/"): axes for dataset, axes in signals}
    for dataset, _ in signals:
        arrays[dataset.name.strip("/")] = squeeze(stored(dataset, path))
    chosen = wanted if wanted in named else next(iter(named)) if len(named) == 1 else None
    spacings = spacings_of(named[chosen] if chosen else [])
    calibration = Calibration(step=spacings.step, reciprocal_sampling=spacings.reciprocal)
    return Contents("NeXus", arrays, chosen, calibration, spacings.angular)


def _signals(file: Node) -> list[tuple[Node, list[Axis]]]:
    """Arrays of at least three axes that a group calls its signal, each once, and the axes that are named with it."""
    found: dict[str, tuple[Node, list[Axis]]] = {}

    def visit(_name: str, item: Node) -> None:
        if not is_group(item):
            return
        dataset = item.get(text_of(item.attrs.get("signal")) or "data")
        old = is_dataset(dataset) and str(dataset.attrs.get("signal", "")) in ("1", "b'1'")
        if is_dataset(dataset) and ("signal" in item.attrs or old) and dataset.ndim >= 3:
            found[dataset.name] = dataset, _axes(item, dataset)

    file.visititems(visit)
    visit("", file["/"])
    return list(found.values())


def _axes(group: Node, dataset: Node) -> list[Axis]:
    """Axes by the names that the group lists, where there is one for each."""
    names = np.atleast_1d(np.asarray(group.attrs.get("axes", ()))).ravel()
    if len(names) != dataset.ndim:
        return [Axis()] * dataset.ndim
    listed = [group.get(text_of(name) or ".") for name in names]
    return [
        axis_of(np.asarray(one[()]), text_of(one.attrs.get("units"))) if is_dataset(one) and one.ndim == 1 else Axis()
        for one in listed
    ]


def _dectris(file: Node, path: Path) -> Contents:
    """All parts of a master file, in order of their numbers, as one list of patterns."""
    group, parts = file["entry/data"], []
    for name in sorted(filter(PART.fullmatch, group)):
        part = _linked(group, name, path)
        if len(part.shape) == 3:
            parts.append(part)
    if not parts:
        raise FormatError(f"data.file: {str(path)!r} lists no patterns. Copy it again, with the files of its patterns.")
    patterns = concatenate(parts)
    arrays = {"entry/data": patterns, **stored_arrays(file, path)}
    return Contents("DECTRIS", arrays, "entry/data", mask=_mask(file, patterns.shape[1:]))


def _linked(group: Node, name: str, path: Path) -> StoredArray:
    link = group.get(name, getlink=True)
    try:
        return stored(group[name], path)
    except (KeyError, OSError):
        where = repr(link.filename) if isinstance(link, h5py.ExternalLink) else "another file"
        raise FormatError(
            f"data.file: {str(path)!r} has its patterns {name!r} in {where}, which is not beside it. "
            "Put it there, under its own name."
        ) from None


def _mask(file: Node, window: tuple[int, ...]) -> np.ndarray | None:
    """Weight of each pixel, where the file has a mask that fits and leaves any."""
    found = file["entry"].get(MASK)
    if not is_dataset(found) or found.shape != window:
        return None
    good = np.asarray(found[()]) == 0
    return good.astype(float) if good.any() and not good.all() else None
