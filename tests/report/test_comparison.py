"""The picture of a comparison draws both images, their difference and the ring correlation."""

import numpy as np
import pytest

from jptycho.diagnostics.alignment import Comparison
from jptycho.diagnostics.resolution import RingCorrelation
from jptycho.report.comparison import comparison_figure

RNG = np.random.default_rng(0)
FOUND = Comparison(
    first=RNG.normal(size=(20, 30)),
    second=RNG.normal(size=(20, 30)),
    sampling=(0.4, 0.25),
    unit="Å",
    shift=(0.0, 0.1),
    correlation=0.0,
    difference=1.4,
    contrast=1.0,
    rings=RingCorrelation(np.linspace(0.1, 1.2, 12), np.linspace(1.0, -0.1, 12)),
    half=0.6,
    seventh=0.95,
)


def test_images_share_their_limits_and_the_difference_is_theirs():
    axes = comparison_figure(FOUND, ("one", "two")).axes
    one, two, difference = axes[:3]
    assert [ax.get_title() for ax in (one, two)] == ["one: phase (rad)", "two: phase (rad)"]
    assert one.images[0].get_clim() == two.images[0].get_clim()
    np.testing.assert_allclose(np.asarray(one.images[0].get_array()), FOUND.first)
    shown = np.asarray(difference.images[0].get_array())
    np.testing.assert_allclose(shown - shown.mean(), (FOUND.first - FOUND.second) - (FOUND.first - FOUND.second).mean())
    low, high = difference.images[0].get_clim()
    assert low == -high < 0
    assert "1.4 rms" in difference.get_title()


def test_the_ring_correlation_is_marked_where_it_crosses():
    axes = comparison_figure(FOUND, ("one", "two")).axes[3]
    curve = axes.get_lines()[0]
    np.testing.assert_allclose(curve.get_ydata(), FOUND.rings.correlation)
    upright = sorted(float(line.get_xdata()[0]) for line in axes.get_lines()[1:] if len(set(line.get_xdata())) == 1)
    assert upright == pytest.approx([0.6, 0.95])
    assert axes.get_xlabel() == "spatial frequency (Å⁻¹)"
    assert axes.get_ylim()[0] <= -0.1
