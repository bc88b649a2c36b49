"""The patterns of a scan that is larger than memory: an array of which only the rows that are asked for are read."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator

import numpy as np

from jptycho.data.counts import CHUNK_BYTES, check_part, chunks, loaded_type
from jptycho.data.dataset import Dataset4D
from jptycho.errors import FormatError
from jptycho.types import Float, Shaped

Change = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(patterns, their numbers) -> patterns."""
Rows = slice | np.ndarray | list[int]
CHUNK = 2**28
"""Bytes of patterns that are read at once, unless settings say otherwise."""
SAMPLE = 64
"""Patterns that stand for a scan where not all are read."""


@dataclasses.dataclass(frozen=True)
class LazyCounts:
    """Counts as an array (scan, ky, kx), or (scan, 2, ky, kx) of halves, of which nothing is kept in memory.

    Attributes:
        shape: of all patterns.
        dtype: of the counts.
        read: gives the patterns of some rows, their numbers being an array.
        total: mean over the scan (ky, kx), or of each half.
        least: count.
        most: count.
        source: words that say where the patterns are.
        chunk: bytes of patterns that are read at once, about.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    read: Callable[[np.ndarray], np.ndarray]
    total: np.ndarray
    least: float
    most: float
    source: str = "memory"
    chunk: int = CHUNK

    def __len__(self) -> int:
        """Patterns."""
        return self.shape[0]

    @property
    def ndim(self) -> int:
        """Axes."""
        return len(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes that all patterns would take."""
        return math.prod(self.shape) * self.dtype.itemsize

    def __getitem__(self, rows: Rows) -> np.ndarray:
        """Some patterns, read now."""
        return self.read(np.arange(len(self))[rows])

    def min(self) -> float:
        """The smallest count."""
        return self.least

    def max(self) -> float:
        """The largest count."""
        return self.most

    def mean(self, axis: int = 0, dtype: object = np.float64) -> Float[np.ndarray, "*half ky kx"]:
        """Mean over the scan."""
        del axis, dtype
        return self.total


Counts = Shaped[np.ndarray, "scan *half ky kx"] | LazyCounts
"""Patterns in memory, or read when they are asked for."""


def in_memory(counts: Counts) -> Shaped[np.ndarray, "scan *half ky kx"]:
    """All patterns, read now where they are not in memory.

    Args:
        counts: of a scan.

    Returns:
        (scan, *half, ky, kx).

    Example:
        >>> in_memory(np.ones((3, 2, 2))).shape
        (3, 2, 2)
    """
    return counts[:] if isinstance(counts, LazyCounts) else counts


def lazy_counts(dataset: Dataset4D, every: bool = True, chunk: int = CHUNK) -> LazyCounts:
    """The patterns of a scan, looked at once part by part and read again whenever they are asked for.

    Args:
        dataset: the scan.
        every: whether all patterns are looked at; else some that are spread over the scan.
        chunk: bytes of patterns that an epoch reads at once, about.

    Returns:
        counts, zero frequency at [0, 0], in the smallest type that holds what was seen.

    Raises:
        FormatError: values that are no counts, or no counts at all.

    Example:
        >>> from jptycho.data.dataset import Calibration, from_arrays
        >>> scan = lazy_counts(from_arrays(np.arange(64).reshape(4, 4, 2, 2), Calibration()))
        >>> scan.shape, scan.dtype.name, scan[[0, 15]].sum(axis=(1, 2)).tolist()
        ((16, 2, 2), 'uint8', [6, 246])
    """
    count, window = math.prod(dataset.shape[:-2]), tuple(int(n) for n in dataset.shape[-2:])
    kind, seen, total, least, most = None, 0, np.zeros(window), math.inf, -math.inf
    for rows in chunks(dataset) if every else _some(count):
        part = check_part(dataset, dataset.read(rows), rows)
        own = loaded_type(part)
        kind = own if kind is None else np.result_type(kind, own)
        seen, total = seen + len(part), total + part.sum(axis=0, dtype=np.float64)
        least, most = min(least, float(part.min())), max(most, float(part.max()))
    if kind is None or total.sum() <= 0:
        raise FormatError(f"counts: {dataset.source} holds zeros only; expected electrons. Check data.counts.")
    if not every and kind.kind == "u":  # of patterns that were not seen
        kind = np.min_scalar_type(int(2 * most))

    def read(rows: np.ndarray) -> np.ndarray:
        return _read(dataset, rows, kind)

    mean = np.fft.ifftshift(total / seen)
    return LazyCounts((count, *window), kind, read, mean, least, most, dataset.source, chunk)


def _some(count: int) -> Iterator[slice]:
    """Rows that are spread over a scan, one at a time."""
    for row in np.unique(np.linspace(0, count - 1, min(SAMPLE, count)).astype(int)):
        yield slice(int(row), int(row) + 1)


def _read(dataset: Dataset4D, rows: np.ndarray, kind: np.dtype) -> np.ndarray:
    """Patterns in the type of all; FormatError where the file is no longer what it was."""
    try:
        part = dataset.read(_run(rows))
    except FormatError as error:
        raise FormatError(f"{str(error).rstrip()} {CHANGED}") from None
    except (OSError, ValueError, IndexError, RuntimeError, KeyError) as error:
        raise FormatError(f"data.file: {dataset.source} can no longer be read ({error}). {CHANGED}") from None
    if part.shape != (len(rows), *dataset.shape[-2:]):
        raise FormatError(f"data.file: {dataset.source} holds fewer patterns than when the run began. {CHANGED}")
    part = check_part(dataset, part, slice(int(rows[0]), int(rows[-1]) + 1))
    if not np.can_cast(loaded_type(part), kind):
        raise FormatError(f"data.file: {dataset.source} holds larger counts than when the run began. {CHANGED}")
    return np.fft.ifftshift(part.astype(kind, copy=False), axes=(-2, -1))


CHANGED = "It changed while it was read: restore it, and give the same command again to go on from the last checkpoint."


def _run(rows: np.ndarray) -> slice | np.ndarray:
    """Rows as a slice where they follow one another, which every reader reads fastest."""
    first, last = int(rows[0]), int(rows[-1])
    return slice(first, last + 1) if len(rows) == last - first + 1 and bool((np.diff(rows) == 1).all()) else rows


def mapped(counts: LazyCounts, function: Change, like: LazyCounts) -> LazyCounts:
    """Patterns that are changed after they are read.

    Args:
        counts: as they are read.
        function: (patterns, their numbers) -> patterns.
        like: shape, type and statistics of the result; what it would read is left out.

    Returns:
        the counts.
    """
    return dataclasses.replace(like, read=lambda rows: function(counts.read(rows), rows))


def statistics(counts: LazyCounts, function: Change, size: int = CHUNK_BYTES) -> Float[np.ndarray, "*half ky kx"]:
    """Mean over the scan of patterns that are changed after they are read, part by part.

    Args:
        counts: as they are read.
        function: (patterns, their numbers) -> patterns.
        size: bytes that are read at once.

    Returns:
        the mean.
    """
    each, total = max(1, size // max(1, counts.nbytes // len(counts))), None
    for first in range(0, len(counts), each):
        rows = np.arange(first, min(first + each, len(counts)))
        part = function(counts.read(rows), rows).sum(axis=0, dtype=np.float64)
        total = part if total is None else total + part
    return np.asarray(total) / len(counts)
