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
