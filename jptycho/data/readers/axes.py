"""What the axes of an array say of step and detector, in formats that describe every axis."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np

from jptycho.data.readers.units import in_angstrom, in_inverse_angstrom, in_mrad

Pair = tuple[float, float]


@dataclasses.dataclass(frozen=True)
class Axis:
    """Distance of two neighbours along an axis.

    Attributes:
        spacing: between them; None if it is not stated.
        unit: of the spacing, as the file writes it.
    """

    spacing: float | None = None
    unit: str = ""


@dataclasses.dataclass(frozen=True)
class Spacings:
    """What axes say; None for what they do not.

    Attributes:
        step: Å along the slow and the fast axis.
        reciprocal: Å⁻¹ a detector pixel along (y, x).
        angular: mrad a detector pixel along (y, x).
    """

    step: Pair | None = None
    reciprocal: Pair | None = None
    angular: Pair | None = None


def spacings_of(axes: Sequence[Axis]) -> Spacings:
    """Step and detector sampling of an array (..., y, x).

    Args:
        axes: of the array.

    Returns:
        what they state in a unit that is known.

    Example:
        >>> spacings_of([Axis(0.3, "nm"), Axis(0.2, "nm"), Axis(1.0, "mrad"), Axis(1.5, "mrad")])
        Spacings(step=(3.0, 2.0), reciprocal=None, angular=(1.0, 1.5))
    """
    detector = axes[-2:]
    return Spacings(
        _pair(axes[:2], in_angstrom) if len(axes) == 4 else None,
        _pair(detector, in_inverse_angstrom),
        _pair(detector, in_mrad),
    )


def _pair(axes: Sequence[Axis], convert: Callable[[float, str], float | None]) -> Pair | None:
    values = [None if axis.spacing is None else convert(abs(axis.spacing), axis.unit) for axis in axes]
    if len(values) != 2 or values[0] is None or values[1] is None:
        return None
    return values[0], values[1]


def axis_of(coordinates: np.ndarray, unit: str) -> Axis:
    """An axis whose coordinates are listed: all of them, or the first two.

    Args:
        coordinates: along the axis.
        unit: of them.

    Returns:
        the axis; without a spacing where they are not evenly spaced numbers.

    Example:
        >>> axis_of(np.array([0.0, 0.5, 1.0]), "nm"), axis_of(np.array([0.0, 0.5, 3.0]), "nm").spacing
        (Axis(spacing=0.5, unit='nm'), None)
    """
    if coordinates.ndim != 1 or len(coordinates) < 2 or coordinates.dtype.kind not in "uif":
        return Axis(None, unit)
    steps = np.diff(coordinates.astype(float))
    mean = float(steps.mean())
    if not math.isfinite(mean) or not np.allclose(steps, mean, rtol=1e-3, atol=0):
        return Axis(None, unit)
    return Axis(mean, unit)
