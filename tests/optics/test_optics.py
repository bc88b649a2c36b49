"""Optics against closed forms and slow NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from jptycho.errors import ConfigError
from jptycho.optics.aberrations import SYMMETRIES, aberration_phase
from jptycho.optics.electron import interaction_parameter, wavelength
from jptycho.optics.probe import Beam, beam_probe, form_probe, incoherent_modes, soft_aperture
from jptycho.optics.propagation import fresnel_kernel, propagate
from jptycho.types import Grid

from ..problems import GRID
from ..reference import physics
from ..tolerances import DOUBLE, ENERGY, ORTHOGONAL, SINGLE

COEFFICIENTS = {
    "C10": -200.0,
    "C12": 30.0,
    "phi12": 0.4,
    "C21": 900.0,
    "phi21": -1.1,
    "C30": 1e5,
    "C45": 3e4,
    "phi45": 0.2,
    "C56": 1e7,
}


@pytest.mark.parametrize(("energy", "expected"), [(80e3, 0.041757), (200e3, 0.025079), (300e3, 0.019687)])
def test_wavelength_is_that_of_the_tables(energy, expected):
    assert wavelength(energy) == pytest.approx(expected, abs=5e-7)
    assert wavelength(energy) == pytest.approx(physics.wavelength(energy), rel=1e-8)


def test_interaction_parameter_is_two_pi_over_lambda_v_relativistic():
    energy, rest = 200e3, 510998.95
    expected = 2 * np.pi / (wavelength(energy) * energy) * (rest + energy) / (2 * rest + energy)  # Kirkland 5.6
    assert interaction_parameter(energy) == pytest.approx(expected, rel=1e-6)


@pytest.mark.usefixtures("x64")
def test_aberration_phase_equals_its_formula():
    rng = np.random.default_rng(1)
    alpha, phi = rng.uniform(0, 0.03, 50), rng.uniform(-np.pi, np.pi, 50)
    expected = [physics.chi(a, p, 0.02, COEFFICIENTS) for a, p in zip(alpha, phi, strict=True)]
    found = aberration_phase(jnp.asarray(alpha), jnp.asarray(phi), 0.02, COEFFICIENTS)
    np.testing.assert_allclose(found, expected, rtol=DOUBLE, atol=DOUBLE)


def test_every_coefficient_to_fifth_order_is_known():
    assert set(SYMMETRIES) == {f"C{n}{m}" for n in range(1, 6) for m in range(n + 2) if (n + m) % 2 == 1 and m <= n + 1}
    with pytest.raises(ConfigError, match="C11"):
        aberration_phase(jnp.zeros(()), jnp.zeros(()), 0.02, {"C11": 1.0})


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("grid", [GRID, Grid((12, 7), (0.4, 0.3))])
def test_probe_equals_slow_numpy(grid):
    expected = physics.probe(grid.shape, grid.sampling, 0.02, 15.0, COEFFICIENTS)
    np.testing.assert_allclose(form_probe(grid, 0.02, 15.0, COEFFICIENTS), expected, atol=DOUBLE)


@pytest.mark.usefixtures("x64")
def test_probe_gradients():
    grid = Grid((8, 11), (0.3, 0.4))

    def spread(defocus, astigmatism):
        probe = form_probe(grid, 0.02, 15.0, {"C10": -defocus, "C12": astigmatism})
        return jnp.sum(jnp.abs(probe) ** 4)

    check_grads(spread, (50.0, 10.0), order=1, modes=["rev"], eps=1e-4)


def test_underfocus_converges_behind_the_specimen():
    """A positive defocus puts the crossover behind: propagating forward by it gives the focused probe."""
    grid, beam = Grid((64, 48), (0.25, 0.25)), Beam(300e3, 20.0, (("C10", -150.0),))
    kernel = fresnel_kernel(grid, wavelength(300e3), 150.0)
    focused = beam_probe(grid, Beam(300e3, 20.0))
    np.testing.assert_allclose(propagate(beam_probe(grid, beam), kernel), focused, atol=SINGLE)


def test_aperture_area_is_that_of_the_disk():
    grid = Grid((96, 64), (0.2, 0.3))
    area = float(soft_aperture(grid, 0.02, 15.0, (1.3, -0.6)).sum())
    pixel = 0.02**2 / (96 * 0.2 * 64 * 0.3)
    assert area * pixel == pytest.approx(np.pi * 0.015**2, rel=5e-3)


def test_disk_centre_moves_the_aperture():
    shape = (32, 40)
    spectrum = np.abs(np.fft.fft2(np.asarray(form_probe(Grid(shape, (0.3, 0.3)), 0.02, 15.0, {}, (3.0, -2.0)))))
    expected = np.abs(np.fft.fft2(np.asarray(form_probe(Grid(shape, (0.3, 0.3)), 0.02, 15.0, {}))))
    np.testing.assert_allclose(spectrum, np.roll(expected, (3, -2), (0, 1)), atol=1e-4)


@pytest.mark.usefixtures("x64")
def test_fresnel_kernel_equals_slow_numpy():
    found = fresnel_kernel(GRID, 0.02, 12.0, (4.0, -7.0), 2 / 3)
    expected = physics.fresnel(GRID.shape, GRID.sampling, 0.02, 12.0, (4.0, -7.0), 2 / 3)
    np.testing.assert_allclose(found, expected, atol=DOUBLE)


@pytest.mark.usefixtures("x64")
def test_tilt_walks_the_wave():
    """Without diffraction a tilted specimen sees the beam walk by Δz tan θ."""
    grid = Grid((32, 32), (1.0, 1.0))
    wave = jnp.zeros((32, 32), complex).at[5, 6].set(1.0)
    angle = np.degrees(np.arctan(0.5)) * np.pi / 180 * 1e3
    moved = propagate(wave, fresnel_kernel(grid, 1e-12, 4.0, (angle, 0.0)))
    assert np.unravel_index(np.argmax(np.abs(moved)), (32, 32)) == (7, 6)


@pytest.mark.usefixtures("x64")
def test_propagation_conserves_energy_and_composes():
    rng = np.random.default_rng(0)
    wave = jnp.asarray(rng.normal(size=GRID.shape) + 1j * rng.normal(size=GRID.shape))
    once = propagate(wave, fresnel_kernel(GRID, 0.02, 10.0))
    twice = propagate(propagate(wave, fresnel_kernel(GRID, 0.02, 3.0)), fresnel_kernel(GRID, 0.02, 7.0))
    assert float(jnp.sum(jnp.abs(once) ** 2) / jnp.sum(jnp.abs(wave) ** 2)) == pytest.approx(1, abs=ENERGY)
    np.testing.assert_allclose(once, twice, atol=DOUBLE)


@pytest.mark.usefixtures("x64")
def test_modes_are_orthogonal_and_keep_the_intensity():
    probe = form_probe(GRID, 0.02, 15.0, {"C10": -60.0})
    modes = incoherent_modes(probe[None], 4).reshape(4, -1)
    gram = np.asarray(modes @ modes.conj().T)
    np.testing.assert_allclose(gram - np.diag(np.diag(gram)), 0, atol=DOUBLE)
    assert np.trace(gram).real == pytest.approx(1, abs=ENERGY)


@pytest.mark.parametrize("shift", [(0, 0), (5, -4)])
@pytest.mark.parametrize("defocus", [0.0, 150.0])
def test_modes_of_a_disk_off_centre_are_orthogonal_in_single_precision(shift, defocus):
    """The disk's place on the detector is a ramp of the probe: it changes no mode but by that ramp."""
    grid = Grid((48, 40), (0.4, 0.5))
    probe = form_probe(grid, 0.02, 15.0, {"C10": -defocus})
    y, x = (np.fft.fftfreq(n, 1 / n) for n in grid.shape)
    ramp = np.exp(2j * np.pi * np.add.outer(shift[0] * y / len(y), shift[1] * x / len(x))).astype(np.complex64)
    modes = np.asarray(incoherent_modes((probe * ramp)[None], 6)).reshape(6, -1)
    modes = modes / np.linalg.norm(modes, axis=1, keepdims=True)
    np.testing.assert_allclose(modes @ modes.conj().T, np.eye(6), atol=ORTHOGONAL)
    straight = np.asarray(incoherent_modes(probe[None], 6)) * ramp
    overlap = np.abs(np.sum(straight.reshape(6, -1).conj() * modes, axis=1)) / np.linalg.norm(straight, axis=(1, 2))
    np.testing.assert_allclose(overlap, 1, atol=1e-3)


