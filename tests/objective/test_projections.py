"""Projections: they obey, twice is once, closed forms, gauges leave the patterns alone."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jptycho.config.objective import PROJECTIONS
from jptycho.errors import ConfigError
from jptycho.forward.fields import ScanFields
from jptycho.forward.model import predict
from jptycho.objective.losses import poisson_loss
from jptycho.objective.projections import MissingWedgePtychoShelves, project, wedge_weight
from jptycho.objective.reference import Reference
from jptycho.representations.base import ModelSpec, initialise, render
from jptycho.representations.estimate import Estimate, transmission
from jptycho.representations.generated import GeneratedObject, GeneratedProbe
from jptycho.representations.networks.unet import UNetSpec
from jptycho.representations.pixels import ChannelObject, PixelObject, PixelProbe, Preconditioner
from jptycho.solvers.base import ScanData, reference_in
from jptycho.solvers.constraints import check_projections, constrain_params
from jptycho.solvers.gradient import GradientSolver
from jptycho.types import Grid

from ..problems import random_fields, setup_for
from ..tolerances import DOUBLE

CANVAS, SAMPLING = (20, 27), (0.31, 0.47)
VALUES = {
    "low_pass": (0.6,),
    "butterworth": (0.6, 3.0),
    "missing_wedge": (1.0,),
    "missing_wedge_ptychoshelves": (0.5, 1.0),
    "depth_blur": (5.0,),
    "field_of_view": (0.5,),
}


def reference(slices_thickness=4.0):
    coverage = np.ones(CANVAS)
    coverage[:3] = 0.1
    one = jnp.zeros((9, 14))
    return Reference(
        jnp.asarray(coverage), jnp.zeros((4, 2)), jnp.zeros((1, 2), int), one, one, SAMPLING, slices_thickness
    )


def state(slices=6, channels=2, seed=0):
    rng = np.random.default_rng(seed)
    probe = rng.normal(size=(2, 9, 14)) + 1j * rng.normal(size=(2, 9, 14))
    return jnp.asarray(rng.normal(size=(slices, channels, *CANVAS)) * 0.3 + 0.1), jnp.asarray(probe)


def made(name):
    return PROJECTIONS[name](*VALUES.get(name, ()))


def apply(name, channels, probe):
    return project((made(name),), channels, probe, reference())


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    "name", sorted(set(PROJECTIONS) - {"butterworth", "missing_wedge", "missing_wedge_ptychoshelves", "depth_blur"})
)
def test_twice_is_once(name):
    once = apply(name, *state())
    twice = apply(name, *once)
    np.testing.assert_allclose(once[0], twice[0], atol=DOUBLE)
    np.testing.assert_allclose(once[1], twice[1], atol=DOUBLE)


@pytest.mark.usefixtures("x64")
def test_each_does_what_it_says():
    channels, probe = state()
    assert float(apply("positivity", channels, probe)[0].min()) == 0
    only = apply("phase_only", channels, probe)[0]
    np.testing.assert_array_equal(only[:, 0], channels[:, 0])
    assert float(jnp.abs(only[:, 1]).max()) == 0
    np.testing.assert_allclose(apply("identical_slices", channels, probe)[0][2], channels.mean(0), atol=DOUBLE)
    outside = apply("field_of_view", channels, probe)[0]
    assert float(jnp.abs(outside[..., :3, :]).max()) == 0
    np.testing.assert_array_equal(outside[..., 3:, :], channels[..., 3:, :])
    assert float(jnp.sum(jnp.abs(apply("probe_power", channels, probe)[1]) ** 2)) == pytest.approx(1)


@pytest.mark.usefixtures("x64")
def test_filters_multiply_the_spectrum():
    channels, probe = state()
    ky, kx = np.meshgrid(np.fft.fftfreq(20, 0.31), np.fft.fftfreq(27, 0.47), indexing="ij")
    k = np.hypot(ky, kx)
    for name, weight in (("low_pass", k <= 0.6), ("butterworth", 1 / (1 + (k / 0.6) ** 6))):
        expected = np.fft.ifft2(np.fft.fft2(np.asarray(channels)) * weight).real
        np.testing.assert_allclose(apply(name, channels, probe)[0], expected, atol=1e-9)


@pytest.mark.usefixtures("x64")
def test_missing_wedge_in_physical_units_pads_the_depth():
    channels, probe = state(slices=5)
    first, last = (np.repeat(np.asarray(channels)[[i]], 3, axis=0) for i in (0, -1))
    padded = np.concatenate([first, np.asarray(channels), last])
    expected = np.zeros_like(padded)
    spectrum = np.fft.fftn(padded, axes=(0, 2, 3))
    kz, ky, kx = (np.fft.fftfreq(n, d) for n, d in zip((11, 20, 27), (4.0, 0.31, 0.47), strict=True))
    weight = np.ones((11, 20, 27))
    for a, z in enumerate(kz):
        for b, y in enumerate(ky):
            for c, x in enumerate(kx):
                square = y**2 + x**2
                if square > 0:
                    weight[a, b, c] = 1 - 2 / np.pi * np.arctan(z**2 / square)
                elif z != 0:
                    weight[a, b, c] = 0
    expected = np.fft.ifftn(spectrum * weight[:, None], axes=(0, 2, 3)).real[3:8]
    np.testing.assert_allclose(apply("missing_wedge", channels, probe)[0], expected, atol=1e-9)


@pytest.mark.usefixtures("x64")
def test_missing_wedge_of_ptychoshelves_has_its_published_value():
    found = wedge_weight(jnp.array([1 / 8, 1 / 8, 1 / 2]), jnp.zeros(3), 0.5, 1e-3)
    np.testing.assert_allclose(found[0], 0.159548, atol=1e-6)
    np.testing.assert_allclose(found[2], 0.0101850, atol=1e-6)
    # A wave of one cycle in eight slices and 0.1 cycles a pixel: W times exp(-α kr²) = 0.774982.
    z, x = np.arange(8)[:, None], np.arange(30)[None, :]
    wave = np.cos(2 * np.pi * (z / 8 + x / 10))[:, None, None, :] * np.ones((1, 1, 4, 1))
    values = MissingWedgePtychoShelves(0.5, 1.0)
    filtered, _ = project((values,), jnp.asarray(wave), state()[1], reference())
    np.testing.assert_allclose(filtered, 0.774982 * wave, atol=1e-5)


@pytest.mark.usefixtures("x64")
def test_depth_blur_keeps_the_projection():
    channels, probe = state()
    blurred = apply("depth_blur", channels, probe)[0]
    np.testing.assert_allclose(blurred.sum(0), channels.sum(0), atol=DOUBLE)
    assert float(blurred.std(axis=0).mean()) < 0.6 * float(channels.std(axis=0).mean())


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", ["vacuum_amplitude", "probe_centring"])
def test_gauges_leave_the_patterns_alone(name):
    """Of a probe that is dark at its window's edge, for what leaves it on one side comes back on the other."""
    grid, canvas = Grid((30, 36), (0.31, 0.47)), (60, 69)
    fields, setup = (
        random_fields(slices=2 if name == "vacuum_amplitude" else 1, grid=grid, canvas=canvas),
        setup_for(grid),
    )
    y, x = (np.minimum(abs(np.arange(n) - c), n - abs(np.arange(n) - c)) for n, c in ((30, 2), (36, 35)))
    spot = np.exp(-(y[:, None] ** 2 + x[None, :] ** 2) / 4)
    fields = dataclasses.replace(fields, probe=jnp.asarray(spot * np.array([1.0, 0.5j])[:, None, None]))
    channels = jnp.stack([jnp.angle(fields.object), -jnp.log(jnp.abs(fields.object))], axis=1)
    k = dataclasses.replace(reference(), coverage=jnp.ones(canvas))
    moved, probe = project((made(name),), channels, fields.probe, k)
    assert float(jnp.abs(probe - fields.probe).max()) > 1e-3
    after = dataclasses.replace(fields, object=transmission(moved), probe=probe)
    row = ScanFields(jnp.array([27.3, 33.8]))
    # The Fourier ramp of a fraction of a pixel leaves a little at the edge.
    np.testing.assert_allclose(predict(after, setup, row), predict(fields, setup, row), atol=1e-6)


