"""The picture of a comparison: both images, their difference, and their ring correlation."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from jptycho.diagnostics.alignment import Comparison
from jptycho.report.figures import new_figure, show


def comparison_figure(found: Comparison, names: tuple[str, str]) -> Figure:
    """Two aligned results with the same limits, their difference, and the Fourier ring correlation.

    Args:
        found: by the comparison.
        names: of both results.

    Returns:
        the figure.
    """
    figure, axes = new_figure(4)
    low, high = np.quantile(np.stack([found.first, found.second]), [0.001, 0.999])
    for ax, image, name in zip(axes[0], (found.first, found.second), names, strict=False):
        show(ax, image, found.sampling, found.unit, f"{name}: phase (rad)", cmap="gray", vmin=low, vmax=high)
    difference = found.first - found.second
    difference = difference - difference.mean()
    limit = max(float(np.quantile(np.abs(difference), 0.999)), 1e-12)
    title = f"difference (rad), {found.difference:.3g} rms"
    show(axes[0, 2], difference, found.sampling, found.unit, title, cmap="RdBu_r", vmin=-limit, vmax=limit)
    rings = axes[0, 3]
    rings.plot(found.rings.frequency, found.rings.correlation)
    for level, at, name in ((1 / 2, found.half, "1/2"), (1 / 7, found.seventh, "1/7")):
        rings.axhline(level, color="gray", lw=0.8, ls="--")
        rings.axvline(at, color="gray", lw=0.8)
        rings.text(at, level, f" {name}: {at:.3g}", fontsize=8, va="bottom")
    rings.set(xlabel=f"spatial frequency ({found.unit}⁻¹)", ylim=(min(0.0, float(rings.get_ylim()[0])), 1.05))
    rings.set_title("Fourier ring correlation", fontsize=10)
    rings.grid(alpha=0.3)
    return figure
