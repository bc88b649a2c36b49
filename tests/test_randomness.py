"""Streams of random numbers that their names keep apart."""

import dataclasses
import itertools

import jax
import numpy as np
import pytest

import jptycho
from jptycho.objective.losses import poisson_loss
from jptycho.parallel import make_mesh
from jptycho.preprocess.prepare import prepare
from jptycho.preprocess.thinning import hold_out, make_half_sets
from jptycho.randomness import named_key, named_seed
from jptycho.reconstruction import deep_prior, half_sets
from jptycho.representations.base import ModelSpec, initialise, render
from jptycho.representations.pixels import ChannelObject, PixelProbe
from jptycho.solvers import gradient
from jptycho.solvers.base import distribute, init_state


@dataclasses.dataclass(frozen=True)
class Noisy:
    """A representation that gives the guess and remembers the keys it is given."""

    unknown: str
    keys: list

    def init(self, key, estimate):
        self.keys.append(jax.random.key_data(key).tolist())
        return {}, getattr(estimate, self.unknown)

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
    names, estimate = ("object", "probe", "positions", "tilt"), prepare(small_scan).estimate
    spec = ModelSpec(*(Noisy(name, []) for name in names))
    params, constants = initialise(spec, jax.random.key(0), estimate)
    render(spec, params, constants, jax.random.key(1))
    keys = [getattr(spec, name).keys for name in names]
    for call in (0, 1):
        assert len({tuple(found[call]) for found in keys}) == 4
    fewer = ModelSpec(Noisy("object", []), Noisy("probe", []))
    initialise(fewer, jax.random.key(0), estimate)
    assert fewer.probe.keys[0] == spec.probe.keys[0]


def test_an_epoch_draws_batches_noise_and_half_from_streams_of_their_own(small_scan, monkeypatch):
    asked = []
    monkeypatch.setattr(gradient, "named_key", lambda key, *names: asked.append(names) or named_key(key, *names))
    problem, mesh = prepare(small_scan), make_mesh(jax.devices()[:1])
    model = ModelSpec(ChannelObject("phase"), PixelProbe())
    solver = gradient.GradientSolver(model, poisson_loss, 1e-2, 1e-2, steps=2)
    params, constants = initialise(model, jax.random.key(0), problem.estimate)
    data = distribute(problem.counts, problem.setup, mesh)
    state = init_state(solver, mesh, params, constants, jax.random.key(1))
    jax.eval_shape(lambda s: solver.epoch(mesh, s, constants, data), state)
    assert sorted(asked) == [("batches",), ("half",), ("noise",)]


@pytest.mark.slow
def test_each_half_of_the_electrons_begins_with_a_stream_of_its_own(small_scan, monkeypatch):
    streams = []
    stream = half_sets.stream
    for module in (deep_prior, half_sets):
        monkeypatch.setattr(module, "stream", lambda run, *names: streams.append(names) or stream(run, *names))
    nets = {"epochs": 1, "base_channels": 4, "levels": 1, "probe_levels": 1, "pretrain_steps": 1, "steps": 2}
    nets |= {"start_epochs": 1, "probe": "network", "polish_epochs": 0}
    jptycho.reconstruct(small_scan, method="dgp", dgp=nets)
    assert len(set(streams)) == len(streams)
    assert {("half sets", "weights", half) for half in (0, 1)} < set(streams)


def test_held_out_electrons_halves_and_members_are_drawn_apart(small_scan):
    problem = prepare(small_scan)
    drawn = [hold_out(problem, 0.5, 0)[0].counts, *(make_half_sets(problem, 0, member)[0].counts for member in (0, 1))]
    drawn.append(make_half_sets(problem, 1, 0)[0].counts)
    for a, b in itertools.combinations(drawn, 2):
        rest = [(x - problem.counts / 2).ravel() for x in (a, b)]
        assert abs(np.corrcoef(*rest)[0, 1]) < 0.02
