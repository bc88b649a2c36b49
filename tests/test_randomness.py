"""Streams of random numbers that their names keep apart."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np

from jptycho.preprocess.prepare import prepare
from jptycho.preprocess.thin import halve, hold_out
from jptycho.randomness import named_key, named_seed
from jptycho.representations.base import ModelSpec, initialise, render_channels
from jptycho.scan import batch_plan


@dataclasses.dataclass(frozen=True)
class Noisy:
    """A representation that gives the guess and remembers the keys it is given."""

    unknown: str
    keys: list

    def init(self, key, guess):
        self.keys.append(jax.random.key_data(key).tolist())
        return {}, getattr(guess, self.unknown)

    def apply(self, params, constants, key):
        del params
        self.keys.append(jax.random.key_data(key).tolist())
        return constants


def test_streams_differ_by_every_name_and_number():
    names = [(), ("a",), ("b",), ("a", 0), ("a", 1), ("a", "b"), ("b", "a")]
    keys = [jax.random.key_data(named_key(jax.random.key(0), *n)).tolist() for n in names]
    seeds = [np.random.default_rng(named_seed(0, *n)).integers(2**60) for n in names]
    for a, b in itertools.combinations(range(len(names)), 2):
        assert keys[a] != keys[b]
        assert seeds[a] != seeds[b]


def test_each_unknown_has_numbers_of_its_own_however_many_there_are(small_scan):
    names, guess = ("object", "probe", "positions", "tilt"), prepare(small_scan).guess
    spec = ModelSpec(*(Noisy(name, []) for name in names))
    params, constants = initialise(spec, jax.random.key(0), guess)
    render_channels(spec, params, constants, jax.random.key(1))
    keys = [getattr(spec, name).keys for name in names]
    for call in (0, 1):
        assert len({tuple(found[call]) for found in keys}) == 4
    fewer = ModelSpec(Noisy("object", []), Noisy("probe", []))
    initialise(fewer, jax.random.key(0), guess)
    assert fewer.probe.keys[0] == spec.probe.keys[0]


def test_batches_noise_and_half_of_an_epoch_come_from_different_keys():
    """The half with which an epoch begins does not follow from the noise of its steps."""
    first, noise = [], []
    for seed in range(40):
        key = jax.random.split(jax.random.key(seed))[1]
        first.append(int(jax.random.randint(named_key(key, "half"), (), 0, 2)))
        noise.append(int(jax.random.randint(named_key(key, "noise"), (), 0, 2)))
    assert 0.2 < np.mean(np.array(first) == np.array(noise)) < 0.8
    key = jax.random.key(0)
    plans = [batch_plan(named_key(key, "half sets", 0, half, "epochs"), jnp.ones((1, 64)), 4)[0] for half in (0, 1)]
    assert (np.asarray(plans[0]) != np.asarray(plans[1])).any()


def test_held_out_electrons_halves_and_members_are_drawn_apart(small_scan):
    problem = prepare(small_scan)
    drawn = [hold_out(problem, 0.5, 0)[0].counts, *(halve(problem, 0, member)[0].counts for member in (0, 1))]
    drawn.append(halve(problem, 1, 0)[0].counts)
    for a, b in itertools.combinations(drawn, 2):
        rest = [(x - problem.counts / 2).ravel() for x in (a, b)]
        assert abs(np.corrcoef(*rest)[0, 1]) < 0.02
