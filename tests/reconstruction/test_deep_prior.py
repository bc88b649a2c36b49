"""Halves of the electrons, pre-training as denoising, kinds of networks, ensembles."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

import jptycho
from jptycho.assembly.auto import resolve_auto
from jptycho.assembly.checks import check_config
from jptycho.assembly.ensembles import members_together, stack
from jptycho.assembly.prior_model import generators_of, prior_model
from jptycho.config.run import with_changes
from jptycho.data.lazy_counts import LazyCounts
from jptycho.diagnostics.gauge import remove_plane
from jptycho.objective.data_term import batch_loss
from jptycho.objective.losses import poisson_loss
from jptycho.parallel import make_mesh
from jptycho.preprocess.prepare import prepare
from jptycho.preprocess.thinning import make_half_sets
from jptycho.reconstruction.context import Context
from jptycho.reconstruction.deep_prior import scan_data
from jptycho.reconstruction.plan import plan
from jptycho.representations.base import ModelSpec, initialise, render, select_half
from jptycho.representations.estimate import Estimate, fields_of
from jptycho.representations.generated import GeneratedObject, added_to_estimate
from jptycho.representations.networks.augmentation import moved, moved_back, random_move
from jptycho.representations.networks.pretraining import Pretraining, better_added, pretrain
from jptycho.representations.networks.unet import DECODER, DEPTH, UNet, UNetSpec, initial_weights, parameter_count
from jptycho.representations.pixels import PixelProbe, Preconditioner
from jptycho.solvers.base import State, distribute, init_state
from jptycho.solvers.ensemble import EnsembleSolver, member_channels
from jptycho.solvers.gradient import GradientSolver
from jptycho.solvers.probe_filter import align_modes

from ..tolerances import SINGLE

SMALL = UNetSpec(1, 4)
QUICK = {
    "epochs": 2,
    "base_channels": 4,
    "levels": 1,
    "probe_levels": 1,
    "start_epochs": 2,
    "pretrain_steps": 5,
    "steps": 2,
}
QUICK["polish_epochs"] = 0


def halved_estimate(canvas=(24, 32), noise=0.5, seed=0):
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.normal(size=(1, 1, *canvas)), (0, 0, 3, 3), mode="wrap")
    truth = smooth / smooth.std()
    half_sets = truth + noise * rng.normal(size=(2, *truth.shape))
    estimate = Estimate(
        jnp.asarray(half_sets.mean(axis=0), jnp.float32),
        jnp.ones((1, 8, 8), jnp.complex64) / 8,
        jnp.full((5, 2), 10.0),
        jnp.asarray(4.0),
        jnp.zeros(2),
        jnp.ones(canvas),
        half_sets=jnp.asarray(half_sets, jnp.float32),
    )
    return estimate, truth


@pytest.mark.parametrize("half", [0, 1])
def test_a_half_validates_what_is_made_of_the_other(half):
    estimate, _ = halved_estimate(canvas=(19, 26))
    model = ModelSpec(GeneratedObject("phase", SMALL, 0.0), PixelProbe())
    params, constants = initialise(model, jax.random.key(0), estimate)
    inputs = select_half(model, constants, jnp.asarray(half))["object"][0]
    scale, mean = (np.asarray(part) for part in (constants["object"][0].scale, constants["object"][0].mean))
    seen = np.asarray(inputs.image)[0, 0, :19, :26, 0] * scale + mean
    wanted = np.asarray(inputs.target)[0, 0, :19, :26, 0] * scale + mean
    np.testing.assert_allclose(seen, estimate.half_sets[1 - half, 0, 0], atol=SINGLE)
    np.testing.assert_allclose(wanted, estimate.half_sets[half, 0, 0], atol=SINGLE)
    both = [
        model.object.apply(params["object"], select_half(model, constants, jnp.asarray(h))["object"], None)
        for h in (0, 1)
    ]
    mean = model.object.apply(params["object"], constants["object"], None)
    np.testing.assert_allclose(mean, (both[0] + both[1]) / 2, atol=1e-4)


def test_pretraining_on_halves_takes_their_noise_away():
    estimate, truth = halved_estimate(canvas=(48, 48))
    model = GeneratedObject("phase", UNetSpec(2, 8), 0.1)
    params, constants = model.init(jax.random.key(0), estimate)
    params, error, _ = pretrain(model, params, constants, jax.random.key(1), Pretraining(120, 5e-3, 0.05))
    found = model.apply(params, constants, None)

    def wrong(image):
        return float(remove_plane((np.asarray(image) - truth)[0, 0]).std())

    # The mean of the halves has noise 0.35.
    assert wrong(found) < 0.7 * wrong(estimate.object)
    assert float(error) < 0.4


def scan_in_halves(small_scan, loss=poisson_loss):
    problem = prepare(small_scan)
    first, second = make_half_sets(problem, 0)
    half_sets = jnp.stack([0.1 + problem.estimate.object, problem.estimate.object])
    estimate = dataclasses.replace(problem.estimate, half_sets=half_sets)
    model = ModelSpec(GeneratedObject("phase", SMALL, 0.0), PixelProbe())
    solver = GradientSolver(model, loss, object_rate=1e-3, probe_rate=1e-3, steps=1, ema_decay=0.5)
    return first, second, estimate, model, solver


@pytest.mark.slow
def test_a_step_sees_the_electrons_of_one_half(small_scan):
    first, second, estimate, model, solver = scan_in_halves(small_scan)
    mesh = make_mesh(jax.devices()[:1])
    params, constants = initialise(model, jax.random.key(0), estimate)
    data = distribute(np.stack([first.counts, second.counts], axis=1), first.setup, mesh)
    expected = []
    for half, part in enumerate((first, second)):
        fields = fields_of(render(model, params, select_half(model, constants, jnp.asarray(half)), jax.random.key(5)))
        total = batch_loss(poisson_loss, fields, first.setup, jnp.asarray(part.counts), fields.scan, jnp.ones(256))
        expected.append(float(total[0]) / 256)
    seen = set()
    one_epoch = jax.jit(lambda s: solver.epoch(mesh, s, constants, data))
    for seed in range(4):
        _, metrics = one_epoch(init_state(solver, mesh, params, constants, jax.random.key(seed)))
        distance = [abs(float(metrics.loss) - value) for value in expected]
        assert min(distance) < 0.1 * abs(expected[0] - expected[1])
        seen.add(int(np.argmin(distance)))
    assert seen == {0, 1}


@pytest.mark.slow
def test_members_of_an_ensemble_are_runs_of_their_own(small_scan):
    first, second, estimate, model, solver = scan_in_halves(small_scan)
    mesh = make_mesh(jax.devices()[:1])
    starts = [initialise(model, jax.random.key(seed), estimate) for seed in (0, 1)]
    params, constants = stack([p for p, _ in starts]), stack([c for _, c in starts])
    pair = np.stack([first.counts, second.counts], axis=1)
    other = np.stack([second.counts, first.counts], axis=1)
    data = distribute(np.stack([pair, other], axis=1), first.setup, mesh)
    ensemble = EnsembleSolver(solver, 2, together=2)
    state = init_state(ensemble, mesh, params, constants, jax.random.key(7))
    after, _ = jax.jit(lambda s: ensemble.epoch(mesh, s, constants, data))(state)
    keys = jax.random.split(jax.random.key(7), 3)
    alone = []
    for number, counts in enumerate((pair, other)):
        own = init_state(solver, mesh, *starts[number], keys[1 + number])
        mine = distribute(counts, first.setup, mesh)
        alone.append(jax.jit(lambda s, c=starts[number][1], d=mine: solver.epoch(mesh, s, c, d))(own)[0].average)
    np.testing.assert_allclose(member_channels(after), jnp.stack(alone), atol=1e-4)
    np.testing.assert_allclose(after.average, (alone[0] + alone[1]) / 2, atol=1e-4)
    assert isinstance(after, State)


def test_the_mean_probe_of_an_ensemble_does_not_mix_free_phases():
    """Members whose probes differ by a phase, or by a unitary mixture of modes, have that probe as their mean."""
    rng = np.random.default_rng(0)
    modes = jnp.asarray(rng.normal(size=(3, 7, 9)) + 1j * rng.normal(size=(3, 7, 9)), jnp.complex64)
    mixture, _ = np.linalg.qr(rng.normal(size=(3, 3)) + 1j * rng.normal(size=(3, 3)))
    mixed = jnp.einsum("mn,nij->mij", jnp.asarray(mixture, jnp.complex64), modes)
    np.testing.assert_allclose(align_modes(mixed, modes), modes, atol=1e-4)
    np.testing.assert_allclose(align_modes(-1j * modes, modes), modes, atol=1e-4)
    turned = jnp.stack([modes, -modes, 1j * modes])
    solver = GradientSolver(ModelSpec(PixelProbe(), PixelProbe()), poisson_loss, 1e-3, 1e-3, 1, ema_decay=0.5)
    rest = (jnp.zeros((5, 2)), jnp.zeros(()), jnp.zeros(2), jnp.ones((4, 4)))
    object.__setattr__(solver, "estimate", lambda probe, _: Estimate(jnp.ones((1, 1, 4, 4)), probe, *rest))
    mean = EnsembleSolver(solver, 3, together=3).estimate(turned, jnp.zeros(3))
    np.testing.assert_allclose(mean.probe, modes, atol=1e-4)


def test_slices_of_a_network_with_depth_share_weights_and_see_their_neighbours():
    network = UNet(UNetSpec(1, 4, architecture=DEPTH, norm=False), 1)
    image = jax.random.normal(jax.random.key(0), (20, 8, 8, 1))
    weights = initial_weights(network, jax.random.key(1), image)
    assert parameter_count(weights) == parameter_count(initial_weights(network, jax.random.key(1), image[:2]))
    moved = network.apply(weights, jnp.roll(image, 1, axis=0))
    # Five blocks reach four slices far at most on either side; beyond, a shift along depth is a shift.
    np.testing.assert_allclose(moved[7:14], network.apply(weights, image)[6:13], atol=1e-5)
    changed = network.apply(weights, image.at[10].add(1.0)) - network.apply(weights, image)
    assert float(jnp.abs(changed[11]).max()) > 1e-4


def test_a_decoder_does_not_look_at_its_input_and_a_residual_starts_at_it():
    estimate, _ = halved_estimate()
    estimate = dataclasses.replace(estimate, half_sets=None)
    decoder = UNet(UNetSpec(1, 4, architecture=DECODER), 1)
    image = jnp.ones((1, 8, 8, 1))
    weights = initial_weights(decoder, jax.random.key(0), image)
    np.testing.assert_array_equal(decoder.apply(weights, image), decoder.apply(weights, 5 * image))
    plain = GeneratedObject("phase", SMALL, 0.1, residual=True)
    filtered = dataclasses.replace(plain, preconditioner=Preconditioner(10.0, 0.05, (0.4, 0.4)))
    for model in (plain, filtered):
        params, constants = model.init(jax.random.key(0), estimate)
        flat = model.apply(params, constants, None) - estimate.object
        # A ramp and a mean are gauges; what is left of the difference is a plane.
        assert float(jnp.abs(jnp.diff(flat[0, 0], n=2, axis=0)).max()) < 1e-4


@pytest.mark.parametrize(("noise", "better"), [(0.01, True), (2.0, False), (None, False)])
def test_a_network_that_loses_more_than_the_noise_adds_to_the_estimate(noise, better):
    estimate, _ = halved_estimate(noise=noise or 0.0)
    if noise is None:
        estimate = dataclasses.replace(estimate, half_sets=None)
    model = GeneratedObject("phase", SMALL, 0.0)
    params, constants = model.init(jax.random.key(0), estimate)
    params, error, _ = pretrain(model, params, constants, jax.random.key(1), Pretraining(5, 5e-3, 0.05))
    assert better_added(error, constants) == better
    kept, seen = added_to_estimate(SMALL, params, constants)
    np.testing.assert_allclose(model.raw(kept, seen, None), constants[0].image.mean(axis=0), atol=SINGLE)


def test_half_precision_stays_near_single():
    estimate, _ = halved_estimate()
    models = [GeneratedObject("phase", UNetSpec(1, 4, precision=p), 0.0) for p in ("float32", "bfloat16")]
    params, constants = models[0].init(jax.random.key(0), estimate)
    single, half = (model.apply(params, constants, None) for model in models)
    assert half.dtype == jnp.float32
    assert 0 < float(jnp.abs(single - half).max()) < 0.1 * float(jnp.abs(single).max())


def test_an_ensemble_too_large_for_memory_is_refused_with_what_fits(small_scan):
    problem = prepare(small_scan)
    config = with_changes(None, {"method": "dgp", "dgp": {"ensemble_size": 40}})
    with pytest.raises(jptycho.ConfigError, match=r"dgp\.ensemble_size: 40 members keep .*Use at most \d+\."):
        members_together(config, problem, 700_000, available=2**28)
    with pytest.raises(jptycho.ConfigError, match=r"fewer patterns, slices or channels"):
        members_together(config, problem, 700_000, available=2**20)
    assert members_together(config, problem, 700_000, available=64 * 2**30) == 1
    large = LazyCounts((10**9, 32, 32), np.dtype(np.uint8), lambda rows: rows, np.ones((32, 32)), 0.0, 1.0, chunk=10**7)
    assert members_together(config, dataclasses.replace(problem, counts=large), 700_000, available=2**32) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dgp": {"object": "pixels", "probe": "pixels"}}, "there is no network"),
        ({"dgp": {"object": "pixels", "probe": "network"}, "probe": {"fixed": True}}, "so there is no network"),
        ({"dgp": {"residual": True, "random_input": True}}, "dgp.residual"),
        ({"dgp": {"augment": True, "start": "random"}}, "dgp.augment: moves the estimate"),
        ({"dgp": {"augment": True, "object": "pixels"}}, "dgp.augment: .*sees nothing"),
        ({"dgp": {"augment": True, "architecture": "decoder"}}, "dgp.augment: .*sees nothing"),
        ({"dgp": {"architecture": "depth"}}, "raise object.slices"),
        ({"dgp": {"start": "random", "start_file": "a.h5"}}, "dgp.start_file would have no effect"),
        ({"dgp": {"pretrain_steps": 0}}, "would forget the estimate"),
        ({"dgp": {"residual": True, "start": "random"}}, "dgp.residual"),
        ({"dgp": {"ensemble_size": 2, "ema_decay": 0}}, "dgp.ema_decay"),
        ({"dgp": {"start_epochs": 0}}, "no estimate to pre-train on"),
        ({"dgp": {"object": "cnn"}}, "dgp.object"),
        ({"dgp": {"positions": "network"}}, "dgp.positions: unknown key"),
        ({"dgp": {"ensemble_size": 0}}, "dgp.ensemble_size"),
    ],
)
def test_settings_of_the_priors_that_cannot_be(changes, message):
    with pytest.raises(jptycho.ConfigError, match=message):
        check_config(with_changes(None, {"method": "dgp", **changes}))


def test_poolings_that_leave_nothing_are_refused(small_scan):
    for levels, wanted in ((5, r"dgp\.probe_levels: 5 poolings need 64 pixels; .*has 32\. Use at most 4"), (4, None)):
        config = with_changes(None, {"method": "dgp", "dgp": {"probe": "network", "probe_levels": levels}})
        if wanted is None:
            assert resolve_auto(config, prepare(small_scan)).dgp.half_sets
        else:
            with pytest.raises(jptycho.ConfigError, match=wanted):
                resolve_auto(config, prepare(small_scan))


def test_a_random_start_sees_noise_and_not_nothing(small_scan):
    problem = prepare(small_scan)
    config = resolve_auto(with_changes(None, {"method": "dgp", "dgp": {"start": "random"}}), problem)
    generator = generators_of(prior_model(config, problem))["object"]
    _, (inputs, *_) = generator.init(jax.random.key(0), problem.estimate)
    assert float(inputs.image.std()) == pytest.approx(1, rel=0.1)
    assert float(inputs.scale.min()) >= 0.1


@pytest.mark.slow
def test_ensemble_end_to_end(small_scan, tmp_path):
    said = []
    result = jptycho.reconstruct(
        small_scan, method="dgp", dgp={**QUICK, "ensemble_size": 2}, validation={"fraction": 0}, log=said.append
    )
    assert result.deviation is not None
    assert result.deviation.shape == result.phase.shape
    assert result.attributes["members"] == 2
    assert any("the network adds to the estimate" in line for line in said)
    assert sum("halves" in line or "half of the electrons:" in line for line in said) >= 2
    jptycho.write_result(tmp_path / "r.h5", result)
    np.testing.assert_array_equal(jptycho.read_result(tmp_path / "r.h5").deviation, result.deviation)


@pytest.mark.slow
@pytest.mark.parametrize(
    "dgp",
    [
        {"object": "pixels", "probe": "network"},
        {"start": "random", "probe": "network"},
        {"start": "dpc"},
        {"start": "parallax"},
    ],
)
def test_combinations_run_and_end_no_worse_than_they_start(small_scan, dgp):
    """The start is judged like any epoch."""
    said = []
    result = jptycho.reconstruct(small_scan, method="dgp", dgp={**QUICK, **dgp}, log=said.append)
    kept = [line for line in said if line.startswith("dgp: ")]
    assert len(kept) == 1
    failed = any("The random start has not found the object" in line for line in said)
    assert failed == (dgp.get("start") == "random")
    judged = result.history["validation_loss"][result.history["stage"] == "dgp"]
    best = float(kept[0].split("best, ")[-1].split(";")[0]) if "best, " in kept[0] else None
    if best is None:
        value = float(kept[0].split("start, ")[1].split(",")[0])
        assert value <= judged.min() + 1e-5
    else:
        assert best == pytest.approx(judged.min(), rel=1e-5)


@pytest.mark.parametrize("canvas", [(8, 8), (6, 8)])
def test_a_move_is_undone_and_every_orientation_occurs(canvas):
    image = jnp.arange(2.0 * canvas[0] * canvas[1]).reshape(2, *canvas, 1)
    seen = set()
    for key in jax.random.split(jax.random.key(0), 200):
        move = random_move(key, 4)
        there = moved(image, move)
        np.testing.assert_array_equal(moved_back(there, move), image)
        assert int(jnp.max(move.shift)) < 4
        # Where neighbours along y and x lie after the move says which way up the image is.
        first, second, third = (np.argwhere(np.asarray(there[0, ..., 0]) == n)[0] for n in (27, 27 + canvas[1], 28))
        size = np.array(canvas)
        steps = [(other - first + size // 2) % size - size // 2 for other in (second, third)]
        seen.add(tuple(np.concatenate(steps)))
    assert len(seen) == (8 if canvas[0] == canvas[1] else 4)


def test_a_network_that_treats_all_places_alike_is_not_changed_by_moves(monkeypatch):
    """A blur commutes with every move, so its output must come back in place; a network's depends on the move."""
    estimate, _ = halved_estimate(canvas=(16, 16))
    plain = GeneratedObject("phase", SMALL, 0.0)
    augmented = dataclasses.replace(plain, augmented=True)
    params, constants = plain.init(jax.random.key(0), estimate)
    free = plain.select_half(constants, jnp.array(0))
    outputs = [augmented.raw(params, free, jax.random.key(n)) for n in range(3)]
    assert np.abs(outputs[0] - outputs[1]).max() > 1e-3
    np.testing.assert_array_equal(augmented.raw(params, free, None), plain.raw(params, free, None))

    def blur(network, noise, params, inputs, key):
        image = inputs.image[0]
        return sum(jnp.roll(image, shift, axis) for shift in (-1, 1) for axis in (1, 2)) / 4

    monkeypatch.setattr("jptycho.representations.generated._run", blur)
    for n in range(6):
        there_and_back = augmented.raw(params, free, jax.random.key(n))
        np.testing.assert_allclose(there_and_back, plain.raw(params, free, None), atol=1e-6)


def test_a_network_reads_its_own_half_sets_and_not_those_of_a_larger_ensemble(small_scan):
    """Where a later stage of the run has more networks, there are more half sets than this one reads."""
    problem = prepare(small_scan)
    config = resolve_auto(with_changes(None, {"method": "dgp", "dgp": {"ensemble_size": 1}}), problem)
    pairs = tuple(make_half_sets(problem, 0, number) for number in range(2))
    quiet = (print, lambda record, channels: None, lambda what, done, total: None)
    run = Context(config, problem, problem, *quiet, lambda: False, None, 0.0, half_sets=pairs)
    mesh = make_mesh(jax.devices()[:1])
    for size, shape in ((1, (2,)), (2, (2, 2))):
        own = config.model_copy(update={"dgp": config.dgp.model_copy(update={"ensemble_size": size})})
        data = scan_data(run, plan(own, problem)[1], mesh)
        assert data.counts.shape == (1, len(problem.counts), *shape, *problem.counts.shape[1:])
    one = scan_data(run, plan(config, problem)[1], mesh)
    np.testing.assert_array_equal(one.counts[0, :, 0], pairs[0][0].counts)
