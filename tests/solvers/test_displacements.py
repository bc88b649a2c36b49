"""Displacements of a scan: what a pattern tells of a stretched object, and what all of them tell of scan and drift."""

import dataclasses
import math
import tracemalloc

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jptycho
from jptycho.forward.model import predict
from jptycho.objective import poisson_loss
from jptycho.objective.losses import FLOOR
from jptycho.optics import form_probe
from jptycho.solvers.displacements import (
    Measured,
    Shared,
    as_measured,
    extrapolate,
    find_neighbours,
    shared_part,
    solve,
    structure_of,
)
from jptycho.solvers.stretch import gradients_of, likelihood_of
from jptycho.types import Grid

from ..problems import setup_for

GRID = Grid((24, 20), (0.3, 0.36))
DOSE, PLACE = 4000.0, np.array([29.3, 27.6])
SHAPE, STEP, WIDTH = (7, 6), 3.0, 5.0


def object_at(y, x):
    """Two slices of smooth waves that end before the edges of the canvas, at any real coordinates."""
    envelope = np.exp(-(((y - 30) / 11) ** 2) - ((x - 28) / 10) ** 2)
    first = np.cos(0.9 * y + 0.2 * x) + 0.5 * np.sin(0.7 * x - 0.3 * y)
    return np.exp(1j * envelope * np.stack([0.4 * first, 0.3 * np.cos(0.8 * x + 0.1 * y)]))


def fields_with(stretch):
    """The object as it is seen by patterns whose places were pulled apart by 1 + E about one of them."""
    places = np.indices((60, 56), float) - PLACE[:, None, None]
    y, x = np.einsum("ab,byx->ayx", np.eye(2) - stretch, places) + PLACE[:, None, None]
    probe = form_probe(GRID, 0.0251, 25.0, {"C10": -150.0})
    rows = jptycho.ScanFields(jnp.asarray(PLACE[None]))
    return jptycho.Fields(jnp.asarray(object_at(y, x)), probe[None], rows, jnp.asarray(8.0), jnp.zeros(2))


@pytest.mark.usefixtures("x64")
def test_a_pattern_tells_how_far_its_object_was_stretched():
    """Slopes by finite differences of an object that is evaluated anew; more of it than the window would be cut off."""
    fields, setup = fields_with(np.zeros((2, 2))), setup_for(GRID, DOSE)
    row, h = fields.scan[0], 1e-5
    slopes = []
    for number in range(6):
        ends = []
        for sign in (h, -h):
            stretch = np.zeros(4)
            if number >= 2:
                stretch[number - 2] = sign
            moved = PLACE + sign * np.eye(2)[number] if number < 2 else PLACE
            there = dataclasses.replace(row, position=jnp.asarray(moved))
            ends.append(np.asarray(predict(fields_with(stretch.reshape(2, 2)), setup, there)))
        slopes.append((ends[0] - ends[1]) / (2 * h))
    intensity = np.asarray(predict(fields, setup, row))
    counts = np.random.default_rng(0).poisson(DOSE * intensity).astype(float)
    expected = intensity + FLOOR / intensity.size
    fisher = DOSE * np.array([[np.sum(a * b / expected) for b in slopes] for a in slopes])
    force = np.array([np.sum(a * (counts - DOSE * intensity) / expected) for a in slopes])
    found, information = likelihood_of(
        poisson_loss, fields, setup, jnp.asarray(counts), row, gradients_of(fields.object)
    )
    scale = np.sqrt(np.diag(fisher))
    np.testing.assert_allclose(information / np.outer(scale, scale), fisher / np.outer(scale, scale), atol=2e-3)
    np.testing.assert_allclose(found / scale, force / scale, atol=2e-2)


def raster():
    return np.stack(np.meshgrid(*(np.arange(n) * STEP for n in SHAPE), indexing="ij"), -1).reshape(-1, 2)


def followed_slowly(positions, moved):
    """The same mean and gradient by a weighted regression at each pattern."""
    rest, told = moved - moved.mean(axis=0), []
    for here, own in zip(positions, moved, strict=True):
        away = positions - here
        weight = np.exp(-0.5 * np.sum(away**2, axis=1) / WIDTH**2) * (np.hypot(*away.T) <= 2.5 * WIDTH)
        design = np.column_stack([np.ones(len(away)), away]) * np.sqrt(weight)[:, None]
        there, *slopes = np.linalg.lstsq(design, rest * np.sqrt(weight)[:, None], rcond=None)[0]
        told.append(np.concatenate([own - there, np.ravel(np.transpose(slopes))]))
    return np.array(told)


