"""Descan, flux, background and thickness: where they begin, what they give, and that they go on from an estimate."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jptycho.representations.base import ModelSpec, Unknown, initialise, render
from jptycho.representations.estimate import Estimate, fields_of
from jptycho.representations.per_pattern import Descan, Flux, hat_functions
from jptycho.representations.pixels import ChannelObject, PixelProbe
from jptycho.representations.shared import Background, FreeThickness

KEY = jax.random.key(0)
SCAN, WINDOW = 12, (8, 10)


def estimate(**further):
    rng = np.random.default_rng(0)
    blank, probe = jnp.zeros((2, 1, 20, 24)), jnp.ones((1, *WINDOW), jnp.complex64) / 9
    places = jnp.asarray(rng.uniform(4, 12, (SCAN, 2)), jnp.float32)
    return Estimate(blank, probe, places, jnp.float32(7.0), jnp.zeros(2), jnp.ones((20, 24)), **further)


def begun(representation, **further):
    params, constants = representation.init(KEY, estimate(**further))
    return params, constants, np.asarray(representation.apply(params, constants, None))


@pytest.mark.parametrize("kind", ["constant", "plane", "free"])
def test_no_descan_where_nothing_says_so(kind):
    np.testing.assert_array_equal(begun(Descan(kind))[2], np.zeros((SCAN, 2)))


def test_descan_goes_on_from_an_estimate():
    centred = np.asarray(estimate().positions) - np.asarray(estimate().positions).mean(axis=0)
    plane = (centred @ np.array([[0.1, 0.02], [-0.05, 0.2]])).astype(np.float32)
    for kind in ("plane", "free"):
        np.testing.assert_allclose(begun(Descan(kind), extra={"descan": jnp.asarray(plane)})[2], plane, atol=1e-5)
    shifted = jnp.asarray(plane + np.array([1.0, -2.0], np.float32))
    np.testing.assert_allclose(begun(Descan("constant"), extra={"descan": shifted})[2][3], [1.0, -2.0], atol=1e-5)


@pytest.mark.parametrize("kind", ["plane", "free"])
def test_descan_is_zero_on_average_whatever_the_parameters(kind):
    params, constants, _ = begun(Descan(kind))
    moved = jnp.asarray(np.random.default_rng(1).normal(size=params.shape), jnp.float32)
    found = np.asarray(Descan(kind).apply(moved, constants, None))
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-6)
    assert found.std() > 0.1


@pytest.mark.parametrize("knots", [0, 4])
def test_flux_is_positive_and_one_on_average(knots):
    params, constants, start = begun(Flux(knots))
    np.testing.assert_allclose(start, 1, atol=1e-6)
    moved = jnp.asarray(np.random.default_rng(1).normal(size=params.shape), jnp.float32)
    found = np.asarray(Flux(knots).apply(moved, constants, None))
    assert found.min() > 0
    assert found.mean() == pytest.approx(1, abs=1e-6)
    again = begun(Flux(knots), extra={"flux": jnp.asarray(found)})[2]
    np.testing.assert_allclose(again, found, rtol=0.05 if knots else 1e-5)  # its logarithm is fitted, then normalised


def test_hat_functions_interpolate_linearly():
    weights = np.asarray(hat_functions(9, 3))
    np.testing.assert_allclose(weights @ [1.0, 3.0, -1.0], np.interp(np.arange(9), [0, 4, 8], [1, 3, -1]), atol=1e-6)


@pytest.mark.parametrize(("kind", "shape"), [("constant", ()), ("smooth", WINDOW), ("pixels", WINDOW)])
def test_background_begins_at_the_guess_and_is_never_negative(kind, shape):
    params, constants, start = begun(Background(kind), shared={"background": jnp.float32(2e-3)})
    assert start.shape == shape
    np.testing.assert_allclose(start, 2e-3, rtol=1e-4)
    assert np.min(Background(kind).apply(-3 * params, constants, None)) >= 0
    assert np.max(begun(Background(kind))[2]) < 1e-5  # next to nothing where nobody says


def test_background_of_pixels_goes_on_as_it_was():
    level = jnp.asarray(np.random.default_rng(0).uniform(1e-3, 3e-3, WINDOW), jnp.float32)
    np.testing.assert_allclose(begun(Background("pixels"), shared={"background": level})[2], level, rtol=1e-5)
    smooth = begun(Background("smooth"), shared={"background": level})[2]
    again = begun(Background("smooth"), shared={"background": jnp.asarray(smooth)})[2]
    np.testing.assert_allclose(again, smooth, rtol=1e-3)


def test_thickness_stays_positive():
    params, constants, start = begun(FreeThickness())
    assert start == pytest.approx(7)
    assert float(FreeThickness().apply(params - 0.1, constants, None)) == pytest.approx(7 * np.exp(-0.1))


def test_a_model_renders_what_is_unknown_and_keeps_what_is_not():
    known = estimate(extra={"flux": jnp.ones(SCAN), "other": jnp.zeros(SCAN)}, shared={"gain": jnp.float32(2.0)})
    spec = ModelSpec(
        ChannelObject("phase"), PixelProbe(), extra=(("descan", Descan("free")),), thickness=FreeThickness(),
        shared=(("background", Background()),),
    )  # fmt: skip
    params, constants = initialise(spec, KEY, known)
    assert set(params) == {"object", "probe", "thickness", "descan", "background"}
    made = render(spec, params | {"thickness": jnp.float32(0.5)}, constants)
    assert set(made.extra) == {"flux", "other", "descan"}
    assert set(made.shared) == {"gain", "background"}
    assert float(made.thickness) == pytest.approx(7 * np.exp(0.5))
    fields = fields_of(made)
    assert fields.scan.descan.shape == (SCAN, 2)
    assert set(fields.scan.extra) == {"flux", "other"}
    assert set(fields.shared) == {"gain", "background"}


def test_what_it_is_called_makes_no_other_run():
    one = Unknown(Background(), 0.1, "electrons", shared=True, in_electrons=True)
    assert repr(one) == repr(dataclasses.replace(one, unit="", in_electrons=False))
