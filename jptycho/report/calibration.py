"""The page of a calibration: what was found, and what of the scan says so."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse

from jptycho.preprocess.aberration_fit import AberrationFit
from jptycho.preprocess.aberration_search import EvidenceMap
from jptycho.preprocess.disk import Disk
from jptycho.preprocess.scan_calibration import ScanCalibration
from jptycho.report.figures import new_figure, show
from jptycho.report.page import Table, figure_entry, render_page
from jptycho.types import Float

LEAST = 1e-4  # of the brightest pixel, below which a mean pattern is black
AXES = ("axes as they are", "axes swapped")


def write_calibration_page(path: Path, found: ScanCalibration, words: list[tuple[str, str]], name: str) -> None:
    """Write one HTML page that needs nothing else.

    Args:
        path: of the page.
        found: of :func:`jptycho.preprocess.scan_calibration.calibrate_scan`.
        words: names and values of what was found.
        name: of the scan's configuration, for the title.
    """
    entries = []
    for heading, caption, figure in calibration_figures(found):
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png")
        entries.append(figure_entry(heading, caption, buffer.getvalue()))
    table = Table("What was found", ["quantity", "value"], [list(pair) for pair in words])
    path.write_text(render_page(f"Calibration: {name}", entries, [table], {}, {}), encoding="utf-8")


def calibration_figures(found: ScanCalibration) -> list[tuple[str, str, Figure]]:
    """Every figure that a calibration has something to show for.

    Args:
        found: of :func:`jptycho.preprocess.scan_calibration.calibrate_scan`.

    Returns:
        heading, caption and figure.
    """
    out = []
    if found.mean_pattern is not None:
        caption = (
            f"The ellipse is the fitted edge, axes 1 : {found.disk.axes_ratio:.3f}; red squares are left out. Right: "
            "each pixel over its distance from the fitted centre, in radii of the ellipse."
        )
        out.append(("Bright disk", caption, disk_figure(found)))
    if found.centres is not None:
        caption = "The centre of mass is a gradient: at the right rotation nothing of its field is curl. 50% is noise."
        out.append(("Centre of mass", caption, curl_figure(found)))
    if found.searched is not None:
        caption = (
            "How much more likely a weak phase makes what the disk shows, at every rotation and defocus that was "
            "looked at; the cross is the result, its twin (180 degrees, other defocus) falls onto the same point of a "
            "map of half a turn."
        )
        out.append(("Orientation and defocus", caption, search_figure(found.searched, found.fit)))
    return out


def disk_figure(found: ScanCalibration) -> Figure:
    """The mean pattern with the fitted edge, and its pixels against their distance from the centre.

    Args:
        found: with a mean pattern.

    Returns:
        the figure.
    """
    figure, axes = new_figure(2)
    mean = np.zeros((1, 1)) if found.mean_pattern is None else found.mean_pattern
    good = found.mask > 0
    top = max(float(mean[good].max(initial=0.0)), 1e-12)
    image = np.clip(mean, LEAST * top, top)
    norm = LogNorm(LEAST * top, top)
    show(axes[0, 0], image, found.reciprocal_sampling, "1/Å", "mean pattern (counts)", cmap="viridis", norm=norm)
    axes[0, 0].add_patch(_ellipse(found.disk, mean.shape))
    bad = np.argwhere(~good)
    if len(bad):
        axes[0, 0].plot(bad[:, 1], bad[:, 0], "s", mfc="none", mec="red", ms=4)
    y, x = (np.indices(mean.shape)[i] - mean.shape[i] // 2 - found.disk.centre[i] for i in range(2))
    e1, e2 = found.disk.ellipse
    radius = np.sqrt(np.maximum((1 + e1) * y**2 + (1 - e1) * x**2 + 2 * e2 * y * x, 0)) / _mean_radius(found.disk)
    ax = axes[0, 1]
    ax.plot(radius[good], mean[good], ".", ms=2, alpha=0.4)
    ax.axvline(1.0, color="C3", lw=1, label="fitted edge")
    ax.set(xlim=(0, 2), ylim=(0, 1.05 * top), xlabel="distance from the centre (radii)", ylabel="counts of a pixel")
    ax.set_title("edge of the disk", fontsize=10)
    ax.legend(fontsize=8)
    return figure


def _mean_radius(disk: Disk) -> float:
    """R of the ellipse's equation, whose half axes have ``disk.radius`` as geometric mean."""
    e1, e2 = disk.ellipse
    return disk.radius * (1 - e1**2 - e2**2) ** 0.25


