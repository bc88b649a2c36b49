"""A part of the detector against slow sums, and what of it a run sees."""

import numpy as np
import pytest

from jptycho.data.dataset import Calibration, from_arrays, sampling_of
from jptycho.data.detector_window import add_up, stored_pixels, use_detector_part
from jptycho.data.readers.open import open_dataset
from jptycho.errors import ConfigError
from jptycho.preprocess.prepare import scan_positions
from jptycho.scan import orient

COUNTS = np.random.default_rng(0).integers(0, 256, (2, 3, 11, 14)).astype(np.uint8)
CALIBRATION = Calibration(energy=3e5, step=(1.0, 1.0), reciprocal_sampling=(0.02, 0.03))


def slow_part(patterns, crop, size):
    """One sum at a time."""
    top, left = (n // 2 - c // 2 for n, c in zip(patterns.shape[1:], crop, strict=True))
    out = np.zeros((len(patterns), crop[0] // size, crop[1] // size), int)
    for n, i, j in np.ndindex(out.shape):
        for m in range(size):
            for k in range(size):
                out[n, i, j] += int(patterns[n, top + size * i + m, left + size * j + k])
    return out


@pytest.mark.parametrize(("crop", "size"), [((8, 12), 1), ((8, 12), 2), ((9, 9), 3), ((10, 6), 2)])
def test_counts_are_added_up_and_stay_whole_numbers(crop, size):
    part = use_detector_part(from_arrays(COUNTS, CALIBRATION), crop, size)
    expected = slow_part(COUNTS.reshape(-1, 11, 14), crop, size)
    assert part.read().dtype == part.dtype
    assert part.dtype.kind == "u"
    np.testing.assert_array_equal(part.read(), expected)
    np.testing.assert_array_equal(part.read([4, 1]), expected[[4, 1]])
    assert part.shape == (2, 3, *expected.shape[1:])
    assert part.calibration.reciprocal_sampling == pytest.approx((0.02 * size, 0.03 * size))


def test_what_does_not_divide_is_cut_off_about_the_zero_frequency():
    part = use_detector_part(from_arrays(COUNTS, CALIBRATION), None, 4)
    np.testing.assert_array_equal(part.read(), slow_part(COUNTS.reshape(-1, 11, 14), (8, 12), 4))


def test_fractions_are_added_too():
    assert add_up(np.full((1, 2, 2), 0.25, np.float32), 2).tolist() == [[[1.0]]]


def test_a_square_with_a_bad_pixel_is_bad():
    mask = np.ones((11, 14))
    mask[5, 7] = 0
    part = use_detector_part(from_arrays(COUNTS, CALIBRATION, mask=mask), (4, 4), 2, [(3, 6)])
    assert part.mask is not None
    assert part.mask.tolist() == [[0.0, 1.0], [1.0, 0.0]]  # rows 3 to 6, columns 5 to 8
    assert mask[3, 6] == 1


@pytest.mark.parametrize(("crop", "size"), [((8, 12), 1), ((9, 12), 3), (None, 2)])
def test_pixels_of_a_part_are_found_again_on_the_whole(crop, size):
    """A stored pixel that is left out makes a square bad, and that square is made of pixels about it."""
    for place in ((4, 6), (7, 9)):
        part = use_detector_part(from_arrays(COUNTS, CALIBRATION), crop, size, [place])
        assert part.mask is not None
        found = stored_pixels(part.part, np.argwhere(part.mask == 0))
        assert place in found
        assert len(found) == size**2
        again = use_detector_part(from_arrays(COUNTS, CALIBRATION), crop, size, found)
        np.testing.assert_array_equal(again.mask, part.mask)
    within = use_detector_part(use_detector_part(from_arrays(COUNTS, CALIBRATION), (10, 12), 2), (3, 4))
    row, column = stored_pixels(within.part, np.array([[1, 2]]))[0]
    square = COUNTS[0, 0, row : row + 2, column : column + 2].sum(dtype=int)
    assert within.read([0])[0, 1, 2] == square


def test_nothing_asked_changes_nothing():
    scan = from_arrays(COUNTS, CALIBRATION)
    assert use_detector_part(scan) is scan


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"crop": (12, 12)}, r"data\.crop: 12 rows, but the detector has 11"),
        ({"crop": (4, 4), "bin_pixels": 5}, r"data\.crop: 4 rows, .* bin adds 5 up"),
        ({"bad_pixels": [(11, 0)]}, r"data\.bad_pixels: \[11, 0\] is no pixel of a detector of 11 x 14"),
    ],
)
def test_more_than_there_is_is_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        use_detector_part(from_arrays(COUNTS, CALIBRATION), **options)


