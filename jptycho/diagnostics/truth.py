"""A reconstruction against the truth of its simulation."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from jptycho.diagnostics.gauge import same_gauge
from jptycho.diagnostics.similarity import Similarity, compare
from jptycho.types import Float, Int

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
    return _reader(np.fft.fft2(image, norm="forward"), sampling, origin, rows, columns)(np.zeros(2))


def _reader(
    spectrum: np.ndarray,
    sampling: tuple[float, float],
    origin: tuple[float, float],
    rows: Float[np.ndarray, "y"],
    columns: Float[np.ndarray, "x"],
) -> Callable[[Float[np.ndarray, "2"]], Float[np.ndarray, "y x"]]:
    """A Fourier series at positions in Å, as a function of how far in Å it was moved before."""
    axes = zip(spectrum.shape, sampling, origin, (rows, columns), strict=True)
    (held_y, along_y), (held_x, along_x) = (_waves(count, step, places - start) for count, step, start, places in axes)
    held = spectrum[np.ix_(held_y, held_x)]

    def read(shift: Float[np.ndarray, "2"]) -> Float[np.ndarray, "y x"]:
        left, right = along_y(shift[0]) @ held, along_x(shift[1])
        return np.real(left) @ np.real(right).T - np.imag(left) @ np.imag(right).T

    return read


def _waves(
    count: int, step: float, places: Float[np.ndarray, "n"]
) -> tuple[Int[np.ndarray, "held"], Callable[[float], np.ndarray]]:
    """Which frequencies of one axis the places can hold, and exp(2πi k (r - shift)) of them (n, held).

    At the axis's Nyquist frequency it is the mean of both signs, a cosine.
    """
    k = np.fft.fftfreq(count, step)
    fits = np.abs(k) <= 0.5 / abs(places[1] - places[0]) + 1e-9 / step if len(places) > 1 else np.full(count, True)
    held = np.flatnonzero(fits)
    still = np.exp(2j * np.pi * np.outer(places, k[held]))

    def waves(shift: float) -> np.ndarray:
        found = still * np.exp(-2j * np.pi * shift * k[held])
        found[:, 2 * held == count] = np.real(found[:, 2 * held == count])
        return found

    return held, waves


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
    read = _reader(np.fft.fft2(truth[0], norm="forward"), *truth[1:], rows, columns)
    image = np.asarray(phase, np.float64).sum(axis=0)[top:bottom, left:right]
    return same_gauge(image, lambda shift: read(shift * np.asarray(sampling)))[:2]


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
