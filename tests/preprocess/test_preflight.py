"""Geometries that cannot be, refused before a pattern is read; what is improbable; and what is neither."""

import dataclasses
import math
from typing import Any

import numpy as np
import pytest

from jptycho.data.dataset import Calibration, Dataset4D
from jptycho.errors import ConfigError
from jptycho.preprocess.calibrate import check_calibration
from jptycho.preprocess.preflight import check_before, geometry_of, improbable, missing_keys, typical_step

GOOD = Calibration(300e3, 20.0, defocus=200.0, step=(2.0, 1.5), reciprocal_sampling=(0.04, 0.05))
DETECTOR = (80, 64)
WAVELENGTH = 0.0196875  # Å at 300 keV


def scan(calibration: Calibration = GOOD, shape: tuple[int, ...] = (20, 24), **parts: Any) -> Dataset4D:
    """A scan that cannot be read."""

    def read(*_: Any) -> np.ndarray:
        raise AssertionError("a pattern was read")

    return Dataset4D((*shape, *DETECTOR), np.dtype(np.uint8), read, calibration, **parts)


def changed(**values: Any) -> Calibration:
    return dataclasses.replace(GOOD, **values)


def refusal(calibration: Calibration) -> str:
    """What a run says before it reads."""
    for check in (check_calibration, check_before):
        try:
            check(scan(calibration))
        except ConfigError as error:
            return str(error)
    return "nothing"


def test_a_usual_scan_is_neither_refused_nor_doubted():
    check_before(scan())
    assert improbable(scan()) == ()


def test_lengths_follow_from_the_calibration():
    found = geometry_of(scan())
    assert found is not None
    assert found.wavelength == pytest.approx(WAVELENGTH, rel=1e-4)
    assert found.sampling == pytest.approx((1 / 3.2, 1 / 3.2))
    assert found.window == pytest.approx((25.0, 20.0))
    diameter = 2 * 200 * 0.02 + 1.22 * WAVELENGTH / 0.02
    assert found.probe_diameter == pytest.approx(diameter, rel=1e-4)
    assert found.step == 2.0
    assert found.overlap == pytest.approx(1 - 2 / diameter, rel=1e-4)
    # Disks of that diameter on cells of 2 x 1.5 Å; the border is counted with half a step and more.
    assert found.visits == pytest.approx(math.pi * diameter**2 / 4 / 3, rel=0.05)
    assert found.field_of_view == (38.0, 34.5)
    assert found.disk_radius == pytest.approx((0.02 / WAVELENGTH / 0.04, 0.02 / WAVELENGTH / 0.05), rel=1e-4)
    assert found.reach == pytest.approx(1.6 / (0.02 / WAVELENGTH), rel=1e-4)
    assert found.canvas[0] >= 38 * 3.2 + 80
    assert found.canvas[1] >= 34.5 * 3.2 + 64


def test_the_canvas_is_that_of_the_turned_scan():
    turned = geometry_of(scan(changed(rotation=90.0), (40, 4)))
    assert turned is not None
    assert turned.field_of_view == (78.0, 4.5)
    assert turned.canvas[1] > turned.canvas[0]


def test_nothing_is_said_of_what_is_not_known():
    for name in ("energy", "semiangle_cutoff", "reciprocal_sampling", "step"):
        unknown = scan(changed(**{name: None}))
        assert missing_keys(unknown) == (name,)
        assert geometry_of(unknown) is None
        assert improbable(unknown) == ()
        check_before(unknown)
    assert missing_keys(scan(shape=(12,))) == ("scan_shape",)
    pixels = Calibration(length_unit="px")
    assert missing_keys(scan(pixels)) == ("probe",)
    assert missing_keys(scan(pixels, probe=np.ones((1, *DETECTOR)))) == ()
    assert geometry_of(scan(pixels, probe=np.ones((1, *DETECTOR)))) is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"energy": 300.0}, ["data.energy", "Did you mean 300000?"]),
        ({"semiangle_cutoff": 0.02}, ["data.semiangle_cutoff: 0.02 mrad", "0.02 detector pixels", "mean 20?", "mrad"]),
        ({"semiangle_cutoff": 2e4}, ["data.semiangle_cutoff", "detector ends"]),
        ({"step": (200.0, 150.0)}, ["data.step: 200 Å", "do not overlap", "units"]),
        ({"defocus": 2000.0}, ["data.defocus: 2000 Å", "80 Å wide", "20 Å", "wraps around", "is it 200?"]),
        ({"defocus": -2000.0}, ["data.defocus: -2000 Å", "is it -200?"]),
        ({"reciprocal_sampling": (0.4, 0.5), "semiangle_cutoff": 40.0}, ["wraps around", "nm⁻¹"]),
        ({"reciprocal_sampling": (0.004, 0.005)}, ["data.semiangle_cutoff", "detector ends", "reciprocal_sampling"]),
    ],
)
def test_another_unit_is_refused_and_named(change: dict[str, Any], words: list[str]):
    message = refusal(changed(**change))
    assert all(word in message for word in words), message
    assert "\n" not in message


def test_what_just_can_be_passes():
    """The disk has 0.5 detector pixels at 0.49 mrad; two windows of 20 Å are spanned from 1,000 Å."""
    check_before(scan(changed(semiangle_cutoff=0.493)))
    check_before(scan(changed(defocus=999.0)))
    for change in ({"semiangle_cutoff": 0.491}, {"defocus": 1001.0}):
        with pytest.raises(ConfigError):
            check_before(scan(changed(**change)))


def test_a_probe_that_is_wider_than_its_window_is_doubted():
    assert improbable(scan(changed(defocus=499.0))) == ()
    (text,) = improbable(scan(changed(defocus=501.0)))
    assert "21.2 Å wide and its window only 20 Å" in text
    assert "wraps around" in text


def test_little_overlap_is_doubted():
    assert improbable(scan(changed(step=(4.5, 1.5)))) == ()
    (text,) = improbable(scan(changed(step=(4.7, 1.5))))
    assert "share only 49% of their width of 9.2 Å at a step of 4.7 Å" in text


def test_a_step_in_nm_is_doubted():
    (text,) = improbable(scan(changed(step=(0.2, 0.15))))
    assert "is data.step in nm instead of Å" in text
    assert "3.8 x 3.45 Å" in text
    assert improbable(scan(changed(step=(0.24, 0.18)))) != ()
    assert improbable(scan(changed(step=(0.24, 0.18)), (5, 6))) == ()  # a crop of a scan may be small
    places = np.random.default_rng(0).uniform(0, 4, (500, 2))
    (text,) = improbable(scan(shape=(500,), positions=places))
    assert "is data.positions in nm" in text
    assert improbable(scan(shape=(500,), positions=20 * places)) == ()


def test_other_aberrations_widen_a_probe_by_what_is_not_known_here():
    assert improbable(scan(changed(step=(9.0, 9.0), aberrations=(("C30", 1e7),)))) == ()


def test_the_step_of_listed_positions_is_that_of_as_many_on_a_grid():
    y, x = np.meshgrid(np.arange(11) * 3.0, np.arange(11) * 3.0, indexing="ij")
    places = np.stack([y.ravel(), x.ravel()], 1)
    assert typical_step(scan(shape=(121,), positions=places)) == pytest.approx(3.0)
    assert typical_step(scan(changed(step=(7.0, 2.0)), (1, 9))) == 2.0
