"""The NumPy simulation of an imperfect microscope, against the package's own and against what was asked for."""

import numpy as np
import pytest

from jptycho.simulate.imperfect import Imperfections, simulate_imperfect
from jptycho.simulate.scan import GoldSettings, simulate_gold

MADE = dict(diameter=10.0, carbon_thickness=3.0, scan_shape=(4, 5), detector=(20, 24), dose=float("inf"))
SINGLE = 2e-5
"""Of the brightest pixel: the package simulates in single precision."""


def patterns(**imperfect):
    made = simulate_imperfect(GoldSettings(**MADE), Imperfections(**imperfect))
    return made, made.dataset.read().reshape(20, 20, 24)


def test_without_imperfections_it_is_the_package_s_own_scan():
    made, found = patterns()
    own = simulate_gold(**MADE)
    expected = own.read().reshape(found.shape)
    np.testing.assert_allclose(found, expected, atol=SINGLE * expected.max())
    np.testing.assert_allclose(made.dataset.truth.phase, own.truth.phase, atol=1e-5)
    np.testing.assert_allclose(made.dataset.positions, own.positions)


def test_background_and_flux_are_as_asked_for():
    _, plain = patterns()
    made, found = patterns(background=1e-3, background_slope=0.5, flux=0.2)
    assert np.mean(made.flux) == pytest.approx(1)
    assert np.std(np.log(made.flux)) == pytest.approx(0.2, rel=0.2)
    assert made.background[10, 3] == pytest.approx(1e-3)
    assert made.background[0, 3] == pytest.approx(0.5e-3)
    expected = plain * made.flux[:, None, None] + made.background
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_a_whole_pixel_of_descan_moves_the_pattern():
    _, plain = patterns()
    made, found = patterns(descan=((1.0, 0.0), (0.0, 0.0)))
    assert made.descan[0].tolist() == [-1.0, 0.0]
    np.testing.assert_allclose(found[0, :-1], plain[0, 1:], atol=1e-9)
    np.testing.assert_allclose(found[-1, 1:], plain[-1, :-1], atol=1e-9)


def test_a_source_is_the_mean_over_its_points():
    """A small one adds the second derivative along both axes, times half its square."""
    size, step = 0.05, 0.02
    _, blurred = patterns(source_size=size)
    settings = GoldSettings(**(MADE | {"jitter": 0.0}))
    centre = simulate_imperfect(settings, Imperfections()).dataset.read()[2, 2]
    around = simulate_imperfect(settings, Imperfections(source_size=step)).dataset.read()[2, 2]
    again = simulate_imperfect(settings, Imperfections(source_size=size)).dataset.read()[2, 2]
    np.testing.assert_allclose((again - centre) / size**2, (around - centre) / step**2, atol=0.03)
    assert np.abs(again - centre).max() > 1e-5
    assert blurred.sum() > 0


def test_equal_layers_have_the_projection_of_the_specimen():
    made, _ = patterns(layers=3)
    plain, _ = patterns()
    np.testing.assert_allclose(made.dataset.truth.phase, plain.dataset.truth.phase, atol=1e-5)


def test_a_focal_spread_is_the_mean_over_a_gaussian_of_defocus_however_wide():
    """By ten steps a standard deviation, where the simulation takes two: the phase of the edge is 3.8 rad."""
    places = np.linspace(-4.5, 4.5, 91)
    weights = np.exp(-0.5 * places**2) / np.exp(-0.5 * places**2).sum()

    def seen(defocus, **imperfect):
        settings = GoldSettings(**(MADE | {"scan_shape": (1, 2), "defocus": defocus}))
        return simulate_imperfect(settings, Imperfections(layers=1, **imperfect)).dataset.read()

    found = seen(200.0, focal_spread=60.0)
    expected = sum(weight * seen(200 + 60 * t) for t, weight in zip(places, weights, strict=True))
    np.testing.assert_allclose(found, expected, atol=2e-4 * expected.max())


def test_layers_may_be_unevenly_spaced():
    thickness = GoldSettings(**MADE).slice_thickness
    _, even = patterns(layers=3)
    _, said = patterns(layers=3, gaps=(thickness, thickness))
    _, uneven = patterns(layers=3, gaps=(0.2 * thickness, 1.8 * thickness))
    np.testing.assert_array_equal(said, even)
    assert np.abs(uneven - even).max() > 1e-3 * even.max()
