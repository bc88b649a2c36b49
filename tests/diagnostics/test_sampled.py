"""Samples of a scan: which patterns are read, how many at once, and what they show."""

import math
import time

import numpy as np
import pytest

from jptycho.data.dataset import Calibration, Dataset4D, from_arrays
from jptycho.diagnostics import sampled
from jptycho.diagnostics.sampled import count_statistics, patch_rows, read_patch, sample, spread_rows


def scan(shape: tuple[int, ...], seed: int = 0, dtype: type = np.uint16) -> Dataset4D:
    """Counts whose mean rises over the scan, a square disk on the detector."""
    rng = np.random.default_rng(seed)
    mean = np.full(shape[-2:], 0.2)
    mean[shape[-2] // 4 : -(shape[-2] // 4), shape[-1] // 4 : -(shape[-1] // 4)] = 5.0
    counts = rng.poisson(mean, shape) if math.prod(shape) < 1e7 else np.zeros(shape)
    return from_arrays(counts.astype(dtype), Calibration())


@pytest.mark.parametrize(("shape", "side"), [((40, 50), 8), ((7, 90), 8), ((3, 2), 8), ((64, 64), 32)])
def test_a_coarse_raster_lies_evenly_over_the_scan(shape: tuple[int, int], side: int):
    rows, grid = spread_rows(shape, side)
    assert grid == tuple(min(side, n) for n in shape)
    assert len(rows) == len(set(rows.tolist())) == math.prod(grid)
    assert (np.diff(rows) > 0).all()
    slow, fast = np.unravel_index(rows, shape)
    for places, length, count in ((slow, shape[0], grid[0]), (fast, shape[1], grid[1])):
        assert abs(places.mean() - (length - 1) / 2) <= 0.5
        gaps = np.diff(np.unique(places))
        assert count == 1 or gaps.max() - gaps.min() <= 1


def test_a_list_is_sampled_in_equal_steps():
    rows, grid = spread_rows((1000,), 8)
    assert grid is None
    assert len(rows) == 64
    assert set(np.diff(rows)) <= {15, 16}


@pytest.mark.parametrize(
    ("shape", "most"), [((40, 50), 100), ((1, 300), 64), ((3, 300), 64), ((300, 2), 64), ((2, 3), 64)]
)
def test_a_patch_holds_neighbours_from_the_middle(shape: tuple[int, int], most: int):
    rows, sides = patch_rows(shape, most)
    slow, fast = (np.unique(places) for places in np.unravel_index(rows, shape))
    assert (len(slow), len(fast)) == sides
    assert len(rows) == math.prod(sides) <= max(most, 1)
    assert len(rows) >= min(0.6 * most, math.prod(shape))
    for places, length in ((slow, shape[0]), (fast, shape[1])):
        assert (np.diff(places) == 1).all()
        assert abs(places.mean() - (length - 1) / 2) <= 0.5


def test_statistics_of_a_small_scan_are_those_of_all_patterns():
    dataset = scan((9, 11, 16, 20))
    counts = dataset.read().astype(float)
    found = count_statistics(dataset)
    assert found.grid == (9, 11)
    assert found.rows.tolist() == list(range(99))
    assert found.patterns == 99
    np.testing.assert_allclose(found.totals, counts.sum(axis=(1, 2)))
    np.testing.assert_allclose(found.mean_pattern, counts.mean(axis=0))
    expected = np.zeros((16, 20), bool)
    expected[4:12, 5:15] = True
    np.testing.assert_array_equal(found.disk, expected)
    np.testing.assert_allclose(found.bright_field, counts[:, expected].sum(axis=1))
    assert (found.smallest, found.largest) == (counts.min(), counts.max())
    assert (found.not_finite, found.negative) == (0, 0)
    assert found.histogram.sum() == pytest.approx(64 * 16 * 20, rel=1)
    assert found.histogram[0] / found.histogram.sum() == pytest.approx((counts == 0).mean(), abs=0.05)


def test_a_large_scan_is_sampled_and_what_is_read_at_once_is_bounded(monkeypatch: pytest.MonkeyPatch):
    """200 x 300 patterns of 64 x 64: 491 MB, of which a 32 x 32 raster and never more than 8 MB at once is read."""
    largest = []

    def fake(dataset: Dataset4D, rows: np.ndarray) -> np.ndarray:
        largest.append(len(rows))
        return np.broadcast_to((rows[:, None, None] % 7 + 1).astype(np.uint16), (len(rows), 64, 64))

    def never() -> np.ndarray:
        raise AssertionError("all patterns were read")

    monkeypatch.setattr(sampled, "sample", fake)
    dataset = Dataset4D((200, 300, 64, 64), np.dtype(np.uint16), never, Calibration())
    found = count_statistics(dataset)
    assert found.grid == (32, 32)
    np.testing.assert_allclose(found.totals, (found.rows % 7 + 1) * 64 * 64)
    assert max(largest) * 64 * 64 * 2 <= sampled.CHUNK_BYTES


def test_a_slow_file_is_sampled_more_coarsely():
    dataset = scan((40, 40, 16, 16))
    assert count_statistics(dataset, seconds=0.0).grid == (8, 8)
    assert count_statistics(dataset, seconds=100.0).grid == (32, 32)


def test_a_large_detector_is_sampled_more_coarsely(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sampled, "MOST_BYTES", 300 * 16 * 16 * 2)
    assert count_statistics(scan((40, 40, 16, 16)), seconds=100.0).grid == (17, 17)


def test_what_is_no_number_is_counted_and_left_out():
    counts = scan((5, 6, 8, 8), dtype=np.float32).read().copy()
    counts[3, 2, 2], counts[7, 1, 1], counts[8, 0, 0] = np.nan, np.inf, -2.0
    found = count_statistics(from_arrays(counts, Calibration()))
    assert (found.not_finite, found.negative, found.smallest) == (2, 1, -2.0)
    assert np.isfinite(found.mean_pattern).all()
    assert np.isfinite(found.totals).all()


def test_a_scan_of_zeros_has_no_disk():
    found = count_statistics(from_arrays(np.zeros((4, 4, 8, 8)), Calibration()))
    assert not found.disk.any()
    assert found.totals.sum() == found.bright_field.sum() == 0


def test_the_patch_of_a_large_detector_is_its_middle():
    counts = np.zeros((4, 5, 530, 12), np.uint8)
    counts[..., 9:-9, :] = 1
    patch = read_patch(from_arrays(counts, Calibration()))
    assert patch.shape == (4, 5, 512, 12)
    assert patch.min() == 1


def test_a_sample_is_of_the_rows_that_are_asked_for():
    dataset = scan((4, 5, 6, 7))
    np.testing.assert_array_equal(sample(dataset, np.array([0, 7, 19])), dataset.read()[[0, 7, 19]])


def test_a_first_look_ends_in_time_where_each_pattern_is_slow():
    read = []

    def slowly(rows=slice(None)):
        read.append(len(rows))
        time.sleep(0.05)
        return np.ones((len(rows), 8, 8), np.uint16)

    found = count_statistics(Dataset4D((64, 64, 8, 8), np.dtype(np.uint16), slowly, Calibration()), seconds=0.2)
    # Half of the time for the first pass, eight patterns at once; then the coarsest raster as a whole.
    assert 8 <= sum(read) - len(found.rows) <= 32
    assert found.grid == (8, 8)
