"""The bright disk's fit against disks whose centre, radius and ellipse are known."""

import numpy as np
import pytest

from jptycho.errors import ConfigError
from jptycho.optics.probe import soft_aperture
from jptycho.preprocess.disk import SYSTEMATIC, fit_disk
from jptycho.types import Grid

SHAPE = (60, 71)


def disk(centre=(0.4, -1.3), radius=14.3, ratio=1.0, angle=0.0, shape=SHAPE):
    """An ellipse whose half axes' product is radius², by counting a fine grid's points in each pixel; FFT order."""
    fine = 8
    axes = [(np.arange(n * fine) + 0.5) / fine - 0.5 - n // 2 - c for n, c in zip(shape, centre, strict=True)]
    y, x = np.meshgrid(*axes, indexing="ij")
    along, across = (np.cos(angle) * x + np.sin(angle) * y), (np.cos(angle) * y - np.sin(angle) * x)
    inside = (along / np.sqrt(ratio)) ** 2 + (across * np.sqrt(ratio)) ** 2 <= radius**2
    return np.fft.ifftshift(inside.reshape(shape[0], fine, shape[1], fine).mean(axis=(1, 3)))


def test_centre_and_radius_of_a_round_disk():
    found = fit_disk(disk())
    assert found.centre == pytest.approx((0.4, -1.3), abs=0.02)
    assert found.radius == pytest.approx(14.3, abs=0.03)
    assert found.axes_ratio == pytest.approx(1.0, abs=0.003)


def test_an_ellipse_is_measured_whatever_its_azimuth():
    for angle in (0.0, 0.6, 1.9):
        found = fit_disk(disk(ratio=1.08, angle=angle))
        assert found.axes_ratio == pytest.approx(1.08, abs=0.006)
        assert found.radius == pytest.approx(14.3, abs=0.04)
        # The long axis lies where (1 + e1) y² + (1 - e1) x² + 2 e2 y x is least.
        e1, e2 = found.ellipse
        azimuths = np.linspace(0, np.pi, 361)
        form = e1 * (np.sin(azimuths) ** 2 - np.cos(azimuths) ** 2) + 2 * e2 * np.sin(azimuths) * np.cos(azimuths)
        turned = azimuths[np.argmin(form)] - angle
        assert abs((turned + np.pi / 2) % np.pi - np.pi / 2) < 0.05


def test_errors_are_those_of_many_noisy_disks():
    rng = np.random.default_rng(1)
    clean = 40 * disk() + 1.0
    found = [fit_disk(rng.poisson(clean) * 1.0) for _ in range(40)]
    for values, errors in (
        ([one.centre[0] for one in found], [one.centre_error[0] for one in found]),
        ([one.radius for one in found], [one.radius_error for one in found]),
    ):
        assert 0.7 < np.median(errors) / np.hypot(np.std(values), SYSTEMATIC) < 1.5
    assert np.mean([one.radius for one in found]) == pytest.approx(14.3, abs=0.06)


def test_what_the_specimen_scatters_and_single_hot_pixels_move_nothing():
    y, x = np.indices(SHAPE) - np.array(SHAPE)[:, None, None] // 2
    tail = np.fft.ifftshift(0.15 / (1 + (np.hypot(y, x) / 12) ** 2))
    pattern = disk() * (1 - 0.1 * np.fft.ifftshift(np.hypot(y, x) / 14) ** 2) + tail
    pattern[3, -20], pattern[-16, 4] = 50.0, 30.0
    found = fit_disk(pattern)
    assert found.centre == pytest.approx((0.4, -1.3), abs=0.05)
    assert found.radius == pytest.approx(14.3, abs=0.08)


def test_dead_pixels_are_left_out():
    pattern, mask = disk(), np.ones(SHAPE)
    mask[:, -6:], mask[5] = 0, 0
    found = fit_disk(np.where(mask > 0, pattern, 7.0), mask)
    assert found.centre == pytest.approx((0.4, -1.3), abs=0.04)
    assert found.radius == pytest.approx(14.3, abs=0.05)


def test_the_cutoff_is_that_of_the_aperture_which_makes_the_disk():
    """The library's aperture of 15 mrad, squared: its radius in pixels is what the fit calls cutoff."""
    grid, wavelength = Grid((64, 64), (0.3, 0.3)), 0.02
    pattern = np.asarray(soft_aperture(grid, wavelength, 15.0), np.float64) ** 2
    assert fit_disk(pattern).cutoff == pytest.approx(15e-3 / wavelength * 64 * 0.3, abs=0.03)


def test_no_disk_is_said_so():
    with pytest.raises(ConfigError, match="has no electron"):
        fit_disk(np.zeros((32, 32)))
    with pytest.raises(ConfigError, match=r"(no bright disk|has a radius of)"):
        fit_disk(np.random.default_rng(0).poisson(5.0, (32, 32)) * 1.0)
    with pytest.raises(ConfigError, match=r"has a radius of .* expected between 2 pixels and its border"):
        fit_disk(disk(radius=40.0))
