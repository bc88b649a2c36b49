"""The compiled epoch: gradients over shards and micro-batches, no recompilation, reproducible, vmapped over seeds."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jptycho.config.objective import LOSSES
from jptycho.errors import DivergenceError
from jptycho.forward.fields import Fields
from jptycho.forward.model import predict_batch
from jptycho.objective.data_term import batch_loss
from jptycho.parallel import make_mesh, replicate
from jptycho.representations.base import ModelSpec, initialise, render
from jptycho.representations.estimate import Estimate, fields_of
from jptycho.representations.pixels import PixelObject, PixelProbe, Preconditioner
from jptycho.scan import batch_plan
from jptycho.solvers import gradient as module
from jptycho.solvers import validation
from jptycho.solvers.base import distribute, epoch, init_state
from jptycho.solvers.epochs import EpochLoop, run_epochs
from jptycho.solvers.gradient import GradientSolver
from jptycho.solvers.validation import noise_loss, render_estimate, validate_state

from ..problems import GRID, random_fields, setup_for
from ..tolerances import EQUAL_RUNS

PATTERNS = 11


def problem(shards=1, micro=1, steps=3, loss="poisson", kind="phase", **settings):
    fields = random_fields(slices=2, modes=2, positions=PATTERNS, dtype=jnp.float32)
    clean = np.asarray(predict_batch(fields, setup_for(dtype=jnp.float32), fields.scan))
    counts = np.random.default_rng(0).poisson(clean * 3000).astype(np.uint16)
    dose = counts.sum() / PATTERNS
    setup = setup_for(dose=dose, dtype=jnp.float32)
    canvas = fields.object.shape[1:]
    estimate = Estimate(
        jnp.zeros((2, 1 if kind != "complex" else 2, *canvas)),
        fields.probe,
        fields.scan.position,
        fields.thickness,
        fields.tilt,
        jnp.ones(canvas),
    )
    model = ModelSpec(PixelObject(kind, Preconditioner(10.0, 0.1, GRID.sampling)), PixelProbe())
    mesh = make_mesh(jax.devices()[:shards])
    solver = GradientSolver(model, LOSSES[loss], 1e-2, 1e-2, steps, micro, **settings)
    params, constants = initialise(model, jax.random.key(0), estimate)
    constants = replicate(mesh, constants)
    state = init_state(solver, mesh, params, constants, jax.random.key(1))
    return solver, mesh, state, constants, distribute(counts, setup, mesh)


@pytest.mark.parametrize(
    ("loss", "shards", "micro"), [("amplitude", 1, 1), ("poisson", 1, 3), ("amplitude", 2, 1), ("poisson", 2, 2)]
)
def test_gradient_is_that_of_the_plain_mean(loss, shards, micro):
    solver, mesh, state, constants, data = problem(shards, micro, 1, loss)
    start = random_fields(slices=2, modes=2, positions=PATTERNS, seed=7, dtype=jnp.float32)
    fields = dataclasses.replace(
        fields_of(render(solver.model, state.params, constants)), object=replicate(mesh, start.object)
    )
    index, weight = batch_plan(jax.random.key(3), data.weight, 1)
    (sums, _), found = jax.jit(module._sharded_gradient(solver, mesh, data))(
        fields, index[0], weight[0], jnp.zeros((), int)
    )

    counts = np.asarray(data.counts).reshape(-1, *GRID.shape)[:PATTERNS]

    @jax.jit
    def mean_loss(f: Fields):
        total, _ = batch_loss(LOSSES[loss], f, data.setup, jnp.asarray(counts), f.scan, jnp.ones(PATTERNS))
        return total / PATTERNS

    local = jax.device_put(fields, jax.devices()[0])
    data = dataclasses.replace(data, setup=jax.device_put(data.setup, jax.devices()[0]))
    expected = jax.jit(jax.grad(mean_loss))(local)
    assert float(sums) / PATTERNS == pytest.approx(float(mean_loss(local)), rel=1e-5)
    unknowns = [(f.object, f.probe, f.scan.position) for f in (found, expected)]
    for a, b in zip(*unknowns, strict=True):
        np.testing.assert_allclose(a, b, atol=2e-4 * float(jnp.abs(b).max()))


@pytest.mark.parametrize("shards", [1, 2])
def test_a_run_compiles_once_whatever_the_last_batch(shards):
    solver, mesh, state, constants, data = problem(shards)
    solver = dataclasses.replace(solver, object_rate=1e-2 + shards * 1e-6)
    compiled = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, seconds, **_: compiled.append(seconds) if event.endswith("backend_compile_duration") else None
    )
    try:
        counts = []
        for _ in range(4):
            state, _ = epoch(solver, mesh, state, constants, data)
            counts.append(len(compiled))
    finally:
        jax.monitoring.clear_event_listeners()
    assert counts[0] >= 1
    assert counts == counts[:1] * 4


def test_equal_seeds_give_equal_bits():
    runs = []
    for _ in range(2):
        solver, mesh, state, constants, data = problem()
        for _ in range(3):
            state, metrics = epoch(solver, mesh, state, constants, data)
        runs.append((np.asarray(state.params["object"]), float(metrics.loss)))
    np.testing.assert_array_equal(runs[0][0], runs[1][0])
    assert runs[0][1] == runs[1][1]


@pytest.mark.slow
def test_jit_equals_eager():
    solver, mesh, state, constants, data = problem(steps=1)
    twin = replicate(mesh, state)
    compiled, metrics = epoch(solver, mesh, state, constants, data)
    with jax.disable_jit():
        eager, eager_metrics = epoch(solver, mesh, twin, constants, data)
    assert float(metrics.loss) == pytest.approx(float(eager_metrics.loss), rel=EQUAL_RUNS)
    np.testing.assert_allclose(compiled.params["probe"], eager.params["probe"], atol=1e-3)


def test_epochs_vmap_over_seeds():
    solver, mesh, _, constants, data = problem()
    solver = dataclasses.replace(solver, ema_decay=0.5)
    params, _ = initialise(solver.model, jax.random.key(0), guess_from(constants, data))
    keys = jax.random.split(jax.random.key(5), 3)
    states = jax.vmap(partial(init_state, solver, mesh, params, constants))(keys)
    states, metrics = jax.vmap(lambda s: epoch(solver, mesh, s, constants, data))(states)
    assert metrics.loss.shape == (3,)
    single, alone = epoch(solver, mesh, init_state(solver, mesh, params, constants, keys[1]), constants, data)
    assert float(metrics.loss[1]) == pytest.approx(float(alone.loss), rel=1e-4)
    assert states.average.shape[0] == 3
    assert single.average.shape == states.average.shape[1:]


def guess_from(constants, data):
    start, coverage = constants["object"]
    fields = random_fields(slices=2, modes=2, positions=PATTERNS, dtype=jnp.float32)
    del data
    return Estimate(start, fields.probe, fields.scan.position, fields.thickness, fields.tilt, coverage)


def test_the_loss_falls_and_the_probe_can_be_held():
    solver, mesh, state, constants, data = problem(kind="complex")
    held = dataclasses.replace(solver, probe_rate=0.0)
    params = jax.tree.map(jnp.copy, state.params)
    state = init_state(held, mesh, params, constants, jax.random.key(1))
    losses = []
    for _ in range(15):
        state, metrics = epoch(held, mesh, state, constants, data)
        losses.append(float(metrics.loss))
    assert losses[-1] < 0.7 * losses[0]
    np.testing.assert_array_equal(state.params["probe"], params["probe"])


def test_divergence_is_an_exception_with_advice():
    solver, mesh, state, constants, data = problem()
    state = dataclasses.replace(state, params={**state.params, "probe": state.params["probe"] * jnp.nan})
    stage = EpochLoop("pixels", solver, mesh, constants, data, 2, 0.0, "Lower pixels.object_rate.")
    with pytest.raises(DivergenceError, match=r"Lower pixels\.object_rate"):
        run_epochs(stage, state, lambda record, now: None, lambda: False)


def test_a_state_is_validated_by_its_running_mean_in_programs_that_solvers_share():
    solver, mesh, state, constants, data = problem(ema_decay=0.9)
    state, _ = epoch(solver, mesh, state, constants, data)
    loss, estimate = LOSSES["poisson"], render(solver.model, state.params, constants)
    np.testing.assert_allclose(
        render_estimate(solver, state.params, constants).object, estimate.object, atol=EQUAL_RUNS
    )
    assert float(jnp.max(jnp.abs(estimate.object - state.average))) > 1e-3  # which of both is seen makes a difference
    counts = jnp.asarray(np.asarray(data.counts).reshape(-1, *GRID.shape)[:PATTERNS])
    by_hand = []
    for channels in (state.average, estimate.object):
        fields = fields_of(dataclasses.replace(estimate, object=channels))
        total, _ = batch_loss(loss, fields, data.setup, counts, fields.scan, jnp.ones(PATTERNS))
        by_hand.append(float(total) / PATTERNS)
    found, noise = validate_state(solver, mesh, loss, state, constants, data.setup, data)
    assert float(found) == pytest.approx(by_hand[0], rel=1e-5)
    assert abs(by_hand[1] - by_hand[0]) > 1e-4 * by_hand[0]
    compiled = noise_loss._cache_size(), validation._mean_loss._cache_size()
    other = dataclasses.replace(solver, micro_batches=2)
    assert validate_state(other, mesh, loss, state, constants, data.setup, data) == (found, noise)
    assert (noise_loss._cache_size(), validation._mean_loss._cache_size()) == compiled
    assert np.isnan(validate_state(solver, mesh, loss, state, constants, data.setup, None)[0])
