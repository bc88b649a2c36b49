"""Numbers of files, in the units of this library; None where a unit is not known."""

from __future__ import annotations

import math
import re

LENGTHS = {"a": 1.0, "angstrom": 1.0, "ang": 1.0, "nm": 10.0, "um": 1e4, "mm": 1e7, "m": 1e10, "pm": 0.01}
ANGLES = {"mrad": 1.0, "rad": 1e3, "urad": 1e-3, "deg": 1e3 * math.pi / 180}


def in_angstrom(value: float, unit: str) -> float | None:
    """A length.

    Args:
        value: of it.
        unit: as the file writes it.

    Returns:
        Å, or None.

    Example:
        >>> in_angstrom(0.3, "[n_m]"), in_angstrom(1.0, "pixels")
        (3.0, None)
    """
    return _scaled(value, LENGTHS.get(_plain(unit)))


def in_inverse_angstrom(value: float, unit: str) -> float | None:
    """A spatial frequency.

    Args:
        value: of it.
        unit: as the file writes it.

    Returns:
        Å⁻¹, or None.

    Example:
        >>> in_inverse_angstrom(0.5, "1/nm"), in_inverse_angstrom(0.5, "A^-1"), in_inverse_angstrom(0.5, "nm")
        (0.05, 0.5, None)
    """
    plain = _plain(unit)
    if plain.startswith("1/"):
        base = plain[2:]
    elif plain.endswith("^-1"):
        base = plain[:-3]
    else:
        return None
    length = LENGTHS.get(base)
    return _scaled(value, None if length is None else 1 / length)


def in_mrad(value: float, unit: str) -> float | None:
    """An angle.

    Args:
        value: of it.
        unit: as the file writes it.

    Returns:
        mrad, or None.

    Example:
        >>> in_mrad(0.002, "rad")
        2.0
    """
    return _scaled(value, ANGLES.get(_plain(unit)))


def _plain(unit: str) -> str:
    """A unit in small ASCII letters: ``[n_m^-1]``, ``nm⁻¹``, ``1 / nm`` and ``nm**-1`` are one."""
    text = re.sub(r"[\s\[\]_$()]", "", str(unit)).replace("⁻¹", "^-1").replace("**", "^")
    return text.replace("\u212b", "A").replace("Å", "A").replace("µ", "u").replace("μ", "u").lower()


def _scaled(value: float, factor: float | None) -> float | None:
    number = float(value)
    if factor is None or not math.isfinite(number) or number <= 0:
        return None
    return number * factor
