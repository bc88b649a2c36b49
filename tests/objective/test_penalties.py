"""Penalties against slow loops and closed forms; weights that do not depend on scan size, slices or representation."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jptycho.config.objective import PENALTIES
from jptycho.objective.penalties import Penalty, total_penalty
from jptycho.objective.penalties.roughness import SMOOTH, depth_tikhonov, depth_variation
from jptycho.objective.reference import Reference
from jptycho.preprocess.reference import scan_neighbours
from jptycho.representations.estimate import Estimate

from ..tolerances import DOUBLE

pytestmark = pytest.mark.usefixtures("x64")
CANVAS = (12, 15)
NAMES = pytest.mark.parametrize("name", PENALTIES)
OF_OBJECT = sorted(set(PENALTIES) - {"smooth_positions", "smooth_tilts", "probe_support", "probe_aperture"})


def reference(coverage=None, shape=(3, 4), sampling=(0.3, 0.5)):
    canvas = CANVAS if coverage is None else coverage.shape
    rng = np.random.default_rng(5)
    outside = np.zeros((6, 8))
    outside[2:5, 3:6] = 1
    return Reference(
        coverage=jnp.ones(canvas) if coverage is None else jnp.asarray(coverage),
        positions=jnp.asarray(rng.uniform(3, 9, (12, 2))),
        neighbours=jnp.asarray(scan_neighbours(shape)),
        outside_support=jnp.asarray(outside),
        outside_aperture=jnp.asarray(outside[::-1]),
        sampling=sampling,
        thickness=4.0,
    )


def unknowns(slices=3, canvas=CANVAS, seed=0):
    rng = np.random.default_rng(seed)
    channels = jnp.asarray(rng.normal(size=(slices, 2, *canvas)) * 0.3)
    probe = jnp.asarray(rng.normal(size=(2, 6, 8)) + 1j * rng.normal(size=(2, 6, 8)))
    positions = reference().positions + jnp.asarray(rng.normal(size=(12, 2)))
    tilts = jnp.asarray(rng.normal(size=(12, 2)))
    return Estimate(channels, probe, positions, jnp.asarray(4.0), tilts, jnp.ones(canvas))


def weights(coverage):
    w = coverage / (coverage + 0.1)
    return w / w.sum()


def soft(x, width=SMOOTH):
    return np.sqrt(x**2 + width**2) - width


def slow_gradients(image):
    """Forward differences, zero at the far edge."""
    y, x = np.zeros_like(image), np.zeros_like(image)
    for i in range(image.shape[0]):
        for j in range(image.shape[1]):
            y[i, j] = image[i + 1, j] - image[i, j] if i + 1 < image.shape[0] else 0
            x[i, j] = image[i, j + 1] - image[i, j] if j + 1 < image.shape[1] else 0
    return y, x


def slow(name, channels, w):
    u = channels[:, 1 if name.endswith("absorption") else 0]
    kind = name.rsplit("_", 1)[0]
    slices = len(u)
    if kind == "tv":
        return sum((w * soft(np.hypot(*slow_gradients(s)), SMOOTH / slices)).sum() for s in u)
    if kind == "tikhonov":
        return slices * sum((w * sum(g**2 for g in slow_gradients(s))).sum() for s in u)
    if kind == "tv_depth":
        return slices * sum((w * soft(b - a, SMOOTH / slices**2)).sum() for a, b in itertools.pairwise(u))
    if kind == "tikhonov_depth":
        return slices**3 * sum((w * (b - a) ** 2).sum() for a, b in itertools.pairwise(u))
    return sum((w * soft(s, SMOOTH / slices)).sum() for s in u)


@pytest.mark.parametrize("what", ["phase", "absorption"])
@pytest.mark.parametrize("kind", ["tv", "tikhonov", "tv_depth", "tikhonov_depth", "l1"])
def test_roughness_equals_its_formula(kind, what):
    coverage = np.random.default_rng(2).uniform(0, 2, CANVAS)
    estimate = unknowns()
    found = PENALTIES[f"{kind}_{what}"](estimate, reference(coverage))
    assert float(found) == pytest.approx(
        slow(f"{kind}_{what}", np.asarray(estimate.object), weights(coverage)), rel=1e-9
    )


def test_other_object_penalties_equal_their_formulas():
    coverage = np.random.default_rng(2).uniform(0, 2, CANVAS)
    estimate = unknowns()
    c, w = np.asarray(estimate.object), weights(coverage)
    phase = c[:, 0]
    expected = {
        "surface": 9 * (w * (c[0] ** 2 + c[-1] ** 2)).sum(),
        "similar_slices": 3 * (w * ((c - c.mean(0)) ** 2)).sum(),
        "pure_phase": 3 * (w * (np.exp(-c[:, 1]) - 1) ** 2).sum(),
    }
    padded = np.pad(phase, ((0, 0), (1, 1), (1, 1)), mode="edge")
    charge = np.zeros_like(phase)
    for i in range(CANVAS[0]):
        for j in range(CANVAS[1]):
            p = padded[:, i : i + 3, j : j + 3]
            charge[:, i, j] = 4 * p[:, 1, 1] - p[:, 0, 1] - p[:, 2, 1] - p[:, 1, 0] - p[:, 1, 2]
    expected["charge_density"] = (w * soft(charge, SMOOTH / 3)).sum()
    shown = (phase - (w * phase).sum((1, 2))[:, None, None]) * np.sqrt(coverage / (coverage + 0.1))
    ky, kx = np.meshgrid(np.fft.fftfreq(12, 0.3), np.fft.fftfreq(15, 0.5), indexing="ij")
    rise = (1 + (ky**2 + kx**2) / 0.35**2) ** 2
    power = np.abs(np.fft.fft2(shown)) ** 2 / shown[0].size
    expected["amorphous"] = 3 * sum((p * rise).sum() for p in power) / (coverage / (coverage + 0.1)).sum()
    for name, value in expected.items():
        assert float(PENALTIES[name](estimate, reference(coverage))) == pytest.approx(value, rel=1e-9), name


def test_probe_and_scan_penalties_equal_their_formulas():
    estimate = unknowns()
    k = reference()
    p = np.asarray(estimate.probe)
    real, far = ((np.abs(x) ** 2).sum(0) for x in (p, np.fft.fft2(p)))
    outside = np.asarray(k.outside_support).astype(bool)
    assert float(PENALTIES["probe_support"](estimate, k)) == pytest.approx(real[outside].sum() / real.sum())
    outside = np.asarray(k.outside_aperture).astype(bool)
    assert float(PENALTIES["probe_aperture"](estimate, k)) == pytest.approx(far[outside].sum() / far.sum())
    moved = np.asarray(estimate.positions - k.positions).reshape(3, 4, 2)
    tilts = np.asarray(estimate.tilt).reshape(3, 4, 2)
    for name, grid in (("smooth_positions", moved), ("smooth_tilts", tilts)):
        steps = [((np.diff(grid, axis=axis)) ** 2).sum(-1).ravel() for axis in (0, 1)]
        assert float(PENALTIES[name](estimate, k)) == pytest.approx(np.concatenate(steps).mean(), rel=DOUBLE)
    shared = dataclasses.replace(estimate, tilt=jnp.zeros(2))
    assert float(PENALTIES["smooth_tilts"](shared, k)) == 0


@pytest.mark.parametrize(
    "name", sorted(set(OF_OBJECT) - {n for n in OF_OBJECT if "depth" in n or n == "similar_slices"})
)
def test_finer_slices_of_the_same_object_change_nothing(name):
    estimate = unknowns(slices=1)
    values = []
    for slices in (2, 6):
        small = jnp.broadcast_to(estimate.object / slices, (slices, *estimate.object.shape[1:])) * 1e-1
        values.append(float(PENALTIES[name](dataclasses.replace(estimate, object=small), reference())))
    # |t| = 1 is quadratic in the absorption for thin slices only.
    assert values[1] == pytest.approx(values[0], rel=0.05 if name == "pure_phase" else 1e-9)


@pytest.mark.parametrize("name", ["tv_depth_phase", "tikhonov_depth_phase", "similar_slices"])
def test_finer_sampling_of_a_smooth_depth_profile_changes_little(name):
    estimate = unknowns()
    values = []
    for slices in (20, 40):
        z = (np.arange(slices) + 0.5) / slices
        profile = (30 * np.sin(np.pi * z) ** 2 / slices)[:, None, None, None] * np.ones((1, 2, *CANVAS))
        deep = dataclasses.replace(estimate, object=jnp.asarray(profile))
        values.append(float(PENALTIES[name](deep, reference())))
    assert values[1] == pytest.approx(values[0], rel=0.1)


@pytest.mark.parametrize("name", OF_OBJECT)
def test_a_larger_scan_of_the_same_changes_little(name):
    estimate = unknowns(canvas=(40, 50))
    smooth = jnp.asarray(
        np.apply_along_axis(lambda a: np.convolve(a, np.ones(3) / 3, "same"), -1, np.asarray(estimate.object))
    )
    small, large = (
        dataclasses.replace(estimate, object=jnp.tile(smooth, (1, 1, n, n)), coverage=jnp.ones((40 * n, 50 * n)))
        for n in (1, 2)
    )
    once = PENALTIES[name](small, reference(np.ones((40, 50))))
    twice = PENALTIES[name](large, reference(np.ones((80, 100))))
    assert float(twice) == pytest.approx(float(once), rel=0.05)


@NAMES
def test_gradients_exist_where_there_is_nothing(name):
    estimate = unknowns()
    flat = dataclasses.replace(estimate, object=jnp.zeros_like(estimate.object))
    value, gradient = jax.value_and_grad(total_penalty, argnums=1)((Penalty(PENALTIES[name], 2.0),), flat, reference())
    assert np.isfinite(float(value))
    assert all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(gradient))


def test_weights_add_and_what_is_off_is_not_evaluated():
    estimate = unknowns()
    parts = [float(PENALTIES[n](estimate, reference())) for n in ("tv_phase", "surface")]
    penalties = (Penalty(PENALTIES["tv_phase"], 0.5), Penalty(PENALTIES["surface"], 3.0))
    total = total_penalty(penalties, estimate, reference())
    assert float(total) == pytest.approx(0.5 * parts[0] + 3 * parts[1], rel=DOUBLE)
    text = str(jax.make_jaxpr(lambda e: total_penalty((), e, reference()))(estimate))
    assert "sqrt" not in text
    assert "fft" not in text


def test_depth_penalties_of_a_step_between_two_slices():
    """A step of h where a share of the illumination lies: S h for the variation, S³ h² for its square."""
    coverage = np.random.default_rng(2).uniform(0.0, 2.0, CANVAS)
    where = np.zeros(CANVAS, bool)
    where[2:7, 3:11] = True
    share = weights(coverage)[where].sum()
    for slices, height in ((2, 0.7), (5, -0.4)):
        image = np.zeros((slices, *CANVAS))
        image[1:, where] = height
        image += 1.3  # a constant costs nothing
        given = jnp.asarray(image), reference(coverage)
        assert float(depth_variation(*given)) == pytest.approx(slices * abs(height) * share, rel=1e-3)
        assert float(depth_tikhonov(*given)) == pytest.approx(slices**3 * height**2 * share, rel=DOUBLE)


def test_depth_penalties_do_not_see_structure_within_a_slice():
    image = jnp.broadcast_to(jnp.asarray(np.random.default_rng(0).normal(size=CANVAS)), (4, *CANVAS))
    assert float(depth_variation(image, reference())) == float(depth_tikhonov(image, reference())) == 0
    single = jnp.asarray(np.random.default_rng(1).normal(size=(1, *CANVAS)))
    assert float(depth_variation(single, reference())) == float(depth_tikhonov(single, reference())) == 0


def test_steps_in_depth_cost_alike_by_variation_and_one_large_one_more_by_its_square():
    """The same rise between two slices or spread over five."""
    sudden = jnp.asarray(np.repeat([0.0, 0.0, 1.0, 1.0, 1.0], 180).reshape(5, *CANVAS))
    gradual = jnp.asarray(np.repeat([0.0, 0.25, 0.5, 0.75, 1.0], 180).reshape(5, *CANVAS))
    assert float(depth_variation(sudden, reference())) == pytest.approx(
        float(depth_variation(gradual, reference())), rel=1e-3
    )
    assert float(depth_tikhonov(sudden, reference())) == pytest.approx(
        4 * float(depth_tikhonov(gradual, reference())), rel=DOUBLE
    )
