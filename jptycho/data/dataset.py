"""A 4D-STEM scan: calibration in memory, patterns where they are until they are asked for."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from jptycho.errors import ConfigError
from jptycho.optics import electron
from jptycho.types import Float, Shaped

Rows = slice | Sequence[int] | np.ndarray
"""Numbers of patterns, counted along the fast axis first."""


@dataclasses.dataclass(frozen=True)
class Calibration:
    """How a scan was recorded; None is unknown.

    Attributes:
        energy: eV.
        semiangle_cutoff: mrad.
        defocus: Å at the middle of the object, positive for underfocus.
        aberrations: pairs of name and value, ``C_nm`` in Å and ``phi_nm`` in rad, besides the defocus.
        step: Å along the slow and the fast axis.
        reciprocal_sampling: Å⁻¹ a detector pixel along (y, x).
        rotation: degrees, see :func:`jptycho.scan.raster_positions`.
        transpose: whether detector rows run along the fast axis.
        counts_per_electron: what one electron leaves on the detector.
        read_noise: standard deviation of a pixel's read-out in electrons; 0 for a counting detector.
        length_unit: ``"A"``, or ``"px"`` where only pixels are known.
    """

    energy: float | None = None
    semiangle_cutoff: float | None = None
    defocus: float = 0.0
    aberrations: tuple[tuple[str, float], ...] = ()
    step: tuple[float, float] | None = None
    reciprocal_sampling: tuple[float, float] | None = None
    rotation: float = 0.0
    transpose: bool = False
    counts_per_electron: float | None = None
    read_noise: float = 0.0
    length_unit: str = "A"


@dataclasses.dataclass(frozen=True)
class Truth:
    """What a simulated scan should give.

    Attributes:
        phase: projected phase (Y, X) in rad.
        sampling: Å a pixel along (y, x).
        origin: position in Å of pixel [0, 0].
    """

    phase: Float[np.ndarray, "Y X"]
    sampling: tuple[float, float]
    origin: tuple[float, float]


@dataclasses.dataclass(frozen=True)
class Dataset4D:
    """A scan whose patterns are read when they are asked for.

    Attributes:
        shape: of the patterns (..., ky, kx); one or two scan axes lead.
        dtype: of the stored counts.
        read: gives the patterns of the rows that are asked for, or all of them, as (n, ky, kx), zero frequency in the
            centre: ``read()``, ``read(slice(10, 20))``, ``read([3, 5])``. No other pattern is read.
        calibration: of the microscope.
        positions: along slow and fast axis (scan, 2) in Å or pixels, to which the calibration's rotation and transpose
            are applied; None for a raster of steps.
        probe: amplitude to start from (modes, y, x), centred; or None.
        truth: of a simulated scan, or None.
        source: words that say where it came from.
        mask: weight of each detector pixel (ky, kx), zero frequency in the centre, zero for a dead one; None for all 1.
        part: of the stored detector: its first row and column, and the side of the squares that are added up.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    read: Callable[..., Shaped[np.ndarray, "n ky kx"]]
    calibration: Calibration
    positions: Float[np.ndarray, "scan 2"] | None = None
    probe: np.ndarray | None = None
    truth: Truth | None = None
    source: str = "memory"
    mask: np.ndarray | None = None
    part: tuple[int, int, int] = (0, 0, 1)


def from_arrays(
    counts: Shaped[np.ndarray, "... ky kx"],
    calibration: Calibration,
    positions: Float[np.ndarray, "scan 2"] | None = None,
    probe: np.ndarray | None = None,
    truth: Truth | None = None,
    mask: np.ndarray | None = None,
) -> Dataset4D:
    """A scan that is already in memory.

    Args:
        counts: (slow, fast, ky, kx) or (scan, ky, kx), zero frequency in the centre.
        calibration: of the microscope.
        positions: (scan, 2) in Å, instead of a raster.
        probe: amplitude to start from, centred.
        truth: of a simulation.
        mask: of the detector, zero for a dead pixel, zero frequency in the centre.

    Returns:
        the scan.

    Raises:
        ConfigError: positions or a probe that do not fit the patterns.

    Example:
        >>> scan = from_arrays(np.ones((2, 3, 8, 8), np.uint8), Calibration(energy=3e5, step=(1.0, 1.0)))
        >>> scan.read().shape, scan.read(slice(2, 4)).shape
        ((6, 8, 8), (2, 8, 8))
    """
    patterns = counts.reshape(-1, *counts.shape[-2:])
    dataset = Dataset4D(
        counts.shape,
        counts.dtype,
        lambda rows=slice(None): patterns[rows],
        calibration,
        positions,
        probe[None] if probe is not None and probe.ndim == 2 else probe,
        truth,
        mask=mask,
    )
    check_arrays(dataset)
    return dataset


def check_arrays(dataset: Dataset4D) -> None:
    """Refuse positions or a probe that do not fit the patterns.

    Args:
        dataset: the scan.

    Raises:
        ConfigError: their number, shape or values; a mask that does not fit.
    """
    count, window = int(np.prod(dataset.shape[:-2])), dataset.shape[-2:]
    if min(dataset.shape) < 1:
        raise ConfigError(f"counts: have shape {dataset.shape}; expected at least one pattern of one pixel.")
    positions, probe, mask = dataset.positions, dataset.probe, dataset.mask
    if mask is not None and (mask.shape != window or not ((mask >= 0) & (mask <= 1)).all() or mask.max() == 0):
        raise ConfigError(
            f"data.mask: has shape {mask.shape} and values from {mask.min():g} to {mask.max():g}; expected {window}, "
            "1 for a good pixel and 0 for a dead one. Name another array."
        )
    if positions is not None and (positions.shape != (count, 2) or not np.isfinite(positions).all()):
        raise ConfigError(
            f"data.positions: {len(positions)} positions for {count} patterns; expected ({count}, 2) finite numbers. "
            "Name the array that fits."
        )
    if probe is not None and (probe.ndim != 3 or probe.shape[1:] != window):
        raise ConfigError(f"data.probe: has shape {probe.shape}; expected (modes, {window[0]}, {window[1]}).")


def wavelength_of(calibration: Calibration) -> float:
    """Wavelength in Å; 1 where only pixels are known.

    Args:
        calibration: of the scan.

    Returns:
        λ.

    Example:
        >>> round(wavelength_of(Calibration(energy=80e3)), 5)
        0.04176
    """
    return 1.0 if calibration.energy is None else electron.wavelength(calibration.energy)


def sampling_of(dataset: Dataset4D) -> tuple[float, float]:
    """Size of an object pixel: the inverse of the detector's full extent.

    Args:
        dataset: the scan.

    Returns:
        Å along (y, x); 1 where only pixels are known.

    Raises:
        ConfigError: the detector's sampling is unknown.

    Example:
        >>> scan = from_arrays(np.ones((1, 64, 64)), Calibration(reciprocal_sampling=(0.05, 0.05)))
        >>> sampling_of(scan)
        (0.3125, 0.3125)
    """
    if dataset.calibration.length_unit == "px":
        return 1.0, 1.0
    reciprocal = dataset.calibration.reciprocal_sampling
    if reciprocal is None:
        raise ConfigError("data.reciprocal_sampling: missing; expected Å⁻¹ a detector pixel. Add it to [data].")
    return 1 / (reciprocal[0] * dataset.shape[-2]), 1 / (reciprocal[1] * dataset.shape[-1])
