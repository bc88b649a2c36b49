"""From exit waves to the intensity on the detector."""

from __future__ import annotations

import jax.numpy as jnp

from jptycho.optics.waves import intensity
from jptycho.types import Array, Complex, Float


def far_field(exit_waves: Complex[Array, "modes y x"]) -> Float[Array, "ky kx"]:
    """Far-field intensity of mutually incoherent exit waves: I = Σ_m |F[ψ_m]|².

    Args:
        exit_waves: one exit wave a probe mode (modes, y, x).

    Returns:
        intensity (ky, kx), zero frequency at [0, 0]; its sum equals that of the exit waves (Parseval).

    Source:
        Thibault & Menzel, Nature 494 (2013) 68, eq. 2.

    Example:
        >>> float(far_field(jnp.ones((1, 4, 4), complex))[0, 0])
        16.0
    """
    return jnp.sum(intensity(jnp.fft.fft2(exit_waves, norm="ortho")), axis=0)
