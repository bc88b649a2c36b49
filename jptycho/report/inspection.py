"""The picture of an inspection: mean pattern, virtual bright field, histogram of counts."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse

from jptycho.diagnostics.inspection import Inspection
from jptycho.report.figures import new_figure, show

LEAST = 1e-4  # of the brightest pixel, below which a mean pattern is black


def inspection_figure(found: Inspection) -> Figure:
    """Mean pattern on a logarithmic scale with the nominal disk, virtual bright field, and how often each count occurs.

    Args:
        found: by the inspection.

    Returns:
        the figure.
    """
    figure, axes = new_figure(3)
    _pattern(axes[0, 0], found)
    _bright_field(axes[0, 1], found)
    _histogram(axes[0, 2], found)
    return figure


def _pattern(axes: Axes, found: Inspection) -> None:
    mean, pixel = found.counts.mean_pattern, found.calibration.reciprocal_sampling
    others = np.ones(mean.shape, bool)
    others[tuple(found.hot.T)] = False
    top = float(mean[others].max(initial=0.0))  # a hot pixel would darken all others
    low = max(LEAST * top, 1e-12)
    norm = LogNorm(low, max(top, 1e-11))
    sampling, unit = ((1.0, 1.0), "px") if pixel is None else (pixel, "1/Å")
    show(axes, np.maximum(mean, low), sampling, unit, "mean pattern (counts)", cmap="viridis", norm=norm)
    middle = [n // 2 for n in mean.shape]
    y, x = (m + c for m, c in zip(middle, found.disk_centre, strict=True))
    if found.geometry is not None:
        height, width = (2 * radius for radius in found.geometry.disk_radius)
        axes.add_patch(Ellipse((x, y), width, height, fill=False, ec="white", ls="--", lw=1, label="nominal disk"))
        axes.legend(loc="upper right", fontsize=8)
    for places, colour in ((found.dead, "cyan"), (found.hot, "red")):
        if len(places):
            axes.plot(places[:, 1], places[:, 0], "s", mfc="none", mec=colour, ms=4)


def _bright_field(axes: Axes, found: Inspection) -> None:
    counts, title = found.counts, f"virtual bright field, {len(found.counts.rows)} of {found.counts.patterns}"
    if counts.grid is None:
        axes.plot(counts.rows, counts.bright_field, ".", ms=3)
        axes.set(xlabel="pattern", ylabel="counts in the bright disk")
        axes.set_title(title, fontsize=10)
        return
    step, shape = found.calibration.step, found.shape[:2]
    each = [n / m for n, m in zip(shape, counts.grid, strict=True)]
    sampling, unit = ((each[0], each[1]), "steps") if step is None else ((each[0] * step[0], each[1] * step[1]), "Å")
    show(axes, counts.bright_field.reshape(counts.grid), sampling, unit, title, cmap="gray")


def _histogram(axes: Axes, found: Inspection) -> None:
    edges, values = found.counts.edges, found.counts.histogram
    low, high = edges[1:-1], edges[2:]
    axes.bar(low, values[1:], width=high - low, align="edge", color="C0")
    axes.set(xscale="log", yscale="log" if values[1:].max(initial=0) > 0 else "linear", xlabel="counts of a pixel")
    axes.set_title(f"{values[0] / max(values.sum(), 1):.0%} of the pixels are zero", fontsize=10)
