"""A reconstruction against the truth of its simulation."""

from __future__ import annotations

import numpy as np

from jptycho.diagnostics.gauge import same_gauge
from jptycho.diagnostics.similarity import Similarity, compare
from jptycho.types import Float

Truth = tuple[Float[np.ndarray, "Y X"], tuple[float, float], tuple[float, float]]
"""Phase, sampling and origin."""


def resample(
    image: Float[np.ndarray, "Y X"],
    sampling: tuple[float, float],
    origin: tuple[float, float],
    rows: Float[np.ndarray, "y"],
    columns: Float[np.ndarray, "x"],
) -> Float[np.ndarray, "y x"]:
    """Read a periodic image at positions in Å, by its Fourier series: Σ_k F(k) exp(2πi k·r).

    Nothing below the Nyquist frequency of either grid is weakened, whatever the offset between them; what the wanted
    positions are too coarse to hold is left out. Splines would cost an image with structure up to Nyquist a tenth of
    its fine power, and so favour smooth reconstructions of it.

    Args:
        image: a whole period (Y, X), as the potential of a simulation's cell is.
        sampling: Å a pixel.
        origin: position in Å of pixel [0, 0].
        rows: positions in Å, evenly spaced.
        columns: positions in Å, evenly spaced.

    Returns:
        values (y, x).

    Example:
        >>> resample(np.eye(4), (2.0, 2.0), (0.0, 0.0), np.array([2.0]), np.array([2.0])).round(6).tolist()
        [[1.0]]
    """
    return _read(np.fft.fft2(image, norm="forward"), sampling, origin, rows, columns)


def _read(
    spectrum: np.ndarray,
    sampling: tuple[float, float],
    origin: tuple[float, float],
    rows: Float[np.ndarray, "y"],
    columns: Float[np.ndarray, "x"],
) -> Float[np.ndarray, "y x"]:
    axes = zip(spectrum.shape, sampling, origin, (rows, columns), strict=True)
    along_y, along_x = (_waves(count, step, places - start) for count, step, start, places in axes)
    return np.real(along_y @ spectrum @ along_x.T)


def _waves(count: int, step: float, places: Float[np.ndarray, "n"]) -> np.ndarray:
    """exp(2πi k r) of the frequencies of one axis (n, count); at its Nyquist frequency their mean, a cosine."""
    k = np.fft.fftfreq(count, step)
    waves = np.exp(2j * np.pi * np.outer(places, k))
    if count % 2 == 0:
        waves[:, count // 2] = np.real(waves[:, count // 2])
    if len(places) > 1:
        waves[:, np.abs(k) > 0.5 / abs(places[1] - places[0]) + 1e-9 / step] = 0.0
    return waves


def align_with_truth(
    phase: Float[np.ndarray, "slices rows columns"],
    sampling: tuple[float, float],
    origin: tuple[float, float],
    field_of_view: tuple[int, int, int, int],
    truth: Truth,
) -> tuple[Float[np.ndarray, "y x"], Float[np.ndarray, "y x"]]:
    """The projected phase and the truth, both on the same pixels of the field of view and in the same gauge.

    Args:
        phase: of each slice in rad, on the reconstruction's canvas.
        sampling: of the canvas, Å a pixel.
        origin: position in Å of the canvas's pixel [0, 0].
        field_of_view: first and last row, first and last column (last excluded).
        truth: its phase over a whole period, sampling and origin.

    Returns:
        the image, a plane added, and the truth, moved once from its original.
    """
    top, bottom, left, right = field_of_view
    rows = np.arange(top, bottom) * sampling[0] + origin[0]
    columns = np.arange(left, right) * sampling[1] + origin[1]
    spectrum = np.fft.fft2(truth[0], norm="forward")

    def expected(shift: Float[np.ndarray, "2"]) -> Float[np.ndarray, "y x"]:
        return _read(spectrum, *truth[1:], rows - shift[0] * sampling[0], columns - shift[1] * sampling[1])

    image = np.asarray(phase, np.float64).sum(axis=0)[top:bottom, left:right]
    return same_gauge(image, expected)[:2]


def compare_with_truth(
    phase: Float[np.ndarray, "slices rows columns"],
    sampling: tuple[float, float],
    origin: tuple[float, float],
    field_of_view: tuple[int, int, int, int],
    truth: Truth,
) -> Similarity:
    """Similarity of the projected phase with the truth, within the field of view.

    Args:
        phase: of each slice in rad, on the reconstruction's canvas.
        sampling: of the canvas, Å a pixel.
        origin: position in Å of the canvas's pixel [0, 0].
        field_of_view: first and last row, first and last column (last excluded).
        truth: its phase over a whole period, sampling and origin.

    Returns:
        correlation, high-pass correlation, SSIM and bulk share, gauges removed.
    """
    return compare(*align_with_truth(phase, sampling, origin, field_of_view, truth), sampling)
