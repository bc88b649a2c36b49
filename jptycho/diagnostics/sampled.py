"""What a scan's counts are like, from some of its patterns: a coarse raster over it, and a patch of neighbours."""

from __future__ import annotations

import dataclasses
import math
import time

import numpy as np

from jptycho.data.dataset import Dataset4D
from jptycho.diagnostics.detector_pixels import bright_disk
from jptycho.types import Bool, Float, Int, Shaped

FIRST_SIDE, MOST_SIDE = 8, 32  # patterns along a side of the first pass and of the coarse raster
MOST_BYTES = 2**28  # that are read for the coarse raster
CHUNK_BYTES = 2**23  # that are looked at at once
SECONDS = 2.0  # that the coarse raster may take, and half of it the first pass
PATCH_BYTES = 2**25  # of neighbouring patterns
PATCH_SIDE = 24  # patterns along a side of them
PATCH_WINDOW = 512  # detector pixels along an axis that are looked at for noise
BINS = 48  # of the histogram


@dataclasses.dataclass(frozen=True)
class CountStatistics:
    """What a sample of patterns shows, zero frequency in the centre.

    Attributes:
        rows: numbers of the patterns that were read.
        patterns: of the whole scan.
        grid: rows and columns of the sample where the scan is a raster, else None.
        totals: counts of each pattern that was read.
        bright_field: of them, those in the bright disk.
        mean_pattern: of the sample.
        disk: whether each detector pixel lies in the bright disk.
        smallest: count.
        largest: count.
        not_finite: values in the sample that are no finite number.
        negative: values in the sample.
        edges: of the histogram's bins.
        histogram: values of each bin, of the first patterns.
    """

    rows: Int[np.ndarray, "n"]
    patterns: int
    grid: tuple[int, int] | None
    totals: Float[np.ndarray, "n"]
    bright_field: Float[np.ndarray, "n"]
    mean_pattern: Float[np.ndarray, "ky kx"]
    disk: Bool[np.ndarray, "ky kx"]
    smallest: float
    largest: float
    not_finite: int
    negative: int
    edges: Float[np.ndarray, "edges"]
    histogram: Int[np.ndarray, "bins"]


def sample(dataset: Dataset4D, rows: Int[np.ndarray, "n"]) -> Shaped[np.ndarray, "n ky kx"]:
    """Some patterns of a scan.

    Args:
        dataset: the scan.
        rows: numbers of the patterns, rising.

    Returns:
        their counts as stored, zero frequency in the centre.

    Example:
        >>> from jptycho.data.dataset import Calibration, from_arrays
        >>> scan = from_arrays(np.arange(24.0).reshape(2, 3, 2, 2), Calibration())
        >>> sample(scan, np.array([1, 4])).sum(axis=(1, 2)).tolist()
        [22.0, 70.0]
    """
    return np.asarray(dataset.read(rows))


def spread_rows(shape: tuple[int, ...], side: int) -> tuple[Int[np.ndarray, "n"], tuple[int, int] | None]:
    """Numbers of patterns that lie evenly over a scan.

    Args:
        shape: of the scan: slow and fast steps, or the length of a list.
        side: patterns along an axis, at most; of a list its square.

    Returns:
        the numbers, rising; rows and columns that they form on a raster, None for a list.

    Example:
        >>> spread_rows((5, 4), 2)[0].tolist(), spread_rows((9,), 2)[0].tolist()
        ([5, 7, 13, 15], [1, 3, 5, 7])
    """
    if len(shape) == 1:
        return _evenly(shape[0], side * side), None
    slow, fast = (_evenly(n, side) for n in shape)
    return (slow[:, None] * shape[1] + fast[None]).ravel(), (len(slow), len(fast))


def _evenly(length: int, most: int) -> Int[np.ndarray, "n"]:
    """The middles of equal parts of an axis."""
    count = min(length, most)
    return np.floor((np.arange(count) + 0.5) * length / count).astype(np.int64)


