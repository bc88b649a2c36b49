"""Losses: zero with zero gradient at a perfect model, safe at zero, one normalisation for all."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from scipy.optimize import brentq
from scipy.special import gammaln
from scipy.stats import poisson

from jptycho.config.objective import LOSSES
from jptycho.forward.fields import Noise
from jptycho.objective.data_term import batch_loss
from jptycho.objective.losses import FLOOR

from ..problems import random_fields, setup_for
from ..tolerances import DOUBLE

pytestmark = pytest.mark.usefixtures("x64")
NAMES = pytest.mark.parametrize("name", LOSSES)


def noise(electrons=40.0, read_out=0.6):
    return Noise(jnp.asarray(electrons), jnp.asarray(read_out))


def patterns(seed=0):
    rng = np.random.default_rng(seed)
    return jnp.asarray(rng.uniform(size=(5, 7))), jnp.asarray(rng.poisson(0.8, (5, 7)).astype(float))


@NAMES
def test_perfect_model_has_zero_loss_and_gradient(name):
    _, counts = patterns()
    value, gradient = jax.value_and_grad(lambda m: LOSSES[name](m, counts, noise()).sum())(counts)
    assert float(value) == pytest.approx(0, abs=DOUBLE)
    np.testing.assert_allclose(gradient, 0, atol=DOUBLE)


@NAMES
def test_gradients_and_zero_counts_are_safe(name):
    model, counts = patterns()

    def total(m, y):
        return LOSSES[name](jnp.asarray(m), y, noise()).sum()

    check_grads(lambda m: total(m, counts), (model,), order=1, modes=["rev"], eps=1e-6)
    dark = jax.value_and_grad(total)(jnp.zeros((5, 7)), jnp.zeros((5, 7)))
    below = jax.value_and_grad(total)(jnp.zeros((5, 7)), jnp.full((5, 7), -1.0))
    assert all(bool(jnp.isfinite(part).all()) for part in (*dark, *below))


def raised(name):
    """Model, data and shift in electrons as each loss sees them, D = 40, σ = 0.6, 35 pixels."""
    shift = {"amplitude": 0.0, "poisson": 0.0, "anscombe": 3 / 8, "mixed": 0.36}[name] + 40 * FLOOR / 35
    model, counts = patterns()
    return 40 * np.asarray(model) + shift, 40 * np.asarray(counts) + shift


@pytest.mark.parametrize("name", ["poisson", "mixed"])
def test_poisson_losses_are_likelihood_ratios_in_electrons(name):
    model, counts = raised(name)

    def log_likelihood(mean):
        return (counts * np.log(mean) - mean - gammaln(counts + 1)).sum()

    found = 40 * LOSSES[name](*patterns(), noise()).sum()
    assert float(found) == pytest.approx(log_likelihood(counts) - log_likelihood(model), rel=1e-9)


@pytest.mark.parametrize("name", ["amplitude", "anscombe"])
def test_root_losses_are_gaussian_likelihoods_of_variance_a_quarter(name):
    model, counts = raised(name)
    expected = ((np.sqrt(model) - np.sqrt(counts)) ** 2 / (2 * 0.25)).sum()
    assert float(40 * LOSSES[name](*patterns(), noise()).sum()) == pytest.approx(expected, rel=1e-9)


def test_intensity_loss_is_gaussian_with_the_mean_pixels_variance():
    model, counts = (40 * np.asarray(a) for a in patterns())
    expected = ((model - counts) ** 2 / (2 * 40 / 35)).sum()
    assert float(40 * LOSSES["intensity"](*patterns(), noise()).sum()) == pytest.approx(expected, rel=1e-9)


def test_all_losses_agree_near_a_good_model():
    """One normalisation: a rate or weight carries over from one loss to another."""
    coverage_weighting = jnp.full((5, 7), 1 / 35)
    data = coverage_weighting * (1 + 1e-3 * jnp.asarray(np.random.default_rng(1).normal(size=(5, 7))))
    bright = noise(1e6, 0.0)  # so that the shifts of anscombe and mixed vanish
    values = {name: float(loss(coverage_weighting, data, bright).sum()) for name, loss in LOSSES.items()}
    for name, value in values.items():
        # the floor damps all but the plain intensities by 3 %
        assert value == pytest.approx(values["poisson"], rel=0.035), name


@pytest.mark.parametrize("read_out", [0.1, 0.3, 0.7, 1.0])
@pytest.mark.parametrize("rate", [0.0, 0.01, 0.1, 0.5])
def test_read_out_noise_does_not_brighten_dark_pixels(read_out, rate):
    """The rate whose mean loss is least is the true one; counts of both signs, by quadrature instead of draws."""
    z, share = np.polynomial.hermite_e.hermegauss(80)
    n = np.arange(30)
    counts = (n[:, None] + read_out * z[None]).ravel()
    weight = (poisson.pmf(n, rate)[:, None] * share[None] / share.sum()).ravel()
    seen = noise(4096.0, read_out)

    def slope(electrons):
        model = jnp.asarray(electrons / 4096.0)
        each = jax.vmap(jax.grad(lambda m, y: LOSSES["mixed"](m[None, None], y[None, None], seen).sum()), (None, 0))
        return float(weight @ np.asarray(each(model, jnp.asarray(counts / 4096.0))))

    least = brentq(slope, rate - 0.5 * read_out**2, rate + 1.0)
    assert least == pytest.approx(rate, abs=0.002)


def shared(name, counts, dose, weight, mask=None, electrons=40.0):
    fields = random_fields()
    setup = setup_for(dose=dose, noise=noise(electrons), mask=mask)
    return batch_loss(LOSSES[name], fields, setup, jnp.asarray(counts), fields.scan, weight)


@NAMES
def test_masked_pixels_do_not_count(name):
    counts = np.random.default_rng(1).poisson(3.0, (4, 9, 14)).astype(float)
    mask, other = np.ones((9, 14)), counts.copy()
    mask[2, 3], other[:, 2, 3] = 0.0, 1e6
    weight = jnp.ones(4)
    found = [shared(name, c, counts.sum() / 4, weight, mask) for c in (counts, other)]
    np.testing.assert_allclose(*found, rtol=DOUBLE)


@NAMES
@pytest.mark.parametrize("factor", [0.1, 440.0])
def test_unit_of_the_counts_drops_out(name, factor):
    counts = np.random.default_rng(1).poisson(3.0, (4, 9, 14)).astype(float)
    weight = jnp.array([1.0, 1.0, 0.0, 1.0])
    dose = counts.sum() / 4
    plain, scaled = (shared(name, counts * f, dose * f, weight) for f in (1.0, factor))
    np.testing.assert_allclose(plain, scaled, rtol=1e-9)


@NAMES
def test_mean_loss_does_not_depend_on_how_often_the_patterns_occur(name):
    """Batch and scan size drop out: twice the same patterns give twice the sum and twice the weight."""
    counts = np.random.default_rng(1).poisson(3.0, (4, 9, 14)).astype(float)
    one, two = (shared(name, counts, counts.sum() / 4, jnp.full(4, w))[0] / (4 * w) for w in (1.0, 2.0))
    assert float(one) == pytest.approx(float(two), rel=DOUBLE)
