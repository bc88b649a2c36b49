"""The aberration function χ of a round lens with residual aberrations, to fifth order.

Notation of Krivanek et al., Ultramicroscopy 78 (1999) 1: ``C_nm`` has order n and m-fold symmetry; ``phi_nm``
is its azimuth. ``C10 = -defocus``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import jax.numpy as jnp

from jptycho.errors import ConfigError, nearest_name
from jptycho.types import Array, Float, Number

SYMMETRIES: dict[str, tuple[int, int]] = {
    f"C{n}{m}": (n, m)
    for n, m in [
        *((1, m) for m in (0, 2)),
        *((2, m) for m in (1, 3)),
        *((3, m) for m in (0, 2, 4)),
        *((4, m) for m in (1, 3, 5)),
        *((5, m) for m in (0, 2, 4, 6)),
    ]
}
"""Order n and rotational symmetry m of each coefficient."""

COEFFICIENTS: tuple[str, ...] = (*SYMMETRIES, *(f"phi{n}{m}" for n, m in SYMMETRIES.values() if m))
"""Every accepted name: ``C_nm`` in Å and ``phi_nm`` in rad."""


def check_coefficients(coefficients: Mapping[str, object]) -> None:
    """Refuse a name that is no aberration coefficient.

    Args:
        coefficients: names to values.

    Raises:
        ConfigError: an unknown name.

    Example:
        >>> check_coefficients({"C10": -100.0, "phi12": 0.2})
    """
    for name in coefficients:
        if name not in COEFFICIENTS:
            raise ConfigError(f"aberrations: {name!r} is no coefficient.{nearest_name(name, COEFFICIENTS)}")


def aberration_phase(
    alpha: Float[Array, "..."],
    phi: Float[Array, "..."],
    wavelength: Number,
    coefficients: Mapping[str, Number],
) -> Float[Array, "..."]:
    """χ(α, φ) = (2π/λ) Σ C_nm α^(n+1) cos(m (φ - φ_nm)) / (n + 1).

    Args:
        alpha: scattering angle in rad.
        phi: azimuth in rad.
        wavelength: Å.
        coefficients: ``C_nm`` in Å and ``phi_nm`` in rad; what is absent is zero.

    Returns:
        χ in rad, of the shape of ``alpha``.

    Source:
        Kirkland (2020), eq. 2.22, in the notation of Krivanek et al. (1999).

    Example:
        >>> float(aberration_phase(jnp.array(0.02), jnp.array(0.0), 0.02, {"C10": -100.0}))  # -pi C / lambda a^2
        -6.28...
    """
    check_coefficients(coefficients)
    chi = jnp.zeros_like(alpha)
    for name, (n, m) in SYMMETRIES.items():
        if name in coefficients:
            azimuth = coefficients.get(f"phi{n}{m}", 0.0)
            chi = chi + coefficients[name] / (n + 1) * alpha ** (n + 1) * jnp.cos(m * (phi - azimuth))
    return 2 * math.pi / wavelength * chi
