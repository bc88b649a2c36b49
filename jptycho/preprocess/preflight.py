"""Checks of a scan's geometry before a pattern is read: what cannot be is refused, what is improbable is said.

A cone of semiangle α from a defocus Δf is 2 |Δf| α wide. The probe's window is 1 / Δk wide, the inverse of a detector
pixel: what is wider wraps around. A disk of α / λ must hold a detector pixel, or its edge lies between two of them.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from jptycho.data.dataset import Calibration, Dataset4D, sampling_of, wavelength_of
from jptycho.errors import ConfigError
from jptycho.preprocess.calibrate import probe_diameter, typical_step
from jptycho.preprocess.memory import check_memory
from jptycho.scan import orient, place_on_canvas
from jptycho.types import Float

LEAST_RADIUS = 0.5  # detector pixels of the bright disk
MOST_WINDOWS = 2.0  # that the defocused cone may span: above, each pixel of the window holds several of its own
POOR_OVERLAP = 0.5  # of the probe's width between neighbours
DENSE = 40.0  # positions on the probe's width, above which the step was probably meant in nm
WIDE_SCAN = 16  # positions along both axes, above which a scan is wider than its probe


@dataclasses.dataclass(frozen=True)
class Geometry:
    """Lengths of a scan that its calibration gives, in Å unless stated otherwise.

    Attributes:
        wavelength: of the electrons.
        sampling: of an object pixel along (y, x).
        window: that the probe has, along (y, x).
        probe_diameter: of the illuminated disk.
        step: between neighbouring positions, the larger of both axes.
        overlap: of neighbouring probes, of their width; negative where there is a gap.
        visits: probes that illuminate a place.
        field_of_view: that the positions span, along slow and fast axis.
        canvas: object pixels along (y, x).
        disk_radius: of the bright disk along (y, x), detector pixels.
        reach: of the detector's nearer edge, semiangles.
    """

    wavelength: float
    sampling: tuple[float, float]
    window: tuple[float, float]
    probe_diameter: float
    step: float
    overlap: float
    visits: float
    field_of_view: tuple[float, float]
    canvas: tuple[int, int]
    disk_radius: tuple[float, float]
    reach: float


def missing_keys(dataset: Dataset4D) -> tuple[str, ...]:
    """What of a calibration is not known and a run needs.

    Args:
        dataset: the scan.

    Returns:
        keys of ``[data]``.

    Example:
        >>> from jptycho.data.dataset import from_arrays
        >>> missing_keys(from_arrays(np.ones((2, 3, 8, 8)), Calibration(energy=3e5, step=(1.0, 1.0))))
        ('semiangle_cutoff', 'reciprocal_sampling')
    """
    if dataset.calibration.length_unit == "px":
        return () if dataset.probe is not None else ("probe",)
    needed = ["energy", "semiangle_cutoff", "reciprocal_sampling", *(["step"] if dataset.positions is None else [])]
    absent = [name for name in needed if getattr(dataset.calibration, name) is None]
    listed = dataset.positions is None and len(dataset.shape) != 4
    return (*absent, *(["scan_shape"] if listed else []))


def geometry_of(dataset: Dataset4D) -> Geometry | None:
    """Lengths of a scan.

    Args:
        dataset: the scan.

    Returns:
        the lengths; None where the calibration does not say enough, or lengths are known in pixels only.
    """
    calibration = dataset.calibration
    if calibration.length_unit == "px" or missing_keys(dataset):
        return None
    sampling, wavelength, diameter = sampling_of(dataset), wavelength_of(calibration), probe_diameter(calibration)
    pixel = calibration.reciprocal_sampling or (1.0, 1.0)
    radius = float(calibration.semiangle_cutoff or 0) * 1e-3 / wavelength
    positions = _corners(dataset)
    spans = np.ptp(positions, axis=0)
    window = (int(dataset.shape[-2]), int(dataset.shape[-1]))
    _, canvas = place_on_canvas(orient(positions, calibration.rotation, calibration.transpose), sampling, window)
    step = typical_step(dataset)
    area = max(float(np.prod(spans + step)), 1e-30) / math.prod(dataset.shape[:-2])
    return Geometry(
        wavelength=wavelength,
        sampling=sampling,
        window=(1 / pixel[0], 1 / pixel[1]),
        probe_diameter=diameter,
        step=step,
        overlap=1 - step / diameter,
        visits=0.25 * math.pi * diameter**2 / area,
        field_of_view=(float(spans[0]), float(spans[1])),
        canvas=canvas,
        disk_radius=(radius / pixel[0], radius / pixel[1]),
        reach=0.5 / max(sampling) / radius,
    )


def check_before(dataset: Dataset4D, in_memory: bool = True) -> None:
    """Refuse a geometry that cannot be, before a pattern is read; the calibration itself was checked before.

    Args:
        dataset: the scan.
        in_memory: whether all patterns will be held at once.

    Raises:
        ConfigError: what cannot be, and what was probably meant.
    """
    if in_memory:
        check_memory(dataset)
    geometry = geometry_of(dataset)
    if geometry is not None:
        _check_radius(dataset.calibration, geometry)
        _check_window(dataset.calibration, geometry)


def _check_radius(calibration: Calibration, geometry: Geometry) -> None:
    """A disk of less than a pixel: most often an angle in radians."""
    if min(geometry.disk_radius) >= LEAST_RADIUS:
        return
    angle = float(calibration.semiangle_cutoff or 0)
    instead = geometry.reach > 1e3
    hint = f"Did you mean {1e3 * angle:g}? It is in mrad." if instead else "Check reciprocal_sampling (Å⁻¹ a pixel)."
    raise ConfigError(
        f"data.semiangle_cutoff: {angle:g} mrad is a disk of {min(geometry.disk_radius):.2g} detector pixels in "
        f"radius; expected at least {LEAST_RADIUS:g}. {hint}"
    )


def _check_window(calibration: Calibration, geometry: Geometry) -> None:
    """A cone that spans several windows: most often a defocus or a detector pixel of another unit."""
    cone = _cone(calibration)
    if cone <= MOST_WINDOWS * min(geometry.window):
        return
    raise ConfigError(
        f"data.defocus: {calibration.defocus:g} Å makes a probe {cone:.3g} Å wide, but its window, the inverse of a "
        f"detector pixel, is only {min(geometry.window):.3g} Å, so that it wraps around. {_hint(calibration, geometry)}"
    )


def _cone(calibration: Calibration) -> float:
    return 2 * abs(calibration.defocus) * float(calibration.semiangle_cutoff or 0) * 1e-3


def _hint(calibration: Calibration, geometry: Geometry) -> str:
    """What probably was meant where the probe is wider than its window."""
    fits = 0.1 * _cone(calibration) + (geometry.probe_diameter - _cone(calibration)) < min(geometry.window)
    tenth = f" (is it {0.1 * calibration.defocus:g}?)" if fits else ""
    return f"Check defocus (Å{tenth}), semiangle_cutoff (mrad) and reciprocal_sampling (Å⁻¹ a pixel; is it in nm⁻¹?)."


def improbable(dataset: Dataset4D) -> tuple[str, ...]:
    """What a calibration says that can be, but rarely is.

    Args:
        dataset: the scan, its calibration checked.

    Returns:
        sentences that name the likely cause; none where all is usual.
    """
    geometry = geometry_of(dataset)
    if geometry is None or dataset.calibration.aberrations:
        return ()  # other aberrations widen the probe by what is not known here
    found = [_wraps(dataset.calibration, geometry), _apart(geometry), _dense(dataset, geometry)]
    return tuple(sentence for sentence in found if sentence)


def _wraps(calibration: Calibration, geometry: Geometry) -> str:
    if _cone(calibration) <= min(geometry.window):
        return ""
    return (
        f"the probe is {geometry.probe_diameter:.3g} Å wide and its window only {min(geometry.window):.3g} Å, so that "
        f"it wraps around: use finer detector pixels or less defocus. {_hint(calibration, geometry)}"
    )


def _apart(geometry: Geometry) -> str:
    if geometry.overlap >= POOR_OVERLAP:
        return ""
    return (
        f"neighbouring probes share only {geometry.overlap:.0%} of their width of {geometry.probe_diameter:.3g} Å at a "
        f"step of {geometry.step:.3g} Å; expected 60 % and more. Check step, defocus and semiangle_cutoff."
    )


def _dense(dataset: Dataset4D, geometry: Geometry) -> str:
    """A step in nm: positions are ten times too close, and the scan may span less than the probe is wide."""
    sides = dataset.shape[:-2] if dataset.positions is None else (math.isqrt(len(dataset.positions)),)
    small = min(sides) >= WIDE_SCAN and max(geometry.field_of_view) < 0.5 * geometry.probe_diameter
    name = "step" if dataset.positions is None else "positions"
    if not small and not 0 < geometry.step * DENSE < geometry.probe_diameter:
        return ""
    return (
        f"the scan spans {geometry.field_of_view[0]:.3g} x {geometry.field_of_view[1]:.3g} Å in steps of "
        f"{geometry.step:.3g} Å with a probe of {geometry.probe_diameter:.3g} Å: is data.{name} in nm instead of Å, "
        "or the defocus too large?"
    )


def _corners(dataset: Dataset4D) -> Float[np.ndarray, "some 2"]:
    """Positions that span the scan along slow and fast axis: of a raster its corners are enough."""
    if dataset.positions is not None:
        return dataset.positions
    steps = zip(dataset.shape[:2], dataset.calibration.step or (1.0, 1.0), strict=True)
    slow, fast = ((count - 1) * step for count, step in steps)
    return np.array([[0.0, 0.0], [0.0, fast], [slow, 0.0], [slow, fast]])
