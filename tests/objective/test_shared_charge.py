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
    """Squares of white noise are white too: neighbours correlate by the square of what their residuals do."""
    seen, electrons = recorded()
    even, noise = jnp.full(SHAPE, 1 / seen.size), Noise(jnp.asarray(electrons), jnp.zeros(()))

    def neighbours(loss):
        values = np.asarray(loss(even, jnp.asarray(seen), noise))
        values = values - values.mean()
        return [np.mean(values * np.roll(values, 1, axis)) / np.mean(values**2) for axis in (0, 1)]

    assert min(neighbours(amplitude_loss)) > 0.1
    assert np.abs(neighbours(SharedChargeLoss(WIDTH))).max() < 0.05
    assert min(neighbours(SharedChargeLoss(0.3 * WIDTH))) > 0.1  # by too narrow a spread it is not


def test_of_a_pixel_a_quarter_of_the_sum_of_squares_of_the_spread_is_lost():
    """Where an even pattern fits electrons best, by the loss alone; means of 8 electrons a pixel."""
    each, many = 8.0, (256, 240)
    hits = np.random.default_rng(3).poisson(each, many)
    share = np.asarray(transfer(many, jnp.asarray(WIDTH)))
    seen = jnp.asarray(np.fft.irfft2(np.fft.rfft2(hits) * share, s=many) / hits.sum())
    loss, noise = jax.jit(SharedChargeLoss(WIDTH)), Noise(jnp.asarray(1.0), jnp.zeros(()))
    means = each * np.linspace(0.96, 1.02, 61)
    best = means[np.argmin([float(jnp.sum(loss(jnp.full(many, mean / hits.sum()), seen, noise))) for mean in means])]
    y, x = (np.exp(-2 * WIDTH**2 * (1 - np.cos(2 * np.pi * np.fft.fftfreq(n)))) for n in many)
    lost = np.mean(y) * np.mean(x) / 4
    assert hits.mean() - best == pytest.approx(lost, abs=0.015)


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
