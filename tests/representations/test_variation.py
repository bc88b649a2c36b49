"""Modes by which the probe varies and their weights: where they begin, what they give, and their order."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jptycho.optics.probe import form_probe
from jptycho.representations.estimate import Estimate
from jptycho.representations.lengths import FreeVector, PositiveNumber
from jptycho.representations.variation import (
    ProbeVariation,
    VariationWeights,
    aperture,
    first_modes,
    ordered_variation,
    pixels_of,
)
from jptycho.types import Grid

KEY = jax.random.key(0)
GRID, WAVELENGTH = Grid((24, 20), (0.4, 0.5)), 0.02
pytestmark = pytest.mark.usefixtures("x64")


def lens(defocus):
    return form_probe(GRID, WAVELENGTH, 16.0, {"C10": -defocus})


def estimate(**further):
    blank = jnp.zeros((1, 1, 40, 50))
    rows = jnp.asarray(np.random.default_rng(0).uniform(12, 25, (12, 2)))
    return Estimate(blank, lens(80.0)[None], rows, jnp.zeros(()), jnp.zeros(2), jnp.ones((40, 50)), **further)


def begun(representation, **further):
    params, constants = representation.init(KEY, estimate(**further))
    return params, constants, np.asarray(representation.apply(params, constants, None))


def test_the_first_mode_is_the_phase_of_a_little_defocus():
    """Against the quotient of two probes, less its mean; at the edge the aperture is not sharp."""
    spectra = np.fft.fft2(lens(80.2)), np.fft.fft2(lens(79.8))
    weight = np.abs(spectra[0]) ** 2 / np.sum(np.abs(spectra[0]) ** 2)
    inside = weight > 0.5 * weight.max()
    phase = np.angle(spectra[0] / np.where(inside, spectra[1], 1.0))
    mode = begun(ProbeVariation(1))[2][0].imag
    assert abs(np.corrcoef(mode[inside], phase[inside])[0, 1]) == pytest.approx(1, abs=1e-3)


def test_first_modes_are_orthonormal_over_the_aperture_and_no_shift_of_the_probe():
    weight = aperture(lens(80.0)[None])
    modes = np.asarray(first_modes(weight, 12)).reshape(12, -1) * np.sqrt(np.asarray(weight).ravel())
    np.testing.assert_allclose(modes @ modes.conj().T, np.eye(12), atol=1e-2)  # the faintest edge is left out
    for k in np.meshgrid(*(np.fft.fftfreq(n) for n in GRID.shape), indexing="ij"):
        np.testing.assert_allclose(modes @ (k * np.sqrt(weight)).ravel(), 0, atol=1e-3)
    assert float(pixels_of(weight)) == pytest.approx(np.count_nonzero(weight > weight.max() / 2), rel=0.1)


def test_modes_keep_their_norm_and_go_on_from_an_estimate():
    params, constants, start = begun(ProbeVariation(2))
    weight = np.asarray(aperture(lens(80.0)[None]))
    moved = params + np.random.default_rng(1).normal(size=params.shape)
    found = np.asarray(ProbeVariation(2).apply(moved, constants, None))
    np.testing.assert_allclose(np.sum(weight * np.abs(found) ** 2, axis=(1, 2)), 1)
    assert np.abs(found - start).max() > 1e-2
    np.testing.assert_allclose(begun(ProbeVariation(2), shared={"probe_variation": jnp.asarray(found)})[2], found)


@pytest.mark.parametrize("knots", [0, 4])
def test_weights_are_none_at_first_and_zero_on_average(knots):
    weights = VariationWeights(2, knots)
    params, constants, start = begun(weights)
    np.testing.assert_array_equal(start, np.zeros((12, 2)))
    moved = params + np.random.default_rng(1).normal(size=params.shape)
    found = np.asarray(weights.apply(moved, constants, None))
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-12)
    again = begun(weights, extra={"probe_weights": jnp.asarray(found)})[2]
    np.testing.assert_allclose(again, found, atol=1e-9)


def test_ordered_modes_give_every_pattern_the_same_probe():
    rng = np.random.default_rng(2)
    even = rng.uniform(0.5, 1.5, GRID.shape)
    even = even / even.sum()
    modes = rng.normal(size=(3, *GRID.shape)) + 1j * rng.normal(size=(3, *GRID.shape))
    weights = rng.normal(size=(12, 3)) * [0.1, 2.0, 0.5]
    weights = weights - weights.mean(axis=0)
    found, own, share = ordered_variation(*(jnp.asarray(x) for x in (even, modes, weights)))
    every = np.tensordot(weights, modes, 1)
    np.testing.assert_allclose(np.tensordot(own, found, 1), every, atol=1e-9)
    assert (np.diff(share) <= 0).all()
    assert float(share.sum()) == pytest.approx(np.mean(np.sum(even * np.abs(every) ** 2, axis=(1, 2))))


def test_numbers_begin_where_they_are_said_to_and_go_on_from_an_estimate():
    spread, line = PositiveNumber("focal_spread", 20.0), FreeVector("fly")
    params, constants, start = begun(spread)
    assert start == pytest.approx(20)
    assert float(spread.apply(params - 0.1, constants, None)) == pytest.approx(20 * np.exp(-0.1))
    assert begun(spread, shared={"focal_spread": jnp.asarray(31.0)})[2] == pytest.approx(31)
    np.testing.assert_allclose(begun(line, shared={"fly": jnp.array([0.3, 0.4])})[2], [0.3, 0.4])
