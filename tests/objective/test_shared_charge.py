"""Electrons that leave counts in several pixels: the loss counts each once."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jptycho.assembly.build import loss_of
from jptycho.config.run import parse_config
from jptycho.forward.effects import transfer
from jptycho.forward.fields import Noise
from jptycho.objective.losses import amplitude_loss
from jptycho.objective.shared_charge import SharedChargeLoss

pytestmark = pytest.mark.usefixtures("x64")
WIDTH, SHAPE, EACH = 0.6, (48, 40), 60.0
"""Detector pixels, and electrons a pixel."""


def recorded():
    """Electrons as a detector records them that spreads each, as fractions of all."""
    hits = np.random.default_rng(0).poisson(EACH, SHAPE)
    spread = np.fft.irfft2(np.fft.rfft2(hits) * np.asarray(transfer(SHAPE, jnp.asarray(WIDTH))), s=SHAPE)
    return spread / (EACH * hits.size), EACH * hits.size


def test_half_a_unit_for_each_pixel_where_a_plain_loss_sees_less_than_there_is():
    seen, electrons = recorded()
    even, noise = jnp.full(SHAPE, 1 / seen.size), Noise(jnp.asarray(electrons), jnp.zeros(()))
    shared = electrons * float(jnp.mean(SharedChargeLoss(WIDTH)(even, jnp.asarray(seen), noise)))
    plain = electrons * float(jnp.mean(amplitude_loss(even, jnp.asarray(seen), noise)))
    # The floor lowers both by 3 %, and the least transfer a little more.
    assert shared == pytest.approx(0.5, rel=0.15)
    assert plain < 0.2


def test_noise_is_white_after_it_and_was_not_before():
    seen, _ = recorded()

    def neighbours(values):
        values = values - values.mean()
        return np.mean(values * np.roll(values, 1, axis=0)) / np.mean(values**2)

    spectrum = np.sqrt(np.asarray(transfer(SHAPE, jnp.asarray(WIDTH))) ** 2 + 0.01)
    whitened = np.fft.irfft2(np.fft.rfft2(np.sqrt(seen)) / spectrum, s=SHAPE)
    assert neighbours(np.sqrt(seen)) > 0.3
    assert abs(neighbours(whitened)) < 0.1


def test_it_is_zero_at_a_perfect_model_and_its_gradient_is_that_of_finite_differences():
    seen, electrons = recorded()
    loss, noise = SharedChargeLoss(WIDTH), Noise(jnp.asarray(electrons), jnp.zeros(()))
    direction = jnp.asarray(np.random.default_rng(1).normal(size=SHAPE)) / seen.size

    @jax.jit
    def value(step):
        return jnp.sum(loss(jnp.asarray(seen) + step * direction, jnp.asarray(seen), noise))

    assert float(value(0.0)) == pytest.approx(0, abs=1e-12)
    slope = (float(value(0.1 + 1e-5)) - float(value(0.1 - 1e-5))) / 2e-5
    assert float(jax.grad(value)(0.1)) == pytest.approx(slope, rel=1e-5)


def test_the_configuration_says_its_width():
    config = parse_config({"data": {"file": ""}, "loss": "shared_charge", "refine": {"point_spread": 0.7}})
    assert loss_of(config) == SharedChargeLoss(0.7)
