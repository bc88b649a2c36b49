"""Positions: where a pattern was recorded, what it tells about that, and what all of them tell of their spread."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jptycho
from jptycho.forward.fields import Noise
from jptycho.objective import amplitude_loss, mixed_loss, poisson_loss
from jptycho.objective.losses import FLOOR
from jptycho.optics import form_probe
from jptycho.parallel import make_mesh, map_over_shards
from jptycho.representations.per_position import FreePositions
from jptycho.representations.pixels import ChannelObject, PixelProbe
from jptycho.solvers.base import distribute, epoch, init_state
from jptycho.solvers.displacements import Neighbours, Shared, extrapolate, structure_of
from jptycho.solvers.locate import Located, Prior, locate
from jptycho.solvers.positions import BIAS, PositionSolver, affine_error, shrink, trial_offsets, without_affine
from jptycho.types import Grid

from ..problems import setup_for

GRID = Grid((24, 20), (0.3, 0.36))
DOSE = 4000.0
LATTICE = 7.0  # pixels along the rows


def fields_at(positions):
    """A lattice with an envelope, and a defocused probe."""
    rng = np.random.default_rng(0)
    y, x = np.indices((60, 56))
    phase = 0.5 * np.cos(2 * np.pi * y / LATTICE) * np.cos(2 * np.pi * x / 6.0) + 0.1 * rng.normal(size=(60, 56))
    probe = form_probe(GRID, 0.0251, 25.0, {"C10": -150.0})
    made = jptycho.Fields(
        jnp.asarray(np.exp(1j * phase))[None],
        probe[None],
        jptycho.ScanFields(jnp.asarray(positions, float)),
        jnp.zeros(()),
        jnp.zeros(2),
    )
    return made, setup_for(GRID, DOSE)


def located(loss, position, nominal, trials, spread=3.0, seed=None):
    fields, setup = fields_at(np.array([position]))
    expected = DOSE * jptycho.predict(fields, setup, fields.scan[0])
    counts = expected if seed is None else jax.random.poisson(jax.random.key(seed), expected)
    row = dataclasses.replace(fields.scan[0], position=jnp.asarray(nominal, float))
    prior = Prior(jnp.asarray(nominal, float), jnp.asarray(spread, float))
    return locate(loss, fields, setup, counts, row, prior, trials)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("loss", [poisson_loss, amplitude_loss])
def test_a_pattern_without_noise_is_found_from_a_wrong_place(loss):
    found = located(loss, (29.3, 27.6), (28.1, 29.2), trial_offsets(4, 0.7))
    np.testing.assert_allclose(found.displacement, (1.2, -1.6), atol=0.03)  # the prior pulls a little
    weak = located(loss, (29.3, 27.6), (28.1, 29.2), trial_offsets(4, 0.7), spread=300.0)
    np.testing.assert_allclose(weak.displacement, (1.2, -1.6), atol=1e-3)


@pytest.mark.usefixtures("x64")
def test_the_search_leaves_the_minimum_of_the_neighbouring_lattice_row():
    """Most of a lattice spacing away steps alone end elsewhere."""
    true, nominal = (29.3, 27.6), (29.3 - 0.8 * LATTICE, 27.6)
    alone = located(poisson_loss, true, nominal, jnp.zeros((1, 2)), spread=30.0)
    searched = located(poisson_loss, true, nominal, trial_offsets(9, 0.7), spread=30.0)
    assert np.abs(np.asarray(alone.displacement) - (0.8 * LATTICE, 0.0)).max() > 1.0
    np.testing.assert_allclose(searched.displacement, (0.8 * LATTICE, 0.0), atol=0.01)


@pytest.mark.usefixtures("x64")
def test_the_information_is_that_of_fisher_by_finite_differences():
    position = np.array([29.3, 27.6])
    found = located(poisson_loss, position, position, jnp.zeros((1, 2)))
    fields, setup = fields_at(position[None])

    def pattern(where):
        return np.asarray(
            jptycho.predict(fields, setup, dataclasses.replace(fields.scan[0], position=jnp.asarray(where)))
        )

    h = 1e-4
    slopes = [(pattern(position + h * e) - pattern(position - h * e)) / (2 * h) for e in np.eye(2)]
    expected = pattern(position) + FLOOR / pattern(position).size
    fisher = DOSE * np.array([[np.sum(a * b / expected) for b in slopes] for a in slopes])
    np.testing.assert_allclose(found.information, fisher, rtol=1e-5)


@pytest.mark.usefixtures("x64")
def test_errors_are_those_that_the_information_says():
    """Estimates from Poisson noise scatter as the Cramér-Rao bound has it, and the misfit is that of noise."""
    position, runs = np.array([29.3, 27.6]), 60
    trials = jnp.zeros((1, 2))
    find = jax.jit(lambda key: located_noisy(key, position, trials))
    found = jax.lax.map(find, jax.random.split(jax.random.key(1), runs))
    scatter = np.cov(np.asarray(found.displacement).T)
    bound = np.linalg.inv(np.mean(np.asarray(found.information), axis=0))
    assert np.trace(scatter) == pytest.approx(np.trace(bound), rel=0.4)  # of 120 numbers
    assert np.median(found.misfit) == pytest.approx(1.0, abs=0.15)


def located_noisy(key, position, trials):
    fields, setup = fields_at(position[None])
    counts = jax.random.poisson(key, DOSE * jptycho.predict(fields, setup, fields.scan[0]))
    prior = Prior(jnp.asarray(position), jnp.asarray(30.0))
    return locate(poisson_loss, fields, setup, counts, fields.scan[0], prior, trials)


def found_with(spread, error, count=400, misfit=1.0, prior=1.0, seed=0):
    """What patterns tell whose positions are off by a spread, each known to an error; and the truth."""
    rng = np.random.default_rng(seed)
    true = spread * rng.normal(size=(count, 2))
    own = true + error * rng.normal(size=(count, 2))
    information = np.broadcast_to(misfit * np.eye(2) / error**2, (count, 2, 2))
    pulled = own * (misfit / error**2) / (misfit / error**2 + 1 / prior**2)  # what the search gives, with its prior
    one = np.full(count, misfit)
    return Located(*(jnp.asarray(x) for x in (pulled, information, one, one, one))), true


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("misfit", [1.0, 4.0])
@pytest.mark.parametrize(("spread", "error"), [(0.5, 0.1), (0.3, 0.3)])
def test_the_spread_is_found_and_displacements_are_shrunk_by_it(spread, error, misfit):
    found, true = found_with(spread, error, misfit=misfit)
    mean, known = shrink(found, jnp.asarray(1.0))
    assert float(known.rms) == pytest.approx(spread, rel=0.15)
    expected = spread * error / np.hypot(spread, error)
    assert np.sqrt(np.mean((np.asarray(mean) - true) ** 2)) == pytest.approx(expected, rel=0.1)
    np.testing.assert_allclose(known.error, expected, rtol=0.15)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("error", [0.2, 0.8])
def test_positions_that_are_exactly_known_stay(error):
    """But for the spread that 800 numbers without one may seem to have: their fourth root below their error."""
    found, _ = found_with(0.0, error)
    mean, known = shrink(found, jnp.asarray(1.0))
    seeming = error * 800**-0.25
    assert float(known.rms) < 1.5 * seeming
    assert np.sqrt(np.mean(np.asarray(mean) ** 2)) < (1.5 * seeming / error) ** 2 * error


@pytest.mark.usefixtures("x64")
def test_a_spread_that_was_expected_too_small_is_found():
    found, _ = found_with(0.5, 0.5, prior=0.08)
    assert float(shrink(found, jnp.asarray(0.08))[1].rms) == pytest.approx(0.5, rel=0.15)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("read_out", [0.0, 1.0])
def test_the_misfit_is_one_where_noise_alone_is_left(read_out):
    """Read-out noise is noise, too."""
    position = np.array([29.3, 27.6])
    fields, setup = fields_at(position[None])
    setup = dataclasses.replace(setup, noise=Noise(jnp.asarray(DOSE), jnp.asarray(read_out)))
    expected = DOSE * jptycho.predict(fields, setup, fields.scan[0])
    prior = Prior(jnp.asarray(position), jnp.asarray(30.0))

    def one(key):
        shot, read = jax.random.split(key)
        counts = jax.random.poisson(shot, expected).astype(float) + read_out * jax.random.normal(read, expected.shape)
        return locate(mixed_loss, fields, setup, counts, fields.scan[0], prior, jnp.zeros((1, 2))).misfit

    found = jax.lax.map(jax.jit(one), jax.random.split(jax.random.key(1), 16))
    assert np.median(found) == pytest.approx(1.0, abs=0.1)


def test_an_epoch_finds_every_pattern_on_one_device_and_on_two():
    rng = np.random.default_rng(3)
    nominal = np.stack(np.meshgrid([26.0, 30.0, 34.0], [24.0, 28.0, 31.0], indexing="ij"), axis=-1).reshape(-1, 2)[:7]
    true = nominal + rng.normal(0, 0.8, nominal.shape)
    true += (nominal - true).mean(axis=0)
    fields, setup = fields_at(true)
    expected = 1e3 * DOSE * jptycho.predict_batch(fields, setup, fields.scan)
    counts = np.asarray(expected).round().astype(np.int32)
    setup = dataclasses.replace(setup, dose=jnp.asarray(1e3 * DOSE, jnp.float32))
    channels = jnp.angle(fields.object)[:, None]
    estimate = jptycho.Estimate(
        channels, fields.probe, jnp.asarray(nominal, jnp.float32), jnp.zeros(()), jnp.zeros(2), jnp.ones((60, 56))
    )
    model = jptycho.ModelSpec(ChannelObject("phase"), PixelProbe(), positions=FreePositions(centred=False))
    params, constants = jptycho.initialise(model, jax.random.key(0), estimate)
    alone = Neighbours(jnp.zeros((7, 1), int), jnp.zeros((7, 1)), jnp.zeros((7, 1, 2)))  # an object that is right
    none = Shared(jnp.zeros((7, 2)), jnp.zeros((2, 2)))
    constants |= {"neighbours": alone, "structure": structure_of(nominal, (7, 1), 0.0, 0.0, 0.0)}
    constants |= {"shared": none, "last": none, "step": none}
    solver = PositionSolver(model, poisson_loss, spread=1.0, spacing=0.7, reach=3)
    ends = []
    for devices in (1, 2):
        mesh = make_mesh(jax.devices()[:devices])
        state = init_state(solver, mesh, params, constants, jax.random.key(0))
        state, metrics = epoch(solver, mesh, state, constants, distribute(counts, setup, mesh))
        ends.append(np.asarray(solver.estimate(state.params, constants).positions))
        assert float(metrics.loss) < 1e-3
    np.testing.assert_allclose(ends[0], true, atol=0.02)
    np.testing.assert_allclose(ends[1], ends[0], atol=1e-3)


@pytest.mark.usefixtures("x64")
def test_displacements_of_single_patterns_neither_stretch_nor_turn_the_scan():
    """What is left is orthogonal to every affine map, and what was taken is the least squares fit."""
    rng = np.random.default_rng(0)
    place = rng.normal(size=(50, 2))
    place -= place.mean(axis=0)
    moved, affine = rng.normal(size=(50, 2)), np.array([[0.02, -0.01], [0.03, 0.05]])
    left, found = without_affine(jnp.asarray(moved + place @ affine.T), jnp.asarray(place), jnp.zeros(()))
    np.testing.assert_allclose(left.T @ place, 0, atol=1e-10)
    np.testing.assert_allclose(found, affine + np.linalg.lstsq(place, moved, rcond=None)[0].T, atol=1e-12)
    line = jnp.asarray(place * [1.0, 0.0])  # a single line of the scan has no other direction
    assert np.isfinite(without_affine(jnp.asarray(moved), line, jnp.zeros(()))[0]).all()


@pytest.mark.parametrize("side", [8, 40])
def test_of_a_small_scan_the_stretch_that_is_its_own_stays(side):
    """The least error is that of the share which is taken, over many draws: nearly none of few patterns."""
    rng, step, spread = np.random.default_rng(0), 3.75, 1.0
    place = np.stack(np.meshgrid(*(np.arange(side) * step,) * 2, indexing="ij"), axis=-1).reshape(-1, 2)
    place -= place.mean(axis=0)
    errors = {"taken": [], "all": [], "none": []}
    for _ in range(200):
        true = spread * rng.normal(size=place.shape)
        told = true + place @ (BIAS * rng.normal(size=(2, 2))).T
        arrays = [jnp.asarray(array, jnp.float32) for array in (told, place)]
        errors["taken"].append(np.mean((without_affine(*arrays, jnp.asarray(spread))[0] - true) ** 2))
        errors["all"].append(np.mean((without_affine(*arrays, jnp.zeros(()))[0] - true) ** 2))
        errors["none"].append(np.mean((told - true) ** 2))
    mean = {name: np.mean(each) for name, each in errors.items()}
    assert mean["taken"] < min(mean["all"], mean["none"])
    assert mean["taken"] < 0.5 * mean["none" if side == 40 else "all"]


@pytest.mark.parametrize("shape", [(128, 1024), (512, 2)])
def test_a_long_scan_is_held_as_a_short_one(shape):
    """In single precision, with many more patterns than numbers."""
    place = np.stack(np.meshgrid(*(np.arange(n) - (n - 1) / 2 for n in shape), indexing="ij"), axis=-1).reshape(-1, 2)
    affine = np.array([[0.02, -0.01], [0.03, 0.05]])
    place = place.astype(np.float32)
    left, found = without_affine(
        jnp.asarray(place @ affine.T.astype(np.float32)), jnp.asarray(place), jnp.zeros((), jnp.float32)
    )
    np.testing.assert_allclose(found, affine, rtol=1e-3)
    assert np.abs(np.asarray(left)).max() < 1e-2


def test_the_error_of_a_scale_is_what_rounds_leave_of_it():
    """Of rounds that each go another share of the way: noise alone would be a tenth of what they leave, or less."""
    end, noise = jnp.array([[0.02, -0.01], [0.01, 0.015]]), jnp.full((2, 2), 1e-4)
    shared = lambda affine: Shared(jnp.tile(affine, (3, 1)), affine)  # noqa: E731
    before = now = last = step = shared(jnp.zeros((2, 2)))
    for share in (0.3, 0.2, 0.25):
        before, made = now, shared(share * (end - now.affine))
        now, last, step = extrapolate(now, made, last, step), now, made
        left = np.sqrt(np.mean((now.affine - end) ** 2))
        error = affine_error(noise, now.affine - before.affine)
        assert left > 10 * float(noise[0, 0])
        assert 0.3 * left < float(error.min()) < 10 * left


def test_what_is_mapped_over_shards_comes_back_in_their_order():
    rows = np.arange(12.0, dtype=np.float32).reshape(2, 3, 2)
    for devices in (1, 2):
        mesh = make_mesh(jax.devices()[:devices])
        parts = jnp.asarray(rows.reshape(devices, -1, 2))
        doubled = map_over_shards(mesh, lambda by, own: {"x": by * own})(jnp.asarray(2.0), parts)
        np.testing.assert_array_equal(np.asarray(doubled["x"]).reshape(-1, 2), 2 * rows.reshape(-1, 2))
