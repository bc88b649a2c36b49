"""The transform of a scan's bright disk against slow loops, and the frequencies at which it is taken."""

import numpy as np
import pytest

from jptycho.preprocess.disk import Disk
from jptycho.preprocess.interference import (
    lowest_frequency,
    measure_interference,
    scan_frequencies,
    spiral_frequencies,
)

DISK = Disk((0.3, -0.6), (0.01, 0.01), 4.2, 0.01, (0.0, 0.0), (0.0, 0.0), 0.5)
SAMPLING = (0.11, 0.07)


def scene(seed=0, shape=(5, 6), window=(13, 16)):
    rng = np.random.default_rng(seed)
    slow, fast = np.meshgrid(*(np.arange(n) * step for n, step in zip(shape, (1.0, 1.3), strict=True)), indexing="ij")
    positions = np.stack([slow.ravel(), fast.ravel()], axis=1) + rng.normal(0, 0.05, (30, 2))
    return rng.poisson(6.0, (30, *window)).astype(np.uint8), positions


def test_single_pixels_are_transformed_as_a_loop_does():
    counts, positions = scene()
    mask = np.ones(counts.shape[1:])
    mask[1, 2] = 0  # within the disk, in FFT order
    q = np.array([[0.1, 0.0], [-0.2, 0.31]])
    found = measure_interference(counts, positions, DISK, SAMPLING, mask, (100.0, q))
    low, extent = positions.min(axis=0), np.ptp(positions, axis=0)
    # The window is zero a step beyond the border.
    step = extent / [4, 5]
    window = np.prod(np.sin(np.pi * (positions - low + step) / (extent + 2 * step)), axis=1)
    rows, columns = (np.fft.fftfreq(n, 1 / n) for n in counts.shape[1:])
    seen = []
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            if np.hypot(row - 0.3, column + 0.6) > 4.7 or mask[i, j] == 0:
                continue
            image = counts[:, i, j].astype(float)
            for n, one in enumerate(q):
                wave = np.exp(-2j * np.pi * (positions @ one))
                total = sum(window * (image - image.mean()) * wave) / np.sqrt(sum(window**2) * image.mean())
                place = np.flatnonzero(
                    np.isclose(found.k[:, 0], (row - 0.3) * 0.11) & np.isclose(found.k[:, 1], (column + 0.6) * 0.07)
                )
                assert len(place) == 1
                seen.append((found.values[n, place[0]], total))
    ratio = np.array([a / b for a, b in seen])
    assert len(seen) == 2 * len(found.k)
    np.testing.assert_allclose(ratio, ratio[0], rtol=2e-3)  # one scale for all: that of the noise
    assert ratio[0].real == pytest.approx(1 / np.sqrt(found.noise), rel=1e-3)


def test_bins_hold_every_live_pixel_of_the_disk_once():
    counts, positions = scene()
    flat = np.ones_like(counts)
    flat[::2] = 3  # so that there is something to transform
    fine = measure_interference(flat, positions, DISK, SAMPLING, None, (100.0, None))
    coarse = measure_interference(flat, positions, DISK, SAMPLING, None, (2.0, None))
    assert len(coarse.k) < len(fine.k) / 3
    # Each bin's signal grows with its pixels, its noise with their root: heights are relative to the largest bin.
    pixels = coarse.height**2 / np.sum(coarse.height**2) * len(fine.k)
    np.testing.assert_allclose(pixels, np.round(pixels), atol=0.02)
    np.testing.assert_allclose(fine.height, 1.0)


def test_the_centre_of_mass_follows_a_pattern_that_moves_with_the_scan():
    """Patterns moved by cos 2π q·p along y and nothing along x."""
    _, positions = scene(shape=(5, 6))
    q0 = np.array([0.2, 0.1])
    y = np.fft.fftfreq(13, 1 / 13)[:, None]
    base = np.exp(-((y - 0.3) ** 2) / 8) * np.ones((1, 16)) * 200
    moves = np.cos(2 * np.pi * positions @ q0)
    counts = base[None] * (1 + 0.05 * moves[:, None, None] * y)
    found = measure_interference(counts.astype(np.float32), positions, DISK, SAMPLING, None, (4.0, q0[None]))
    assert np.abs(found.centres[0, 0]) > 100 * np.abs(found.centres[0, 1])


def test_frequencies_are_one_of_each_pair_and_within_what_a_raster_resolves():
    y, x = np.meshgrid(np.arange(12) * 0.5, np.arange(20) * 0.8, indexing="ij")
    q = scan_frequencies(np.stack([y.ravel(), x.ravel()], axis=1))
    assert np.abs(q[:, 0]).max() <= 1.0
    assert np.abs(q[:, 1]).max() <= 0.625
    both = np.concatenate([q, -q])
    assert len(np.unique(both.round(9), axis=0)) == len(both)
    spiral = spiral_frequencies(0.1, 0.7, 300)
    size = np.linalg.norm(spiral, axis=1)
    assert (size > 0.1).all()
    assert (size < 0.7).all()
    angles = np.sort(np.arctan2(spiral[:, 0], spiral[:, 1]))
    assert np.diff(angles).max() < 0.03
    assert lowest_frequency(np.array([[0.0, 0.0], [10.0, 30.0]])) == pytest.approx(0.15)
