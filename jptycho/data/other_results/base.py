"""What a reconstruction of another package is turned into.

Every package multiplies the probe with ``amplitude * exp(i phase)``, transforms by ``exp(-2πi k r)`` and propagates by
``exp(-iπλΔz k²)``, as this one does. They differ in the order of axes, in where the probe's centre lies in its array,
in what a position counts from, and in units.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from jptycho.data.readers.base import EVERYTHING, StoredArray
from jptycho.types import Complex, Float, Shaped

LEAST_AMPLITUDE = 1e-6
"""Below, an object's amplitude is taken for this: absorption is its logarithm."""


@dataclasses.dataclass(frozen=True)
class OtherResult:
    """A reconstruction of another package.

    Attributes:
        package: that made it.
        phase: of the object (slices, Y, X) in rad, the entrance first.
        absorption: likewise, never negative.
        probe: modes (modes, y, x), the strongest first, centre at [y // 2, x // 2], in any unit.
        centres: pixels of the object, (scan, 2) along (y, x), on which the probe's centre falls; None where the file
            has none.
        sampling: Å a pixel along (y, x); None where the file does not say.
        thickness: Å between slices; None likewise, and for one slice.
        wavelength: in the unit of the sampling; None where the file does not say.
    """

    package: str
    phase: Float[np.ndarray, "slices Y X"]
    absorption: Float[np.ndarray, "slices Y X"]
    probe: Complex[np.ndarray, "modes y x"]
    centres: Float[np.ndarray, "scan 2"] | None
    sampling: tuple[float, float] | None
    thickness: float | None = None
    wavelength: float | None = None


def make_other(
    package: str,
    transmission: Shaped[np.ndarray, "slices Y X"],
    probe: Shaped[np.ndarray, "modes y x"],
    centres: Shaped[np.ndarray, "scan 2"] | None,
    sampling: tuple[float, float] | None,
    thickness: float | None = None,
) -> OtherResult:
    """A reconstruction whose object is complex, or real where it is a phase.

    Args:
        package: that made it.
        transmission: of the object; its phase in rad where it is real.
        probe: modes, centred.
        centres: of the probe on the object in pixels, or None.
        sampling: Å a pixel, or None.
        thickness: Å between slices, or None.

    Returns:
        it.

    Raises:
        ValueError: an array that is not what it should be; named by whoever opened the file.

    Example:
        >>> one = make_other("x", np.full((1, 2, 2), 0.5j), np.ones((2, 4, 4), complex), None, None)
        >>> round(one.phase.ravel()[0].item(), 3), round(one.absorption.ravel()[0].item(), 3)
        (0.0, 0.693)
    """
    if transmission.dtype.kind == "c":
        _check("object", transmission, "c")
        total = transmission.sum(axis=(1, 2), keepdims=True)
        # A constant phase means nothing, but would put the phase's turn by 2π amid the object.
        phase = np.angle(transmission * np.exp(-1j * np.angle(total)))
        absorption = -np.log(np.maximum(np.abs(transmission), LEAST_AMPLITUDE))
    else:
        _check("object", transmission, "fiu")
        phase, absorption = transmission.astype(float), np.zeros(transmission.shape)
    return check_other(OtherResult(package, phase, absorption, probe, centres, sampling, thickness))


def check_other(found: OtherResult) -> OtherResult:
    """A reconstruction in single precision, its modes by their strength; refused where it is none.

    Args:
        found: as the file has it.

    Returns:
        the same.

    Raises:
        ValueError: what is not as it should be.
    """
    _check("object", found.phase, "f")
    _check("probe", found.probe, "c")
    if not (np.abs(found.probe) > 0).any():
        raise ValueError("its probe is zero")
    centres = found.centres
    if centres is not None and (centres.ndim != 2 or centres.shape[1] != 2 or not np.isfinite(centres).all()):
        raise ValueError(f"its positions have shape {centres.shape}; expected finite numbers (scan, 2)")
    numbers = [*(found.sampling or ()), *(n for n in (found.thickness, found.wavelength) if n is not None)]
    if not all(math.isfinite(number) and number > 0 for number in numbers):
        raise ValueError(f"its lengths are {numbers}; expected positive numbers")
    power = (np.abs(found.probe) ** 2).sum(axis=(1, 2))
    return dataclasses.replace(
        found,
        phase=found.phase.astype(np.float32),
        absorption=np.maximum(found.absorption, 0.0).astype(np.float32),
        probe=found.probe[np.argsort(-power, kind="stable")].astype(np.complex64),
    )


def _check(name: str, array: np.ndarray, kinds: str) -> None:
    if array.ndim != 3 or min(array.shape) < 1 or array.dtype.kind not in kinds:
        raise ValueError(f"its {name} has shape {array.shape} and type {array.dtype}; expected three axes")
    if not np.isfinite(array).all():
        raise ValueError(f"its {name} holds values that are not finite")


def whole(array: StoredArray | None, name: str) -> np.ndarray:
    """All of an array of a file.

    Args:
        array: that was found, or None.
        name: of it, for the message.

    Returns:
        its values.

    Raises:
        ValueError: it is missing, or was not written as a whole.
    """
    if array is None:
        raise ValueError(f"it holds no {name}")
    if array.complete is not None:
        raise ValueError(f"{name} is not there as a whole")
    return np.asarray(array.get(EVERYTHING))


def number_of(value: np.ndarray | None) -> float | None:
    """The first value of an array.

    Args:
        value: of any shape, or None.

    Returns:
        a finite positive number, else None.

    Example:
        >>> number_of(np.array([[2.0, np.inf]])), number_of(np.array([0.0]))
        (2.0, None)
    """
    if value is None or value.size == 0 or value.dtype.kind not in "iuf":
        return None
    first = float(value.ravel()[0])
    return first if math.isfinite(first) and first > 0 else None


def pair_of(value: np.ndarray | None) -> tuple[float, float] | None:
    """Two numbers, or one for both axes.

    Args:
        value: of one or two values, or None.

    Returns:
        the pair; None where there is none.

    Example:
        >>> pair_of(np.array(0.3)), pair_of(np.array([0.3, 0.4])), pair_of(np.ones(3))
        ((0.3, 0.3), (0.3, 0.4), None)
    """
    if value is None or value.size not in (1, 2) or value.dtype.kind not in "iuf":
        return None
    first, last = (float(value.ravel()[place]) for place in (0, -1))
    return first, last
