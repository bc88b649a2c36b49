"""Means over what the electrons saw."""

import jax.numpy as jnp
import numpy as np
import pytest

from jptycho.objective.reference import Reference, illuminated_mean

from ..tolerances import DOUBLE

pytestmark = pytest.mark.usefixtures("x64")


def reference(coverage: np.ndarray) -> Reference:
    dark = jnp.zeros((4, 6))
    return Reference(jnp.asarray(coverage), jnp.zeros((2, 2)), jnp.array([[0, 1]]), dark, dark, (0.3, 0.5))


def test_a_constant_is_its_own_mean_whatever_the_illumination():
    coverage = np.random.default_rng(0).uniform(0, 3, (7, 10))
    assert float(illuminated_mean(jnp.full((7, 10), -2.5), reference(coverage))) == pytest.approx(-2.5, rel=DOUBLE)


def test_the_mean_of_each_slice_is_that_of_a_slow_loop():
    rng = np.random.default_rng(1)
    coverage, stack = rng.uniform(0, 2, (7, 10)), rng.normal(size=(3, 2, 7, 10))
    expected, total = np.zeros((3, 2)), 0.0
    for i in range(7):
        for j in range(10):
            weight = 1 - 0.1 / (coverage[i, j] + 0.1)
            total += weight
            expected += weight * stack[:, :, i, j]
    found = illuminated_mean(jnp.asarray(stack), reference(coverage))
    np.testing.assert_allclose(found, expected / total, rtol=1e-9)


def test_what_no_electron_saw_does_not_count():
    coverage = np.ones((7, 10))
    coverage[:, 6:] = 0
    image = np.random.default_rng(2).normal(size=(7, 10))
    image[:, 6:] = 1e6
    found = illuminated_mean(jnp.asarray(image), reference(coverage))
    assert float(found) == pytest.approx(image[:, :6].mean(), rel=DOUBLE)
