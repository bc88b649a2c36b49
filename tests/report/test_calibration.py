"""The page of a calibration draws what was found."""

import dataclasses

import numpy as np
import pytest
from matplotlib.patches import Ellipse

from jptycho.preprocess.aberration_fit import AberrationFit
from jptycho.preprocess.aberration_search import EvidenceMap
from jptycho.preprocess.disk import Disk
from jptycho.preprocess.orientation import orient_centres
from jptycho.preprocess.scan_calibration import ScanCalibration
from jptycho.report.calibration import (
    calibration_figures,
    curl_figure,
    disk_figure,
    search_figure,
    write_calibration_page,
)
from jptycho.report.page import figure_entry, render_page

Q = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 2.0]])
TURNED = Q @ np.array([[0.8, 0.6], [-0.6, 0.8]]) + 0j  # by R(36.87°)
E1, E2, RADIUS = 0.2, 0.1, 8.0
MASK = np.ones((30, 40))
MASK[3, 4] = 0
Y, X = (axis - n // 2 - c for axis, n, c in zip(np.indices(MASK.shape), MASK.shape, (1.0, -2.0), strict=True))
INSIDE = (1 + E1) * Y**2 + (1 - E1) * X**2 + 2 * E2 * Y * X <= RADIUS**2
FIT = AberrationFit(np.array([np.radians(-143.13), 60.0, 0.0, 0.0]), False, {}, np.ones(5))
EVIDENCE = np.zeros((2, 4, 3))
EVIDENCE[0, 1, 2] = 50.0
FOUND = ScanCalibration(
    disk=Disk((1.0, -2.0), (0.1, 0.1), RADIUS / (1 - E1**2 - E2**2) ** 0.25, 0.1, (E1, E2), (0.01, 0.01), 0.5),
    semiangle_cutoff=(20.0, 0.1),
    reciprocal_sampling=(0.1, 0.1),
    mask=MASK,
    fit=FIT,
    handed=5.0,
    positive=3.0,
    centres=orient_centres(Q, TURNED),
    undecided=(),
    mean_pattern=np.where(INSIDE, 9.0, 0.1),
    searched=EvidenceMap(np.array([0.0, 45.0, 90.0, 135.0]), np.array([-60.0, 0.0, 60.0]), EVIDENCE),
)


def points_of(line):
    """Places that a line goes through, (n, 2)."""
    return np.asarray(line.get_xydata(), float)


def test_the_ellipse_is_the_edge_of_the_disk():
    """Pixels that matplotlib takes to lie in the drawn ellipse are those of the ellipse's equation."""
    axes = disk_figure(FOUND).axes[0]
    (drawn,) = (patch for patch in axes.patches if isinstance(patch, Ellipse))
    places = np.argwhere(np.ones(MASK.shape, bool))
    inside = drawn.get_path().transformed(drawn.get_patch_transform()).contains_points(places[:, ::-1].astype(float))
    assert (inside == INSIDE.ravel()).mean() > 0.995
    assert [points_of(line).tolist() for line in axes.lines if len(points_of(line)) == 1] == [[[4, 3]]]


def test_the_edge_is_at_one_radius_for_all_directions():
    (points, *_) = disk_figure(FOUND).axes[1].lines
    radius, counts = points_of(points).T
    assert radius[counts > 5].max() <= 1.0 + 1e-6
    assert radius[counts < 5].min() >= 1.0 - 1e-6


def test_curl_vanishes_at_the_rotation_of_a_gradient():
    assert FOUND.centres is not None
    least = FOUND.centres.curl_at(np.array([36.87, 36.87 - 90]), False)
    np.testing.assert_allclose(least, [0.0, 1.0], atol=1e-6)
    curl, divergence, *marks = curl_figure(FOUND).axes[0].lines
    rotation, share = points_of(curl)[int(np.argmin(points_of(curl)[:, 1]))]
    assert (rotation, share) == pytest.approx((37.0, 0.0), abs=0.5)
    np.testing.assert_allclose(points_of(curl)[:, 1] + points_of(divergence)[:, 1], 100)
    assert [points_of(mark)[0, 0] for mark in marks] == pytest.approx([36.87, 36.87], abs=0.01)


def test_the_result_lies_on_the_highest_evidence_by_way_of_its_twin():
    """-143 degrees with -60 Å of defocus is 37 degrees with 60 Å."""
    assert FOUND.searched is not None
    figure = search_figure(FOUND.searched, FIT)
    (cross,) = figure.axes[0].lines
    assert points_of(cross)[0] == pytest.approx([36.87, 60.0], abs=0.01)
    assert not figure.axes[1].lines
    assert points_of(figure.axes[2].lines[0])[:, 1].tolist() == [0, 50, 0, 0]
    assert points_of(figure.axes[3].lines[0])[:, 1].tolist() == [0, 0, 50]


def test_the_middle_of_a_cell_lies_at_its_values():
    """Where matplotlib puts each value of the map, and what it shows at the values of the map's axes."""
    searched = FOUND.searched
    assert searched is not None
    axes = search_figure(dataclasses.replace(searched, evidence=np.arange(24.0).reshape(2, 4, 3)), FIT).axes
    for transpose in (0, 1):
        (image,) = axes[transpose].images
        low, high, bottom, top = image.get_extent()
        assert (low, high, bottom, top) == (-22.5, 157.5, -90.0, 90.0)
        array = np.asarray(image.get_array())
        for j, i in np.ndindex(array.shape):
            middle = low + (i + 0.5) * (high - low) / array.shape[1], bottom + (j + 0.5) * (top - bottom) / len(array)
            assert middle == (searched.rotations[i], searched.defoci[j])
            assert array[j, i] == 12 * transpose + 3 * i + j


def test_a_result_beyond_the_last_cell_lies_in_the_first_of_the_other_defocus():
    """170 degrees are nearer to 180, which show what none do with the defocus inverted, than to 135."""
    assert FOUND.searched is not None
    fit = dataclasses.replace(FIT, params=np.array([np.radians(170.0), -60.0, 0.0, 0.0]))
    (cross,) = search_figure(FOUND.searched, fit).axes[0].lines
    assert points_of(cross)[0] == pytest.approx([-10.0, -60.0], abs=0.01)


def test_the_page_needs_nothing_else(tmp_path):
    write_calibration_page(tmp_path / "a.html", FOUND, [("defocus", "60 Å <given>")], "scan.toml")
    text = (tmp_path / "a.html").read_text()
    assert "Calibration: scan.toml" in text
    assert "<td>defocus</td><td>60 Å &lt;given&gt;</td>" in text
    assert text.count("data:image/png;base64,") == 3
    assert "http" not in text.split("<body>")[1]
    assert list(tmp_path.iterdir()) == [tmp_path / "a.html"]


def test_only_what_was_found_is_drawn():
    nothing = dataclasses.replace(FOUND, centres=None, searched=None)
    assert [heading for heading, _, _ in calibration_figures(nothing)] == ["Bright disk"]
    assert "data:image/png;base64,cG5n" in render_page("t", [figure_entry("a", "b", b"png")], [], {}, {})
