"""Counts as electrons, whether they are in memory or read when they are asked for."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from jptycho.data.dataset import Dataset4D
from jptycho.data.lazy_counts import Counts, LazyCounts, mapped
from jptycho.preprocess.detector_gain import CountUnit, check_unit, unit_of, whole_electrons
from jptycho.types import Shaped

PATCH_BYTES = 2**26
"""Of neighbouring patterns, by which the unit of counts is found where not all are in memory."""


def electrons_of(
    counts: Counts, dataset: Dataset4D, mask: Shaped[np.ndarray, "ky kx"]
) -> tuple[CountUnit, Counts, str]:
    """What an electron leaves, and the counts as electrons where that is certain.

    Args:
        counts: of the scan.
        dataset: the scan.
        mask: of the detector, zero frequency at [0, 0].

    Returns:
        unit; electrons, or the counts as they are; and why not electrons, empty where they are.
    """
    calibration = dataset.calibration
    if not isinstance(counts, LazyCounts):
        unit = unit_of(counts.reshape(dataset.shape), calibration.counts_per_electron, mask)
        check_unit(counts, unit, calibration.read_noise)
        return unit, *whole_electrons(counts, unit, calibration.read_noise)
    rows, shape = _patch(counts, dataset.shape[:-2])
    sample = counts[rows]
    unit = unit_of(sample.reshape(*shape, *sample.shape[1:]), calibration.counts_per_electron, mask)
    check_unit(sample, unit, calibration.read_noise)
    _, undivided = whole_electrons(sample, unit, calibration.read_noise)
    if undivided or (unit.value == 1 and counts.dtype.kind == "u"):
        return unit, counts, undivided
    if counts.min() < -0.5 * unit.value:
        return unit, counts, "read-out noise made some counts negative"
    return unit, _divided(counts, unit.value), ""


def _patch(counts: LazyCounts, scan: tuple[int, ...]) -> tuple[np.ndarray, tuple[int, ...]]:
    """Numbers of neighbouring patterns in the middle of a scan, and how they lie."""
    most = max(16, PATCH_BYTES * len(counts) // counts.nbytes)
    side = max(2, math.isqrt(most))
    shape = tuple(min(n, side if len(scan) == 2 else most) for n in scan)
    ranges = [np.arange((n - m) // 2, (n - m) // 2 + m) for n, m in zip(scan, shape, strict=True)]
    return np.ravel_multi_index(np.meshgrid(*ranges, indexing="ij"), scan).ravel(), shape


def _divided(counts: LazyCounts, unit: float) -> LazyCounts:
    kind = np.min_scalar_type(int(np.round(counts.max() / unit)))
    like = dataclasses.replace(
        counts,
        dtype=kind,
        total=counts.total / unit,
        least=max(0.0, float(np.round(counts.least / unit))),
        most=float(np.round(counts.most / unit)),
    )
    return mapped(counts, lambda part, _: np.maximum(np.round(part / unit), 0).astype(kind), like)
