"""What arrays a file holds."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

from jptycho.data.readers.registry import open_contents
from jptycho.settings import Table


@dataclasses.dataclass(frozen=True)
class FileArray:
    """An array of a file.

    Attributes:
        name: in the file.
        shape: of it.
        dtype: as NumPy names it.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str


def arrays_of(path: Path, options: Table | None = None) -> tuple[str, tuple[FileArray, ...]]:
    """Every array of a file, the largest first; none is read.

    Args:
        path: of the file.
        options: keys of ``[data]``, of which a plain binary file needs some.

    Returns:
        the format in words; names, shapes and types.

    Raises:
        FormatError: missing, damaged, or of an unknown format.
    """
    contents = open_contents(path, options or {})
    found = (FileArray(name, tuple(one.shape), str(one.dtype)) for name, one in contents.arrays.items())
    return contents.format, tuple(sorted(found, key=lambda one: (-math.prod(one.shape), one.name)))


@dataclasses.dataclass(frozen=True)
class Offer:
    """An array of a file that ``[data]`` could name.

    Attributes:
        key: of the table.
        name: of the array.
        meaning: what is to be checked before it is used.
    """

    key: str
    name: str
    meaning: str


def offers_of(arrays: tuple[FileArray, ...], shape: tuple[int, ...]) -> tuple[Offer, ...]:
    """Arrays that, by shape, type and name, may be a scan's positions, its probe, or the detector's mask.

    Args:
        arrays: of the file.
        shape: of the patterns (..., ky, kx).

    Returns:
        offers; the shape of positions and of a complex probe is enough, a real image must be called a mask or vacuum.

    Example:
        >>> one = (FileArray("xy", (6, 2), "float64"), FileArray("p", (4, 4), "complex64"))
        >>> [(offer.key, offer.name) for offer in offers_of(one, (2, 3, 4, 4))]
        [('positions', 'xy'), ('probe', 'p')]
    """
    count, window = math.prod(shape[:-2]), tuple(shape[-2:])
    found: list[Offer] = []
    for one in arrays:
        real = one.dtype.startswith(("float", "int", "uint"))
        image = one.shape[-2:] == window and len(one.shape) in (2, 3)
        name = one.name.lower()
        if real and one.shape in ((count, 2), (*shape[:-2], 2)):
            found.append(Offer("positions", one.name, "along slow and fast axis, in the unit of positions_unit"))
        elif image and one.dtype.startswith("complex"):
            found.append(Offer("probe", one.name, "complex amplitude (modes, y, x), its centre in the middle"))
        elif one.shape == window and "mask" in name:
            found.append(Offer("mask", one.name, "1 for a good pixel, 0 for a dead one"))
        elif one.shape == window and real and any(word in name for word in ("vacuum", "flat", "probe")):
            found.append(Offer("", one.name, "an image without the specimen, perhaps; no key takes it"))
    return tuple(found)
