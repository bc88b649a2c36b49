"""The scale of a scan's steps against lattices whose spacing is known."""

import numpy as np
import pytest

from jptycho.data.dataset import Calibration, from_arrays
from jptycho.errors import ConfigError
from jptycho.preprocess.lattice import scan_step_scale, step_scale


def lattice(true_step, shape=(50, 64), spacing=2.35, noise=0.5, seed=0):
    """A square lattice of {1 0} spacing, turned by 17 degrees, in noise."""
    y, x = (axis * step for axis, step in zip(np.indices(shape), true_step, strict=True))
    angle = np.radians(17)
    waves = [np.cos(2 * np.pi * (np.sin(a) * y + np.cos(a) * x) / spacing) for a in (angle, angle + np.pi / 2)]
    return sum(waves) + np.random.default_rng(seed).normal(0, noise, shape)


@pytest.mark.parametrize("factor", [0.93, 1.0, 1.06])
def test_the_factor_is_found_to_a_part_of_a_percent(factor):
    found, error = step_scale(lattice((0.5 * factor, 0.6 * factor)), (0.5, 0.6), 2.35)
    assert found == pytest.approx(factor, abs=0.004)
    assert error < 0.01


def test_noise_has_no_lattice():
    for seed, side in ((0, 40), (1, 40), (2, 128), (3, 256), (4, 512)):
        noise = np.random.default_rng(seed).normal(size=(side, side))
        with pytest.raises(ConfigError, match=r"lattice: no peak within 15% of 1/2\.35"):
            step_scale(noise, (0.5, 0.5), 2.35)


def test_steps_that_cannot_show_it_are_refused():
    with pytest.raises(ConfigError, match=r"lattice: 2\.35 Å, but steps of 1\.5 Å show spacings above 3\.45 Å only"):
        step_scale(np.ones((20, 20)), (1.5, 1.5), 2.35)


def test_a_scan_shows_the_scale_of_its_own_steps():
    """Patterns whose disk moves with the slope of a lattice, and whose brightness follows it not."""
    angle, spacing, true = np.radians(17), 2.5, 0.63
    y, x = (axis * true for axis in np.indices((30, 32)))
    waves = [(np.sin(angle), np.cos(angle)), (np.cos(angle), -np.sin(angle))]
    slope = np.sum([a * np.cos(2 * np.pi * (a * y + b * x) / spacing) for a, b in waves], axis=0)
    rows, columns = np.indices((16, 16)) - 8
    disk = np.hypot(rows[None, None] - 0.6 * slope[..., None, None], columns[None, None]) < 5
    counts = np.random.default_rng(0).poisson(4.0 * disk).astype(np.uint8)
    scan = from_arrays(counts, Calibration(step=(0.6, 0.6)))
    factor, error = scan_step_scale(scan, spacing)
    assert factor == pytest.approx(true / 0.6, abs=4 * error)
    assert error < 0.01


def test_positions_of_their_own_have_no_step_to_scale():
    scan = from_arrays(np.ones((6, 8, 8)), Calibration(step=(0.6, 0.6)), np.zeros((6, 2)))
    with pytest.raises(ConfigError, match=r"data\.lattice: gives the scale of data\.step; expected a raster"):
        scan_step_scale(scan, 2.35)
