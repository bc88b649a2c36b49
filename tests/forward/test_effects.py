"""Descan, flux and background on the detector, and unknowns that all patterns share."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from jptycho.forward.detector import descan_ramp, detect, far_field, modulus_constraint
from jptycho.forward.effects import AddBackground, ScaleFlux
from jptycho.forward.exit_waves import exit_waves
from jptycho.forward.fields import ScanFields
from jptycho.forward.model import predict

from ..problems import random_fields, setup_for
from ..tolerances import DOUBLE

pytestmark = pytest.mark.usefixtures("x64")


def test_whole_pixels_of_descan_move_the_pattern_around():
    fields, setup = random_fields(), setup_for()
    row = fields.scan[1]
    plain = predict(fields, setup, row)
    moved = predict(fields, setup, dataclasses.replace(row, descan=jnp.array([2.0, -3.0])))
    np.testing.assert_allclose(moved, np.roll(plain, (2, -3), axis=(0, 1)), atol=DOUBLE)


def test_a_fraction_of_a_pixel_is_the_transform_of_the_exit_wave_between_pixels():
    """Against the sum that defines it, about the window's centre."""
    fields, setup = random_fields(modes=1), setup_for()
    wave = np.asarray(exit_waves(fields, setup, fields.scan[0]))[0]
    shift = np.array([0.4, -1.7])
    y, x = (np.arange(n) - n // 2 for n in wave.shape)
    ky, kx = (np.fft.fftfreq(n) - s / n for n, s in zip(wave.shape, shift, strict=True))
    direct = np.exp(-2j * np.pi * np.outer(ky, y)) @ wave @ np.exp(-2j * np.pi * np.outer(x, kx))
    expected = np.abs(direct) ** 2 / wave.size
    row = dataclasses.replace(fields.scan[0], descan=jnp.asarray(shift))
    np.testing.assert_allclose(predict(fields, setup, row), expected, atol=DOUBLE)


def test_no_descan_changes_nothing_and_one_and_its_opposite_cancel():
    assert np.asarray(descan_ramp((5, 6), jnp.zeros(2))) == pytest.approx(np.ones((5, 6)))
    shift = jnp.array([0.3, 1.1])
    both = descan_ramp((5, 6), shift) * descan_ramp((5, 6), -shift)
    np.testing.assert_allclose(both, np.ones((5, 6)), atol=DOUBLE)


def test_the_modulus_constraint_gives_the_pattern_where_it_lies():
    fields, setup = random_fields(), setup_for()
    row = dataclasses.replace(fields.scan[0], descan=jnp.array([0.7, -0.2]))
    measured = jnp.asarray(np.random.default_rng(1).uniform(0.1, 1.0, setup.grid.shape))
    waves = modulus_constraint(exit_waves(fields, setup, row), measured, setup, row)
    np.testing.assert_allclose(detect(waves, setup, row), measured, atol=DOUBLE)


@pytest.mark.parametrize("shared", [True, False])
def test_an_effect_finds_its_unknown_whether_it_is_shared_or_of_a_row(shared):
    fields = random_fields()
    setup = dataclasses.replace(setup_for(), effects=(ScaleFlux(), AddBackground()))
    known = {"background": jnp.asarray(0.02), "flux": jnp.asarray(1.3)}
    row = fields.scan[0] if shared else dataclasses.replace(fields.scan[0], extra=known)
    fields = dataclasses.replace(fields, shared=known) if shared else fields
    expected = 1.3 * far_field(exit_waves(fields, setup, row)) + 0.02
    np.testing.assert_allclose(predict(fields, setup, row), expected, atol=DOUBLE)


def test_a_background_of_its_own_for_each_pixel():
    fields = random_fields()
    setup = dataclasses.replace(setup_for(), effects=(AddBackground(),))
    level = jnp.asarray(np.random.default_rng(0).uniform(0, 0.1, setup.grid.shape))
    fields = dataclasses.replace(fields, shared={"background": level})
    plain = far_field(exit_waves(fields, setup, fields.scan[0]))
    np.testing.assert_allclose(predict(fields, setup, fields.scan[0]), plain + level, atol=DOUBLE)


def test_rows_keep_their_descan_when_they_are_chosen():
    rows = ScanFields(jnp.zeros((4, 2)), descan=jnp.arange(8.0).reshape(4, 2))
    assert rows[jnp.array([3, 1])].descan.tolist() == [[6.0, 7.0], [2.0, 3.0]]
