"""Counts that are read when they are asked for: those of the array in memory, and a file that changes meanwhile."""

import dataclasses

import numpy as np
import pytest

from jptycho.data.counts import load_counts
from jptycho.data.dataset import Calibration, from_arrays
from jptycho.data.lazy_counts import lazy_counts, mapped, statistics
from jptycho.errors import FormatError


def scan_of(dtype=np.uint16, largest=9, **changes):
    counts = np.random.default_rng(0).integers(0, largest + 1, (5, 6, 8, 10)).astype(dtype)
    return from_arrays(counts, Calibration(**changes))


@pytest.mark.parametrize(("dtype", "kept"), [(np.uint16, np.uint8), (np.int32, np.uint8), (np.float64, np.float32)])
def test_rows_are_those_of_the_scan_in_memory(dtype, kept):
    scan = scan_of(dtype)
    whole, lazy = load_counts(scan), lazy_counts(scan)
    assert lazy.dtype == whole.dtype == kept
    assert (lazy.shape, lazy.ndim, len(lazy), lazy.nbytes) == (whole.shape, 3, 30, whole.nbytes)
    for rows in (slice(None), slice(3, 20, 4), [7, 2], np.array([5])):
        np.testing.assert_array_equal(lazy[rows], whole[rows])
    np.testing.assert_allclose(lazy.mean(axis=0, dtype=np.float64), whole.mean(axis=0))
    assert (lazy.min(), lazy.max()) == (whole.min(), whole.max())


def test_a_sample_knows_the_shape_and_leaves_room_for_more():
    some = lazy_counts(scan_of(largest=200), every=False)
    assert (some.shape, some.dtype) == ((30, 8, 10), np.uint16)


def test_a_dead_pixel_and_a_wrong_value_are_as_in_memory():
    scan = scan_of(np.float32)
    mask = np.ones((8, 10))
    mask[2, 3] = 0
    masked = dataclasses.replace(scan, mask=mask)
    np.testing.assert_array_equal(lazy_counts(masked)[[4]], load_counts(masked)[[4]])
    wrong = scan.read(slice(None)).copy()
    wrong[17, 2, 3] = np.nan
    broken = dataclasses.replace(scan, read=lambda rows=slice(None): wrong[rows])
    with pytest.raises(FormatError, match=r"holds 1 not finite values, first in pattern 17"):
        lazy_counts(broken)
    with pytest.raises(FormatError, match="holds zeros only"):
        lazy_counts(dataclasses.replace(scan, read=lambda rows=slice(None): 0 * scan.read(rows)))


def test_changed_patterns_and_their_mean():
    lazy = lazy_counts(scan_of())
    doubled = mapped(lazy, lambda part, rows: part + rows[:, None, None].astype(np.uint8), lazy)
    np.testing.assert_array_equal(doubled[[3, 9]], lazy[[3, 9]] + np.array([3, 9], np.uint8)[:, None, None])
    expected = (lazy[:].astype(float) * 2).mean(axis=0)
    np.testing.assert_allclose(statistics(lazy, lambda part, rows: part * 2, size=1000), expected)


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (lambda part: part[:-1], "holds fewer patterns than when the run began"),
        (lambda part: part + np.uint16(500), "holds larger counts than when the run began"),
        (lambda part: 1 / 0, "can no longer be read"),
    ],
)
def test_a_file_that_changes_while_it_is_read_is_named_with_what_to_do(now, said):
    scan, changed = scan_of(), []

    def read(rows=slice(None)):
        part = scan.read(rows)
        if not changed:
            return part
        try:
            return now(part)
        except ZeroDivisionError:
            raise OSError("truncated file") from None

    lazy = lazy_counts(dataclasses.replace(scan, read=read, source="scan.h5"))
    changed.append(True)
    with pytest.raises(FormatError, match=f"data.file: scan.h5 {said}.*go on from the last checkpoint") as error:
        lazy[slice(0, 9)]
    assert "\n" not in str(error.value)
