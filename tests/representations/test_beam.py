"""Probes of few numbers, against the nominal probe, quadrature over a source and finite differences."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jptycho.optics.probe import form_probe
from jptycho.optics.source import leading_eigenvectors, source_modes
from jptycho.representations.base import Composed, ModelSpec, initialise, render
from jptycho.representations.beam import BlurredProbe, ParametricProbe, unit_of
from jptycho.representations.estimate import Estimate
from jptycho.representations.pixels import ChannelObject, PixelProbe
from jptycho.types import Grid

from ..tolerances import DOUBLE

GRID, WAVELENGTH, CUTOFF = Grid((24, 30), (0.4, 0.35)), 0.02, 22.0
KNOWN = (("C10", -80.0), ("C12", 40.0), ("C21", 300.0), ("phi12", 0.3), ("phi21", -0.7))
PROBE = ParametricProbe(GRID.shape, GRID.sampling, WAVELENGTH, CUTOFF, (0.0, 0.0), 15.0, ("C10", "C12"), KNOWN)
STEP = 1e-5
"""Of finite differences in double precision."""


def estimate(probe):
    blank = jnp.zeros((1, 1, 40, 50))
    return Estimate(blank, probe, jnp.zeros((3, 2)), jnp.zeros(()), jnp.zeros(2), jnp.ones((40, 50)))


def nominal(**changes):
    return form_probe(GRID, WAVELENGTH, CUTOFF, dict(KNOWN) | {"C10": -95.0} | changes)[None]


@pytest.mark.usefixtures("x64")
def test_it_begins_as_the_nominal_probe_where_the_beam_meets_the_object():
    params, constants = PROBE.init(jax.random.key(0), estimate(nominal()))
    np.testing.assert_allclose(PROBE.apply(params, constants, None), nominal(), atol=DOUBLE)
    parts = PROBE.parts(params, constants)
    expected = dict(KNOWN) | {"defocus": 80.0, "semiangle_cutoff": CUTOFF}
    del expected["C10"]
    assert {name: float(value) for name, value in parts.items()} == pytest.approx(expected)
    assert isinstance(PROBE, Composed)


@pytest.mark.usefixtures("x64")
def test_a_step_is_a_radian_at_the_edge_and_two_components_of_an_azimuth():
    free = dataclasses.replace(PROBE, free=("C10", "C12"), free_cutoff=True)
    params, constants = free.init(jax.random.key(0), estimate(nominal()))
    moved = params | {"C10": jnp.asarray(-0.5), "C12": jnp.array([0.2, 0.9]), "semiangle_cutoff": jnp.asarray(0.7)}
    unit = 2 * WAVELENGTH / (2 * np.pi * (1e-3 * CUTOFF) ** 2)
    size = 40 * np.exp(2j * 0.3) + unit * (0.2 + 0.9j)
    pixel = 1e3 * WAVELENGTH / np.sqrt(24 * 0.4 * 30 * 0.35)
    parts = free.parts(moved, constants)
    assert float(parts["defocus"]) == pytest.approx(80 + 0.5 * unit)
    assert float(parts["C12"]) == pytest.approx(abs(size))
    assert float(parts["phi12"]) == pytest.approx(np.angle(size) / 2)
    assert float(parts["semiangle_cutoff"]) == pytest.approx(CUTOFF + 0.7 * pixel)
    aberrations = dict(KNOWN) | {"C10": -95 - 0.5 * unit, "C12": abs(size), "phi12": np.angle(size) / 2}
    expected = form_probe(GRID, WAVELENGTH, CUTOFF + 0.7 * pixel, aberrations)
    np.testing.assert_allclose(free.apply(moved, constants, None)[0], expected, atol=DOUBLE)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("coefficients", [KNOWN, ()])
def test_its_gradient_is_that_of_finite_differences_also_without_astigmatism(coefficients):
    free = dataclasses.replace(PROBE, free=("C10", "C12", "C30"), coefficients=coefficients, free_cutoff=True)
    spec = ModelSpec(ChannelObject("phase"), free)
    params, constants = initialise(spec, jax.random.key(0), estimate(nominal()))
    target = nominal(C10=-60.0)

    def misfit(probe):
        made = render(spec, params | {"probe": probe}, constants)
        return jnp.sum(jnp.abs(made.probe - target) ** 2)

    gradient = jax.grad(misfit)(params["probe"])
    flat, unravel = jax.flatten_util.ravel_pytree(params["probe"])
    for number, found in enumerate(jax.flatten_util.ravel_pytree(gradient)[0]):
        step = STEP * jnp.eye(len(flat))[number]
        slope = (misfit(unravel(flat + step)) - misfit(unravel(flat - step))) / (2 * STEP)
        assert float(found) == pytest.approx(float(slope), abs=1e-6)


def test_it_goes_on_from_what_an_estimate_says():
    before = dataclasses.replace(
        estimate(nominal().astype(jnp.complex64)),
        shared={"defocus": jnp.float32(30.0), "C12": jnp.float32(7.0), "semiangle_cutoff": jnp.float32(21.0)},
    )
    parts = PROBE.parts(*PROBE.init(jax.random.key(0), before))
    assert float(parts["defocus"]) == pytest.approx(30)
    assert float(parts["C12"]) == pytest.approx(7)
    assert float(parts["semiangle_cutoff"]) == pytest.approx(21)


def density(wave, size):
    """ρ by quadrature over displaced probes, flattened."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(9)
    ky, kx = (np.fft.fftfreq(n, d) for n, d in zip(GRID.shape, GRID.sampling, strict=True))
    spectrum, total = np.fft.fft2(wave), 0.0
    for y, v in zip(nodes, weights, strict=True):
        for x, w in zip(nodes, weights, strict=True):
            ramp = np.exp(-2j * np.pi * size * (y * ky[:, None] + x * kx[None, :]))
            moved = np.fft.ifft2(spectrum * ramp).ravel()
            total = total + v * w * np.outer(moved, moved.conj())
    return total / weights.sum() ** 2


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("size", [0.05, 0.25])
def test_source_modes_are_the_eigenmodes_of_the_blurred_density(size):
    wave = np.asarray(nominal())[0]
    modes = np.asarray(source_modes(jnp.asarray(wave), size, GRID.sampling, 6)).reshape(6, -1)
    values = np.linalg.eigvalsh(density(wave, size))[::-1][:6]
    occupancy = np.sum(np.abs(modes) ** 2, axis=1)
    np.testing.assert_allclose(occupancy, values / values.sum(), atol=2e-3)
    overlaps = modes @ modes.conj().T
    np.testing.assert_allclose(overlaps - np.diag(np.diag(overlaps)), 0, atol=1e-6)
    assert occupancy.sum() == pytest.approx(1)


