"""Pictures of an inspection and of a comparison draw what was found."""

import dataclasses

import numpy as np
import pytest
from matplotlib.patches import Ellipse

from jptycho.data.dataset import Calibration, from_arrays
from jptycho.diagnostics.inspection import Inspection, inspect_dataset
from jptycho.report.inspection import inspection_figure

ANGLE = 8.0
CALIBRATION = Calibration(300e3, ANGLE, defocus=800.0, step=(2.0, 3.0), reciprocal_sampling=(0.05, 0.04))
RADIUS = ANGLE * 1e-3 / 0.0196875


def look(calibration: Calibration = CALIBRATION, listed: bool = False) -> Inspection:
    y, x = np.indices((30, 40))
    disk = np.hypot((y - 15) * 0.05, (x - 20) * 0.04) <= RADIUS
    counts = np.random.default_rng(0).poisson(6.0 * disk + 0.1, (7, 9, 30, 40))
    counts[..., 3, 4] += 90
    return inspect_dataset(from_arrays(counts.reshape(-1, 30, 40) if listed else counts, calibration))


@pytest.fixture(scope="module")
def found() -> Inspection:
    return look()


def test_the_mean_pattern_has_the_nominal_disk_and_the_hot_pixel(found: Inspection):
    axes = inspection_figure(found).axes[0]
    mean = found.counts.mean_pattern
    assert found.hot.tolist() == [[3, 4]]
    brightest = np.sort(mean.ravel())[-2]
    assert (axes.images[0].norm.vmin, axes.images[0].norm.vmax) == pytest.approx((1e-4 * brightest, brightest))
    np.testing.assert_allclose(np.asarray(axes.images[0].get_array()), np.maximum(mean, 1e-4 * brightest))
    (disk,) = (patch for patch in axes.patches if isinstance(patch, Ellipse))
    assert disk.get_height() == pytest.approx(2 * RADIUS / 0.05, rel=1e-3)
    assert disk.get_width() == pytest.approx(2 * RADIUS / 0.04, rel=1e-3)
    assert disk.get_center() == pytest.approx((20, 15), abs=0.5)
    assert axes.get_lines()[0].get_xydata().tolist() == [[4, 3]]


def test_the_bright_field_is_drawn_as_the_scan_lies(found: Inspection):
    axes = next(ax for ax in inspection_figure(found).axes if "bright field" in ax.get_title())
    assert axes.get_title() == "virtual bright field, 63 of 63"
    np.testing.assert_allclose(np.asarray(axes.images[0].get_array()), found.counts.bright_field.reshape(7, 9))
    assert axes.get_aspect() == pytest.approx(2 / 3)


def test_the_histogram_is_of_the_counts(found: Inspection):
    (axes,) = (ax for ax in inspection_figure(found).axes if ax.get_xlabel() == "counts of a pixel")
    np.testing.assert_array_equal([bar.get_height() for bar in axes.patches], found.counts.histogram[1:])
    assert found.counts.histogram[0] / found.counts.histogram.sum() > 0.1
    assert axes.get_title().endswith("of the pixels are zero")


def test_a_list_without_a_calibration_is_drawn_too():
    bare = look(dataclasses.replace(CALIBRATION, reciprocal_sampling=None), listed=True)
    figure = inspection_figure(bare)
    assert not any(isinstance(patch, Ellipse) for patch in figure.axes[0].patches)
    line = next(ax for ax in figure.axes if ax.get_xlabel() == "pattern").get_lines()[0]
    np.testing.assert_allclose(line.get_ydata(), bare.counts.bright_field)
