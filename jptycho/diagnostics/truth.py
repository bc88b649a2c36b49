"""A reconstruction against the truth of its simulation."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from jptycho.diagnostics.similarity import Similarity, compare
from jptycho.types import Float


def resample(
    image: Float[np.ndarray, "Y X"],
    sampling: tuple[float, float],
    origin: tuple[float, float],
    rows: Float[np.ndarray, "y"],
    columns: Float[np.ndarray, "x"],
) -> Float[np.ndarray, "y x"]:
    """Read an image at positions in Å, by cubic splines.

    Args:
        image: (Y, X).
        sampling: Å a pixel.
        origin: position in Å of pixel [0, 0].
        rows: positions in Å.
        columns: positions in Å.

    Returns:
        values (y, x).

    Example:
        >>> resample(np.eye(4), (2.0, 2.0), (0.0, 0.0), np.array([2.0]), np.array([2.0])).round(6).tolist()
        [[1.0]]
    """
    y = (rows - origin[0]) / sampling[0]
    x = (columns - origin[1]) / sampling[1]
    return ndimage.map_coordinates(image, np.meshgrid(y, x, indexing="ij"), order=3, mode="nearest")


def compare_with_truth(
    phase: Float[np.ndarray, "slices rows columns"],
    sampling: tuple[float, float],
    origin: tuple[float, float],
    field_of_view: tuple[int, int, int, int],
    truth: tuple[Float[np.ndarray, "Y X"], tuple[float, float], tuple[float, float]],
) -> Similarity:
    """Similarity of the projected phase with the truth, within the field of view.

    Args:
        phase: of each slice in rad, on the reconstruction's canvas.
        sampling: of the canvas, Å a pixel.
        origin: position in Å of the canvas's pixel [0, 0].
        field_of_view: first and last row, first and last column (last excluded).
        truth: its phase, sampling and origin.

    Returns:
        correlation, high-pass correlation, SSIM and bulk share, gauges removed.
    """
    top, bottom, left, right = field_of_view
    rows = np.arange(top, bottom) * sampling[0] + origin[0]
    columns = np.arange(left, right) * sampling[1] + origin[1]
    expected = resample(*truth, rows, columns)
    return compare(np.asarray(phase).sum(axis=0)[top:bottom, left:right], expected, sampling)