def test_further_modes_are_orthogonal_to_all_that_are_given():
    """The second given mode is a derivative of the first and something else; the third lies in their span."""
    probe = form_probe(GRID, 0.02, 15.0, {"C10": -60.0})
    derivative = incoherent_modes(probe[None], 2)[1] * 2
    given = jnp.stack([probe, derivative + 0.2 * probe * jnp.asarray(np.hanning(GRID.shape[1]), probe.dtype)[None]])
    for known in (given, jnp.concatenate([given, given.sum(axis=0)[None]]), jnp.stack([probe, derivative])):
        modes = np.asarray(incoherent_modes(known, len(known) + 3)).reshape(len(known) + 3, -1)
        assert np.linalg.norm(modes) == pytest.approx(np.linalg.norm(known), rel=SINGLE)
        scale = np.linalg.norm(known) / np.linalg.norm(modes[: len(known)])
        np.testing.assert_allclose(modes[: len(known)] * scale, known.reshape(len(known), -1), atol=SINGLE)
        modes = modes / np.linalg.norm(modes, axis=1, keepdims=True)
        np.testing.assert_allclose(modes[len(known) :] @ modes[: len(known)].conj().T, 0, atol=ORTHOGONAL)
        np.testing.assert_allclose(modes[len(known) :] @ modes[len(known) :].conj().T, np.eye(3), atol=ORTHOGONAL)
    with pytest.raises(ConfigError, match=r"probe\.modes: 3, but the probe gives a start for 1 only"):
        incoherent_modes(jnp.zeros((1, 8, 8), complex).at[0].set(1.0), 3)


