"""The forward model against slow NumPy, by its gradients and by its invariants."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from scipy.special import jv

from jptycho.forward.detector import far_field
from jptycho.forward.fields import Fields, ScanFields
from jptycho.forward.model import predict, predict_batch
from jptycho.forward.multislice import multislice, transmit
from jptycho.forward.patches import crop, fourier_shift
from jptycho.optics.propagation import fresnel_kernel
from jptycho.optics.waves import cis, to_complex
from jptycho.types import Grid

from ..problems import GRID, WAVELENGTH, random_fields, setup_for
from ..reference import physics
from ..tolerances import DOUBLE, ENERGY

pytestmark = pytest.mark.usefixtures("x64")
GRIDS = [GRID, Grid((10, 7), (0.4, 0.3)), Grid((8, 8), (0.5, 0.5))]


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize(("slices", "modes", "band_limit"), [(1, 1, None), (3, 2, None), (3, 2, 2 / 3)])
def test_predict_equals_slow_numpy(grid, slices, modes, band_limit):
    fields, setup = random_fields(slices, modes, grid), setup_for(grid, band_limit=band_limit)
    kernel = physics.fresnel(grid.shape, grid.sampling, WAVELENGTH, 7.3, (3.0, -5.0), band_limit)
    for position in np.asarray(fields.scan.position):
        expected = physics.pattern(np.asarray(fields.object), np.asarray(fields.probe), position, kernel)
        found = predict(fields, setup, ScanFields(jnp.asarray(position)))
        np.testing.assert_allclose(found, expected, rtol=0, atol=DOUBLE * expected.max())


def test_crop_cuts_the_window():
    canvas = np.arange(3 * 7 * 9).reshape(3, 7, 9)
    np.testing.assert_array_equal(crop(jnp.asarray(canvas), jnp.array([2, 3]), (4, 5)), canvas[:, 2:6, 3:8])


def test_fourier_shift_of_a_plane_wave_is_a_phase():
    y, x = np.meshgrid(np.arange(9), np.arange(14), indexing="ij")
    wave = np.exp(2j * np.pi * (2 * y / 9 - 3 * x / 14))
    expected = np.exp(2j * np.pi * (2 * (y - 0.3) / 9 - 3 * (x + 1.7) / 14))
    np.testing.assert_allclose(fourier_shift(jnp.asarray(wave), jnp.array([0.3, -1.7])), expected, atol=DOUBLE)


def test_energy_is_conserved_without_absorption():
    fields = random_fields()
    fields = Fields(cis(jnp.angle(fields.object)), fields.probe, fields.scan, fields.thickness, fields.tilt)
    totals = predict_batch(fields, setup_for(), fields.scan).sum(axis=(1, 2))
    np.testing.assert_allclose(totals, 1.0, atol=ENERGY)


def test_modes_add_incoherently():
    wave = np.random.default_rng(0).normal(size=(3, 9, 14)) + 1j
    parts = sum(np.asarray(far_field(jnp.asarray(mode[None]))) for mode in wave)
    np.testing.assert_allclose(far_field(jnp.asarray(wave)), parts, rtol=DOUBLE)


def test_one_slice_needs_no_kernel():
    fields = random_fields(slices=1)
    wave, t = fields.probe, fields.object[:, :9, :14]
    np.testing.assert_array_equal(multislice(wave, t, jnp.full((9, 14), jnp.nan + 0j)), transmit(wave, t[0]))


def test_weak_phase_object_in_focus_gives_the_closed_form():
    """A cosine grating seen with a plane wave diffracts J_n(a)² into its n-th order (Jacobi-Anger)."""
    amplitude, period = 0.3, 8
    x = np.arange(32)
    phase = amplitude * np.cos(2 * np.pi * x / period)[None, :] * np.ones((24, 1))
    grid = Grid((16, 16), (0.5, 0.5))
    fields = Fields(
        jnp.asarray(np.exp(1j * phase))[None],
        jnp.ones((1, 16, 16), complex) / 16,
        ScanFields(jnp.array([[12.0, 16.0]])),
        jnp.array(0.0),
        jnp.zeros(2),
    )
    found = predict(fields, setup_for(grid), fields.scan[0])
    for order in (0, 1, 2):
        # What aliases onto it is of order 6 and more: below 1e-8.
        assert float(found[0, 2 * order]) == pytest.approx(jv(order, amplitude) ** 2, abs=1e-8)


@pytest.mark.parametrize("slices", [1, 3])
def test_gradients_with_respect_to_every_field(slices):
    fields, setup = random_fields(slices, 2, canvas=(16, 21), positions=1), setup_for()
    weight = jnp.asarray(np.random.default_rng(2).uniform(size=GRID.shape))

    def objective(*arguments):
        phase, re, im, position, thickness, tilt = (jnp.asarray(a) for a in arguments)
        seen = Fields(cis(phase), jax.lax.complex(re, im), ScanFields(position[None]), thickness, tilt)
        return jnp.sum(weight * jnp.sqrt(predict(seen, setup, ScanFields(position)) + 1e-3))

    arguments = (
        jnp.angle(fields.object),
        fields.probe.real,
        fields.probe.imag,
        fields.scan.position[0],
        fields.thickness,
        fields.tilt,
    )
    check_grads(objective, arguments, order=1, modes=["rev"], eps=1e-5, atol=1e-5, rtol=1e-5)


def test_gradients_of_the_parts():
    fields = random_fields(3, 1)
    kernel = fresnel_kernel(GRID, WAVELENGTH, 5.0)
    wave, stack = fields.probe[0], fields.object[:, :9, :14]

    def through(phase):
        exit_wave = multislice(wave, to_complex(jnp.abs(stack)) * cis(jnp.asarray(phase)), kernel)
        return jnp.sum(far_field(exit_wave[None]) ** 2)

    def moved(shift):
        return jnp.sum(jnp.abs(fourier_shift(wave, jnp.asarray(shift))) ** 4)

    def cut(phase):
        return jnp.sum(crop(jnp.asarray(phase), jnp.array([1, 2]), (3, 4)) ** 3)

    check_grads(through, (jnp.angle(stack),), order=1, modes=["rev"], eps=1e-5)
    check_grads(moved, (jnp.array([0.3, 0.8]),), order=1, modes=["rev"], eps=1e-5)
    check_grads(cut, (jnp.angle(stack),), order=1, modes=["rev"], eps=1e-5)


def test_jit_and_vmap_change_nothing():
    fields, setup = random_fields(), setup_for()
    one_by_one = jnp.stack([predict(fields, setup, fields.scan[n]) for n in range(len(fields.scan))])
    np.testing.assert_allclose(predict_batch(fields, setup, fields.scan), one_by_one, rtol=DOUBLE, atol=1e-16)
    np.testing.assert_allclose(jax.jit(predict_batch)(fields, setup, fields.scan), one_by_one, rtol=1e-9, atol=1e-16)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("edge", ["low", "high"])
def test_a_window_that_would_leave_the_canvas_stays_at_its_edge(edge):
    """The probe, dark where its window ends, moves within it: the pattern is that of a larger canvas."""
    grid, canvas = Grid((30, 36), (0.31, 0.47)), (60, 69)
    fields, setup = random_fields(1, grid=grid, canvas=canvas), setup_for(grid)
    y, x = (np.minimum(np.arange(n), n - np.arange(n)) for n in grid.shape)
    spot = jnp.asarray(np.exp(-(y[:, None] ** 2 + x[None, :] ** 2) / 4), complex)[None]
    fields = dataclasses.replace(fields, probe=spot)
    position, cut = (jnp.array([17.0, 30.2]), 4) if edge == "low" else (jnp.array([43.0, 30.2]), 0)
    rows = slice(cut, None) if edge == "low" else slice(0, 56)
    small = dataclasses.replace(fields, object=fields.object[:, rows])
    found = predict(small, setup, ScanFields(position - jnp.array([cut, 0.0])))
    np.testing.assert_allclose(found, predict(fields, setup, ScanFields(position)), atol=DOUBLE)


@pytest.mark.usefixtures("x64")
def test_a_detector_that_is_off_centre_moves_patterns_and_no_wave():
    """Patterns of a centred beam, moved by whole detector pixels: a disk off centre, but no walk between slices."""
    grid = Grid((24, 28), GRID.sampling)
    # A band limit keeps what moves from leaving the detector at one side and coming back at the other.
    fields, setup = random_fields(slices=3, modes=2, grid=grid, canvas=(60, 70), positions=1), setup_for(grid, 1.0, 0.5)
    fields = dataclasses.replace(fields, thickness=jnp.asarray(90.0))
    shift = (2, -3)
    y, x = (np.fft.fftfreq(n) for n in grid.shape)
    ramp = jnp.asarray(np.exp(2j * np.pi * (shift[0] * y[:, None] + shift[1] * x[None])))[None]
    # Where the window ends the ramp does too: whole pixels only.
    turned = dataclasses.replace(fields, probe=fields.probe * ramp, scan=ScanFields(jnp.round(fields.scan.position)))
    plain = dataclasses.replace(fields, scan=ScanFields(jnp.round(fields.scan.position)))
    centre = jnp.array([s / (n * d) for s, n, d in zip(shift, grid.shape, grid.sampling, strict=True)])
    expected = jnp.roll(predict(plain, setup, plain.scan[0]), shift, axis=(0, 1))
    found = predict(turned, dataclasses.replace(setup, centre=centre), turned.scan[0])
    np.testing.assert_allclose(found, expected, atol=DOUBLE)
    assert float(jnp.abs(predict(turned, setup, turned.scan[0]) - expected).max()) > 1e-4
