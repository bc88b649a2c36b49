"""One forward model: whatever the detector does, every solver and the validation see the pattern of ``predict``."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jptycho.forward.detector import detect, far_field, modulus_constraint
from jptycho.forward.exit_waves import exit_waves
from jptycho.forward.fields import ScanFields
from jptycho.forward.model import predict, predict_batch
from jptycho.objective.losses import amplitude_loss
from jptycho.parallel import make_mesh, replicate
from jptycho.representations.base import ModelSpec, initialise
from jptycho.representations.estimate import Estimate, fields_of
from jptycho.representations.pixels import ChannelObject, PixelProbe
from jptycho.solvers.base import distribute, epoch, init_state
from jptycho.solvers.difference_map import difference_map, raar
from jptycho.solvers.exit_wave_updates import propagate_exit_waves
from jptycho.solvers.gradient import GradientSolver
from jptycho.solvers.lsqml import LSQMLSolver
from jptycho.solvers.pie import PIESolver
from jptycho.solvers.validation import loss_of_fields
from tests.problems import GRID, random_fields, setup_for

PATTERNS = 5
MODEL = ModelSpec(ChannelObject("complex"), PixelProbe())
SOLVERS = {
    "gradient": GradientSolver(MODEL, amplitude_loss, 1e-3, 1e-3, 1),
    "pie": PIESolver(MODEL, steps=PATTERNS),
    "pie, batches": PIESolver(MODEL, steps=1),
    "lsqml": LSQMLSolver(MODEL, steps=1),
    # Their probe's denominator is moved by whole pixels only, so the truth is no fixed point of it.
    "difference map": difference_map(MODEL, hold_probe=True),
    "raar": raar(MODEL, hold_probe=True),
}
EXACT = 1e-7
"""What rounding leaves of an amplitude error in double precision: the root of a sum of squares near zero."""


@dataclasses.dataclass(frozen=True)
class Blur:
    """A detector whose pixels share their electrons with a neighbour, the more so the farther down a position lies."""

    share: float = 0.3

    def __call__(self, intensity, row: ScanFields):
        share = self.share * row.position[0] / 30
        return (1 - share) * intensity + share * jnp.roll(intensity, 1, axis=1)


def scene(slices):
    """Fields, a setup with a mask and a blur, the guess that holds the truth, and its patterns."""
    fields = random_fields(slices, 2, positions=PATTERNS)
    mask = np.ones(GRID.shape)
    mask[2, 3:7] = 0
    setup = dataclasses.replace(setup_for(mask=mask), effects=(Blur(),))
    channels = jnp.stack([jnp.angle(fields.object), -jnp.log(jnp.abs(fields.object))], axis=1)
    coverage = jnp.ones(fields.object.shape[1:])
    estimate = Estimate(channels, fields.probe, fields.scan.position, fields.thickness, fields.tilt, coverage)
    return fields_of(estimate), setup, estimate, np.asarray(predict_batch(fields, setup, fields.scan))


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", SOLVERS)
def test_at_the_truth_no_solver_finds_an_error(name):
    """A solver whose pattern were not that of ``predict`` would: without the blur, or under the mask."""
    solver = SOLVERS[name]
    _, setup, estimate, patterns = scene(1 if name in ("difference map", "raar") else 3)
    spoiled = np.where(np.asarray(setup.mask) > 0, patterns, 7.0)  # nothing that the mask hides may matter
    mesh = make_mesh(jax.devices()[:1])
    params, constants = initialise(MODEL, jax.random.key(0), estimate)
    state = init_state(solver, mesh, params, replicate(mesh, constants), jax.random.key(1))
    data = distribute(spoiled, setup, mesh)
    after, metrics = epoch(solver, mesh, state, constants, data)
    assert float(metrics.amplitude_error) < EXACT
    if name != "gradient":  # Adam's first step has the length of its rate, however small the gradient
        found = fields_of(solver.estimate(after.params, constants))
        np.testing.assert_allclose(
            predict_batch(found, setup, found.scan) * setup.mask[None], patterns * np.asarray(setup.mask), atol=EXACT
        )


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", ["pie, batches", "lsqml"])
def test_equal_gaps_between_slices_are_one_distance_to_a_classical_solver(name):
    """A stack of propagators, one for each gap, gives the steps that one gives; of unequal gaps others."""
    _, setup, estimate, patterns = scene(3)
    mesh = make_mesh(jax.devices()[:1])

    def stepped(**shared):
        begun = dataclasses.replace(estimate, object=0.9 * estimate.object, shared=shared)
        params, constants = initialise(MODEL, jax.random.key(0), begun)
        state = init_state(SOLVERS[name], mesh, params, replicate(mesh, constants), jax.random.key(1))
        after, _ = epoch(SOLVERS[name], mesh, state, constants, distribute(patterns, setup, mesh))
        return np.asarray(SOLVERS[name].estimate(after.params, constants).object)

    one = stepped()
    np.testing.assert_allclose(stepped(slice_gaps=jnp.ones(2)), one, atol=EXACT)
    assert np.abs(stepped(slice_gaps=jnp.array([0.4, 1.6])) - one).max() > 1e-3


@pytest.mark.usefixtures("x64")
def test_the_validation_sees_the_blur_and_the_mask():
    fields, setup, _, patterns = scene(3)
    spoiled = np.where(np.asarray(setup.mask) > 0, patterns, 7.0)
    mesh = make_mesh(jax.devices()[:1])
    blurred, sharp = (
        float(loss_of_fields(mesh, amplitude_loss, replicate(mesh, fields), distribute(spoiled, one, mesh)))
        for one in (setup, dataclasses.replace(setup, effects=()))
    )
    assert blurred == pytest.approx(0, abs=EXACT)
    assert sharp > 1e-3  # so a solver that left the blur out would have been seen above


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("slices", [1, 3])
def test_exit_waves_of_the_classical_solvers_are_those_of_the_model(slices):
    fields, setup, _, patterns = scene(slices)
    tilted = dataclasses.replace(fields.scan, tilt=jnp.linspace(0, 4, 2 * PATTERNS).reshape(-1, 2))
    for n in range(PATTERNS):
        row = tilted[n]
        waves = exit_waves(fields, setup, row)
        np.testing.assert_allclose(propagate_exit_waves(fields, setup, row).exit, waves, atol=1e-14)
        np.testing.assert_allclose(detect(waves, setup, row), predict(fields, setup, row), atol=1e-14)
        np.testing.assert_allclose(detect(waves, setup, row), Blur()(far_field(waves), row), atol=1e-14)
    if slices > 1:  # the row's tilt adds to that of the fields
        both = dataclasses.replace(fields, tilt=fields.tilt + tilted.tilt[2])
        np.testing.assert_allclose(predict(both, setup, fields.scan[2]), predict(fields, setup, tilted[2]), atol=1e-14)
        assert float(jnp.abs(predict(fields, setup, tilted[2]) - patterns[2]).max()) > 1e-6


@pytest.mark.usefixtures("x64")
def test_the_modulus_constraint_moves_a_blurred_pattern_towards_the_measured_one():
    fields, setup, _, patterns = scene(2)
    row = fields.scan[0]
    start = exit_waves(fields, setup, row) * (1 + 0.2 * np.sin(np.arange(14.0)) + 0j)[None, None]
    waves, errors = start, []
    for _ in range(12):
        errors.append(float(jnp.sum(setup.mask * (jnp.sqrt(detect(waves, setup, row)) - np.sqrt(patterns[0])) ** 2)))
        waves = modulus_constraint(waves, jnp.asarray(patterns[0]), setup, row)
    assert all(b <= a for a, b in itertools.pairwise(errors))
    assert errors[-1] < 0.02 * errors[0]
