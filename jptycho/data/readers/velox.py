"""Velox EMD files: a stack of images lies in ``Data/Image/<id>/Data`` as (y, x, frame), and is read as a list.

Beside it, ``Metadata`` is JSON text that states the accelerating voltage in V and, in diffraction, the size of a pixel.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from jptycho.data.dataset import Calibration
from jptycho.data.readers.axes import Axis, spacings_of
from jptycho.data.readers.base import Contents, Node
from jptycho.data.readers.hdf5 import is_dataset, is_group, stored
from jptycho.data.readers.hyperspy import positive
from jptycho.data.readers.views import permute

MOST_METADATA = 2**24


def describe(file: Node, path: Path, wanted: str | None) -> Contents | None:
    """What a Velox file holds.

    Args:
        file: open HDF5 file.
        path: of the file.
        wanted: name of the array that is asked for.

    Returns:
        its contents; None if Velox did not write it.
    """
    images = file.get("Data/Image")
    if not is_group(images):
        return None
    arrays, said = {}, {}
    for name in images:
        image: Node = images[name]
        data: Node = image.get("Data") if is_group(image) else None
        if is_dataset(data) and data.ndim == 3 and data.dtype.kind in "uif":
            place = f"Data/Image/{name}/Data"
            arrays[place] = permute(stored(data, path), (2, 0, 1))
            said[place] = _metadata(image.get("Metadata"))
    stacks = [place for place in arrays if arrays[place].shape[0] > 1]
    chosen = wanted if wanted in arrays else stacks[0] if len(stacks) == 1 else None
    if chosen is None:
        return Contents("Velox", arrays)
    spacings = spacings_of([Axis(), *_pixels(said[chosen])])
    calibration = Calibration(
        energy=_float(_part(said[chosen], "Optics").get("AccelerationVoltage")),
        reciprocal_sampling=spacings.reciprocal,
    )
    return Contents("Velox", arrays, chosen, calibration, spacings.angular)


def _metadata(dataset: Node) -> dict[str, object]:
    """The JSON text of the first frame, which ends with a zero."""
    if not is_dataset(dataset) or dataset.dtype != np.uint8 or dataset.shape[0] > MOST_METADATA:
        return {}
    values = dataset[:, 0] if dataset.ndim == 2 else dataset[()]
    text = np.asarray(values).tobytes().split(b"\0")[0].decode("utf-8", "replace")
    found = json.loads(text) if text.strip() else {}
    return found if isinstance(found, dict) else {}


def _part(metadata: Mapping[str, object], name: str) -> Mapping[str, object]:
    found = metadata.get(name)
    return found if isinstance(found, dict) else {}


def _float(text: object) -> float | None:
    try:
        return positive(float(str(text)))
    except ValueError:
        return None


def _pixels(metadata: Mapping[str, object]) -> list[Axis]:
    result = _part(metadata, "BinaryResult")
    size = _part(result, "PixelSize")
    return [
        Axis(_float(size.get(length)), str(result.get(unit, "")))
        for length, unit in (("height", "PixelUnitY"), ("width", "PixelUnitX"))
    ]
