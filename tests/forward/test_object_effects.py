"""Objects of several states and of uneven slices, and the point spread of the detector, against slow NumPy."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from jptycho.forward.effects import BlurPattern
from jptycho.forward.exit_waves import exit_waves, window_at
from jptycho.forward.fields import ScanFields
from jptycho.forward.model import predict
from jptycho.forward.multislice import incident_waves, multislice

from ..problems import WAVELENGTH, random_fields, setup_for
from ..tolerances import DOUBLE

pytestmark = pytest.mark.usefixtures("x64")


def test_an_object_of_states_gives_the_mean_of_their_patterns():
    fields, setup = random_fields(slices=2), setup_for()
    phases = np.random.default_rng(5).normal(size=(3, *fields.object.shape))
    expected = [
        predict(dataclasses.replace(fields, object=fields.object * np.exp(1j * phase)), setup, fields.scan[2])
        for phase in phases
    ]
    shared = {"object_states": jnp.asarray(phases)}
    found = predict(dataclasses.replace(fields, shared=shared), setup, fields.scan[2])
    np.testing.assert_allclose(found, np.mean(expected, axis=0), atol=DOUBLE)


def test_uneven_slices_are_each_their_own_distance_apart():
    """Against slice by slice in NumPy, with the tilt that the beam walks by in each gap."""
    fields, setup = random_fields(slices=3), setup_for()
    gaps = np.array([0.4, 1.6])
    even = window_at(fields, setup, fields.scan[0])
    ky, kx = np.meshgrid(*(np.fft.fftfreq(n, d) for n, d in zip((9, 14), (0.31, 0.47), strict=True)), indexing="ij")
    walk = 2 * np.pi * (ky * np.tan(3e-3) + kx * np.tan(-5e-3))
    wave = np.asarray(even.waves)
    for patch, gap in zip(np.asarray(even.patches), [*gaps, 0.0], strict=True):
        kernel = np.exp(-1j * 7.3 * gap * (np.pi * WAVELENGTH * (ky**2 + kx**2) + walk))
        wave = np.fft.ifft2(np.fft.fft2(wave * patch) * kernel)
    fields = dataclasses.replace(fields, shared={"slice_gaps": jnp.asarray(gaps)})
    np.testing.assert_allclose(exit_waves(fields, setup, fields.scan[0]), wave, atol=DOUBLE)
    window = window_at(fields, setup, fields.scan[0])
    last, before = incident_waves(window.waves, window.patches, window.kernel)
    np.testing.assert_allclose(last, multislice(window.waves, window.patches, window.kernel), atol=DOUBLE)
    assert before.shape == (3, *window.waves.shape)


def test_the_point_spread_is_the_discrete_gaussian():
    """Whose values are Bessel functions, and whose variance is the square of its width."""
    pattern = np.zeros((30, 25))
    pattern[1, 20] = 2.0
    row = ScanFields(jnp.zeros(2), extra={"point_spread": jnp.asarray(1.1)})
    y, x = (np.minimum(abs(np.arange(n) - at), n - abs(np.arange(n) - at)) for n, at in ((30, 1), (25, 20)))
    expected = 2 * np.outer(special.ive(y, 1.1**2), special.ive(x, 1.1**2))
    found = np.asarray(BlurPattern()(jnp.asarray(pattern), row))
    np.testing.assert_allclose(found, expected, atol=1e-9)
    assert np.sum(found * y[:, None] ** 2) / 2 == pytest.approx(1.1**2)
