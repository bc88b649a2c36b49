"""Total variation against scikit-image, a closed form and its optimality; denoisers between the epochs of a solver."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from skimage.restoration import denoise_tv_chambolle

from jptycho.errors import ConfigError
from jptycho.objective.denoisers import Denoising, TotalVariation, denoise
from jptycho.objective.losses import poisson_loss
from jptycho.objective.projections import Positivity
from jptycho.parallel import make_mesh, replicate
from jptycho.representations.base import ModelSpec, initialise
from jptycho.representations.estimate import Estimate
from jptycho.representations.generated import GeneratedObject
from jptycho.representations.networks.unet import UNetSpec
from jptycho.representations.pixels import ChannelObject, PixelProbe
from jptycho.solvers.base import distribute, epoch, init_state
from jptycho.solvers.difference_map import raar
from jptycho.solvers.ensemble import EnsembleSolver
from jptycho.solvers.gradient import GradientSolver
from jptycho.solvers.lsqml import LSQMLSolver
from jptycho.solvers.pie import PIESolver

from ..problems import random_fields, setup_for
from ..tolerances import DOUBLE

MODEL = ModelSpec(ChannelObject("complex"), PixelProbe())


def noisy(slices=2, channels=2, shape=(17, 24), seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(slices, channels, *shape)) * 0.1 + (np.arange(shape[1]) > 10) * 0.5


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("level", [0.02, 0.3])
def test_total_variation_is_that_of_scikit_image(level):
    """The same number of steps of its own implementation, slice by slice; it does not use its last step."""
    image = noisy()
    found = TotalVariation(30)(jnp.asarray(image), level)
    for s in range(2):
        for c in range(2):
            expected = denoise_tv_chambolle(image[s, c], weight=level, eps=0, max_num_iter=31)
            np.testing.assert_allclose(found[s, c], expected, atol=DOUBLE)


@pytest.mark.usefixtures("x64")
def test_total_variation_of_a_step_takes_its_height_away():
    """Each half, of n columns, moves by level / n towards the other, and nothing else changes."""
    image = np.zeros((1, 1, 6, 16))
    image[..., 8:] = 1.0
    found = np.asarray(TotalVariation(4000)(jnp.asarray(image), 0.8))
    np.testing.assert_allclose(found[..., :8], 0.1, atol=1e-3)
    np.testing.assert_allclose(found[..., 8:], 0.9, atol=1e-3)


@pytest.mark.usefixtures("x64")
def test_total_variation_minimises_what_it_says():
    image, level = noisy(1, 1)[0, 0], 0.1

    def energy(u):
        y, x = np.zeros_like(u), np.zeros_like(u)
        y[:-1], x[:, :-1] = np.diff(u, axis=0), np.diff(u, axis=1)
        return 0.5 * np.sum((u - image) ** 2) + level * np.sum(np.hypot(y, x))

    least = np.asarray(TotalVariation(3000)(jnp.asarray(image)[None, None], level))[0, 0]
    assert energy(least) < 0.7 * energy(image)
    rng = np.random.default_rng(3)
    # The minimum is flat: a small change in any direction costs at most what the iteration has left.
    assert all(energy(least + 1e-2 * rng.normal(size=image.shape)) > energy(least) for _ in range(20))
    assert least.mean() == pytest.approx(image.mean(), abs=DOUBLE)


def test_a_flat_image_stays_and_has_a_gradient():
    flat = jnp.full((1, 1, 5, 7), 0.3)
    gradient = jax.grad(lambda u: jnp.sum(TotalVariation(10)(u, 0.1)))(flat)
    np.testing.assert_allclose(TotalVariation(10)(flat, 0.1), flat, atol=1e-6)
    assert TotalVariation(10)(flat, 0.1).dtype == jnp.float32
    assert np.isfinite(np.asarray(jax.device_get(gradient))).all()


def blocks(channels, level):
    """Pairs of rows are alike, and move down by the level."""
    rows = channels.shape[2] // 2 * 2
    pairs = channels[:, :, :rows].reshape(*channels.shape[:2], rows // 2, 2, -1).mean(axis=3, keepdims=True)
    even = jnp.broadcast_to(pairs, (*pairs.shape[:3], 2, pairs.shape[-1])).reshape(*channels.shape[:2], rows, -1)
    return channels.at[:, :, :rows].set(even) - level


def test_denoisers_are_applied_in_order():
    channels = jnp.asarray(noisy(), jnp.float32)
    twice = denoise((Denoising(blocks, 0.1), Denoising(TotalVariation(5), 0.2)), channels)
    np.testing.assert_array_equal(twice, TotalVariation(5)(blocks(channels, 0.1), 0.2))
    assert denoise((), channels) is channels
    assert hash(Denoising(TotalVariation(5), 0.2)) == hash(Denoising(TotalVariation(5), 0.2))


def one_epoch(solver, slices=1, members=None):
    """The object after an epoch on patterns of another object."""
    fields, setup = random_fields(slices, 1, positions=6, dtype=jnp.float32), setup_for(dtype=jnp.float32)
    counts = np.random.default_rng(0).poisson(3.0, (6, *setup.grid.shape)).astype(np.float32)
    channels = jnp.stack([jnp.angle(fields.object), -jnp.log(jnp.abs(fields.object))], axis=1)
    coverage = jnp.ones(fields.object.shape[1:])
    guess = Estimate(channels, fields.probe, fields.scan.position, fields.thickness, fields.tilt, coverage)
    mesh = make_mesh(jax.devices()[:1])
    start = initialise(MODEL, jax.random.key(0), guess)
    if members:
        start = jax.tree.map(lambda leaf: jnp.stack([leaf] * members), start)
        counts = counts[:, None]
    data = distribute(counts, setup, mesh)  # without a reference: denoisers need none
    state = init_state(solver, mesh, start[0], replicate(mesh, start[1]), jax.random.key(1))
    return epoch(solver, mesh, state, replicate(mesh, start[1]), data)[0].params["object"]


SOLVERS = {
    "gradient": GradientSolver(MODEL, poisson_loss, 1e-2, 1e-2, 2),
    "pie": PIESolver(MODEL, 3),
    "momentum": PIESolver(MODEL, 3, momentum=0.5, period=2),
    "lsqml": LSQMLSolver(MODEL, 2),
    "raar": raar(MODEL),
}


@pytest.mark.parametrize("name", SOLVERS)
def test_every_solver_denoises_after_its_epoch(name):
    solver = SOLVERS[name]
    plain = one_epoch(solver)
    denoised = one_epoch(dataclasses.replace(solver, denoisers=(Denoising(blocks, 0.1),)))
    np.testing.assert_allclose(denoised, blocks(plain, 0.1), atol=1e-5)


def test_members_of_an_ensemble_are_denoised():
    solver = SOLVERS["lsqml"]
    plain = one_epoch(EnsembleSolver(solver, 2), members=2)
    with_it = one_epoch(EnsembleSolver(dataclasses.replace(solver, denoisers=(Denoising(blocks, 0.1),)), 2), members=2)
    for n in range(2):
        np.testing.assert_allclose(with_it[n], blocks(plain[n], 0.1), atol=1e-5)


def test_a_generated_object_refuses_denoisers():
    model = ModelSpec(GeneratedObject("phase", UNetSpec(1, 4), 0.1), PixelProbe())
    solver = GradientSolver(model, poisson_loss, 1e-2, 1e-2, 1, denoisers=(Denoising(TotalVariation(), 0.1),))
    with pytest.raises(ConfigError, match=r"denoisers: TotalVariation.*GeneratedObject.*penalties\.tv_phase"):
        init_state(solver, make_mesh(jax.devices()[:1]), {}, {}, jax.random.key(0))


def test_projections_have_the_last_word():
    solver = dataclasses.replace(SOLVERS["lsqml"], denoisers=(Denoising(blocks, 0.3),))
    lowered = one_epoch(solver)
    assert float(lowered.min()) < 0
    with pytest.raises(ConfigError, match="make_reference"):
        one_epoch(dataclasses.replace(solver, projections=(Positivity(),)))