def test_the_object_follows_the_patterns_that_formed_it():
    positions, rng = raster(), np.random.default_rng(0)
    near = find_neighbours(positions, WIDTH)
    moved = rng.normal(size=positions.shape)
    found = as_measured(near, jnp.asarray(moved, jnp.float32))
    np.testing.assert_allclose(found, followed_slowly(positions, moved), atol=2e-3)


def test_of_a_wrong_scale_shifts_tell_nothing_but_the_stretch_does():
    positions = np.stack(np.meshgrid(*(np.arange(15) * 2.0,) * 2, indexing="ij"), -1).reshape(-1, 2)
    affine = np.array([[0.02, -0.01], [0.03, 0.01]])
    moved = (positions - positions.mean(axis=0)) @ affine.T
    told = np.asarray(as_measured(find_neighbours(positions, 3.0), jnp.asarray(moved, jnp.float32)))
    np.testing.assert_allclose(told[:, 2:], np.tile(affine.ravel(), (225, 1)), atol=2e-4)
    np.testing.assert_allclose(told[:, :2], 0, atol=1e-4)


def test_many_neighbours_are_thinned_evenly():
    positions = np.random.default_rng(0).uniform(0, 20, (500, 2))
    near = find_neighbours(positions, 8.0)
    assert near.index.shape == (500, 64)
    np.testing.assert_allclose(near.weight.sum(axis=1), 1, atol=1e-5)
    affine = np.array([[0.02, -0.01], [0.03, 0.01]])
    told = as_measured(near, jnp.asarray(positions @ affine.T, jnp.float32))
    np.testing.assert_allclose(np.median(told[:, 2:], axis=0), affine.ravel(), atol=5e-4)


def test_neighbours_of_a_fine_scan_take_little_memory():
    """All of 1,500 patterns are neighbours of each: 2.25 million numbers, of which 64 a pattern are kept."""
    positions = np.random.default_rng(0).uniform(0, 20, (1500, 2))
    tracemalloc.start()
    near = find_neighbours(positions, 20.0)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 40e6
    assert near.index.shape == (1500, 64)
    for number in (0, 300, 1499):  # in different groups of those that are looked for together
        others = np.delete(np.arange(1500), number)[:: math.ceil(1499 / 63)]
        np.testing.assert_array_equal(near.index[number][: 1 + len(others)], np.append(number, others))


def doubled(tree):
    """Real numbers in double precision."""
    return jax.tree.map(lambda x: x.astype(float) if x.dtype == jnp.float32 else x, tree)


def measured_of(moved, near, error=0.02, seed=0):
    """What patterns tell of displacements, with normally distributed errors of correlated numbers."""
    rng = np.random.default_rng(seed)
    roots = rng.normal(size=(len(moved), 6, 6)) / error
    information = roots @ roots.transpose(0, 2, 1)
    noise = np.einsum("nab,nb->na", np.linalg.inv(roots).transpose(0, 2, 1), rng.normal(size=(len(moved), 6)))
    exact = np.asarray(as_measured(near, jnp.asarray(moved)))
    at = np.zeros_like(exact)
    force = np.einsum("nab,nb->na", information, exact + noise)  # linearised at zero
    return Measured(jnp.asarray(at), jnp.asarray(force), jnp.asarray(information))


