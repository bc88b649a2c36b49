"""The classical engines against slow NumPy written from the papers, over shards and parts, and what they refuse."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jptycho.assembly.build import denoisers_of, preconditioner_of
from jptycho.assembly.extension import Extension
from jptycho.config.run import with_changes
from jptycho.data.dataset import Calibration, from_arrays
from jptycho.errors import ConfigError
from jptycho.forward.model import predict_batch
from jptycho.objective.denoisers import Denoising, TotalVariation
from jptycho.objective.losses import poisson_loss
from jptycho.optics.propagation import fresnel_kernel
from jptycho.parallel import make_mesh, replicate
from jptycho.preprocess.prepare import Problem, prepare
from jptycho.representations.base import ModelSpec, initialise
from jptycho.representations.estimate import Estimate, fields_of, transmission
from jptycho.representations.pixels import ChannelObject, PixelProbe
from jptycho.scan import batch_plan, compact_plan
from jptycho.solvers.base import Solver, distribute, epoch, init_state
from jptycho.solvers.difference_map import difference_map, raar
from jptycho.solvers.gradient import GradientSolver
from jptycho.solvers.lsqml import LSQMLSolver
from jptycho.solvers.pie import PIESolver

from ..problems import GRID, WAVELENGTH, random_fields, setup_for
from ..reference import engines as slow

PATTERNS = 9
MODEL = ModelSpec(ChannelObject("complex"), PixelProbe())


@pytest.fixture(autouse=True)
def _double(x64):
    """Double precision, so that the order of sums does not matter."""


def problem(solver, slices=1, modes=2, shards=1, kind="complex"):
    truth = random_fields(slices, modes, positions=PATTERNS)
    patterns = np.asarray(predict_batch(truth, setup_for(), truth.scan)) * 1000
    setup = setup_for(dose=patterns.sum() / PATTERNS)
    rng = np.random.default_rng(4)
    channels = jnp.asarray(rng.normal(size=(slices, 2 if kind == "complex" else 1, *truth.object.shape[1:])) * 0.1)
    # A start whose probe is off, so that both corrections matter.
    probe = truth.probe * (1 + 0.2 * rng.normal(size=truth.probe.shape) + 0j)
    estimate = Estimate(
        channels, probe, truth.scan.position, truth.thickness, truth.tilt, jnp.ones(truth.object.shape[1:])
    )
    solver = dataclasses.replace(solver, model=ModelSpec(ChannelObject(kind), PixelProbe()))
    mesh = make_mesh(jax.devices()[:shards])
    params, constants = initialise(solver.model, jax.random.key(0), estimate)
    state = init_state(solver, mesh, params, replicate(mesh, constants), jax.random.key(1))
    data = distribute(patterns, setup, mesh)
    kernel = np.asarray(fresnel_kernel(GRID, WAVELENGTH, truth.thickness, truth.tilt))
    start = (np.asarray(transmission(channels)), np.asarray(probe))
    where = (np.asarray(truth.scan.position), patterns / float(setup.dose))
    return solver, mesh, state, replicate(mesh, constants), data, start, where, kernel


def compare(solver, state, constants, expected, atol=1e-8):
    fields = fields_of(solver.estimate(state.params, constants))
    np.testing.assert_allclose(fields.object, expected[0], atol=atol)
    np.testing.assert_allclose(fields.probe, expected[1], atol=atol)


@pytest.mark.parametrize(
    ("name", "alpha", "momentum", "slices"),
    [("ePIE", 1.0, 0.0, 1), ("rPIE", 0.15, 0.0, 3), ("mPIE", 0.3, 0.6, 1)],
)
def test_pie_is_that_of_the_papers(name, alpha, momentum, slices):
    settings = {"object_step": 0.8, "probe_step": 0.3, "momentum": momentum, "period": 4}
    solver = PIESolver(MODEL, PATTERNS, object_alpha=alpha, probe_alpha=alpha, **settings)
    solver, mesh, state, constants, data, start, (positions, patterns), kernel = problem(solver, slices)
    order = []
    key = state.key
    for _ in range(2):
        key, key_plan = jax.random.split(key)
        order += np.asarray(batch_plan(key_plan, data.weight, PATTERNS)[0]).ravel().tolist()
    for _ in range(2):
        state, metrics = epoch(solver, mesh, state, constants, data)
    assert bool(metrics.finite)
    expected = slow.pie(*start, positions, patterns, order, kernel, {"alpha": alpha, **settings})
    assert np.abs(expected[0] - start[0]).max() > 0.1, name
    compare(solver, state, constants, expected)


@pytest.mark.parametrize("compact", [False, True])
def test_lsqml_is_that_of_the_paper(compact):
    solver = LSQMLSolver(MODEL, 3, compact=compact)
    solver, mesh, state, constants, data, start, (positions, patterns), _ = problem(solver)
    _, key_plan = jax.random.split(state.key)
    plan = (
        compact_plan(key_plan, data.weight, jnp.asarray(positions)[None], 3)
        if compact
        else batch_plan(key_plan, data.weight, 3)
    )
    batches = np.asarray(plan[0])[:, 0]
    assert sorted(batches.ravel()) == list(range(PATTERNS))
    state, _ = epoch(solver, mesh, state, constants, data)
    compare(solver, state, constants, slow.lsqml(*start, positions, patterns, batches, {"damping": 0.1, "beta": 0.9}))


@pytest.mark.parametrize("name", ["dm", "raar"])
def test_difference_map_and_raar_are_those_of_the_papers(name):
    make = difference_map(MODEL, 1.0, passes=1) if name == "dm" else raar(MODEL, 0.8, passes=1)
    solver, mesh, state, constants, data, start, (positions, patterns), _ = problem(make)
    for _ in range(3):
        state, _ = epoch(solver, mesh, state, constants, data)
    settings = {"name": name, "beta": 0.8, "damping": solver.damping}
    compare(solver, state, constants, slow.sets(*start, positions, patterns, 3, settings), atol=1e-7)


@pytest.mark.parametrize("make", [PIESolver(MODEL, 3, object_alpha=0.3, probe_alpha=0.3), LSQMLSolver(MODEL, 1)])
def test_shards_and_parts_change_nothing(make):
    """One batch an epoch holds the same patterns however they are divided."""
    found = []
    for shards, parts in ((1, 1), (2, 2)):
        solver = dataclasses.replace(make, steps=1, micro_batches=parts)
        if isinstance(solver, LSQMLSolver):
            solver = dataclasses.replace(solver, compact=False)
        solver, mesh, state, constants, data, *_ = problem(solver, 2, shards=shards)
        state, metrics = epoch(solver, mesh, state, constants, data)
        found.append((np.asarray(state.params["object"]), np.asarray(state.params["probe"]), float(metrics.loss)))
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-9)


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (PIESolver(MODEL, 3, momentum=0.5, period=2), "potential"),
        (LSQMLSolver(MODEL, 3), "phase"),
        (raar(MODEL), "potential"),
    ],
)
def test_kinds_are_kept_and_the_loss_falls(make, kind):
    solver, mesh, state, constants, data, *_ = problem(make, kind=kind)
    losses = []
    for _ in range(6):
        state, metrics = epoch(solver, mesh, state, constants, data)
        losses.append(float(metrics.loss))
    assert losses[-1] < losses[0]
    fields = fields_of(solver.estimate(state.params, constants))
    np.testing.assert_allclose(jnp.abs(fields.object), 1, atol=1e-9)
    if kind == "potential":
        assert float(state.params["object"].min()) >= 0


def test_all_solvers_keep_one_protocol_and_hold_a_probe():
    solvers = [
        PIESolver(MODEL, 3, probe_step=0.0),
        LSQMLSolver(MODEL, 3, hold_probe=True),
        raar(MODEL, hold_probe=True),
        GradientSolver(MODEL, poisson_loss, 1e-2, 0.0, 3),
    ]
    for make in solvers:
        assert isinstance(make, Solver)
        solver, mesh, state, constants, data, start, *_ = problem(make)
        state, _ = epoch(solver, mesh, state, constants, data)
        fields = fields_of(solver.estimate(state.params, constants))
        np.testing.assert_allclose(fields.probe, start[1], atol=1e-12)
        assert float(jnp.abs(fields.object - start[0]).max()) > 1e-3


def test_difference_map_refuses_slices_and_shards():
    with pytest.raises(ConfigError, match="one slice"):
        problem(raar(MODEL), slices=2)
    solver, mesh, state, constants, data, *_ = problem(raar(MODEL), shards=2)
    with pytest.raises(ConfigError, match="one device"):
        epoch(solver, mesh, state, constants, data)


def test_compact_batches_are_small_in_space():
    y, x = np.meshgrid(np.arange(12.0), np.arange(12.0), indexing="ij")
    places = jnp.asarray(np.stack([y.ravel(), x.ravel()], 1))[None]
    weights = jnp.ones((1, 144)).at[0, -1].set(0.0)
    spread = {}
    for name, plan in (
        ("compact", compact_plan(jax.random.key(0), weights, places, 16)),
        ("random", batch_plan(jax.random.key(0), weights, 16)),
    ):
        index, weight = (np.asarray(a)[:, 0] for a in plan)
        assert sorted(index[weight > 0]) == list(range(143))
        spread[name] = np.median([np.asarray(places)[0, i].std(axis=0).mean() for i in index])
    assert spread["compact"] < 0.5 * spread["random"]


def scanned() -> Problem:
    counts = np.random.default_rng(0).poisson(3.0, (3, 4, 25, 16)).astype(np.uint8)
    known = Calibration(300e3, 12.0, defocus=400.0, step=(2.5, 4.0), reciprocal_sampling=(0.1, 0.125))
    return prepare(from_arrays(counts, known))


def test_the_preconditioner_is_that_of_the_configuration_and_the_scan():
    config = with_changes(None, {"pixels": {"preconditioner": {"gain": 7.5, "cutoff": 0.02}}})
    found = preconditioner_of(config, scanned())
    assert (found.gain, found.cutoff) == (7.5, 0.02)
    assert found.sampling == pytest.approx((1 / 2.5, 1 / 2.0))


def test_denoisers_are_what_the_user_brought():
    brought = (Denoising(TotalVariation(), 0.1), Denoising(TotalVariation(3), 0.2))
    assert denoisers_of(with_changes(None, {})) == ()
    assert denoisers_of(with_changes(None, {}), Extension(denoisers=brought)) == brought
