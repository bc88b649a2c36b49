"""Relativistic electron optics: wavelength and interaction parameter (constants: CODATA 2018)."""

from __future__ import annotations

import math

PLANCK = 6.62607015e-34  # J s
ELECTRON_MASS = 9.1093837015e-31  # kg
ELEMENTARY_CHARGE = 1.602176634e-19  # C
LIGHT_SPEED = 299792458.0  # m/s


def wavelength(energy: float) -> float:
    """Relativistic wavelength λ = h / √(2 m e U (1 + e U / 2 m c²)).

    Args:
        energy: kinetic energy in eV.

    Returns:
        wavelength in Å.

    Source:
        Kirkland, Advanced Computing in Electron Microscopy (2020), eq. 2.5.

    Example:
        >>> round(wavelength(300e3), 6)
        0.019687
    """
    kinetic = energy * ELEMENTARY_CHARGE
    rest = ELECTRON_MASS * LIGHT_SPEED**2
    return PLANCK * LIGHT_SPEED / math.sqrt(kinetic * (2 * rest + kinetic)) * 1e10


def interaction_parameter(energy: float) -> float:
    """Phase shift that one volt times one Å of projected potential gives: σ = 2π m e λ / h².

    Args:
        energy: kinetic energy in eV.

    Returns:
        σ in rad / (V Å), with the relativistic mass.

    Source:
        Kirkland (2020), eq. 5.6.

    Example:
        >>> round(interaction_parameter(300e3) * 1e3, 4)
        0.6526
    """
    gamma = 1 + energy * ELEMENTARY_CHARGE / (ELECTRON_MASS * LIGHT_SPEED**2)
    mass = gamma * ELECTRON_MASS
    return 2 * math.pi * mass * ELEMENTARY_CHARGE * wavelength(energy) * 1e-10 / PLANCK**2 * 1e-10
