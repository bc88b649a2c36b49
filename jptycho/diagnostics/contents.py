"""What arrays a file holds."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from jptycho.data.readers.open import READERS
from jptycho.errors import FormatError


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


def arrays_of(path: Path) -> tuple[FileArray, ...]:
    """Every array of a file, the largest first; none is read.

    Args:
        path: of the file.

    Returns:
        names, shapes and types.

    Raises:
        FormatError: missing, damaged, or of an unknown format.
    """
    if path.is_dir():
        raise FormatError(f"data.file: {str(path)!r} is a folder. Name the file of the scan in it.")
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise FormatError(f"data.file: cannot read {path.suffix!r} files; known: {', '.join(sorted(READERS))}.")
    if path.is_file() and not path.stat().st_size:
        raise FormatError(f"data.file: {str(path)!r} is empty. Copy it again from its origin.")
    found = []
    for name in reader.array_names(path):
        shape, dtype = reader.shape_and_type(path, name)
        found.append(FileArray(name, tuple(int(n) for n in shape), str(dtype)))
    return tuple(sorted(found, key=lambda one: (-_size(one), one.name)))


def _size(one: FileArray) -> int:
    size = 1
    for length in one.shape:
        size *= length
    return size
