"""Arrays that do not fit the patterns are refused before anything is read."""

from typing import Any

import numpy as np
import pytest

from jptycho.data.dataset import Calibration, Dataset4D, check_arrays, from_arrays
from jptycho.errors import ConfigError


def scan(shape: tuple[int, ...] = (2, 3, 6, 7), **parts: Any) -> Dataset4D:
    """A scan that cannot be read."""

    def read() -> np.ndarray:
        raise AssertionError("a pattern was read")

    return Dataset4D(shape, np.dtype(np.uint8), read, Calibration(), **parts)


def changed(array: np.ndarray, value: float) -> np.ndarray:
    """An array, one value of which is another."""
    array.flat[5] = value
    return array


def test_what_fits_passes_and_nothing_is_read():
    check_arrays(scan(positions=np.zeros((6, 2)), probe=np.ones((3, 6, 7), complex), mask=np.eye(6, 7)))
    check_arrays(scan((6, 6, 7), positions=np.zeros((6, 2)), mask=np.full((6, 7), 0.5)))


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"shape": (2, 0, 6, 7)}, r"counts: have shape \(2, 0, 6, 7\); expected at least one pattern"),
        ({"positions": np.zeros((5, 2))}, r"data\.positions: 5 positions for 6 patterns; expected \(6, 2\) finite"),
        ({"positions": changed(np.zeros((6, 2)), np.nan)}, r"data\.positions: .* finite numbers"),
        ({"positions": changed(np.zeros((6, 2)), np.inf)}, r"data\.positions: .* finite numbers"),
        ({"probe": np.ones((2, 7, 6), complex)}, r"data\.probe: has shape \(2, 7, 6\); expected \(modes, 6, 7\)"),
        ({"probe": np.ones((6, 7), complex)}, r"data\.probe: has shape \(6, 7\); expected \(modes, 6, 7\)"),
        ({"mask": np.ones((7, 6))}, r"data\.mask: has shape \(7, 6\) .* expected \(6, 7\), 1 for a good pixel"),
        ({"mask": changed(np.ones((6, 7)), 2.0)}, r"data\.mask: .* values from 1 to 2"),
        ({"mask": changed(np.ones((6, 7)), -1.0)}, r"data\.mask: .* values from -1 to 1"),
        ({"mask": changed(np.ones((6, 7)), np.nan)}, r"data\.mask: "),
        ({"mask": np.zeros((6, 7))}, r"data\.mask: .* values from 0 to 0"),
    ],
)
def test_what_does_not_fit_is_named(parts: dict[str, Any], message: str):
    with pytest.raises(ConfigError, match=message):
        check_arrays(scan(**parts))


def test_a_probe_of_one_mode_needs_no_axis_of_modes():
    probe = np.ones((6, 7), complex)
    found = from_arrays(np.ones((2, 3, 6, 7), np.uint8), Calibration(), probe=probe)
    assert found.probe is not None
    assert found.probe.shape == (1, 6, 7)