def test_the_keys_of_the_table_reach_the_scan(tmp_path):
    np.save(tmp_path / "scan.npy", COUNTS)
    scan = open_dataset(
        tmp_path / "scan.npy", energy=3e5, step=1.0, reciprocal_sampling=0.02, crop=[8, 12], bin=2, bad_pixels=[[5, 7]]
    )
    assert scan.mask is not None
    counts = slow_part(COUNTS.reshape(-1, 11, 14), (8, 12), 2)
    np.testing.assert_array_equal(scan.read(), counts)
    # Row 5 and column 7 are row 4 and column 6 of the part.
    assert np.argwhere(scan.mask == 0).tolist() == [[2, 3]]
    assert scan.calibration.reciprocal_sampling == (0.04, 0.04)


def test_the_read_out_of_a_square_varies_as_that_of_its_pixels_together():
    rng = np.random.default_rng(3)
    stored = rng.normal(0.0, 0.4, (1, 500, 12, 12))
    scan = from_arrays(stored, Calibration(read_noise=0.4, counts_per_electron=1.0))
    part = use_detector_part(scan, (9, 9), 3)
    assert np.std(part.read()) == pytest.approx(part.calibration.read_noise, rel=0.03)
    assert part.calibration.counts_per_electron == 1.0
    assert use_detector_part(scan, (9, 9)).calibration.read_noise == 0.4


def test_bad_pixels_are_those_of_the_detector_as_the_axes_order_it(tmp_path):
    np.save(tmp_path / "scan.npy", COUNTS.transpose(0, 1, 3, 2))
    scan = open_dataset(
        tmp_path / "scan.npy", axes="sfxy", energy=3e5, step=1.0, reciprocal_sampling=0.02, bad_pixels=[[4, 12]]
    )
    assert scan.mask is not None
    # Column 12 is none of the 11 rows, so a pixel as it lies in the file would be another or none.
    assert np.argwhere(scan.mask == 0).tolist() == [[4, 12]]
    np.testing.assert_array_equal(scan.read()[:, 4, 12], COUNTS.reshape(-1, 11, 14)[:, 4, 12])


def test_positions_in_pixels_are_those_of_the_object_as_the_part_samples_it():
    stored = np.ones((6, 12, 16), np.uint8)
    places = np.random.default_rng(1).uniform(0, 20, (6, 2))
    pixels = Calibration(rotation=30.0, transpose=True, length_unit="px")
    part = use_detector_part(from_arrays(stored, pixels, places), (6, 12), 2)
    # The same scan in Å, whose whole detector samples the object by 0.5 x 0.25 Å: half as finely, and 4 / 3.
    scaled = orient(places, 30.0, True) * [0.5, 0.25]
    lengths = Calibration(reciprocal_sampling=(1 / (12 * 0.5), 1 / (16 * 0.25)))
    known = use_detector_part(from_arrays(stored, lengths, scaled), (6, 12), 2)
    assert sampling_of(known) == pytest.approx((1.0, 1 / 3))
    assert sampling_of(part) == (1.0, 1.0)
    np.testing.assert_allclose(scan_positions(part), scan_positions(known) / sampling_of(known), rtol=1e-12)
    whole = use_detector_part(from_arrays(stored, pixels, places), None, 2)
    np.testing.assert_allclose(scan_positions(whole), orient(places, 30.0, True), rtol=1e-12)


def test_rasters_in_pixels_are_too():
    scan = from_arrays(np.ones((2, 3, 12, 16)), Calibration(step=(4.0, 2.0), length_unit="px"))
    expected = np.stack(np.mgrid[0:2, 0:3].reshape(2, -1), axis=1) * [4.0 / 2, 2.0 * 3 / 4]
    np.testing.assert_allclose(scan_positions(use_detector_part(scan, (6, 12))), expected)
