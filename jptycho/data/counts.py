"""The patterns of a scan, read in parts, checked and put where a run wants them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

import numpy as np

from jptycho.data.dataset import Dataset4D
from jptycho.errors import FormatError
from jptycho.types import Int, Shaped

CHUNK_BYTES = 2**26
"""Of the patterns that are read and checked at once."""


def chunks(dataset: Dataset4D, size: int = CHUNK_BYTES) -> Iterator[slice]:
    """Rows that are read one after the other where a whole scan may be larger than memory.

    Args:
        dataset: the scan.
        size: bytes of the patterns that are read at once, at least one pattern.

    Yields:
        rows for :attr:`Dataset4D.read`.

    Example:
        >>> from jptycho.data.dataset import Calibration, from_arrays
        >>> list(chunks(from_arrays(np.ones((5, 8, 8)), Calibration()), size=1024))
        [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    count = math.prod(dataset.shape[:-2])
    each = max(size // max(math.prod(dataset.shape[-2:]) * dataset.dtype.itemsize, 1), 1)
    for start in range(0, count, each):
        yield slice(start, min(start + each, count))


def part_of(dataset: Dataset4D, rows: Int[np.ndarray, "n"]) -> Dataset4D:
    """Some patterns of a scan as a scan of their own, a list without positions.

    Args:
        dataset: the scan.
        rows: numbers of the patterns.

    Returns:
        the part, unread.

    Example:
        >>> from jptycho.data.dataset import Calibration, from_arrays
        >>> scan = from_arrays(np.arange(24).reshape(2, 3, 2, 2), Calibration())
        >>> part_of(scan, np.array([1, 4])).read(slice(1, 2)).ravel().tolist()
        [16, 17, 18, 19]
    """
    return dataclasses.replace(
        dataset,
        shape=(len(rows), *dataset.shape[-2:]),
        read=lambda asked=slice(None): dataset.read(rows[asked]),
        positions=None,
    )


def load_counts(dataset: Dataset4D) -> Shaped[np.ndarray, "scan ky kx"]:
    """Read every pattern, check it, and move zero frequency to index [0, 0].

    The patterns are read in parts, each put to its place: beside the array that is returned there is one part in
    memory, and a smaller array where a later part needs a larger type.

    Args:
        dataset: the scan.

    Returns:
        counts, integers that are not negative in the smallest type that holds them, floats as float32.

    Raises:
        FormatError: values that are negative (without read-out noise) or not finite, or no counts at all.
    """
    count, window = math.prod(dataset.shape[:-2]), dataset.shape[-2:]
    counts, total = None, 0.0
    for rows in chunks(dataset):
        part = check_part(dataset, dataset.read(rows), rows)
        total += float(part.sum(dtype=np.float64))
        dtype = loaded_type(part)
        if counts is None:
            counts = np.empty((count, *window), dtype)
        elif not np.can_cast(dtype, counts.dtype):
            counts = counts.astype(np.result_type(dtype, counts.dtype))
        counts[rows] = np.fft.ifftshift(part, axes=(-2, -1))
    if counts is None or total <= 0:
        raise FormatError(f"counts: {dataset.source} holds zeros only; expected electrons. Check data.counts.")
    return counts


def loaded_type(part: Shaped[np.ndarray, "n ky kx"]) -> np.dtype:
    """The type in which counts stay in memory.

    Args:
        part: of the patterns.

    Returns:
        the smallest that holds them, of whole numbers that are not negative.

    Example:
        >>> loaded_type(np.full((1, 2, 2), 300, np.int64)).name
        'uint16'
    """
    if part.dtype.kind == "f":
        return np.dtype(np.float32)
    if part.dtype.kind in "iu" and part.min() >= 0:
        return np.min_scalar_type(int(part.max()))
    return part.dtype.newbyteorder("=")


def check_part(dataset: Dataset4D, part: Shaped[np.ndarray, "n ky kx"], rows: slice) -> Shaped[np.ndarray, "n ky kx"]:
    """Patterns as a run takes them: nothing where the detector is dead, refused where they are no counts.

    Args:
        dataset: the scan.
        part: what was read of it.
        rows: of the scan that it is.

    Returns:
        the patterns.

    Raises:
        FormatError: values that are negative (without read-out noise) or not finite.
    """
    if dataset.mask is not None:
        part = np.where(dataset.mask > 0, part, np.zeros((), part.dtype))  # a dead pixel may hold anything
    total = float(part.sum(dtype=np.float64))
    allowed = dataset.calibration.read_noise > 0
    wrong = "not finite" if not np.isfinite(total) else "negative" if part.min() < 0 and not allowed else None
    if wrong is None:
        return part
    bad = ~np.isfinite(part) if wrong == "not finite" else part < 0
    first = rows.start + int(np.argmax(bad.reshape(len(part), -1).any(axis=1)))
    number = int(bad.sum())
    advice = (
        "Repair the file (a dead pixel may be set to zero)."
        if wrong == "not finite"
        else 'If the read-out adds noise, give data.read_noise in electrons and use loss = "mixed"; else clip at zero.'
    )
    raise FormatError(
        f"counts: {dataset.source} holds {number} {wrong} values, first in pattern {first}; expected >= 0. {advice}"
    )