def guess_of(kind="complex", canvas=CANVAS, slices=6):
    channels, probe = state(slices, 2 if kind == "complex" else 1)
    zeros = jnp.zeros_like(channels, jnp.float32)
    return Estimate(
        zeros, probe.astype(jnp.complex64), jnp.zeros((4, 2)), jnp.array(4.0), jnp.zeros(2), jnp.ones(canvas)
    )


@pytest.mark.parametrize(
    "representation", [ChannelObject("complex"), PixelObject("complex", Preconditioner(20.0, 0.1, SAMPLING))]
)
def test_pixels_take_the_projected_value(representation):
    model = ModelSpec(representation, PixelProbe())
    params, constants = initialise(model, jax.random.key(0), guess_of())
    params = jax.tree.map(lambda x: x + 0.05 * jax.random.normal(jax.random.key(1), x.shape), params)
    names = ("low_pass", "identical_slices", "probe_power")
    projections = tuple(made(n) for n in names)
    solver = GradientSolver(model, poisson_loss, 1e-2, 1e-2, 1, projections=projections)
    before = render(model, params, constants).object
    found = render(model, constrain_params(solver, params, constants, reference()), constants)
    wanted, _ = project(projections, before, found.probe, reference())
    channels = found.object
    # A gauge (plane) apart, and where absorption is kept positive by a smooth map.
    np.testing.assert_allclose(channels[:, 0] - channels[:, 0].mean(), wanted[:, 0] - wanted[:, 0].mean(), atol=2e-2)
    assert float(channels[:, 0].std(axis=0).max()) < 1e-3
    assert float(jnp.sum(jnp.abs(found.probe) ** 2)) == pytest.approx(1, abs=1e-5)


def test_a_scan_without_what_is_known_is_refused():
    with pytest.raises(ConfigError, match="make_reference"):
        reference_in(ScanData(jnp.zeros((1, 4, 9, 14)), jnp.ones((1, 4)), setup_for()))


@pytest.mark.parametrize("name", PROJECTIONS)
def test_generators_refuse_and_name_the_soft_equivalent(name):
    model = ModelSpec(GeneratedObject("complex", UNetSpec(1, 4), 0.1), GeneratedProbe(UNetSpec(1, 4), 0.1))
    with pytest.raises(ConfigError, match=rf"projections: {type(made(name)).__name__}.*soft equivalent"):
        check_projections(model, (made(name),))
    assert made(name).instead
