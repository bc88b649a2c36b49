"""States of the object, gaps between slices and slow tilts: where they begin, what they give and keep."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jptycho.representations.estimate import Estimate
from jptycho.representations.per_position import ORDER, FreeTilt, slow_functions
from jptycho.representations.states import FIRST, ObjectStates, SliceGaps

KEY = jax.random.key(0)


def estimate(tilt=(1.0, -2.0), shared=None):
    rows = np.random.default_rng(0).uniform(4, 12, (20, 2)).astype(np.float32)
    return Estimate(
        jnp.zeros((3, 1, 20, 24)), jnp.ones((1, 8, 10), jnp.complex64), jnp.asarray(rows), jnp.float32(7.0),
        jnp.asarray(tilt, jnp.float32), jnp.ones((20, 24)).at[:, :5].set(0), shared=shared or {},
    )  # fmt: skip


def begun(representation, **further):
    params, constants = representation.init(KEY, estimate(**further))
    return params, constants, np.asarray(representation.apply(params, constants, None))


def test_states_differ_at_first_a_little_and_not_on_average():
    params, constants, start = begun(ObjectStates(4))
    assert start.shape == (4, 3, 20, 24)
    assert start.std() == pytest.approx(FIRST * np.sqrt(3 / 4), rel=0.05)
    moved = np.asarray(ObjectStates(4).apply(params + 0.3 * (jnp.arange(4.0)[:, None, None, None]), constants, None))
    np.testing.assert_allclose(moved.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(moved[..., :5], start[..., :5], atol=1e-6)  # no electron was there
    again = begun(ObjectStates(4), shared={"object_states": jnp.asarray(moved)})[2]
    np.testing.assert_allclose(again, moved, atol=1e-6)


def test_gaps_keep_their_mean_and_go_on_from_an_estimate():
    gaps = SliceGaps((10.0, 30.0))
    params, constants, start = begun(gaps)
    np.testing.assert_allclose(start, [0.5, 1.5])
    moved = np.asarray(gaps.apply(params + jnp.array([0.5, 0.0]), constants, None))
    np.testing.assert_allclose(moved, np.array([np.exp(0.5), 3.0]) * 2 / (np.exp(0.5) + 3), rtol=1e-5)
    np.testing.assert_allclose(begun(gaps, shared={"slice_gaps": jnp.asarray(moved)})[2], moved, rtol=1e-5)


def test_a_slow_tilt_is_a_polynomial_over_the_scan_and_the_nearest_to_what_was_known():
    places = np.asarray(estimate().positions)
    slow = np.stack([0.3 * places[:, 0] + 1e-3 * places[:, 1] ** 3, places[:, 0] * places[:, 1]], axis=1)
    tilt = FreeTilt(local=True, smooth=True)
    np.testing.assert_allclose(begun(tilt, tilt=slow)[2], slow, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(begun(tilt)[2], np.broadcast_to([1.0, -2.0], (20, 2)), atol=1e-4)
    params, constants, _ = begun(tilt)
    np.testing.assert_allclose(constants.T @ constants / 20, np.eye(10), atol=1e-4)
    assert params.shape == (slow_functions(jnp.asarray(places), ORDER).shape[1], 2)
