"""Objects that a scan cannot give."""

import math

import numpy as np
import pytest

from jptycho.data.dataset import Calibration, Dataset4D, from_arrays
from jptycho.errors import ConfigError
from jptycho.optics.electron import wavelength
from jptycho.preprocess.object_spec import ObjectSettings, ObjectSpec, check_object, doubts_of_propagation

SCAN = from_arrays(np.ones((2, 3, 6, 7), np.uint8), Calibration(energy=3e5))
IN_PIXELS = from_arrays(np.ones((2, 3, 6, 7), np.uint8), Calibration(length_unit="px"))


def test_objects_that_can_be():
    for kind in ("phase", "potential", "complex"):
        check_object(ObjectSpec(kind), IN_PIXELS)
        check_object(ObjectSpec(kind, 5, 3.5), SCAN)


@pytest.mark.parametrize(
    ("spec", "scan", "message"),
    [
        (ObjectSpec("phases"), SCAN, r"object\.kind: expected one of .*potential.*, found 'phases'\."),
        (ObjectSpec("phase", 3), SCAN, r"object\.slice_thickness: missing; 3 slices need the Å between them"),
        (ObjectSpec("phase", 2, -4.0), SCAN, r"object\.slice_thickness: missing; 2 slices"),
        (ObjectSpec("phase", 2, 4.0), IN_PIXELS, r"object\.slices: expected 1 where .* pixels only\. Give .* in Å"),
    ],
)
def test_objects_that_cannot_be_are_named(spec: ObjectSpec, scan: Dataset4D, message: str):
    with pytest.raises(ConfigError, match=message):
        check_object(spec, scan)


FINE = from_arrays(
    np.ones((2, 3, 16, 20)), Calibration(energy=3e5, semiangle_cutoff=20.0, step=(1.0, 1.0),
                                         reciprocal_sampling=(0.1, 0.08)),
)  # fmt: skip
THICKEST = 10.0 / (2 * wavelength(3e5) * 0.5 / 0.625)
"""Å: a window of 10 Å, pixels of 0.625 Å."""


def test_a_gap_over_which_the_disk_leaves_its_window():
    """Along y, where the window is 10 Å wide and along x 12.5; of unequal gaps the widest counts."""
    most = 5.0 / math.tan(20e-3)
    check_object(ObjectSpec(slices=2, thickness=0.99 * most), FINE)
    message = r"object\.slice_thickness: .* 20 mrad walks .* out of the window, which is 10 Å .* y\. Use at most 250 Å"
    with pytest.raises(ConfigError, match=message):
        check_object(ObjectSpec(slices=2, thickness=1.01 * most), FINE)
    gaps = ObjectSettings(slices=3, slice_gaps=(0.8 * most, 1.02 * most)).spec()
    with pytest.raises(ConfigError, match=r"object\.slice_gaps: 255 Å"):
        check_object(gaps, FINE)


def test_waves_beside_the_disk_that_leave_the_window_are_a_doubt():
    """Each axis has its own highest frequency and its own window; a band limit is a circle."""
    assert doubts_of_propagation(ObjectSpec(slices=2, thickness=0.99 * THICKEST), FINE) == ()
    (said,) = doubts_of_propagation(ObjectSpec(slices=2, thickness=1.01 * THICKEST), FINE)
    assert (
        f"waves of 0.8 Å⁻¹ walk out of the window, 10 Å along y, and come in at its other side: up to {THICKEST:.3g}"
        in said
    )
    assert doubts_of_propagation(ObjectSpec(slices=2, thickness=1.4 * THICKEST, band_limit=2 / 3), FINE) == ()
    narrow = (6.25 / (wavelength(3e5) * 0.5 / 0.25), 12.5, "x")  # of 50 x 16 pixels, 12.5 Å and 20 Å wide
    wide = from_arrays(
        np.ones((2, 3, 16, 50)), Calibration(energy=3e5, step=(1.0, 1.0), reciprocal_sampling=(0.05, 0.08))
    )
    assert doubts_of_propagation(ObjectSpec(slices=2, thickness=0.99 * narrow[0]), wide) == ()
    (said,) = doubts_of_propagation(ObjectSpec(slices=2, thickness=1.01 * narrow[0]), wide)
    assert f"{narrow[1]} Å along {narrow[2]}" in said
    uneven = ObjectSettings(slices=3, slice_gaps=(1.0, 1.01 * THICKEST)).spec()
    assert "object.slice_gaps" in doubts_of_propagation(uneven, FINE)[0]


def test_a_tilt_that_moves_the_beam_out_of_its_window():
    """Through the whole object, however many slices it has; along x the window is wider."""
    most = 1e3 * math.atan(5.0 / 100.0)
    check_object(ObjectSpec(slices=11, thickness=10.0, tilt=(0.99 * most, -1.2 * most)), FINE)
    with pytest.raises(
        ConfigError, match=r"object\.tilt: -50\.\d+ mrad, .* along y through an object of 100 Å, .* 10 Å"
    ):
        check_object(ObjectSpec(slices=11, thickness=10.0, tilt=(-1.01 * most, 0.0)), FINE)
    with pytest.raises(ConfigError, match=r"object\.tilt: 2000 mrad, .* along x .* check the unit"):
        check_object(ObjectSpec(slices=2, thickness=1.0, tilt=(0.0, 2000.0)), FINE)


def test_uneven_slices_have_their_mean_as_thickness():
    assert ObjectSettings(slices=3, slice_gaps=(10.0, 30.0)).spec().thickness == pytest.approx(20.0)
