"""Effects of the beam on the modes of the probe, against sums over patterns by slow NumPy."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jptycho.forward.beam import MoveBeam, SpreadFocus, VaryProbe
from jptycho.forward.exit_waves import illuminate
from jptycho.forward.fields import with_shared
from jptycho.forward.model import predict
from jptycho.forward.patches import fourier_shift
from jptycho.optics.waves import cis

from ..problems import WAVELENGTH, random_fields, setup_for
from ..tolerances import DOUBLE

pytestmark = pytest.mark.usefixtures("x64")
STEP = 1e-5


def seen(fields, setup, name, value):
    return predict(dataclasses.replace(fields, shared={name: jnp.asarray(value)}), setup, fields.scan[1])


def moved(fields, change):
    return dataclasses.replace(fields, probe=jnp.asarray(change(np.asarray(fields.probe))))


def test_a_spread_of_focus_is_the_mean_of_patterns_over_defocus():
    """Against a fine sum over a Gaussian of defocus, about a disk that is not in the centre."""
    fields, setup = random_fields(), dataclasses.replace(setup_for(), centre=jnp.array([0.05, -0.1]))
    ky, kx = np.meshgrid(*(np.fft.fftfreq(n, d) for n, d in zip((9, 14), (0.31, 0.47), strict=True)), indexing="ij")
    square = (ky - 0.05) ** 2 + (kx + 0.1) ** 2
    spread, places = 6.0, np.linspace(-6, 6, 61)
    share = np.exp(-(places**2) / 2)

    def at(place):
        lens = cis(-np.pi * WAVELENGTH * spread * place * square)
        probe = jnp.fft.ifft2(jnp.fft.fft2(fields.probe) * lens[None])
        return predict(dataclasses.replace(fields, probe=probe), setup, fields.scan[1])

    expected = np.tensordot(share / share.sum(), jax.jit(jax.vmap(at))(jnp.asarray(places)), 1)
    found = seen(fields, dataclasses.replace(setup, beam=(SpreadFocus(9),)), "focal_spread", spread)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_fly_scan_is_the_mean_of_patterns_along_a_line():
    """Against a fine sum over places of the beam, by the midpoint rule."""
    fields, setup = random_fields(canvas=(40, 44)), setup_for()
    line, places = np.array([0.31, -0.47]), (np.arange(100) + 0.5) / 100 - 0.5

    def at(place):
        shift = place * jnp.asarray(line / setup.grid.sampling)
        return predict(dataclasses.replace(fields, probe=fourier_shift(fields.probe, shift)), setup, fields.scan[1])

    expected = np.mean(jax.jit(jax.vmap(at))(jnp.asarray(places)), axis=0)
    found = seen(fields, dataclasses.replace(setup, beam=(MoveBeam(7),)), "fly", line)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_spectrum_of_a_patterns_probe_is_changed_by_a_factor():
    fields, setup = random_fields(), dataclasses.replace(setup_for(), beam=(VaryProbe(),))
    rng = np.random.default_rng(3)
    variation = 0.3 * (rng.normal(size=(2, 9, 14)) + 1j * rng.normal(size=(2, 9, 14)))
    own = np.array([0.4, -0.3])
    row = dataclasses.replace(fields.scan[1], extra={"probe_weights": jnp.asarray(own)})
    fields = dataclasses.replace(fields, shared={"probe_variation": jnp.asarray(variation)})
    modes = np.asarray(fields.probe)
    varied = np.fft.ifft2(np.fft.fft2(modes) * np.exp(own[0] * variation[0] + own[1] * variation[1]))
    varied = varied * np.sqrt(np.sum(np.abs(modes) ** 2) / np.sum(np.abs(varied) ** 2))
    np.testing.assert_allclose(illuminate(fields, setup, row), varied, atol=DOUBLE)
    expected = predict(moved(fields, lambda _: varied), dataclasses.replace(setup, beam=()), row)
    np.testing.assert_allclose(predict(fields, setup, row), expected, atol=DOUBLE)


@pytest.mark.parametrize(("effect", "name", "value"), [
    (SpreadFocus(3), "focal_spread", 7.0), (MoveBeam(3), "fly", (0.4, -0.2)),
])  # fmt: skip
def test_sums_keep_the_electrons_and_are_differentiated_by_their_width(effect, name, value):
    fields, setup = random_fields(), setup_for()
    on = dataclasses.replace(setup, beam=(effect,))
    weight = jnp.asarray(np.random.default_rng(0).normal(size=setup.grid.shape))
    value = jnp.asarray(value)
    modes = illuminate(dataclasses.replace(fields, shared={name: value}), on, fields.scan[0])
    assert float(jnp.sum(jnp.abs(modes) ** 2)) == pytest.approx(float(jnp.sum(jnp.abs(fields.probe) ** 2)))
    assert len(modes) == 3 * len(fields.probe)

    @jax.jit
    def scalar(step):
        return jnp.sum(weight * seen(fields, on, name, value * (1 + step)))

    slope = (scalar(STEP) - scalar(-STEP)) / (2 * STEP)
    assert float(jax.grad(scalar)(0.0)) == pytest.approx(float(slope), rel=1e-5)
    np.testing.assert_allclose(seen(fields, on, name, 0 * value), predict(fields, setup, fields.scan[1]), atol=DOUBLE)


def test_what_all_share_stands_beside_what_is_the_rows_own():
    row = dataclasses.replace(random_fields().scan[0], extra={"flux": jnp.ones(()), "gain": jnp.ones(())})
    both = with_shared(row, {"gain": jnp.zeros(()), "fly": jnp.zeros(2)})
    assert sorted(both.extra) == ["flux", "fly", "gain"]
    assert float(both.extra["gain"]) == 1.0
    assert with_shared(row, {}) is row
