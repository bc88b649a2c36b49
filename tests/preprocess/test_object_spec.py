"""Objects that a scan cannot give."""

import numpy as np
import pytest

from jptycho.data.dataset import Calibration, Dataset4D, from_arrays
from jptycho.errors import ConfigError
from jptycho.preprocess.object_spec import ObjectSpec, check_object

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