def _ellipse(disk: Disk, shape: tuple[int, ...]) -> Ellipse:
    e1, e2 = disk.ellipse
    values, vectors = np.linalg.eigh(np.array([[1 + e1, e2], [e2, 1 - e1]]))
    height, width = 2 * _mean_radius(disk) / np.sqrt(values)
    # The first eigenvector is that of the longer half axis, in (y, x); matplotlib turns its width from x towards y.
    angle = float(np.degrees(np.arctan2(vectors[0, 1], vectors[1, 1])))
    y, x = (n // 2 + c for n, c in zip(shape, disk.centre, strict=True))
    return Ellipse((x, y), width, height, angle=angle, fill=False, ec="white", ls="--", lw=1)


def curl_figure(found: ScanCalibration) -> Figure:
    """Curl and divergence of the field of centres of mass against rotation, for both handednesses.

    Args:
        found: with centres of mass.

    Returns:
        the figure.
    """
    figure, axes = new_figure(2)
    rotations = np.linspace(-90, 90, 181)
    for transpose, ax in enumerate(axes[0]):
        if found.centres is not None:
            curl = found.centres.curl_at(rotations, bool(transpose))
            ax.plot(rotations, 100 * curl, label="curl")
            ax.plot(rotations, 100 * (1 - curl), label="divergence", ls="--")
            if transpose == found.centres.transpose:
                ax.axvline(found.centres.rotation, color="C3", lw=1, label="least curl")
        if found.fit is not None and transpose == found.fit.transpose:
            ax.axvline((found.fit.rotation + 90) % 180 - 90, color="black", lw=1, ls=":", label="result, modulo 180")
        ax.set(xlabel="rotation (degrees)", ylabel="share of the field (%)", ylim=(0, 100))
        ax.set_title(AXES[transpose], fontsize=10)
        ax.legend(fontsize=8)
    return figure


def search_figure(searched: EvidenceMap, fit: AberrationFit | None) -> Figure:
    """Evidence against rotation and defocus for both handednesses, and the best of each rotation and each defocus.

    Args:
        searched: the map.
        fit: the result; None where there is none.

    Returns:
        the figure.
    """
    figure, axes = new_figure(4)
    low, high = float(np.quantile(searched.evidence, 0.02)), float(searched.evidence.max())
    for transpose, ax in enumerate(axes[0, :2]):
        _map(ax, searched, transpose, (low, high))
        if fit is not None and fit.transpose == bool(transpose):
            # By 180 degrees more the other defocus shows the same.
            turns = int(np.floor((fit.rotation - _edges(searched.rotations)[0]) / 180))
            ax.plot(
                fit.rotation - 180 * turns, fit.defocus * (-1) ** turns, "+", color="cyan", ms=16, mew=2, clip_on=False
            )
    for ax, places, axis, label in (
        (axes[0, 2], searched.rotations, 1, "rotation (degrees)"),
        (axes[0, 3], searched.defoci, 0, "defocus (Å)"),
    ):
        for transpose in (0, 1):
            ax.plot(places, searched.evidence[transpose].max(axis=axis), label=AXES[transpose])
        ax.set(xlabel=label, ylabel="best evidence (nats)")
        ax.legend(fontsize=8)
    return figure


def _map(ax: Axes, searched: EvidenceMap, transpose: int, limits: tuple[float, float]) -> None:
    image: Float[np.ndarray, "defoci rotations"] = searched.evidence[transpose].T
    extent = (*_edges(searched.rotations), *_edges(searched.defoci))
    ax.imshow(image, origin="lower", aspect="auto", extent=extent, vmin=limits[0], vmax=limits[1], cmap="magma")
    ax.set(xlabel="rotation (degrees)", ylabel="defocus (Å)")
    ax.set_title(AXES[transpose], fontsize=10)


def _edges(values: Float[np.ndarray, "n"]) -> tuple[float, float]:
    """Where the cells begin and end whose middles are evenly spaced values."""
    half = 0.5 * float(values[1] - values[0]) if len(values) > 1 else 0.5
    return float(values[0]) - half, float(values[-1]) + half
