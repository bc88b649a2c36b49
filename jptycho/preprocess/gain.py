"""What one electron leaves on the detector: stated, seen in the counts, or estimated from their variance."""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np

from jptycho.types import Shaped

SAMPLE = 64  # patterns that are looked at
ROUNDING = 2e-3  # of a unit, by which stored multiples of it may differ
SINGLE = 1e-6  # relative rounding of single precision, with room


@dataclasses.dataclass(frozen=True)
class CountUnit:
    """Counts that one electron leaves.

    Attributes:
        value: counts an electron.
        source: ``"given"`` by the user or file; ``"seen"``, all counts being its multiples; ``"estimated"``.
    """

    value: float
    source: Literal["given", "seen", "estimated"]


def smallest_count(counts: Shaped[np.ndarray, "scan ky kx"]) -> float:
    """The smallest count that is not zero, in a sample of patterns.

    Args:
        counts: of the scan.

    Returns:
        the count; 1 for electrons as a counting detector stores them.

    Example:
        >>> smallest_count(np.array([[[0.0, 0.4], [0.2, 0.6]]]))
        0.2
    """
    sample = _sample(counts)
    return float(sample[sample > 0].min())


def are_multiples(counts: Shaped[np.ndarray, "scan ky kx"], unit: float) -> bool:
    """Whether counts are whole multiples of a unit.

    Args:
        counts: of the scan.
        unit: of them.

    Returns:
        whether, in a sample, nearly all that are not zero are.

    Example:
        >>> are_multiples(np.array([[[0.0, 0.4, 0.6]]]), 0.2), are_multiples(np.array([[[0.2, 0.5, 0.31]]]), 0.2)
        (True, False)
    """
    sample = _sample(counts)
    multiples = np.abs(sample[sample != 0]).astype(np.float64) / unit
    return bool(
        np.mean(np.abs(multiples - np.round(multiples)) < np.minimum(ROUNDING + SINGLE * multiples, 0.1)) > 0.999
    )


def estimate_gain(counts: Shaped[np.ndarray, "... ky kx"]) -> float:
    """Counts an electron from shot noise: variance over mean, of pixels that neighbouring patterns share.

    A counting process of gain g has variance g times its mean. What changes slowly from pattern to pattern drops out of
    third differences (weights 1, -3, 3, -1). What remains of it grows with the square of the mean and matters where the
    detector is bright; read-out noise matters where it is dark. So the pixels are sorted into tenths by their mean, and
    the tenth of the least ratio counts. An upper bound, within some tens of per cent where the scan is dense and the
    pixels hold ten electrons or fewer.

    Args:
        counts: in scan order (..., ky, kx).

    Returns:
        the gain; 0 where there is no noise.

    Example:
        >>> shot = np.random.default_rng(0).poisson(4.0, (400, 8, 8)) * 3.0
        >>> 2.5 < estimate_gain(shot) < 3.2
        True
    """
    counts = counts.reshape(-1, *counts.shape[-2:])
    step = max(1, len(counts) // 1024)
    runs = [counts[i : i + 4].astype(np.float64) for i in range(0, len(counts) - 3, 4 * step)]
    if not runs:
        return 1.0
    change = np.stack([r[0] - 3 * r[1] + 3 * r[2] - r[3] for r in runs]) / np.sqrt(20.0)
    mean = np.stack([r.mean(axis=0) for r in runs]).mean(axis=0)
    order = np.argsort(mean, axis=None)
    order = order[mean.flat[order] > 0]
    variance = np.mean(change**2, axis=0)
    ratios = [variance.flat[tenth].sum() / mean.flat[tenth].sum() for tenth in np.array_split(order, 10) if len(tenth)]
    return float(min(ratios, default=1.0))


def unit_of(counts: Shaped[np.ndarray, "scan ky kx"], given: float | None) -> CountUnit:
    """Counts an electron: as given, else as the counts show, else from their variance.

    Args:
        counts: of the scan, in its order.
        given: by the user or the file; None where unknown.

    Returns:
        the unit and where it comes from.

    Example:
        >>> unit_of(np.array([[[0, 2], [4, 6]]]), None)
        CountUnit(value=2.0, source='seen')
    """
    if given is not None:
        return CountUnit(given, "given")
    smallest = smallest_count(counts)
    if are_multiples(counts, smallest):
        return CountUnit(smallest, "seen")
    return CountUnit(max(estimate_gain(counts), 1e-12), "estimated")


def _sample(counts: Shaped[np.ndarray, "scan ky kx"]) -> Shaped[np.ndarray, "some ky kx"]:
    sample = np.asarray(counts[:: max(1, len(counts) // SAMPLE)])
    return sample if (sample > 0).any() else np.asarray(counts)
