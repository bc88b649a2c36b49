"""Dead and hot pixels, the bright disk and what neighbours share, in patterns whose answer is known."""

import numpy as np
import pytest
from scipy import ndimage

from jptycho.diagnostics.detector_pixels import (
    bad_pixels,
    bright_disk,
    disk_of,
    neighbour_correlation,
)


def disk(shape: tuple[int, int] = (48, 64), centre: tuple[float, float] = (25.0, 30.0), radius: float = 12.0):
    y, x = np.indices(shape)
    return np.hypot(y - centre[0], x - centre[1]) <= radius


def sample(mean: np.ndarray, patterns: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).poisson(mean, (patterns, *mean.shape))


@pytest.mark.parametrize("level", [3.0, 0.1])
def test_the_disk_is_found_at_any_dose(level: float):
    counts = sample(level * disk() + 0.01 * level, 400)
    found = bright_disk(counts.mean(axis=0))
    assert (found != disk()).sum() <= 0.02 * disk().sum()
    centre, radius = disk_of(found)
    assert centre == pytest.approx((25 - 24, 30 - 32), abs=0.15)
    assert radius == pytest.approx(np.sqrt(disk().sum() / np.pi), abs=0.2)


def test_a_hot_pixel_and_a_dead_one_are_no_disk():
    mean = 4.0 * disk() + 0.1
    mean[3, 5] = 1e6
    mean[25, 30] = 0
    assert disk_of(bright_disk(mean))[0] == pytest.approx((1, -2), abs=0.05)
    assert not bright_disk(np.zeros((8, 8))).any()
    assert disk_of(np.zeros((8, 8), bool)) == ((0.0, 0.0), 0.0)


def test_what_a_mask_hides_is_no_disk():
    mean, mask = 4.0 * disk() + 0.1, np.ones((48, 64))
    mean[:8] = 900.0
    mask[:8] = 0
    assert disk_of(bright_disk(mean, mask))[0] == pytest.approx((1, -2), abs=0.05)


def test_dead_pixels_are_those_that_see_nothing_where_others_do():
    counts = sample(2.0 * disk() + 0.001, 200)
    dead = [(25, 30), (20, 33), (25, 31)]
    for place in dead:
        counts[(slice(None), *place)] = 0
    found, hot = bad_pixels(counts.mean(axis=0), 200)
    assert sorted(map(tuple, found.tolist())) == sorted(dead)
    assert len(hot) == 0


def test_few_electrons_leave_pixels_empty_that_are_not_dead():
    counts = sample(0.02 * disk(), 100)
    assert not any(map(len, bad_pixels(counts.mean(axis=0), 100)))
    scaled = 50 * counts  # a gain does not make electrons more
    assert not any(map(len, bad_pixels(scaled.mean(axis=0), 100, 50.0)))


def test_hot_pixels_are_those_far_above_their_neighbours():
    counts = sample(2.0 * disk() + 0.05, 200)
    assert not any(map(len, bad_pixels(counts.mean(axis=0), 200)))
    counts[:, 40, 5] += 3
    counts[:, 25, 28] += 40
    counts[:, 24, 32] += 900  # the middle of the detector: a beam that nothing scattered
    dead, found = bad_pixels(counts.mean(axis=0), 200)
    assert len(dead) == 0
    assert sorted(map(tuple, found.tolist())) == [(25, 28), (40, 5)]


def test_single_electrons_in_the_dark_are_not_hot():
    assert not any(map(len, bad_pixels(sample(np.full((64, 64), 0.002), 100).mean(axis=0), 100)))
    scaled = 30.0 * sample(np.full((64, 64), 0.002), 100)
    assert not any(map(len, bad_pixels(scaled.mean(axis=0), 100, 30.0)))


def test_counted_electrons_share_nothing():
    counts = np.random.default_rng(1).poisson(20.0 * disk() + 1, (12, 12, 48, 64))
    assert neighbour_correlation(counts) == pytest.approx(0, abs=0.02)
    assert neighbour_correlation(counts.reshape(-1, 48, 64)) == pytest.approx(0, abs=0.02)


def test_a_charge_that_spreads_is_seen_in_the_nearest_pixel_alone():
    """Of a Gaussian of standard deviation s, noise at a distance d is alike by exp(-d² / 4 s²), if pixels are fine."""
    counts = np.random.default_rng(2).poisson(20.0, (12, 12, 48, 64)).astype(float)
    spread = ndimage.gaussian_filter(counts, (0, 0, 1.0, 1.0), mode="wrap", truncate=6)
    assert neighbour_correlation(spread) == pytest.approx(np.exp(-1 / 4), abs=0.02)
    assert neighbour_correlation(spread, 4) == pytest.approx(np.exp(-4), abs=0.02)


def test_too_little_tells_nothing():
    assert neighbour_correlation(np.ones((3, 9, 8, 8))) is None
    assert neighbour_correlation(np.ones((9, 8, 8))) is None
    assert neighbour_correlation(np.random.default_rng(0).poisson(3.0, (9, 1, 8))) is None
