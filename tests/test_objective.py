"""Losses: zero with zero gradient at a perfect model, safe at zero, scale-free."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from scipy.special import gammaln

from jptycho.objective.compose import batch_loss
from jptycho.objective.losses import FLOOR, LOSSES, amplitude_loss, poisson_loss

from .problems import random_fields, setup_for
from .tolerances import DOUBLE

pytestmark = pytest.mark.usefixtures("x64")


def patterns(seed=0):
    rng = np.random.default_rng(seed)
    return jnp.asarray(rng.uniform(size=(5, 7))), jnp.asarray(rng.poisson(0.8, (5, 7)).astype(float))


@pytest.mark.parametrize("loss", LOSSES.values())
def test_perfect_model_has_zero_loss_and_gradient(loss):
    _, counts = patterns()
    mask = jnp.ones((5, 7))
    value, gradient = jax.value_and_grad(loss)(counts, counts, mask)
    assert float(value) == pytest.approx(0, abs=DOUBLE)
    np.testing.assert_allclose(gradient, 0, atol=DOUBLE)


@pytest.mark.parametrize("loss", LOSSES.values())
def test_gradients_and_zero_counts_are_safe(loss):
    model, counts = patterns()
    mask = jnp.ones((5, 7))
    check_grads(lambda m: loss(jnp.asarray(m), counts, mask), (model,), order=1, modes=["rev"], eps=1e-6)
    dark = jax.grad(loss)(jnp.zeros((5, 7)), jnp.zeros((5, 7)), mask)
    assert bool(jnp.isfinite(dark).all())


def test_amplitude_loss_equals_its_formula():
    model, counts = patterns()
    mask = jnp.asarray(np.random.default_rng(3).uniform(size=(5, 7)))
    f = FLOOR / 35
    expected = (np.asarray(mask) * (np.sqrt(np.asarray(model) + f) - np.sqrt(np.asarray(counts) + f)) ** 2).sum()
    assert float(amplitude_loss(model, counts, mask)) == pytest.approx(expected, rel=DOUBLE)


def test_poisson_loss_is_the_likelihood_ratio_of_raised_intensities():
    model, counts = (np.asarray(a) + FLOOR / 35 for a in patterns())

    def log_likelihood(mean):
        return (counts * np.log(mean) - mean - gammaln(counts + 1)).sum()

    expected = log_likelihood(counts) - log_likelihood(model)
    found = poisson_loss(*patterns(), jnp.ones((5, 7)))
    assert float(found) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("loss", LOSSES.values())
def test_masked_pixels_do_not_count(loss):
    model, counts = patterns()
    mask = jnp.ones((5, 7)).at[2, 3].set(0.0)
    other = counts.at[2, 3].set(1e6)
    assert float(loss(model, counts, mask)) == pytest.approx(float(loss(model, other, mask)), rel=DOUBLE)


@pytest.mark.parametrize("loss", LOSSES.values())
@pytest.mark.parametrize("factor", [0.1, 440.0])
def test_unit_of_the_counts_drops_out(loss, factor):
    fields = random_fields()
    rng = np.random.default_rng(1)
    counts = rng.poisson(3.0, (4, 9, 14)).astype(float)
    dose = counts.sum() / 4
    weight = jnp.array([1.0, 1.0, 0.0, 1.0])
    plain = batch_loss(loss, fields, setup_for(dose=dose), jnp.asarray(counts), fields.positions, weight)
    scaled = batch_loss(
        loss, fields, setup_for(dose=dose * factor), jnp.asarray(counts * factor), fields.positions, weight
    )
    np.testing.assert_allclose(plain, scaled, rtol=1e-9)
