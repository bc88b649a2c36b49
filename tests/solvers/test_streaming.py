"""A scan in parts: the same patterns, each once, and the numbers of one that is in memory."""

import dataclasses
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jptycho
from jptycho.errors import FormatError
from jptycho.objective import poisson_loss
from jptycho.parallel import make_mesh, replicate
from jptycho.preprocess import choose_preconditioner
from jptycho.representations import ChannelObject, PixelObject, PixelProbe, fields_of, render
from jptycho.solvers import LSQMLSolver, PIESolver
from jptycho.solvers.base import Part, distribute, epoch, epochs_after, init_state, rows_of, steps_before
from jptycho.solvers.streaming import layout_of, order_of, parts_in_order, streamed, streamed_epoch, sum_over_parts
from jptycho.solvers.validation import loss_of_fields

SIZE = 90  # patterns of each of three parts of 256: 15 runs of 6
PARTS_ADD_UP = 1e-5  # relative, of sums in single precision in another order


@pytest.fixture(scope="module")
def problem(small_scan):
    return jptycho.prepare(small_scan)


def scan_of(problem, most, mesh, seed=0):
    return streamed(lambda rows: problem.counts[rows], len(problem.counts), most, problem.setup, mesh, seed=seed)


def solver_of(problem, name="gradient", steps=4):
    if name == "gradient":
        model = jptycho.ModelSpec(PixelObject("phase", choose_preconditioner(problem)), PixelProbe())
        return jptycho.GradientSolver(model, poisson_loss, object_rate=1e-2, probe_rate=1e-2, steps=steps)
    model = jptycho.ModelSpec(ChannelObject("phase"), PixelProbe())
    if name == "lsqml":
        return LSQMLSolver(model, steps=steps)
    return PIESolver(model, steps=steps, momentum=0.5, period=3)


def started(problem, solver, mesh):
    params, constants = jptycho.initialise(solver.model, jax.random.key(0), problem.estimate)
    constants = replicate(mesh, constants)
    return init_state(solver, mesh, params, constants, jax.random.key(1)), constants


@pytest.mark.parametrize(("patterns", "most"), [(256, 100), (257, 256), (16, 1), (1000, 5000), (7, 3)])
@pytest.mark.parametrize("number", [None, 0, 3])
def test_every_pattern_is_in_one_part(problem, patterns, most, number):
    scan = dataclasses.replace(scan_of(problem, most, make_mesh()), patterns=patterns)
    rows, layout = order_of(scan, number), layout_of(patterns, most)
    assert sorted(np.concatenate(rows).tolist()) == list(range(patterns))
    assert len(rows) == layout.parts
    assert max(len(part) for part in rows) <= layout.run * layout.runs <= 2 * max(most, 1)


@pytest.mark.parametrize(("patterns", "most"), [(289, 17), (250, 17), (257, 16), (1000, 300)])
def test_no_part_is_nearly_empty(problem, patterns, most):
    """A part takes as many steps as the others, however few patterns it has."""
    scan = dataclasses.replace(scan_of(problem, most, make_mesh()), patterns=patterns)
    layout = layout_of(patterns, most)
    for number in (None, 0, 3):
        sizes = [len(part) for part in order_of(scan, number)]
        assert len(sizes) == layout.parts
        assert min(sizes) > (layout.runs - 2) * layout.run  # a run fewer, and the scan's last run may be short
        assert max(sizes) <= layout.runs * layout.run


def test_the_order_is_another_in_every_epoch_and_the_same_again(problem):
    scan = scan_of(problem, 64, make_mesh())
    first, second, again = (np.concatenate(order_of(scan, number)) for number in (0, 1, 0))
    np.testing.assert_array_equal(first, again)
    assert (first != second).any()
    assert (np.concatenate(order_of(dataclasses.replace(scan, seed=1), 0)) != first).any()
    np.testing.assert_array_equal(np.concatenate(order_of(scan, None)), np.arange(256))


def test_parts_hold_the_patterns_that_they_name_and_what_pads_weighs_nothing(problem):
    mesh = make_mesh()
    seen = []
    for number, data in enumerate(parts_in_order(scan_of(problem, 100, mesh), 2)):
        rows, weight = np.asarray(data.part.rows), np.asarray(data.weight)
        np.testing.assert_array_equal(data.counts, problem.counts[rows])
        np.testing.assert_array_equal(
            rows_of(fields_of(problem.estimate).scan, data).position, problem.estimate.positions[rows]
        )
        assert (int(data.part.number), int(data.part.parts)) == (number, 3)
        seen += rows[weight > 0].tolist()
    assert sorted(seen) == list(range(256))