@pytest.mark.usefixtures("x64")
def test_the_solution_is_that_of_the_dense_least_squares():
    """All parts at once, begun from displacements that are not zero: posterior mean and errors of a Gaussian."""
    positions, rng = raster(), np.random.default_rng(1)
    near, structure = (
        doubled(find_neighbours(positions, WIDTH)),
        doubled(structure_of(positions, SHAPE, 0.02, 0.6, 0.4)),
    )
    spread, before = 0.3, 0.2 * rng.normal(size=positions.shape)
    numbers = rng.normal(size=2 * (2 + SHAPE[0] + structure.courses.shape[1] + len(positions)))

    def displaced(z, free=1.0):
        z = z.reshape(-1, 2)
        affine, lines, courses, own = np.split(z, np.cumsum([2, SHAPE[0], structure.courses.shape[1]]))
        place = positions - positions.mean(axis=0)
        slow = 0.4 * np.asarray(structure.courses) @ courses
        return 0.02 * place @ affine.T + 0.6 * lines[np.arange(len(place)) // SHAPE[1]] + slow + free * spread * own

    measured = measured_of(displaced(numbers) - before, near, error=0.1)
    found = solve(measured, near, structure, jnp.asarray(spread), jnp.asarray(before))
    columns = np.eye(len(numbers))
    start = followed_slowly(positions, -before)
    design = np.stack([followed_slowly(positions, displaced(column) - before) - start for column in columns], axis=-1)
    information, force = np.asarray(measured.information), np.asarray(measured.force)
    normal = np.einsum("nai,nab,nbj->ij", design, information, design) + columns
    pull = np.einsum("nai,na->i", design, force - np.einsum("nab,nb->na", information, start))
    best, covariance = np.linalg.solve(normal, pull), np.linalg.inv(normal)
    np.testing.assert_allclose(found.total, displaced(best), atol=5e-3)
    np.testing.assert_allclose(found.shared, displaced(best, free=0.0), atol=5e-3)
    np.testing.assert_allclose(found.affine[0], 0.02 * best[:4].reshape(2, 2), atol=2e-4)
    np.testing.assert_allclose(found.affine[1], 0.02 * np.sqrt(np.diag(covariance)[:4]).reshape(2, 2), rtol=0.05)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(("lines", "drift"), [(1.0, 0.0), (0.0, 1.0)])
def test_a_drift_is_found_in_one_round_though_the_object_followed_it(lines, drift):
    positions, rng = raster(), np.random.default_rng(2)
    near, structure = (
        doubled(find_neighbours(positions, WIDTH)),
        doubled(structure_of(positions, SHAPE, 0.0, lines, drift)),
    )
    time = np.linspace(0, 1, len(positions))[:, None]
    slow = np.concatenate([np.sin(2 * time), np.cos(4 * time)], axis=1)
    moved = np.repeat(rng.normal(size=(SHAPE[0], 2)), SHAPE[1], axis=0) if lines else slow
    measured = measured_of(moved - moved.mean(axis=0), near, error=0.01)
    found = solve(measured, near, structure, jnp.asarray(0.0), jnp.zeros_like(jnp.asarray(moved)))
    wrong = np.asarray(found.total) - moved
    assert np.sqrt(np.mean((wrong - wrong.mean(axis=0)) ** 2)) < 0.02
    np.testing.assert_array_equal(found.total, found.shared)
    np.testing.assert_array_equal(found.affine, 0)


def test_steps_that_fall_short_by_the_same_share_are_lengthened():
    """A third of what is missing each time, in all directions: two rounds tell the end."""
    end, share = np.random.default_rng(0).normal(size=(9, 2)), 0.4
    shared = lambda x: Shared(jnp.asarray(x), jnp.asarray(x[:2]))  # noqa: E731
    start, nothing = np.zeros((9, 2)), shared(np.zeros((9, 2)))
    first = extrapolate(nothing, shared(share * end), nothing, nothing)
    np.testing.assert_allclose(first.moved, share * end, rtol=1e-6)
    step = share * (end - np.asarray(first.moved))
    second = extrapolate(first, shared(step), shared(start), shared(share * end))
    np.testing.assert_allclose(second.moved, end, rtol=1e-5)
    np.testing.assert_allclose(second.affine, end[:2], rtol=1e-5)
    opposite = extrapolate(first, shared(-step), shared(start), shared(share * end))  # beyond the end: no longer step
    np.testing.assert_allclose(opposite.moved, np.asarray(first.moved) - step, rtol=1e-5)


def test_nothing_expected_moves_nothing():
    positions = raster()
    near, structure = find_neighbours(positions, WIDTH), structure_of(positions, SHAPE, 0.0, 0.0, 0.0)
    measured = measured_of(np.ones((len(positions), 2)), near)
    single = jax.tree.map(lambda x: x.astype(jnp.float32), measured)
    found = solve(single, near, structure, jnp.asarray(0.0), jnp.zeros((len(positions), 2)))
    np.testing.assert_array_equal(found.total, 0)


def test_parts_are_of_the_size_that_was_stated():
    """Root mean square along an axis over many draws."""
    positions, rng = raster(), np.random.default_rng(3)
    for sizes in ((0.0, 0.7, 0.0), (0.0, 0.0, 0.7)):
        structure = structure_of(positions, SHAPE, *sizes)
        draws = []
        for _ in range(300):
            lines, courses = (
                rng.normal(size=(len(structure.lines), 2)),
                rng.normal(size=(structure.courses.shape[1], 2)),
            )
            parts = jptycho.solvers.displacements.Parts(
                *map(jnp.asarray, (np.zeros((2, 2)), lines, courses, positions))
            )
            draws.append(np.asarray(shared_part(structure, parts)))
        assert np.sqrt(np.mean(np.square(draws))) == pytest.approx(0.7, rel=0.1)
