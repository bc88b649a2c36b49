"""Two results with known differences: of place, sampling, plane, contrast and noise."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from jptycho.data.results import Result
from jptycho.diagnostics.alignment import compare_results
from jptycho.errors import ConfigError
from tests.report.results import made_up

WAVES = [(0.31, 0.12, 0.5), (-0.22, 0.35, 2.0), (0.08, -0.44, 1.0), (0.5, 0.3, 4.0), (0.13, 0.07, 0.2)]
"""Å⁻¹ along y and x, and phase: no two alike, so that one shift alone brings the images together."""


def specimen(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Phase at places in Å, on a patch that ends before the canvas does."""
    image = sum(np.cos(2 * np.pi * (ky * y[:, None] + kx * x[None]) + start) for ky, kx, start in WAVES)
    edge = [np.exp(-(((p - 15) / 11) ** 6)) for p in (y, x)]
    return image * edge[0][:, None] * edge[1][None]


def result(
    sampling: tuple[float, float] = (0.5, 0.4),
    moved: tuple[float, float] = (0.0, 0.0),
    field: tuple[int, int, int, int] = (20, 50, 24, 60),
    **changes: Any,
) -> Result:
    """The specimen on a canvas from -3 Å to 35 Å or so, seen moved, in two equal slices."""
    shape, origin = (80, 96), (-4.0, -3.0)
    places = [o + s * np.arange(n) for o, s, n in zip(origin, sampling, shape, strict=True)]
    phase = 0.5 * specimen(places[0] - moved[0], places[1] - moved[1])[None].repeat(2, axis=0)
    made = made_up()
    attributes = {**made.attributes, "sampling": np.array(sampling), "origin": np.array(origin)}
    return made_up(phase=phase, field_of_view=field, attributes=attributes, **changes)


def test_a_result_is_like_itself():
    found = compare_results(result(), result())
    assert found.first.shape == found.second.shape == (30, 36)
    assert found.correlation == pytest.approx(1, abs=1e-9)
    assert found.difference == pytest.approx(0, abs=1e-6)
    assert found.contrast == pytest.approx(1, abs=1e-6)
    assert found.shift == pytest.approx((0, 0), abs=1e-3)
    assert found.half == found.seventh == found.rings.frequency[-1]
    assert (found.sampling, found.unit) == ((0.5, 0.4), "Å")


def test_a_shift_a_plane_and_a_constant_are_taken_out():
    other = result(moved=(0.33, -0.71))
    y, x = np.indices(other.phase.shape[1:])
    tilted = dataclasses.replace(result(), phase=result().phase + 0.01 * y - 0.02 * x + 3)
    found = compare_results(tilted, other)
    # The second was moved by (0.33, -0.71) Å, so it must go back by as much.
    assert found.shift == pytest.approx((-0.33, 0.71), abs=0.02)
    assert found.correlation > 0.999
    assert found.difference < 0.02


def test_another_sampling_is_resampled():
    fine = result(sampling=(0.45, 0.37), field=(18, 60, 20, 66))
    found = compare_results(result(), fine)
    assert found.correlation > 0.9999
    assert found.shift == pytest.approx((0, 0), abs=5e-3)


def test_contrast_and_noise_are_measured():
    half = dataclasses.replace(result(), phase=0.5 * result().phase)
    assert compare_results(half, result()).contrast == pytest.approx(0.5, abs=1e-3)
    noise = np.random.default_rng(0).normal(size=(80, 96))
    noisy = dataclasses.replace(result(), phase=result().phase + 0.25 * noise)  # in both slices: 0.5
    found = compare_results(noisy, result())
    assert found.difference == pytest.approx(0.5, rel=0.1)
    # Independent images of the specimen's and the noise's variance.
    variance = float(np.var(found.second))
    assert found.correlation == pytest.approx(np.sqrt(variance / (variance + 0.25)), abs=0.02)
    assert 0.5 < found.half < found.rings.frequency[-1]  # the finest wave has 0.58 Å⁻¹
    assert found.half <= found.seventh


def test_only_what_both_span_is_compared():
    found = compare_results(result(), result(field=(30, 60, 10, 50)))
    assert found.first.shape == (20, 26)
    with pytest.raises(ConfigError, match=r"share 0 pixels along y; expected at least 16.*same scan"):
        compare_results(result(), result(field=(55, 75, 24, 60)))


def test_lengths_of_another_unit_are_refused():
    made = result()
    pixels = dataclasses.replace(made, attributes={**made.attributes, "length_unit": "px"})
    with pytest.raises(ConfigError, match=r"lengths are in Å and px; expected the same unit"):
        compare_results(made, pixels)
