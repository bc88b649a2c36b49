"""Positions, canvas and batch plans."""

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from jptycho.scan import batch_plan, fast_length, place_on_canvas, raster_positions, steps_per_epoch


def test_rotation_turns_slow_and_fast_into_rows_and_columns():
    """The data convention: detector (row, column) = R(θ) (slow, fast) step, R = [[cos, -sin], [sin, cos]]."""
    points = raster_positions((2, 3), (1.0, 2.0), rotation=30.0).reshape(2, 3, 2)
    c, s = np.cos(np.pi / 6), np.sin(np.pi / 6)
    np.testing.assert_allclose(points[1, 2], [c * 1 - s * 4, s * 1 + c * 4])


def test_transpose_swaps_before_rotating():
    points = raster_positions((2, 3), (1.0, 2.0), transpose=True).reshape(2, 3, 2)
    np.testing.assert_allclose(points[1, 2], [4.0, 1.0])


@settings(deadline=None, max_examples=40)
@given(
    st.integers(1, 60),
    st.tuples(st.integers(2, 40), st.integers(2, 40)),
    st.tuples(st.floats(0.05, 3.0), st.floats(0.05, 3.0)),
    st.integers(0, 2**31),
)
def test_every_window_lies_on_the_canvas(count, window, sampling, seed):
    positions = np.random.default_rng(seed).uniform(-50, 50, (count, 2))
    pixels, canvas = place_on_canvas(positions, sampling, window)
    corner = np.round(pixels).astype(int) - np.array(window) // 2
    assert (corner >= 0).all()
    assert (corner + np.array(window) <= np.array(canvas)).all()
    np.testing.assert_allclose(np.diff(pixels, axis=0) * sampling, np.diff(positions, axis=0), atol=1e-9)


@given(st.integers(1, 5000))
def test_fast_lengths_pool_three_times_and_factor(length):
    found = fast_length(length)
    assert found >= length
    assert found % 8 == 0
    for prime in (2, 3, 5, 7):
        while found % prime == 0:
            found //= prime
    assert found == 1


@settings(deadline=None, max_examples=5)
@given(st.integers(1, 70), st.integers(1, 40), st.integers(1, 3))
def test_an_epoch_sees_every_pattern_once(patterns, batch, shards):
    local = -(-patterns // shards)
    weights = (np.arange(shards * local) < patterns).astype(float).reshape(shards, local)
    steps = steps_per_epoch(patterns, batch, shards)
    index, weight = batch_plan(jax.random.key(patterns), jnp.asarray(weights), steps)
    seen = np.zeros((shards, local))
    for s in range(shards):
        np.add.at(seen[s], np.asarray(index[:, s]).ravel(), np.asarray(weight[:, s]).ravel())
    np.testing.assert_array_equal(seen, weights)


def test_plans_differ_from_epoch_to_epoch_and_repeat_with_the_key():
    weights = jnp.ones((1, 64))
    first, again, other = (batch_plan(jax.random.key(k), weights, 4)[0] for k in (0, 0, 1))
    assert (first == again).all()
    assert not (first == other).all()
