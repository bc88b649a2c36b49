"""Hot and dead pixels among noise, structure and edges."""

import numpy as np

from jptycho.preprocess.bad_pixels import find_bad_pixels


def pattern(seed=0, shape=(48, 56), patterns=400):
    """A noisy mean pattern with a disk, a faint surround and a Bragg spot of three pixels' width."""
    rng = np.random.default_rng(seed)
    y, x = np.indices(shape)
    mean = 0.05 + 8.0 * (np.hypot(y - 24, x - 27) < 13) + 30 * np.exp(-((y - 8) ** 2 + (x - 44) ** 2) / 2 / 1.5**2)
    return rng.poisson(mean * patterns) / patterns, patterns


def test_a_clean_detector_has_no_bad_pixel():
    for seed in range(5):
        assert find_bad_pixels(*pattern(seed)).all()


def test_hot_and_dead_pixels_are_found_and_no_other():
    mean, patterns = pattern()
    bad = [(3, 5), (24, 30), (20, 20), (30, 24), (8, 10), (9, 10), (0, 0)]
    for place, value in zip(bad, (40.0, 90.0, 0.0, 0.0, 55.0, 60.0, 25.0), strict=True):
        mean[place] = value
    found = {(int(i), int(j)) for i, j in np.argwhere(find_bad_pixels(mean, patterns) == 0)}
    assert found == set(bad)


def test_a_column_of_dead_pixels_is_not_seen_and_a_single_one_is():
    """As the docstring says: three dead neighbours hide each other."""
    mean, patterns = pattern()
    mean[16:32, 27], mean[24, 20] = 0.0, 0.0
    found = {(int(i), int(j)) for i, j in np.argwhere(find_bad_pixels(mean, patterns) == 0)}
    assert (24, 20) in found
    assert (24, 27) not in found


def test_a_dark_pixel_where_nothing_is_expected_is_not_called_dead():
    mean, patterns = pattern(patterns=40)
    mean[2, 3] = 0.0
    assert find_bad_pixels(mean, patterns)[2, 3] == 1


def test_the_unit_of_counts_does_not_matter():
    mean, patterns = pattern()
    mean[3, 5], mean[24, 30] = 40.0, 0.0
    one, ten = find_bad_pixels(mean, patterns), find_bad_pixels(10 * mean, patterns, counts_per_electron=10.0)
    np.testing.assert_array_equal(one, ten)
