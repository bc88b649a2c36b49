"""Metrics of an epoch, and how a scan and its rows are shared out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jptycho.errors import ConfigError
from jptycho.forward.fields import ScanFields
from jptycho.parallel import make_mesh
from jptycho.solvers.base import distribute, in_halves, reference_in, split_scan, summarise_metrics

from ..problems import GRID, setup_for


def test_metrics_are_means_over_patterns_and_what_pads_does_not_count():
    """Of five patterns on two devices with three places each."""
    losses, errors = np.array([0.5, 1.0, 2.0, 0.25, 0.25]), np.array([0.04, 0.01, 0.09, 0.16, 0.20])
    weight = np.array([[1, 1, 1], [1, 1, 0]], float)
    per_step = jnp.array([losses[:2].sum(), losses[2:].sum()]), jnp.array([errors[:4].sum(), errors[4:].sum()])
    found = summarise_metrics(*per_step, jnp.asarray(weight))
    assert float(found.loss) == pytest.approx(losses.mean())
    assert float(found.amplitude_error) == pytest.approx(np.sqrt(errors.mean()))


def test_a_sum_of_squares_that_rounding_made_negative_is_zero():
    found = summarise_metrics(jnp.array([1.0]), jnp.array([-1e-9]), jnp.ones(3))
    assert float(found.amplitude_error) == 0.0


def test_the_metrics_see_a_number_that_is_none():
    assert np.isnan(float(summarise_metrics(jnp.array([1.0, jnp.nan]), jnp.ones(2), jnp.ones(3)).loss))


@pytest.mark.parametrize("shards", [1, 2])
def test_rows_lie_as_their_patterns_do(shards: int):
    """Each pattern holds its own number, and so does its row."""
    numbers = np.arange(5)
    counts = np.broadcast_to(numbers[:, None, None], (5, *GRID.shape)).astype(np.uint8)
    mesh = make_mesh(jax.devices()[:shards])
    data = distribute(counts, setup_for(dtype=jnp.float32), mesh)
    rows = ScanFields(jnp.asarray(np.stack([numbers, -numbers], 1), jnp.float32), extra={"gain": jnp.asarray(numbers)})
    split = split_scan(rows, *data.weight.shape)
    np.testing.assert_array_equal(split.position[..., 0], data.counts[..., 0, 0])
    np.testing.assert_array_equal(split.extra["gain"], data.counts[..., 0, 0])
    live = np.asarray(data.weight) > 0
    assert sorted(np.asarray(data.counts)[live][:, 0, 0]) == numbers.tolist()


def test_halves_are_seen_by_their_axis():
    mesh, setup = make_mesh(jax.devices()[:1]), setup_for(dtype=jnp.float32)
    assert not in_halves(distribute(np.ones((3, *GRID.shape), np.uint8), setup, mesh))
    assert in_halves(distribute(np.ones((3, 2, *GRID.shape), np.uint8), setup, mesh))


def test_a_scan_without_a_reference_says_how_to_give_one():
    data = distribute(np.ones((3, *GRID.shape), np.uint8), setup_for(dtype=jnp.float32), make_mesh(jax.devices()[:1]))
    with pytest.raises(ConfigError, match=r"reference: missing; .*distribute make_reference\(problem\)"):
        reference_in(data)