@pytest.mark.usefixtures("x64")
def test_a_point_source_has_one_mode():
    wave = nominal()[0]
    modes = source_modes(wave, 1e-4, GRID.sampling, 3)
    np.testing.assert_allclose(jnp.abs(modes[0]) ** 2, jnp.abs(wave) ** 2, atol=1e-6)
    assert float(jnp.sum(jnp.abs(modes[1:]) ** 2)) < 1e-5


@pytest.mark.usefixtures("x64")
def test_the_gradient_of_leading_eigenvectors_is_that_of_what_they_span():
    rng = np.random.default_rng(0)
    matrix, change = (m + m.T for m in rng.normal(size=(2, 5, 5)))
    weight = jnp.asarray(rng.normal(size=(5, 5)))

    def spanned(step):
        vectors = leading_eigenvectors(jnp.asarray(matrix) + step * change, 2)
        return jnp.sum(weight * (vectors @ vectors.T))

    expected = (spanned(STEP) - spanned(-STEP)) / (2 * STEP)
    assert float(jax.grad(spanned)(0.0)) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("inner", [PixelProbe(), PROBE])
def test_a_blurred_probe_is_differentiated_by_its_size(inner):
    rep = BlurredProbe(inner, 3, GRID.sampling, 0.2, speed=2.0)
    params, constants = rep.init(jax.random.key(0), estimate(nominal()))
    assert float(rep.parts(params, constants)["source_size"]) == pytest.approx(0.2)
    np.testing.assert_allclose(
        np.abs(rep.apply(params, constants, None)),
        np.abs(source_modes(nominal()[0], 0.2, GRID.sampling, 3)),
        atol=1e-9,
    )

    def seen(step):
        made = rep.apply(params | {"source_size": step}, constants, None)
        return jnp.sum(jnp.sum(jnp.abs(made) ** 2, axis=0) ** 2)

    expected = (seen(jnp.asarray(STEP)) - seen(jnp.asarray(-STEP))) / (2 * STEP)
    assert float(jax.grad(seen)(jnp.zeros(()))) == pytest.approx(float(expected), rel=1e-4)


def test_units():
    assert [unit_of(name) for name in ("defocus", "C30", "phi21", "source_size", "coherent_probe")] == [
        "Å", "Å", "rad", "Å", "",
    ]  # fmt: skip