def patch_rows(shape: tuple[int, ...], most: int) -> tuple[Int[np.ndarray, "n"], tuple[int, ...]]:
    """Numbers of neighbouring patterns in the middle of a scan.

    Args:
        shape: of the scan.
        most: patterns.

    Returns:
        the numbers, rising, and the shape in which they are neighbours.

    Example:
        >>> patch_rows((5, 4), 4)[0].tolist(), patch_rows((9,), 4)[0].tolist()
        ([5, 6, 9, 10], [2, 3, 4, 5])
    """
    if len(shape) == 1:
        count = min(shape[0], most)
        return np.arange(count) + (shape[0] - count) // 2, (count,)
    side = max(1, min(PATCH_SIDE, math.isqrt(most)))
    fast = min(shape[1], max(side, most // max(min(shape[0], side), 1)) if shape[0] < side else side)
    slow = min(shape[0], max(side, most // max(fast, 1)) if shape[1] < side else side)
    along = [np.arange(n) + (whole - n) // 2 for n, whole in zip((slow, fast), shape, strict=True)]
    return (along[0][:, None] * shape[1] + along[1][None]).ravel(), (slow, fast)


def read_patch(dataset: Dataset4D) -> Shaped[np.ndarray, "*scan ky kx"]:
    """Neighbouring patterns from the middle of a scan, of a large detector its middle.

    Args:
        dataset: the scan.

    Returns:
        counts (slow, fast, ky, kx) or (scan, ky, kx).
    """
    size = math.prod(dataset.shape[-2:]) * dataset.dtype.itemsize
    rows, shape = patch_rows(dataset.shape[:-2], max(16, min(PATCH_SIDE**2, PATCH_BYTES // size)))
    counts = sample(dataset, rows)
    return counts.reshape(*shape, *counts.shape[1:])[(..., *middle_of(counts.shape[1:]))]


def middle_of(window: tuple[int, ...]) -> tuple[slice, slice]:
    """The middle of a detector, as far as noise is looked for.

    Args:
        window: detector pixels along (y, x).

    Returns:
        rows and columns.

    Example:
        >>> middle_of((256, 1024))
        (slice(0, 256, None), slice(256, 768, None))
    """
    first = [max(0, (n - PATCH_WINDOW) // 2) for n in window]
    rows, columns = (slice(f, f + min(n, PATCH_WINDOW)) for f, n in zip(first, window, strict=True))
    return rows, columns


def count_statistics(dataset: Dataset4D, seconds: float = SECONDS) -> CountStatistics:
    """What the counts of a scan are like, from at most 1,024 patterns spread evenly over it.

    A first pass of 8 x 8 patterns shows where the bright disk is and how long reading takes; the raster that follows is
    as fine as time and memory allow.

    Args:
        dataset: the scan.
        seconds: that reading may take, about.

    Returns:
        the statistics.
    """
    begun, shape, size = time.monotonic(), dataset.shape[:-2], math.prod(dataset.shape[-2:]) * dataset.dtype.itemsize
    first, _ = spread_rows(shape, FIRST_SIDE)
    seen, disk, edges, histogram = _first_look(
        dataset, first[:: max(1, len(first) * size // MOST_BYTES)], begun + 0.5 * seconds
    )
    pace = (time.monotonic() - begun) / seen
    allowed = min(MOST_BYTES // size, int(seconds / max(pace, 1e-9)))
    rows, grid = spread_rows(shape, min(MOST_SIDE, max(FIRST_SIDE, math.isqrt(allowed))))
    return _accumulated(dataset, rows, grid, disk, (edges, histogram))


def _chunks(dataset: Dataset4D, rows: Int[np.ndarray, "n"]) -> list[Int[np.ndarray, "m"]]:
    """Parts of the rows that fit into memory many times over."""
    size = math.prod(dataset.shape[-2:]) * dataset.dtype.itemsize
    return np.array_split(rows, math.ceil(len(rows) / max(1, CHUNK_BYTES // size)))


def _first_look(
    dataset: Dataset4D, rows: Int[np.ndarray, "n"], until: float
) -> tuple[int, Bool[np.ndarray, "ky kx"], Float[np.ndarray, "edges"], Int[np.ndarray, "bins"]]:
    """How many patterns were read in time, the bright disk, and a histogram: zero and below, then equal ratios.

    Each pattern may cost a whole packed part of the file, so they are read in an order that is spread at any time.
    """
    total, kept, seen = np.zeros(dataset.shape[-2:]), [], 0
    rows = np.concatenate([rows[start::FIRST_SIDE] for start in range(FIRST_SIDE)])
    size = math.prod(dataset.shape[-2:]) * dataset.dtype.itemsize
    for part in np.array_split(rows, max(-(-len(rows) // FIRST_SIDE), math.ceil(len(rows) * size / CHUNK_BYTES))):
        if seen and time.monotonic() > until:
            break
        seen += len(part)
        counts = np.nan_to_num(sample(dataset, np.sort(part)), posinf=0.0, neginf=0.0)
        total += counts.sum(axis=0, dtype=np.float64)
        kept.append(counts[:1])
    values = np.concatenate(kept).astype(np.float64).ravel()
    positive = values[values > 0]
    low, high = (positive.min(), positive.max()) if len(positive) else (1.0, 1.0)
    edges = np.r_[-np.inf, np.geomspace(0.9 * low, 1.1 * high, BINS)]
    return seen, bright_disk(total / seen, dataset.mask), edges, np.histogram(values, edges)[0]


def _accumulated(
    dataset: Dataset4D,
    rows: Int[np.ndarray, "n"],
    grid: tuple[int, int] | None,
    disk: Bool[np.ndarray, "ky kx"],
    values: tuple[Float[np.ndarray, "edges"], Int[np.ndarray, "bins"]],
) -> CountStatistics:
    """Sums and extremes over the patterns of a sample."""
    total = np.zeros(dataset.shape[-2:])
    totals, bright, extremes, wrong = [], [], [], np.zeros(2, int)
    for part in _chunks(dataset, rows):
        counts = sample(dataset, part)
        if counts.dtype.kind == "f":
            finite = np.isfinite(counts)
            wrong += (int((~finite).sum()), int((counts < 0).sum()))
            counts = np.where(finite, counts, 0.0)
        else:
            wrong[1] += int((counts < 0).sum()) if counts.dtype.kind == "i" else 0
        total += counts.sum(axis=0, dtype=np.float64)
        totals.append(counts.sum(axis=(1, 2), dtype=np.float64))
        bright.append(counts[:, disk].sum(axis=1, dtype=np.float64))
        extremes.append((float(counts.min()), float(counts.max())))
    lows, highs = zip(*extremes, strict=True)
    return CountStatistics(
        rows=rows,
        patterns=math.prod(dataset.shape[:-2]),
        grid=grid,
        totals=np.concatenate(totals),
        bright_field=np.concatenate(bright),
        mean_pattern=total / len(rows),
        disk=disk,
        smallest=min(lows),
        largest=max(highs),
        not_finite=int(wrong[0]),
        negative=int(wrong[1]),
        edges=values[0],
        histogram=values[1],
    )