def test_jitted_probe_equals_eager():
    eager = form_probe(GRID, 0.02, 15.0, {"C10": -60.0})
    jitted = jax.jit(lambda c: form_probe(GRID, 0.02, 15.0, {"C10": c}))(-60.0)
    np.testing.assert_allclose(eager, jitted, atol=SINGLE)


@pytest.mark.parametrize("defocus", [0.0, 200.0])
def test_extra_modes_hold_what_a_source_of_finite_width_does(defocus):
    """Against the modes of many probes moved about by a Gaussian source: the second and third are its derivatives."""
    grid, sigma = Grid((48, 40), (0.4, 0.5)), 0.4
    probe = np.asarray(form_probe(grid, wavelength(300e3), 20.0, {"C10": -defocus}))
    rng, spectrum = np.random.default_rng(0), np.fft.fft2(probe)
    ky, kx = np.fft.fftfreq(48, 0.4)[:, None], np.fft.fftfreq(40, 0.5)[None]
    moved = [
        np.fft.ifft2(spectrum * np.exp(-2j * np.pi * (ky * y + kx * x))).ravel()
        for y, x in rng.normal(0, sigma, (400, 2))
    ]
    _, _, true = np.linalg.svd(np.stack(moved), full_matrices=False)
    start = np.asarray(incoherent_modes(jnp.asarray(probe)[None], 3)).reshape(3, -1)
    start = start / np.linalg.norm(start, axis=1, keepdims=True)
    for mode in true[1:3]:
        assert np.linalg.norm(np.conj(start) @ mode) ** 2 > 0.85
