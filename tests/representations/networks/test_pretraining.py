"""Pre-training in pieces, against the same steps taken one by one and against all at once."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jptycho.randomness import named_key
from jptycho.representations.networks.input import NetworkInput, select_half, standardise
from jptycho.representations.networks.pretraining import (
    Generator,
    Pretraining,
    PretrainingState,
    begin_pretraining,
    better_added,
    continue_pretraining,
    pretrain,
)
from jptycho.types import Array, Constants, Params

LONG = Pretraining(steps=12, rate=3e-2, tolerance=1e-6)


@dataclasses.dataclass(frozen=True)
class Linear:
    """The smallest generator: its estimate times a number plus another, with noise on what it sees."""

    noise: float = 0.3

    def raw(self, params: Params, constants: Constants, key: Array | None) -> Array:
        """The output."""
        image = constants[0].image[0]
        image = image if key is None else image + self.noise * jax.random.normal(key, image.shape, image.dtype)
        return params["gain"] * image + params["offset"]

    def select_half(self, constants: Constants, half: Array) -> Constants:
        """Those of one half."""
        return (select_half(constants[0], half), *constants[1:])


def weights() -> Params:
    return {"gain": jnp.asarray(0.2), "offset": jnp.asarray(0.5)}


@functools.cache
def halves(noise: float) -> tuple[NetworkInput]:
    """An estimate from each half of the electrons; one from all where there is no noise."""
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(1, 1, 8, 12, 1))
    if not noise:
        return (standardise(jnp.asarray(truth, jnp.float32), 4),)
    both = np.concatenate([truth, truth]) + noise * rng.normal(size=(2, 1, 8, 12, 1))
    return (standardise(jnp.asarray(both, jnp.float32), 4),)


def slow(constants: Constants, key: Array, steps: int) -> tuple[dict[str, float], float]:
    """Adam in NumPy, gradients by hand; keys and rates are those of the loop."""
    rates = optax.warmup_cosine_decay_schedule(0.1, 1.0, 5, LONG.steps)
    values, first, second, error = np.array([0.2, 0.5]), np.zeros(2), np.zeros(2), np.inf
    image, target = np.asarray(constants[0].image), np.asarray(constants[0].target)
    power = (target**2).mean()
    floor = 0.5 * ((target - target[::-1]) ** 2).mean() / power
    for step in range(steps):
        now = jax.random.fold_in(key, step)
        half = int(jax.random.randint(named_key(now, "half"), (), 0, 2))
        seen = 0 if len(image) == 1 else 1 - half
        x = image[seen] + 0.3 * np.asarray(jax.random.normal(named_key(now, "noise"), image[0].shape))
        miss = values[0] * x + values[1] - target[seen]
        gradient = np.array([(2 * miss * x).mean(), (2 * miss).mean()])
        relative = np.sqrt(max((miss**2).mean() / power - floor, 0.0))
        error = relative if step == 0 else 0.7 * error + 0.3 * relative
        first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
        share = first / (1 - 0.9 ** (step + 1)) / (np.sqrt(second / (1 - 0.999 ** (step + 1))) + 1e-8)
        values = values - LONG.rate * float(rates(step)) * share
    return {"gain": values[0], "offset": values[1]}, error


def same(a: PretrainingState, b: PretrainingState) -> None:
    """Every leaf but the key, to the bit."""
    for x, y in zip(*(jax.tree.leaves((s.params, s.optimiser, s.error, s.step)) for s in (a, b)), strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("noise", [0.0, 0.4])
def test_the_loop_is_adam_on_the_other_half(noise: float):
    generator, constants, key = Linear(), halves(noise), jax.random.key(3)
    assert isinstance(generator, Generator)
    start = begin_pretraining(weights(), key, LONG)
    assert (int(start.step), float(start.error)) == (0, np.inf)
    found, more = continue_pretraining(generator, start, constants, LONG, 7)
    expected, error = slow(constants, key, 7)
    assert (int(found.step), bool(more)) == (7, True)
    for name, value in expected.items():
        assert float(found.params[name]) == pytest.approx(value, abs=1e-5)
    assert float(found.error) == pytest.approx(error, rel=1e-4)


@pytest.mark.parametrize("stops", [(1,), (5,), (3, 4, 11)])
def test_stopping_and_going_on_is_one_go(stops: tuple[int, ...]):
    generator, constants, key = Linear(), halves(0.4), jax.random.key(1)
    whole, rest = continue_pretraining(generator, begin_pretraining(weights(), key, LONG), constants, LONG, 12)
    assert (int(whole.step), bool(rest)) == (12, False)
    state = begin_pretraining(weights(), key, LONG)
    for until in (*stops, 12):
        state, rest = continue_pretraining(generator, state, constants, LONG, until)
        assert (int(state.step), bool(rest)) == (until, until < 12)
    same(state, whole)
    params, error, steps = pretrain(generator, weights(), constants, key, LONG)
    assert (float(error), int(steps)) == (float(whole.error), 12)
    np.testing.assert_array_equal(params["gain"], whole.params["gain"])


def test_going_on_after_the_end_or_where_it_was_changes_nothing():
    generator, constants = Linear(), halves(0.4)
    start = begin_pretraining(weights(), jax.random.key(1), LONG)
    state, _ = continue_pretraining(generator, start, constants, LONG, 5)
    again, rest = continue_pretraining(generator, state, constants, LONG, 5)
    same(again, state)
    assert bool(rest)
    last, _ = continue_pretraining(generator, state, constants, LONG, 10**6)
    beyond, rest = continue_pretraining(generator, last, constants, LONG, 10**6)
    assert int(last.step) == LONG.steps
    same(beyond, last)
    assert not bool(rest)


def test_it_stops_where_the_error_is_small_enough():
    settings = dataclasses.replace(LONG, steps=200, tolerance=0.3)
    start = begin_pretraining(weights(), jax.random.key(0), settings)
    state, more = continue_pretraining(Linear(0.0), start, halves(0.0), settings, 200)
    assert not bool(more)
    assert 1 < int(state.step) < 200
    assert float(state.error) <= 0.3
    before, more = continue_pretraining(Linear(0.0), start, halves(0.0), settings, int(state.step) - 1)
    assert float(before.error) > 0.3
    assert bool(more)


def test_an_estimate_is_added_to_where_more_was_lost_than_noise_had_hidden():
    """The noise of halves is half the mean square of their difference, relative to the target's."""
    target = np.asarray(halves(0.4)[0].target)
    noise = np.sqrt(0.5 * ((target[0] - target[1]) ** 2).mean() / (target**2).mean())
    assert better_added(jnp.asarray(1.05 * noise), halves(0.4))
    assert not better_added(jnp.asarray(0.95 * noise), halves(0.4))
    assert not better_added(jnp.asarray(10.0), halves(0.0))
