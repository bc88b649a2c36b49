"""Where descan and background begin, on patterns whose shift and level are known."""

import numpy as np

from jptycho.preprocess.guesses import darkest, descan_plane

SIDE = 24


def scan(slopes, level, electrons, outliers=0):
    """Gaussian spots whose centres lie on a plane, some deflected by an edge of the specimen."""
    rng = np.random.default_rng(0)
    positions = np.stack(np.meshgrid(np.arange(10.0), np.arange(12.0), indexing="ij"), axis=-1).reshape(-1, 2)
    shift = (positions - positions.mean(axis=0)) @ slopes
    centres = shift.copy()
    centres[rng.choice(len(centres), outliers, replace=False)] += [2.0, 1.0]
    y, x = (np.fft.fftfreq(n) * n for n in (SIDE, SIDE + 4))
    spots = np.exp(
        -0.125 * ((y[None, :, None] - centres[:, :1, None]) ** 2 + (x[None, None] - centres[:, 1:, None]) ** 2)
    )
    counts = rng.poisson(electrons * spots / spots[0].sum() + level)
    return counts.astype(np.uint16), positions, shift


def test_the_plane_is_found_in_spite_of_edges_and_a_background():
    slopes = np.array([[0.2, -0.03], [0.05, 0.15]])
    counts, positions, shift = scan(slopes, 0.4, 5e3, outliers=12)
    found = descan_plane(counts, np.ones(counts.shape[1:], bool), positions)
    assert np.abs(found - shift).max() < 0.1
    plain = descan_plane(scan(0 * slopes, 0.0, 5e3)[0], np.ones(counts.shape[1:], bool), positions)
    assert np.abs(plain).max() < 0.05


def test_the_darkest_part_is_what_the_background_adds_and_dead_pixels_do_not_count():
    counts = scan(np.zeros((2, 2)), 0.4, 500.0)[0]
    mask = np.ones(counts.shape[1:], bool)
    mask[10:14, 10:12] = False
    mean = counts.mean(axis=0) * mask
    assert abs(darkest(mean, mask) - 0.4) < 0.05
