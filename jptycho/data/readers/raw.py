"""Plain binary files, whose shape and type are given: what is left where a format is not known."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from jptycho.data.readers.base import Contents, guard, in_file
from jptycho.data.readers.files import read_head
from jptycho.errors import ConfigError
from jptycho.settings import Table


def open_raw(path: Path, options: Table) -> Contents:
    """Open a file by ``shape``, ``dtype`` and ``offset``.

    Args:
        path: of the file.
        options: of the ``[data]`` table.

    Returns:
        its array, under the name ``"array"``.

    Raises:
        ConfigError: no type, or more bytes than the file has.
    """
    read_head(path)
    shape, offset = tuple(int(n) for n in options["shape"]), int(options.get("offset") or 0)
    dtype = type_of(options.get("dtype"))
    array = in_file(path, dtype, shape, offset)
    if array.complete == 0:
        there = max(path.stat().st_size - offset, 0)
        raise ConfigError(
            f"data.shape: {shape} of {dtype} at offset {offset} means {array.dtype.itemsize} bytes a value, but "
            f"{str(path)!r} has {there} bytes there: not one pattern. Correct shape, dtype or offset."
        )
    return Contents("binary", {"array": guard(array, path, "array")}, "array")


def type_of(text: object) -> np.dtype:
    """The type that a text names.

    Args:
        text: such as ``uint16``, ``>u2`` or ``float32``.

    Returns:
        the type.

    Raises:
        ConfigError: missing, unknown, or no real number.

    Example:
        >>> type_of(">u2").itemsize
        2
    """
    try:
        dtype = np.dtype(str(text)) if text is not None else None
    except (TypeError, ValueError, SyntaxError):
        dtype = None
    if dtype is None or dtype.kind not in "uif" or dtype.itemsize > 8:
        found = "nothing" if text is None else repr(text)
        raise ConfigError(
            f"data.dtype: expected the type of one value, such as 'uint16', '>u2' or 'float32', found {found}. "
            "Give it together with shape."
        )
    return dtype
