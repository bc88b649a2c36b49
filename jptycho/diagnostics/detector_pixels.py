"""Detector pixels that are dead or hot, where the bright disk is, and how much neighbours share."""

from __future__ import annotations

import math

import numpy as np
from scipy import ndimage

from jptycho.preprocess.bad_pixels import find_bad_pixels
from jptycho.types import Bool, Float, Int, Shaped

BEAM = 2  # pixels from the detector's middle, where a beam that nothing scattered may be as sharp as a pixel
THIRD = np.array([1.0, -3.0, 3.0, -1.0]) / math.sqrt(20.0)  # of neighbouring patterns: what changes slowly cancels


def bright_disk(
    mean_pattern: Float[np.ndarray, "ky kx"], mask: Shaped[np.ndarray, "ky kx"] | None = None
) -> Bool[np.ndarray, "ky kx"]:
    """Detector pixels in the bright disk: at least half as bright as its median.

    Args:
        mean_pattern: over the scan.
        mask: zero for dead pixels.

    Returns:
        whether each lies in it; nowhere where there is no count.

    Example:
        >>> pattern = np.zeros((8, 8)); pattern[2:5, 2:5] = 4.0; pattern[6, 6] = 90.0
        >>> int(bright_disk(pattern).sum())
        9
    """
    live = mean_pattern * (1.0 if mask is None else mask > 0)
    pattern = ndimage.median_filter(live, 3, mode="nearest")
    if not pattern.max() > 0:
        return np.zeros(mean_pattern.shape, bool)
    level = np.quantile(pattern, 1 - 0.1 * float(np.mean(pattern > 0.1 * pattern.max())))
    inside = live >= 0.5 * np.median(pattern[pattern > level / 3])
    labels = np.zeros(inside.shape, np.int32)
    ndimage.label(ndimage.binary_closing(inside) | inside, output=labels)
    sizes = np.bincount(labels.ravel())[1:]
    return labels == 1 + int(np.argmax(sizes))


def disk_of(disk: Bool[np.ndarray, "ky kx"]) -> tuple[tuple[float, float], float]:
    """Centre and radius of a disk by its centre of mass and its area.

    Args:
        disk: detector pixels in it.

    Returns:
        the centre (y, x) from the detector's middle, [n // 2], and the radius, both in pixels.

    Example:
        >>> y, x = np.indices((21, 21))
        >>> centre, radius = disk_of(np.hypot(y - 11, x - 10) < 6)
        >>> centre, round(radius)
        ((1.0, 0.0), 6)
    """
    filled = np.zeros(disk.shape, bool)
    ndimage.binary_fill_holes(disk, output=filled)
    places = np.argwhere(filled)
    if not len(places):
        return (0.0, 0.0), 0.0
    y, x = places.mean(axis=0) - [n // 2 for n in disk.shape]
    return (float(y), float(x)), math.sqrt(len(places) / math.pi)


def bad_pixels(
    mean_pattern: Float[np.ndarray, "ky kx"], patterns: int, unit: float = 1.0
) -> tuple[Int[np.ndarray, "n 2"], Int[np.ndarray, "m 2"]]:
    """Dead and hot pixels by :func:`jptycho.preprocess.find_bad_pixels`, the direct beam not among them.

    Args:
        mean_pattern: counts, zero frequency in the centre.
        patterns: over which that is the mean.
        unit: counts that an electron leaves.

    Returns:
        row and column of each dead and of each hot one.
    """
    around = np.ones((3, 3), bool)
    around[1, 1] = False
    bad = find_bad_pixels(mean_pattern, patterns, unit) == 0
    darker = mean_pattern < ndimage.median_filter(mean_pattern, footprint=around, mode="nearest")
    dead, hot = np.argwhere(bad & darker), np.argwhere(bad & ~darker)
    middle = np.array([n // 2 for n in mean_pattern.shape])
    return dead, hot[np.abs(hot - middle).max(axis=1) > BEAM]


def neighbour_correlation(counts: Shaped[np.ndarray, "*scan ky kx"], distance: int = 1) -> float | None:
    """How much the noise of a detector pixel is that of another: zero where electrons are counted one by one.

    The noise is the third difference along the scan, both axes of a raster, which leaves little of the specimen. What
    is left of it is alike over several pixels, an electron's charge only in the nearest.

    Args:
        counts: of neighbouring patterns, (slow, fast, ky, kx) or (scan, ky, kx).
        distance: of the pixels along rows and along columns.

    Returns:
        the mean of the correlation along both; None where there are too few patterns or pixels, or no noise.

    Example:
        >>> shot = np.random.default_rng(0).poisson(4.0, (12, 12, 16, 16))
        >>> abs(neighbour_correlation(shot)) < 0.01
        True
    """
    noise = counts.astype(np.float32)
    for axis in range(counts.ndim - 2):
        if counts.shape[axis] < len(THIRD):
            return None
        noise = _difference(noise, axis)
    if min(counts.shape[-2:]) <= distance:
        return None
    pairs = (
        (noise[..., distance:, :], noise[..., :-distance, :]),
        (noise[..., distance:], noise[..., :-distance]),
    )
    products = [[float(np.sum(a * b, dtype=np.float64)) for a, b in ((p, q), (p, p), (q, q))] for p, q in pairs]
    if not all(pp > 0 and qq > 0 for _, pp, qq in products):
        return None
    return float(np.mean([pq / math.sqrt(pp * qq) for pq, pp, qq in products]))


def _difference(values: Float[np.ndarray, "..."], axis: int) -> Float[np.ndarray, "..."]:
    """Third difference of neighbours along an axis, of the same variance as their noise."""
    length = values.shape[axis] - len(THIRD) + 1
    before = (slice(None),) * axis
    out = np.zeros_like(values[(*before, slice(length))])
    for i, weight in enumerate(THIRD.astype(np.float32)):
        out += weight * values[(*before, slice(i, i + length))]
    return out
