"""What meets at one position: the window, the probe in it and the propagator, against slow NumPy."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from jptycho.forward.exit_waves import exit_waves, kernel_of, window_at, window_of
from jptycho.forward.fields import ScanFields
from jptycho.types import Grid

from ..problems import GRID, WAVELENGTH, random_fields, setup_for
from ..reference import physics
from ..tolerances import DOUBLE

pytestmark = pytest.mark.usefixtures("x64")
GRIDS = pytest.mark.parametrize("grid", [GRID, Grid((10, 7), (0.4, 0.3))])


@GRIDS
def test_a_window_holds_the_object_about_its_position_and_the_probe_there(grid: Grid):
    fields, (ny, nx) = random_fields(grid=grid), grid.shape
    position = np.array([13.3, 15.6])
    window = window_at(fields, setup_for(grid), ScanFields(jnp.asarray(position)))
    top, left = 13 - ny // 2, 16 - nx // 2
    assert np.asarray(window.corner).tolist() == [top, left]
    np.testing.assert_array_equal(window.patches, fields.object[:, top : top + ny, left : left + nx])
    for found, mode in zip(window.waves, np.asarray(fields.probe), strict=True):
        expected = physics.shifted(mode, (0.3 + ny // 2, -0.4 + nx // 2))
        np.testing.assert_allclose(found, expected, atol=DOUBLE)


def test_a_window_stays_on_the_canvas_and_the_probe_on_its_position():
    """Wherever it stands, corner and shift add up to the position."""
    setup, canvas = setup_for(), (2, 27, 33)
    for position in ([0.0, 0.0], [1.7, 30.2], [26.0, 32.0], [40.0, -3.5], [13.49, 16.51]):
        corner, shift = window_of(setup, jnp.array(position), canvas)
        assert (np.asarray(corner) >= 0).all()
        assert (np.asarray(corner) + GRID.shape <= canvas[1:]).all()
        np.testing.assert_allclose(np.add(corner, shift), position, atol=DOUBLE)


@GRIDS
@pytest.mark.parametrize("band_limit", [None, 0.6])
def test_the_tilt_of_a_position_adds_to_that_of_all(grid: Grid, band_limit: float | None):
    fields, setup = random_fields(grid=grid), setup_for(grid, band_limit=band_limit)
    for own, total in ((None, (3.0, -5.0)), ((2.0, 1.5), (5.0, -3.5)), ((-3.0, 5.0), (0.0, 0.0))):
        row = ScanFields(fields.scan.position[0], None if own is None else jnp.array(own))
        expected = physics.fresnel(grid.shape, grid.sampling, WAVELENGTH, 7.3, total, band_limit)
        # Of small angles the sum is that of their tangents to a hundred-thousandth.
        np.testing.assert_allclose(kernel_of(fields, setup, row), expected, atol=1e-6)


def test_a_kernel_of_no_distance_does_nothing_whatever_the_tilt():
    fields = dataclasses.replace(random_fields(), thickness=jnp.asarray(0.0))
    np.testing.assert_allclose(kernel_of(fields, setup_for(), fields.scan[0]), np.ones(GRID.shape), atol=DOUBLE)


def test_exit_waves_of_vacuum_are_the_probe_in_its_place():
    """Propagated through what is between the slices, in one go."""
    fields, (ny, nx) = random_fields(slices=3), GRID.shape
    fields = dataclasses.replace(fields, object=jnp.ones_like(fields.object), tilt=jnp.zeros(2))
    position = np.asarray(fields.scan.position[1])
    whole = physics.fresnel(GRID.shape, GRID.sampling, WAVELENGTH, 2 * 7.3)
    moved = [physics.shifted(m, position - np.round(position) + (ny // 2, nx // 2)) for m in np.asarray(fields.probe)]
    expected = [physics.idft2(physics.dft2(wave) * whole) for wave in moved]
    np.testing.assert_allclose(exit_waves(fields, setup_for(), fields.scan[1]), expected, atol=DOUBLE)
