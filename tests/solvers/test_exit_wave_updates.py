"""What the classical solvers share, against slow loops and inner products."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jptycho.errors import ConfigError
from jptycho.forward.exit_waves import exit_waves
from jptycho.forward.patches import crop
from jptycho.objective.losses import FLOOR
from jptycho.representations.base import ModelSpec
from jptycho.representations.generated import GeneratedObject
from jptycho.representations.networks.unet import UNetSpec
from jptycho.representations.pixels import ChannelObject, PixelObject, PixelProbe, Preconditioner
from jptycho.solvers.exit_wave_updates import (
    add_windows,
    in_parts,
    kind_of,
    lifted,
    pattern_loss,
    propagate_exit_waves,
    with_probe,
)
from jptycho.types import Array

from ..problems import GRID, random_fields, setup_for
from ..reference import physics
from ..tolerances import DOUBLE

pytestmark = pytest.mark.usefixtures("x64")


def complex_normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return jnp.asarray(rng.normal(size=shape) + 1j * rng.normal(size=shape))


def inner(a: Array, b: Array) -> float:
    """Real part of the inner product, under which the derivative has its adjoint."""
    return float(jnp.real(jnp.vdot(a, b)))


@pytest.mark.parametrize("slices", [1, 3])
def test_exit_waves_and_their_adjoint_are_those_of_the_forward_model(slices: int):
    """The adjoint by its definition: ⟨χ, ψ'⟩ = ⟨A* χ, change⟩ with ψ' by finite differences."""
    rng, fields, setup = np.random.default_rng(0), random_fields(slices), setup_for()
    row = fields.scan[1]
    found = propagate_exit_waves(fields, setup, row)
    np.testing.assert_allclose(found.exit, exit_waves(fields, setup, row), atol=DOUBLE)
    chi = complex_normal(rng, found.exit.shape)
    change = dataclasses.replace(
        fields, object=complex_normal(rng, fields.object.shape), probe=complex_normal(rng, fields.probe.shape)
    )

    def moved(step: float) -> Array:
        return exit_waves(
            with_probe(fields, fields.object + step * change.object, fields.probe + step * change.probe), setup, row
        )

    slope = (moved(1e-5) - moved(-1e-5)) / 2e-5
    to_waves, to_patches = found.adjoint(chi)
    waves = propagate_exit_waves(change, setup, row).window
    assert inner(to_waves, waves.waves) + inner(to_patches, waves.patches) == pytest.approx(inner(chi, slope), rel=1e-6)


def test_the_waves_before_the_first_slice_are_the_probe():
    fields = random_fields(2)
    found = propagate_exit_waves(fields, setup_for(), fields.scan[0])
    np.testing.assert_allclose(found.before[0], found.window.waves, atol=DOUBLE)
    np.testing.assert_allclose(found.before[1] * found.window.patches[1][None], found.exit, atol=DOUBLE)


def test_the_loss_of_a_pattern_is_that_of_a_slow_loop_over_live_pixels():
    rng, mask = np.random.default_rng(0), np.ones(GRID.shape)
    mask[2, 3], mask[8, 13] = 0.0, 0.5
    waves = rng.normal(size=(2, *GRID.shape)) + 1j * rng.normal(size=(2, *GRID.shape))
    measured = rng.uniform(0, 2, GRID.shape)
    predicted = sum(np.abs(physics.dft2(wave)) ** 2 for wave in waves)
    loss = error = 0.0
    for i in range(GRID.shape[0]):
        for j in range(GRID.shape[1]):
            floor = FLOOR / (GRID.shape[0] * GRID.shape[1])
            loss += mask[i, j] * 2 * (np.sqrt(predicted[i, j] + floor) - np.sqrt(measured[i, j] + floor)) ** 2
            error += mask[i, j] * (np.sqrt(predicted[i, j]) - np.sqrt(measured[i, j])) ** 2
    setup, row = setup_for(mask=mask), random_fields().scan[0]
    found = pattern_loss(jnp.asarray(waves), jnp.asarray(measured), setup, row)
    np.testing.assert_allclose(found, (loss, error), rtol=1e-6)
    exact = pattern_loss(jnp.asarray(waves), jnp.asarray(predicted), setup, row)
    np.testing.assert_allclose(exact, 0.0, atol=1e-9)


def test_adding_windows_is_the_adjoint_of_cropping():
    rng, corners = np.random.default_rng(0), jnp.array([[0, 0], [3, 4], [3, 5], [7, 2]])
    canvas, windows = rng.normal(size=(2, 12, 15)), rng.normal(size=(4, 2, 5, 8))
    cut = jnp.stack([crop(jnp.asarray(canvas), corner, (5, 8)) for corner in corners])
    added = add_windows(jnp.zeros((2, 12, 15)), jnp.asarray(windows), corners)
    assert float(jnp.vdot(cut, windows)) == pytest.approx(float(jnp.vdot(canvas, added)), rel=DOUBLE)
    np.testing.assert_allclose(add_windows(jnp.asarray(canvas), jnp.asarray(windows), corners), canvas + added)


@pytest.mark.parametrize("parts", [1, 2, 3, 7])
def test_a_batch_in_parts_is_the_whole_batch(parts: int):
    """Also where the last part is not full: what fills it weighs nothing and is finite."""
    rng = np.random.default_rng(0)
    items, weight = {"x": jnp.asarray(rng.uniform(1, 2, (7, 3)))}, jnp.asarray(rng.uniform(size=7))
    sizes = []

    def gather(total: Array, part: tuple[dict[str, Array], Array]) -> Array:
        inside, weights = part
        sizes.append(len(weights))
        return total + jnp.sum(weights[:, None] / inside["x"], axis=0)

    found = in_parts(gather, jnp.full(3, 10.0), items, weight, parts)
    expected = np.full(3, 10.0)
    for x, w in zip(np.asarray(items["x"]), np.asarray(weight), strict=True):
        expected += w / x
    np.testing.assert_allclose(found, expected, rtol=DOUBLE)
    assert set(sizes) == {int(np.ceil(7 / parts))}


def test_kinds_are_those_of_channels_and_others_are_refused():
    assert [kind_of(ModelSpec(ChannelObject(k), PixelProbe())) for k in ("phase", "complex")] == ["phase", "complex"]
    preconditioned = PixelObject("phase", Preconditioner(10.0, 0.1, (0.3, 0.5)))
    for other in (preconditioned, GeneratedObject("phase", UNetSpec(2, 8), 0.01)):
        found = f"found {type(other).__name__} and PixelProbe"
        with pytest.raises(ConfigError, match=rf"model: .* {found}\. Use those, or GradientSolver"):
            kind_of(ModelSpec(other, PixelProbe()))


def test_with_another_probe_all_else_stays():
    fields, other = random_fields(seed=0), random_fields(seed=1)
    found = with_probe(fields, other.object, other.probe)
    assert found.object is other.object
    assert found.probe is other.probe
    for name in ("scan", "thickness", "tilt"):
        assert getattr(found, name) is getattr(fields, name)


def test_a_phase_goes_on_beyond_half_a_turn_and_a_potential_not_below_zero():
    """By steps of less than half a turn, whichever branch the logarithm has."""
    phase, expected = jnp.full((1, 1, 2, 3), 2.9), 2.9
    for step in (0.5, 3.0, -1.0, 2.5):
        expected += step
        phase = lifted("phase", phase, jnp.full((1, 2, 3), np.exp(1j * expected)))
        np.testing.assert_allclose(phase, expected, atol=DOUBLE)
    below = lifted("potential", jnp.full((1, 1, 2, 3), 0.2), jnp.full((1, 2, 3), np.exp(-0.3j)))
    np.testing.assert_array_equal(below, 0.0)
    both = lifted("complex", jnp.zeros((1, 2, 2, 3)), jnp.full((1, 2, 3), 0.5 * np.exp(0.7j)))
    np.testing.assert_allclose(both[:, 0], 0.7, atol=DOUBLE)
    np.testing.assert_allclose(both[:, 1], np.log(2), atol=DOUBLE)


def test_parts_compile_under_jit_with_gradients():
    weight = jnp.ones(5)

    def total(x: Array) -> Array:
        return in_parts(lambda t, part: t + jnp.sum(part[1] * part[0] ** 3), jnp.zeros(()), x, weight, 2)

    x = jnp.arange(1.0, 6.0)
    np.testing.assert_allclose(jax.jit(jax.grad(total))(x), 3 * x**2, rtol=DOUBLE)
