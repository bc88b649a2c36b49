"""What every reader gives: arrays that stay in their file until some of their patterns are asked for."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jptycho.data.dataset import Calibration, Rows, Truth
from jptycho.errors import FormatError, JptychoError
from jptycho.types import Shaped

Node = Any
"""A file, group or array of h5py or zarr, whose own types do not tell one from another."""
Index = tuple[slice, ...]
"""Which part of an array along its first axes; the axes that are not named are taken whole."""
EVERYTHING: Index = ()
PATTERN_AXES = "sfyx", "nyx"
"""Order of a scan's axes: slow and fast step, or the pattern's number, then detector rows and columns."""


@dataclasses.dataclass(frozen=True)
class StoredArray:
    """An array in a file.

    Attributes:
        shape: of the whole array.
        dtype: of its values.
        get: reads a part, as an array of its own.
        complete: number of patterns, counted from the first, that the file really holds; None for all.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    get: Callable[[Index], np.ndarray]
    complete: int | None = None


@dataclasses.dataclass(frozen=True)
class Contents:
    """What a file holds.

    Attributes:
        format: its name, in words.
        arrays: by name.
        patterns: name of the array of patterns, where the format tells.
        calibration: what the file states; nothing in it is guessed.
        angular_sampling: mrad a detector pixel along (y, x), where the file states that instead of Å⁻¹.
        scan_shape: slow and fast steps of a list of patterns, where the file states them.
        positions: (scan, 2) in the calibration's unit of length, where the file states them.
        probe: of a scan that describes itself.
        truth: likewise.
        mask: weight of each detector pixel, zero for a dead one, where the file states it.
        complete: whether the file describes the whole experiment, as one written by jptycho does.
    """

    format: str
    arrays: Mapping[str, StoredArray]
    patterns: str | None = None
    calibration: Calibration = dataclasses.field(default_factory=Calibration)
    angular_sampling: tuple[float, float] | None = None
    scan_shape: tuple[int, int] | None = None
    positions: np.ndarray | None = None
    probe: np.ndarray | None = None
    truth: Truth | None = None
    mask: np.ndarray | None = None
    complete: bool = False


@contextlib.contextmanager
def naming_errors(path: Path, expected: str, argument: str = "data.file") -> Iterator[None]:
    """Turn whatever a library raises over a file into one line that names the file.

    A damaged file makes a library raise nearly anything, from a ``KeyError`` to a ``MemoryError``.

    Args:
        path: of the file.
        expected: what the file should be.
        argument: that gave the path.

    Raises:
        FormatError: instead of anything that is no error of ours.
    """
    try:
        yield
    except JptychoError:
        raise
    except ImportError as error:
        raise FormatError(
            f"{argument}: {str(path)!r} is {expected}, which needs {error.name or error}. "
            "Install it with: pip install 'jptycho[formats]'"
        ) from None
    except PermissionError:
        raise FormatError(f"{argument}: {str(path)!r} may not be read. Ask for permission, or copy it.") from None
    except Exception as error:  # whatever it was, it came from bytes that nobody vouches for
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise FormatError(
            f"{argument}: {str(path)!r} cannot be read as {expected}; it is truncated or of another format ({reason}). "
            "Copy it again from its origin."
        ) from None


def guard(array: StoredArray, path: Path, name: str) -> StoredArray:
    """An array whose reading names the file where it fails.

    Args:
        array: in the file.
        path: of the file.
        name: of the array.

    Returns:
        the same array.
    """

    def get(index: Index) -> np.ndarray:
        try:
            return np.asarray(array.get(index))
        except JptychoError:
            raise
        except Exception as error:  # see naming_errors
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise FormatError(
                f"data.file: {str(path)!r} is damaged: {name!r} cannot be read ({reason}). "
                "Copy it again from its origin."
            ) from None

    return dataclasses.replace(array, get=get)


def from_memory(array: np.ndarray) -> StoredArray:
    """An array that is at hand, or anything that is sliced like one.

    Args:
        array: of any shape.

    Returns:
        it, as if it were stored.

    Example:
        >>> from_memory(np.arange(6).reshape(2, 3)).get((slice(1, 2),))
        array([[3, 4, 5]])
    """
    return StoredArray(tuple(array.shape), np.dtype(array.dtype), lambda index: np.asarray(array[index]))


