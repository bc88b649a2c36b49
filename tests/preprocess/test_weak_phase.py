"""The transfer of a weak phase against a scan that NumPy makes, and against the aberration function."""

import jax.numpy as jnp
import numpy as np
import pytest

from jptycho.optics.aberrations import aberration_phase
from jptycho.preprocess.weak_phase import Lens, beams, evidence, filled_bins, limited_gain, transfer, turn_frequency

WAVELENGTH, CUTOFF = 0.02, 0.9
PIXELS, SAMPLING = 48, 0.35
STEP = 1 / (PIXELS * SAMPLING)
LENS = jnp.array([WAVELENGTH, CUTOFF, STEP])
COEFFICIENTS = {"C10": -230.0, "C12": 40.0, "phi12": 0.7}
PARAMS = jnp.array([0.0, -230.0, 40 * np.cos(1.4), 40 * np.sin(1.4)])


def frequencies():
    k = np.fft.fftfreq(PIXELS, SAMPLING)
    return np.meshgrid(k, k, indexing="ij")


def test_the_transfer_is_that_of_a_scan_over_a_weak_wave():
    """φ = ε cos 2π q·r of a whole number of periods; every position of the window; its transform over them."""
    ky, kx = frequencies()
    radius = np.hypot(ky, kx)
    aperture = np.clip((CUTOFF - radius) / STEP + 0.5, 0, 1)
    chi = np.asarray(
        aberration_phase(jnp.asarray(WAVELENGTH * radius), jnp.asarray(np.arctan2(ky, kx)), WAVELENGTH, COEFFICIENTS)
    )
    wave = aperture * np.exp(-1j * chi)
    order = np.array([3, -2])
    q, small = order * STEP, 1e-3
    r = np.arange(PIXELS) * SAMPLING
    phase = small * np.cos(2 * np.pi * (q[0] * r[:, None] + q[1] * r[None]))
    found = np.zeros((PIXELS, PIXELS), complex)
    for i in range(PIXELS):
        for j in range(0, PIXELS, 3):  # enough positions along x for these frequencies
            at = np.array([i, j]) * SAMPLING
            here = np.fft.ifft2(wave * np.exp(-2j * np.pi * (ky * at[0] + kx * at[1])))
            pattern = np.abs(np.fft.fft2(here * np.exp(1j * phase))) ** 2
            found += pattern * np.exp(-2j * np.pi * (q @ at))
    found /= PIXELS * PIXELS / 3
    k = jnp.asarray(np.stack([ky.ravel(), kx.ravel()], axis=1), jnp.float32)
    model = transfer(PARAMS, jnp.asarray(q, jnp.float32), k, LENS)
    np.testing.assert_allclose(found.ravel(), 1j * small / 2 * np.asarray(model), atol=2e-5 * small + 1e-6)
    assert np.abs(np.asarray(model)).max() > 0.5  # so that the comparison has something to compare


def test_the_twin_has_the_same_transfer_but_for_its_sign():
    rng = np.random.default_rng(0)
    k = jnp.asarray(rng.uniform(-1, 1, (50, 2)), jnp.float32)
    q = jnp.asarray([0.3, -0.2], jnp.float32)
    twin = jnp.asarray([np.pi, *-np.asarray(PARAMS)[1:]], jnp.float32)
    np.testing.assert_allclose(transfer(twin, q, k, LENS), -transfer(PARAMS, q, k, LENS), atol=2e-5)


def test_beams_are_products_of_apertures():
    k = jnp.asarray([[0.0, 0.0], [0.7, 0.0], [0.0, -0.7]], jnp.float32)
    below, above, along = beams(jnp.asarray(0.0), jnp.asarray([0.5, 0.0], jnp.float32), k, LENS)
    np.testing.assert_allclose(below, [1.0, 1.0, np.clip((CUTOFF - np.hypot(0.5, 0.7)) / STEP + 0.5, 0, 1)], atol=1e-5)
    np.testing.assert_allclose(above, jnp.stack([jnp.ones(()), jnp.zeros(()), below[2]]), atol=1e-5)
    np.testing.assert_allclose(along, [0.0, 0.35, 0.0], atol=1e-6)
    turned = turn_frequency(jnp.asarray(np.pi / 2), jnp.asarray([0.5, 0.2], jnp.float32))
    np.testing.assert_allclose(turned, [[-0.2, 0.5]], atol=1e-6)


def test_evidence_of_noise_is_about_one_and_that_of_the_model_large():
    rng = np.random.default_rng(3)
    k = jnp.asarray(rng.uniform(-0.8, 0.8, (150, 2)), jnp.float32)
    q = jnp.asarray(rng.uniform(0.1, 0.5, (200, 2)), jnp.float32)
    noise = rng.normal(size=(200, 150)) + 1j * rng.normal(size=(200, 150))
    height = jnp.ones(150)
    alone = np.asarray(evidence(PARAMS, q, jnp.asarray(noise, jnp.complex64), k, height, LENS))
    assert alone.mean() == pytest.approx(1.0, abs=0.2)
    signal = np.stack([np.asarray(transfer(PARAMS, one, k, LENS)) for one in q[:20]])
    seen = np.asarray(evidence(PARAMS, q[:20], jnp.asarray(signal + 0.1 * noise[:20], jnp.complex64), k, height, LENS))
    assert seen.min() > 20
    assert float(limited_gain(jnp.asarray(1.0), filled_bins(height))) < 150  # one frequency never outvotes many


def test_the_depth_of_focus_is_that_of_the_aperture():
    assert Lens(0.02, 1.0, 0.1).depth == pytest.approx(0.02 / 0.02**2)
