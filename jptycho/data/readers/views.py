"""Arrays in files seen with other axes, without being read."""

from __future__ import annotations

import dataclasses

import numpy as np

from jptycho.data.readers.base import Index, StoredArray
from jptycho.errors import FormatError


def permute(array: StoredArray, order: tuple[int, ...]) -> StoredArray:
    """An array with its axes in another order.

    Args:
        array: in a file.
        order: old axis of each new one.

    Returns:
        the array, unread.

    Example:
        >>> from jptycho.data.readers.base import from_memory
        >>> permute(from_memory(np.zeros((2, 3, 4))), (2, 0, 1)).shape
        (4, 2, 3)
    """

    def get(index: Index) -> np.ndarray:
        wanted = dict(zip(order, index, strict=False))
        return array.get(tuple(wanted.get(axis, slice(None)) for axis in range(len(order)))).transpose(order)

    complete = None if array.complete is None else 0  # its first patterns are no longer together
    return StoredArray(tuple(array.shape[axis] for axis in order), array.dtype, get, complete)


def squeeze(array: StoredArray, keep: int = 4) -> StoredArray:
    """An array without axes of length one that are more than are wanted.

    Args:
        array: in a file.
        keep: number of axes down to which those of length one are left out, the first of them first.

    Returns:
        the array, unread.
    """
    single = [axis for axis, length in enumerate(array.shape) if length == 1][: max(len(array.shape) - keep, 0)]
    if not single:
        return array
    kept = [axis for axis in range(len(array.shape)) if axis not in single]

    def get(index: Index) -> np.ndarray:
        wanted = dict(zip(kept, index, strict=False))
        part = array.get(tuple(wanted.get(axis, slice(None)) for axis in range(len(array.shape))))
        return part.reshape([part.shape[axis] for axis in kept])

    return dataclasses.replace(array, shape=tuple(array.shape[axis] for axis in kept), get=get)


def concatenate(parts: list[StoredArray]) -> StoredArray:
    """Arrays of one pattern size, one after the other, as one list of patterns.

    Args:
        parts: of equal shape but for the first axis.

    Returns:
        the array, unread.
    """
    if any(part.shape[1:] != parts[0].shape[1:] or part.dtype != parts[0].dtype for part in parts):
        raise FormatError(f"data.file: its parts have shapes {[part.shape for part in parts]}; expected one window.")
    starts = np.cumsum([0, *(part.shape[0] for part in parts)])

    def get(index: Index) -> np.ndarray:
        first, *rest = index or (slice(None),)
        start, stop, step = first.indices(int(starts[-1]))
        pieces = []
        for part, begin in zip(parts, starts, strict=False):
            low, high = max(start - begin, 0), min(stop - begin, part.shape[0])
            if low < high:
                pieces.append(part.get((slice(int(low), int(high)), *rest)))
        whole = np.concatenate(pieces) if len(pieces) != 1 else pieces[0]
        return whole[::step]

    cut = next((n for n, part in enumerate(parts) if part.complete is not None), None)
    complete = None if cut is None else int(starts[cut]) + (parts[cut].complete or 0)
    return StoredArray((int(starts[-1]), *parts[0].shape[1:]), parts[0].dtype, get, complete)