def in_file(path: Path, dtype: np.dtype, shape: tuple[int, ...], offset: int = 0, order: str = "C") -> StoredArray:
    """An array whose bytes lie one after the other in a file; what is asked for is copied out of a short-lived map.

    Args:
        path: of the file.
        dtype: of the values; of named fields, the field ``data`` is the array.
        shape: of the array, without the axes of that field.
        offset: bytes before it.
        order: ``"C"``, or ``"F"`` where the first axis varies fastest.

    Returns:
        the array; ``complete`` says how many patterns are there if the file ends too early.
    """
    fields = dtype.fields
    inner, value = ((), dtype) if fields is None else (fields["data"][0].shape, fields["data"][0].base)
    full = (*shape, *inner)

    def get(index: Index) -> np.ndarray:
        # Where the file ends early, the map must too: whole lines of the first axis.
        pattern = math.prod(shape[1:]) * dtype.itemsize
        there = min(shape[0], (path.stat().st_size - offset) // max(pattern, 1)) if shape and order == "C" else None
        mapped = shape if there is None else (there, *shape[1:])
        stored = np.memmap(path, dtype, "r", offset, mapped, order)  # type: ignore[call-overload]
        part = stored if fields is None else stored["data"]
        return np.array(part[index])

    frame = math.prod(full[-2:]) if len(full) > 2 else 1
    bytes_each = dtype.itemsize * (frame if fields is None else 1)
    expected = math.prod(full) // max(frame, 1)
    found = max(path.stat().st_size - offset, 0) // max(bytes_each, 1)
    return StoredArray(full, value, get, None if found >= expected else int(found))


def read_rows(array: StoredArray, rows: Rows = slice(None)) -> Shaped[np.ndarray, "n ky kx"]:
    """Read patterns of an array (..., ky, kx), and no other.

    Args:
        array: in a file, of three or four axes.
        rows: numbers of the patterns, counted along the fast axis first.

    Returns:
        the patterns.

    Example:
        >>> scan = from_memory(np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5))
        >>> read_rows(scan, slice(1, 5)).shape, read_rows(scan, [5, 0])[:, 0, 0]
        ((4, 4, 5), array([100,   0]))
    """
    count, window = math.prod(array.shape[:-2]), array.shape[-2:]
    runs = _runs(rows, count)
    length = sum(stop - start for start, stop in runs)
    blocks = [block for start, stop in runs for block in _blocks(start, stop, array.shape[:-2])]
    if len(blocks) == 1:
        return array.get(blocks[0]).reshape(length, *window)
    found, filled = np.empty((length, *window), array.dtype), 0
    for block in blocks:
        part = array.get(block).reshape(-1, *window)
        found[filled : filled + len(part)] = part
        filled += len(part)
    return found


def _runs(rows: Rows, count: int) -> list[tuple[int, int]]:
    """Start and end of each unbroken run of patterns."""
    if isinstance(rows, slice):
        start, stop, step = rows.indices(count)
        if step == 1:
            return [(start, stop)] if stop > start else []
    wanted = np.arange(count)[rows if isinstance(rows, slice) else np.asarray(rows, int)]
    breaks = np.flatnonzero(np.diff(wanted) != 1) + 1
    return [(int(run[0]), int(run[-1]) + 1) for run in np.split(wanted, breaks) if run.size]


def _blocks(start: int, stop: int, leading: tuple[int, ...]) -> Iterator[Index]:
    """A run of patterns as rectangular parts of the scan: the end of a line, whole lines, the start of another."""
    if len(leading) == 1:
        yield (slice(start, stop),)
        return
    fast = leading[1]
    while start < stop:
        line, column = divmod(start, fast)
        if column == 0 and stop - start >= fast:
            lines = (stop - start) // fast
            yield (slice(line, line + lines), slice(0, fast))
            start += lines * fast
        else:
            end = min(stop, (line + 1) * fast)
            yield (slice(line, line + 1), slice(column, column + end - start))
            start = end
