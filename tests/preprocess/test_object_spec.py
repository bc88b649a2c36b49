"""Objects that a scan cannot give."""

import numpy as np
import pytest

from jptycho.data.dataset import Calibration, Dataset4D, from_arrays
from jptycho.errors import ConfigError
from jptycho.optics.electron import wavelength
from jptycho.preprocess.object_spec import ObjectSettings, ObjectSpec, check_object

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


def test_a_slice_that_is_too_thick_for_its_window():
    check_object(ObjectSpec(slices=2, thickness=0.99 * THICKEST), FINE)
    with pytest.raises(ConfigError, match=rf"object\.slice_thickness: .* Use at most {THICKEST:.3g} Å"):
        check_object(ObjectSpec(slices=2, thickness=1.01 * THICKEST), FINE)
    check_object(ObjectSpec(slices=2, thickness=1.4 * THICKEST, band_limit=2 / 3), FINE)


def test_a_tilt_beyond_the_band_limit():
    steepest = 1e3 * wavelength(3e5) * 0.5 / 0.625
    check_object(ObjectSpec(slices=2, thickness=5.0, tilt=(0.0, -0.99 * steepest)), FINE)
    with pytest.raises(ConfigError, match=r"object\.tilt: .* mrad is beyond the band limit"):
        check_object(ObjectSpec(slices=2, thickness=5.0, tilt=(0.0, -1.01 * steepest)), FINE)


def test_uneven_slices_have_their_mean_as_thickness():
    assert ObjectSettings(slices=3, slice_gaps=(10.0, 30.0)).spec().thickness == pytest.approx(20.0)
