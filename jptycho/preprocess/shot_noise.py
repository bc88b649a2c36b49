"""The detector's noise as the counts themselves show it: gain, read-out noise and dark level.

A counting process of gain g has variance g times its mean above the dark level: variance = s² + g m + c m², where s is
the read-out noise and c what patterns change from position to position. Third differences (weights 1, -3, 3, -1) along
the scan and along both axes of the detector leave little of that change, whatever the specimen, and all of the noise
where pixels are independent. Where an electron's charge spreads over neighbouring pixels they are not: its noise then
shows in sums over blocks of pixels, which are believed as long as the change of the patterns is small in them: up to a
spread of about 0.4 pixel (standard deviation). The gain of a wider one comes out too small.

Where most of a dark pixel's counts are zero its dark level is zero too, whatever else is not known, and a count that
stands alone between zeros shows what one electron leaves.

Source: Janesick, Photon Transfer (2007), chapters 4 and 5, for variance against mean.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
from scipy.optimize import lsq_linear

from jptycho.types import Shaped

WEIGHTS = np.array([1.0, -3.0, 3.0, -1.0]) / np.sqrt(20.0)
TAPS = len(WEIGHTS)
STRIDE = 2  # patterns between the beginnings of neighbouring runs
LARGEST = 2**24  # pixels of all runs together
SAMPLE = 2048  # patterns that are looked at, about
OVERLAP = 1.5  # times by which overlapping runs raise a standard error
LEAST_RUNS = 4  # third differences along the scan
LEVELS = 16  # of the mean, into which pixels are sorted
BLOCK = 4  # pixels, over which an electron's charge may spread
SPREAD = 1.5  # times more noise in blocks than in differences, above which neighbours are taken for dependent
CLEAN = 0.2  # share of the variance by which patterns may change for blocks to be believed
SURE = 0.2  # standard errors of a rise that is certain, in that rise
BETTER = 0.7  # of the misfit, below which the quadratic term is needed
SATURATED_LEVELS = 20  # distinct counts that a scan has before one of them may be the detector's limit
SATURATED_SHARE = 2e-3  # of the patterns, in which a pixel may stand at that limit
MOSTLY = 0.5  # share of zeros above which the dark level is zero, and single electrons can be told
LEAST_ALONE = 100  # counts that stand alone, to tell what one electron leaves


@dataclasses.dataclass(frozen=True)
class ShotNoise:
    """What variance against mean shows of a detector, all in counts as they are stored.

    Attributes:
        gain: counts that one electron leaves.
        error: its standard error. Where the rise is uncertain and the dark level zero, the gain is variance over mean;
            also where all pixels are about equally bright, then with an infinite error: the dark level is not known.
        read_noise: standard deviation of the darkest pixels, their own shot noise included.
        dark_level: mean of the darkest pixels.
        least: smallest rise of the variance with the mean, from the darkest pixels to any level where that is certain;
            electrons rise by one unit somewhere, however much the patterns change elsewhere. Where no level is, the
            smallest ratio of variance and mean if the dark level is zero, else not a number.
        patterns_change: share of the variance, at most, that is the change of the patterns and no noise.
    """

    gain: float
    error: float
    read_noise: float
    dark_level: float
    least: float
    patterns_change: float


def measure_shot_noise(
    counts: Shaped[np.ndarray, "*scan ky kx"], mask: Shaped[np.ndarray, "ky kx"] | None = None
) -> ShotNoise | None:
    """Gain, read-out noise and dark level from variance against mean.

    Args:
        counts: in scan order, (slow, fast, ky, kx) where the scan is a raster, else (scan, ky, kx); any order of the
            detector's rows and columns that keeps neighbours together.
        mask: zero for pixels to leave out.

    Returns:
        the measurement; None where the scan is too small or its pixels too alike to tell.

    Example:
        >>> level = np.arange(400.0).reshape(20, 20) / 40
        >>> shot = np.random.default_rng(0).poisson(level, (20, 20, 20, 20)) * 3.0
        >>> 2.8 < measure_shot_noise(shot).gain < 3.2
        True
    """
    good = _working(counts) if mask is None else _working(counts) & (mask > 0)
    known = _dark_is_zero(counts, good)
    by_difference = _fit(counts, good, differences=True, dark_is_zero=known)
    if by_difference is None:  # a mask of scattered pixels leaves no neighbours
        return _fit(counts, good, differences=False, dark_is_zero=known)
    by_block = _fit(_in_blocks(counts), _in_blocks(good).astype(int) == BLOCK**2, differences=False)
    if by_block is None or by_block.patterns_change > CLEAN:
        return by_difference
    spread, most = SPREAD * by_difference.gain, BLOCK**2 * by_difference.gain
    if not (by_block.gain - 2 * by_block.error > spread and spread < by_block.least and by_block.gain < most):
        return by_difference
    return dataclasses.replace(by_block, read_noise=by_difference.read_noise, dark_level=by_difference.dark_level)


def single_count(
    counts: Shaped[np.ndarray, "*scan ky kx"], mask: Shaped[np.ndarray, "ky kx"] | None = None
) -> float | None:
    """What one electron leaves where it is alone: the lower quartile of counts between zeros at the positions around.

    Of sparse pixels only, which are zero in more than half of the patterns: P(1) / P(2) = 2 / m of Poisson's numbers,
    and where neighbours are zero the mean m is small, however much the patterns change.

    Args:
        counts: in scan order, (slow, fast, ky, kx) or (scan, ky, kx).
        mask: zero for pixels to leave out.

    Returns:
        counts, less than the mean where charge per electron varies; None where too few stand alone.

    Example:
        >>> shot = np.random.default_rng(0).poisson(0.1, (20, 20, 8, 8)) * 30.0
        >>> single_count(shot)
        30.0
    """
    live = np.ones(counts.shape[-2:], bool) if mask is None else mask > 0
    occupied = [(run != 0).mean(axis=(0, 1)) for run in _runs(counts)]
    if len(occupied) < LEAST_RUNS:
        return None
    share = np.mean(occupied, axis=0)
    sparse = live & (share > 0) & (share < MOSTLY)
    found = np.concatenate([_alone(run[..., sparse]) for run in _runs(counts)])
    return float(np.quantile(found, 0.25)) if len(found) >= LEAST_ALONE else None


def _alone(run: np.ndarray) -> np.ndarray:
    """Counts (some,) that are not zero in the middle of a run, between zeros before and behind along the scan."""
    empty = run == 0
    middle, between = run[:, 1:-1], empty[:, :-2] & empty[:, 2:]
    if len(run) > 1:
        middle, between = middle[1:-1], between[1:-1] & empty[:-2, 1:-1] & empty[2:, 1:-1]
    return middle[between & (middle != 0)]


def _dark_is_zero(counts: Shaped[np.ndarray, "*scan ky kx"], good: Shaped[np.ndarray, "ky kx"]) -> bool:
    """Whether the darkest of some pixels are zero more often than not."""
    flat = counts.reshape(-1, *counts.shape[-2:])
    zeros = (flat[:: max(1, len(flat) // 256)] == 0).mean(axis=0)[good]
    return bool(zeros.size and np.quantile(zeros, 1 - 1 / LEVELS) > MOSTLY)


def _working(counts: Shaped[np.ndarray, "*scan ky kx"]) -> np.ndarray:
    """Detector pixels that change, and do not stand at the largest value which the counts can take."""
    flat = counts.reshape(-1, *counts.shape[-2:])
    sample = np.asarray(flat[:: max(1, len(flat) // 256)])
    changing = sample.min(axis=0) != sample.max(axis=0)
    values, times = np.unique(sample[:: max(1, len(sample) // 64)], return_counts=True)
    limit = values[-1]
    crowd = times[:-1][values[:-1] > 0.9 * limit].sum()
    piled_up = len(values) > SATURATED_LEVELS and times[-1] > max(10, crowd)
    if not piled_up and not (sample.dtype.kind in "ui" and limit == np.iinfo(sample.dtype).max > 1):
        return changing
    return changing & ((sample == limit).mean(axis=0) <= SATURATED_SHARE)


def _in_blocks(values: Shaped[np.ndarray, "*scan ky kx"]) -> np.ndarray:
    """Sums over blocks of the detector, of a sample of the scan that keeps neighbours together."""
    rows, columns = (n // BLOCK for n in values.shape[-2:])
    cut = values[..., : rows * BLOCK, : columns * BLOCK]
    return cut.reshape(*values.shape[:-2], rows, BLOCK, columns, BLOCK).sum(axis=(-3, -1), dtype=np.float64)


def _runs(counts: Shaped[np.ndarray, "*scan ky kx"]) -> Iterator[np.ndarray]:
    """Neighbouring patterns (4, 4, ky, kx) of a raster, or (1, 4, ky, kx) of a list."""

    def most(patterns: int) -> int:
        """Runs, of so many patterns each."""
        return max(2 * LEAST_RUNS, min(SAMPLE // patterns, LARGEST // (counts.shape[-2] * counts.shape[-1])))

    if counts.ndim == 4 and min(counts.shape[:2]) >= TAPS:
        rows, columns = (range(0, n - TAPS + 1, STRIDE) for n in counts.shape[:2])
        corners = [(y, x) for y in rows for x in columns]
        for y, x in corners[:: -(-len(corners) // most(TAPS**2))]:
            yield counts[y : y + TAPS, x : x + TAPS].astype(np.float64)
        return
    flat = counts.reshape(-1, *counts.shape[-2:])
    starts = range(0, len(flat) - TAPS + 1, STRIDE)
    for start in starts[:: max(1, -(-len(starts) // most(TAPS)))]:
        yield flat[None, start : start + TAPS].astype(np.float64)


def _filtered(run: np.ndarray, weights: np.ndarray, differences: bool) -> np.ndarray:
    """Sums of a run over the scan and, for differences, over neighbours of the detector, by weights along each axis."""
    along_scan = np.tensordot(weights if len(run) > 1 else np.ones(1), run, axes=(0, 0))
    out = np.tensordot(weights, along_scan, axes=(0, 0))
    for _ in range(2 if differences else 0):  # along the first axis, then, transposed, along the other
        shifted = np.stack([out[i : len(out) - TAPS + 1 + i] for i in range(TAPS)])
        out = np.tensordot(weights, shifted, axes=(0, 0)).T
    return out


def _fit(counts: np.ndarray, good: np.ndarray, differences: bool, dark_is_zero: bool = False) -> ShotNoise | None:
    """Variance against mean over levels of the mean."""
    if differences and min(counts.shape[-2:]) < TAPS:
        return None
    runs = [(_filtered(r, WEIGHTS, differences) ** 2, _filtered(r, WEIGHTS**2, differences)) for r in _runs(counts)]
    if len(runs) < LEAST_RUNS:
        return None
    if differences:
        windows = np.lib.stride_tricks.sliding_window_view(good, (TAPS, TAPS))
        good = np.asarray(windows.all(axis=(-2, -1)))
    if good.sum() < (LEVELS if differences else 4 * LEVELS):
        return None
    variances, means = (np.stack(values)[:, good] for values in zip(*runs, strict=True))
    mean, variance, error = _by_level(means, variances)
    above = mean - mean.min()
    if not mean.max() > 0 or not error.min() > 0:
        return None
    terms = np.stack([np.ones_like(above), above, above**2], axis=1)
    linear, quadratic = _solve(terms[:, :2], variance), _solve(terms, variance)
    needed = quadratic[2] < BETTER * linear[2]
    (floor, gain, *_), *_ = quadratic if needed else linear
    slope = terms[:, : 3 if needed else 2] / error[:, None]
    uncertain = float(np.sqrt(np.linalg.pinv(slope.T @ slope)[1, 1]))
    change = float(np.max(quadratic[0][2] * above**2 / quadratic[1]))
    least = _least_rise(mean, variance, error)
    if np.isnan(least) and dark_is_zero:
        least = float((variance / np.maximum(mean, 1e-12)).min())
    if 2 * uncertain > gain and (dark_is_zero or above.max() < mean.min()):
        gain = variance.sum() / mean.sum()
        uncertain = np.linalg.norm(error) / mean.sum() if dark_is_zero else np.inf
    return ShotNoise(float(gain), float(uncertain), float(np.sqrt(floor)), float(mean.min()), least, change)


def _least_rise(mean: np.ndarray, variance: np.ndarray, error: np.ndarray) -> float:
    """Smallest slope of the variance from the darkest level to another, of those that are certain."""
    darkest = int(np.argmin(mean))
    above = np.maximum(mean - mean[darkest], 1e-12)
    rise, uncertain = (variance - variance[darkest]) / above, np.hypot(error, error[darkest]) / above
    certain = (uncertain < SURE * rise) & (np.arange(len(mean)) != darkest)
    return float(rise[certain].min()) if certain.any() else np.nan


def _by_level(means: np.ndarray, variances: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean and variance of pixels of like brightness, and the variance's standard error.

    Pixels are sorted by one half of the runs and measured in the other, so that noise does not sort them.
    """
    middle, found = len(means) // 2, []
    for sorting, measured in ((slice(middle), slice(middle, None)), (slice(middle, None), slice(middle))):
        order = np.argsort(means[sorting].mean(axis=0), kind="stable")
        levels = np.array_split(order, LEVELS)
        per_run = [np.stack([values[measured][:, one].mean(axis=1) for one in levels]) for values in (means, variances)]
        error = per_run[1].std(axis=1, ddof=1) * OVERLAP / np.sqrt(per_run[1].shape[1])
        found.append([per_run[0].mean(axis=1), per_run[1].mean(axis=1), error / np.sqrt(2)])
    mean, variance, error = np.mean(found, axis=0)
    return mean, variance, error


def _solve(terms: np.ndarray, variance: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Coefficients that are not negative (c at most one), the variance they predict, the median relative misfit."""
    largest = [np.inf, np.inf, 1.0][: terms.shape[1]]
    predicted, robust = np.maximum(variance, 1e-12), np.ones_like(variance)
    fit, misfit = np.zeros_like(largest), robust
    for _ in range(10):
        weight = robust / predicted
        fit = lsq_linear(terms * weight[:, None], variance * weight, bounds=(np.zeros_like(largest), largest)).x
        predicted = np.maximum(terms @ fit, 1e-12)
        misfit = np.abs(variance - predicted) / predicted
        robust = 1 / np.sqrt(np.maximum(1, misfit / (1.5 * np.median(misfit) + 0.02)))
    return fit, predicted, float(np.median(misfit))
