"""A part of the detector, its pixels added up or left out: counts stay whole numbers, nothing is interpolated."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np

from jptycho.data.dataset import Dataset4D, Rows
from jptycho.data.probe_window import probe_on_part
from jptycho.errors import ConfigError
from jptycho.scan import orient, raster_positions
from jptycho.types import Int, Shaped


def use_detector_part(
    dataset: Dataset4D,
    crop: tuple[int, int] | None = None,
    bin_pixels: int = 1,
    bad_pixels: Sequence[tuple[int, int]] = (),
) -> Dataset4D:
    """Leave out bad pixels, keep the middle of the detector, and add up pixels in squares, in this order.

    I'[i, j] = Σ I[b i + m, b j + n] over m, n < b. A square that holds a bad pixel is bad, and the read-out of its b²
    pixels varies b times as much as that of one. Where the disk lies is not changed: its centre is a part of the model.
    A given probe is sampled as the object then is, and so are positions in pixels. Patterns stay unread.

    Args:
        dataset: the scan.
        crop: rows and columns about the zero frequency that stay; None for all.
        bin_pixels: b, pixels along each side of a square.
        bad_pixels: rows and columns of the whole detector, along the (y, x) of the scan's patterns.

    Returns:
        the scan; its reciprocal sampling and read-out noise are those of the squares.

    Raises:
        ConfigError: more than there is, or a part that does not hold the probe that is given.

    Example:
        >>> from jptycho.data.dataset import Calibration, from_arrays
        >>> scan = from_arrays(np.ones((1, 2, 8, 8), np.uint8), Calibration(reciprocal_sampling=(0.1, 0.1)))
        >>> part = use_detector_part(scan, (4, 6), 2)
        >>> part.shape, part.read()[0].tolist(), part.calibration.reciprocal_sampling
        ((1, 2, 2, 3), [[4, 4, 4], [4, 4, 4]], (0.2, 0.2))
    """
    dataset = _without(dataset, bad_pixels) if len(bad_pixels) else dataset
    window = (int(dataset.shape[-2]), int(dataset.shape[-1]))
    kept = window if crop is None else (int(crop[0]), int(crop[1]))
    if kept == window and bin_pixels == 1:
        return dataset
    for name, have, want in zip(("rows", "columns"), window, kept, strict=True):
        if not bin_pixels <= want <= have:
            raise ConfigError(
                f"data.crop: {want} {name}, but the detector has {have} and bin adds {bin_pixels} up. Ask for fewer."
            )
    kept = (kept[0] - kept[0] % bin_pixels, kept[1] - kept[1] % bin_pixels)
    rows, columns = (slice(n // 2 - k // 2, n // 2 - k // 2 + k) for n, k in zip(window, kept, strict=True))

    def read(asked: Rows = slice(None)) -> Shaped[np.ndarray, "n ky kx"]:
        return add_up(dataset.read(asked)[:, rows, columns], bin_pixels)

    mask = None if dataset.mask is None else _least(dataset.mask[rows, columns], bin_pixels)
    dataset = _of_larger_pixels(_with_positions(dataset, kept), bin_pixels)
    return dataclasses.replace(
        dataset,
        shape=(*dataset.shape[:-2], kept[0] // bin_pixels, kept[1] // bin_pixels),
        dtype=_sum_type(np.dtype(dataset.dtype), bin_pixels),
        read=read,
        probe=None if dataset.probe is None else probe_on_part(dataset.probe, kept, bin_pixels),
        mask=mask,
        part=(*stored_pixels(dataset.part, np.array([[rows.start, columns.start]]))[0], dataset.part[2] * bin_pixels),
    )


def stored_pixels(part: tuple[int, int, int], places: Int[np.ndarray, "n 2"]) -> list[tuple[int, int]]:
    """Pixels of the whole detector, as ``bad_pixels`` counts them, that lie in pixels of a part of it.

    Args:
        part: of :class:`~jptycho.data.dataset.Dataset4D`.
        places: row and column of each pixel of the part.

    Returns:
        row and column of each stored pixel.

    Example:
        >>> stored_pixels((3, 5, 2), np.array([[0, 1]]))
        [(3, 7), (3, 8), (4, 7), (4, 8)]
    """
    top, left, side = part
    inside = list(itertools.product(range(side), repeat=2))
    return [(top + side * int(row) + i, left + side * int(column) + j) for row, column in places for i, j in inside]


def _of_larger_pixels(dataset: Dataset4D, bin_pixels: int) -> Dataset4D:
    """The scan with a calibration of squares instead of pixels."""
    calibration = dataset.calibration
    sampling = calibration.reciprocal_sampling
    wider = None if sampling is None else (sampling[0] * bin_pixels, sampling[1] * bin_pixels)
    # Variances of b² independent read-outs add up.
    noise = calibration.read_noise * bin_pixels
    return dataclasses.replace(
        dataset, calibration=dataclasses.replace(calibration, reciprocal_sampling=wider, read_noise=noise)
    )


def _with_positions(dataset: Dataset4D, kept: tuple[int, int]) -> Dataset4D:
    """The scan, its positions in pixels of the object as the part of the detector samples it, if they are in pixels."""
    calibration = dataset.calibration
    if calibration.length_unit != "px":
        return dataset
    points = dataset.positions
    if points is None:
        points = raster_positions((dataset.shape[0], dataset.shape[1]), calibration.step or (1.0, 1.0))
    finer = np.divide(kept, dataset.shape[-2:])
    if finer[0] == finer[1]:
        return dataclasses.replace(dataset, positions=points * finer)
    # Pixels change by another factor along rows than along columns, so positions are turned to those first.
    points = orient(points, calibration.rotation, calibration.transpose) * finer
    turned = dataclasses.replace(calibration, rotation=0.0, transpose=False)
    return dataclasses.replace(dataset, positions=points, calibration=turned)


def add_up(patterns: Shaped[np.ndarray, "n ky kx"], bin_pixels: int) -> Shaped[np.ndarray, "n y x"]:
    """Sums over squares of pixels; whole numbers stay whole numbers.

    Args:
        patterns: whose sides are multiples of a square's.
        bin_pixels: pixels along its side.

    Returns:
        the sums.

    Example:
        >>> add_up(np.array([[[200, 100], [0, 1]]], np.uint8), 2).tolist()
        [[[301]]]
    """
    count, rows, columns = patterns.shape
    squares = patterns.reshape(count, rows // bin_pixels, bin_pixels, columns // bin_pixels, bin_pixels)
    return squares.sum(axis=(2, 4), dtype=_sum_type(patterns.dtype, bin_pixels))


def _sum_type(stored: np.dtype, bin_pixels: int) -> np.dtype:
    """A type that holds the sum of a square."""
    if bin_pixels == 1 or stored.kind == "f":
        return stored
    return np.result_type(stored, np.uint32 if stored.kind == "u" else np.int64)


def _without(dataset: Dataset4D, bad: Sequence[tuple[int, int]]) -> Dataset4D:
    """The scan with a mask that is zero for bad pixels too."""
    mask = np.ones(dataset.shape[-2:]) if dataset.mask is None else np.array(dataset.mask, float)
    for row, column in bad:
        if not (0 <= row < mask.shape[0] and 0 <= column < mask.shape[1]):
            raise ConfigError(
                f"data.bad_pixels: [{row}, {column}] is no pixel of a detector of {mask.shape[0]} x {mask.shape[1]}. "
                "Count rows and columns from 0, in the (y, x) that data.axes makes of the file."
            )
        mask[row, column] = 0.0
    return dataclasses.replace(dataset, mask=mask)


def _least(mask: np.ndarray, bin_pixels: int) -> np.ndarray:
    rows, columns = (n // bin_pixels for n in mask.shape)
    return mask.reshape(rows, bin_pixels, columns, bin_pixels).min(axis=(1, 3))