@pytest.mark.parametrize("name", ["gradient", "pie", "lsqml"])
def test_one_part_of_all_patterns_gives_the_epochs_of_a_scan_in_memory(problem, name):
    """To the bit: the same batches of the same program, but for where the rows of the scan come from."""
    mesh = make_mesh()
    solver, data = solver_of(problem, name), distribute(problem.counts, problem.setup, mesh)
    rows = jnp.arange(256).reshape(data.weight.shape)
    part = dataclasses.replace(data, part=Part(rows, jnp.asarray(0), jnp.asarray(1)))
    (one, constants), (other, _) = started(problem, solver, mesh), started(problem, solver, mesh)
    for _ in range(2):
        one, first = epoch(solver, mesh, one, constants, data)
        other, second = epoch(solver, mesh, other, constants, part)
    assert int(one.epoch) == int(other.epoch) == 2
    jax.tree.map(np.testing.assert_array_equal, (one.params, one.optimiser), (other.params, other.optimiser))
    np.testing.assert_array_equal(first.loss, second.loss)


def test_a_streamed_epoch_is_its_parts_one_after_another(problem):
    """Without the reading thread: every part from memory, the state handed on, by one program."""
    mesh, count = make_mesh(), len(problem.counts)
    solver, scan = solver_of(problem, steps=2), scan_of(problem, 100, make_mesh())
    (found, constants), (state, _) = started(problem, solver, mesh), started(problem, solver, mesh)
    for number in range(2):
        found, metrics = streamed_epoch(solver, mesh, found, constants, scan)
        losses, weights = [], []
        for which, rows in enumerate(order_of(scan, number)):
            filled = rows[np.arange(SIZE) % len(rows)]
            data = distribute(problem.counts[filled], problem.setup, mesh)
            weight = (np.arange(SIZE) < len(rows)).astype(np.float32).reshape(data.weight.shape)
            part = Part(jnp.asarray(filled.reshape(weight.shape)), jnp.asarray(which), jnp.asarray(3))
            state, own = epoch(
                solver, mesh, state, constants, dataclasses.replace(data, weight=jnp.asarray(weight), part=part)
            )
            losses.append(float(own.loss))
            weights.append(len(rows))
        assert int(state.epoch) == int(found.epoch) == number + 1
        assert float(metrics.loss) == pytest.approx(np.average(losses, weights=weights), rel=PARTS_ADD_UP)
    assert sum(weights) == count
    jax.tree.map(np.testing.assert_array_equal, (found.params, found.optimiser), (state.params, state.optimiser))


def test_steps_and_epochs_are_counted_over_parts(problem):
    mesh = make_mesh()
    state, _ = started(problem, solver_of(problem), mesh)
    state = dataclasses.replace(state, epoch=jnp.asarray(2))
    data = distribute(problem.counts, problem.setup, mesh)
    assert (int(epochs_after(state, data)), int(steps_before(state, data, 5))) == (3, 10)
    for number, expected in ((0, 2), (2, 3)):
        part = Part(jnp.zeros((1, 1), int), jnp.asarray(number), jnp.asarray(3))
        own = dataclasses.replace(data, part=part)
        assert (int(epochs_after(state, own)), int(steps_before(state, own, 5))) == (expected, 30 + 5 * number)


def test_the_loss_of_a_streamed_scan_is_that_of_one_in_memory(problem):
    mesh = make_mesh()
    model = solver_of(problem).model
    params, constants = jptycho.initialise(model, jax.random.key(0), problem.estimate)
    fields = replicate(mesh, fields_of(render(model, params, constants)))
    whole = loss_of_fields(mesh, poisson_loss, fields, distribute(problem.counts, problem.setup, mesh))
    parts = loss_of_fields(mesh, poisson_loss, fields, scan_of(problem, 100, mesh))
    assert float(parts) == pytest.approx(float(whole), rel=PARTS_ADD_UP)
    assert int(sum_over_parts(scan_of(problem, 100, mesh), lambda part: jnp.sum(part.weight))) == 256


def test_two_parts_are_in_memory_and_a_file_that_fails_ends_the_thread(problem):
    mesh, asked = make_mesh(), []

    def read(rows):
        asked.append(len(rows))
        if len(asked) > 40:
            raise FormatError("data.file: scan.h5 can no longer be read.")
        return problem.counts[rows]

    scan = dataclasses.replace(scan_of(problem, 64, mesh), read=read)
    parts = parts_in_order(scan, 0)
    next(parts)
    assert len(asked) <= 2 * layout_of(256, 64).runs
    next(parts)
    with pytest.raises(FormatError, match="can no longer be read"):
        for _ in parts:
            pass
    parts.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("jptycho-read")]
