"""Sizes that a MATLAB file of version 5 states, compared with what is there before anything is allocated by them.

Elements follow one another, each behind a tag of type and size; a matrix is an element of elements, and a packed
element holds one matrix. Whoever reads a file sets aside as many bytes as a tag says.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

MATRIX, PACKED = 14, 15
HEADER, TAG, DEEPEST = 128, 8, 64
BLOCK = 2**16
LARGEST_WALK = 2**26
"""Bytes of a packed element that is looked at to its end; of a larger one the beginning is."""
LARGEST_RATIO = 1032
"""That deflate reaches."""


def check_sizes(path: Path) -> None:
    """Refuse a file in which an element is said to be larger than what holds it.

    Args:
        path: of the file.

    Raises:
        ValueError: there is one.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        order = ">" if file.read(HEADER)[-2:] == b"MI" else "<"
        while len(tag := file.read(TAG)) == TAG:
            kind, count = struct.unpack(f"{order}II", tag)
            start = file.tell()
            if count > size - start:
                raise ValueError(f"an element of {count} bytes in a file of {size}")
            if kind == PACKED:
                _Walk(_unpacked(file, count), order, count > LARGEST_WALK).elements(LARGEST_RATIO * count, 0, 1)
            elif kind == MATRIX:
                _Walk(file.read, order, count > LARGEST_WALK).elements(count, 0)
            file.seek(start + count)


def _unpacked(file: BinaryIO, count: int) -> Callable[[int], bytes]:
    """Reads what was packed into so many bytes, as much of it as is asked for."""
    state, left, ready = zlib.decompressobj(), [count], [b""]

    def read(wanted: int) -> bytes:
        while len(ready[0]) < wanted and not state.eof:
            packed = state.unconsumed_tail or file.read(min(BLOCK, left[0]))
            left[0] -= 0 if state.unconsumed_tail else len(packed)
            part = state.decompress(packed, BLOCK)
            if not part and not packed:
                break
            ready[0] += part
        given, ready[0] = ready[0][:wanted], ready[0][wanted:]
        return given

    return read


class _Walk:
    """From tag to tag."""

    def __init__(self, read: Callable[[int], bytes], order: str, beginning: bool) -> None:
        self.read, self.order, self.beginning = read, order, beginning

    def elements(self, size: int, depth: int, most: int = -1) -> bool:
        """Elements that fill so many bytes, or so many of them; whether what follows is of interest."""
        left = size
        while left >= TAG and most != 0 and len(tag := self.read(TAG)) == TAG:
            most -= 1
            kind, count = struct.unpack(f"{self.order}II", tag)
            left -= TAG
            if kind >> 16:  # a small one lies in its tag
                continue
            if count > left or depth > DEEPEST:
                raise ValueError(f"an element of {count} bytes in one of {size}")
            left -= count
            if kind == MATRIX:
                if not self.elements(count, depth + 1):
                    return False
                continue
            padding = min(-count % TAG, left)
            left -= padding
            if self.beginning and count > BLOCK:
                return False
            self._skip(count + padding)
        return True

    def _skip(self, count: int) -> None:
        while count > 0:
            part = self.read(min(count, BLOCK))
            if not part:
                return
            count -= len(part)
