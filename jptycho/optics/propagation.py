"""Free-space propagation between slices in the Fresnel approximation."""

from __future__ import annotations

import math

import jax.numpy as jnp

from jptycho.optics.frequencies import spatial_frequencies
from jptycho.optics.waves import cis
from jptycho.types import Array, Complex, Float, Grid, Number


def fresnel_kernel(
    grid: Grid,
    wavelength: Number,
    distance: float | Float[Array, ""],
    tilt: tuple[float, float] | Float[Array, "2"] = (0.0, 0.0),
    band_limit: Number | None = None,
    centre: Float[Array, "2"] | None = None,
) -> Complex[Array, "y x"]:
    """H(k) = exp(-iπλΔz k²) exp(-2πi Δz k·tan θ), k from the optical axis.

    Args:
        grid: window that propagates.
        wavelength: Å.
        distance: Δz in Å.
        tilt: θ of the specimen in mrad: the wave walks by Δz tan θ along (y, x).
        band_limit: fraction of the smaller Nyquist frequency beyond which H is zero, e.g. 2/3; None keeps all.
        centre: where the optical axis meets the detector, Å⁻¹ along (y, x) from the zero frequency; None for there.

    Returns:
        H (y, x) in FFT order.

    Source:
        Kirkland (2020), eq. 6.66 (kernel), 6.93 (tilt) and section 6.8 (2/3 band limit).

    Example:
        >>> H = fresnel_kernel(Grid((8, 8), (0.5, 0.5)), 0.02, 10.0)
        >>> round(float(jnp.abs(H).min()), 5)
        1.0
    """
    ky, kx = spatial_frequencies(grid)
    ky, kx = (ky, kx) if centre is None else (ky - centre[0], kx - centre[1])
    walk_y = jnp.tan(tilt[0] * 1e-3)
    walk_x = jnp.tan(tilt[1] * 1e-3)
    phase = math.pi * wavelength * (ky**2 + kx**2) + 2 * math.pi * (ky * walk_y + kx * walk_x)
    kernel = cis(-distance * phase)
    if band_limit is not None:
        cutoff = band_limit / (2 * jnp.maximum(*grid.sampling))
        kernel = jnp.where(ky**2 + kx**2 <= cutoff**2, kernel, 0.0)
    return kernel


def propagate(wave: Complex[Array, "... y x"], kernel: Complex[Array, "y x"]) -> Complex[Array, "... y x"]:
    """Convolve a wave with a propagator: F⁻¹[H F[ψ]].

    Args:
        wave: complex amplitude, last axes (y, x).
        kernel: H (y, x) in FFT order.

    Returns:
        the propagated wave.

    Source:
        Cowley & Moodie, Acta Cryst. 10 (1957) 609.

    Example:
        >>> wave = jnp.ones((8, 8), complex)
        >>> propagate(wave, fresnel_kernel(Grid((8, 8), (0.5, 0.5)), 0.02, 10.0)).shape
        (8, 8)
    """
    return jnp.fft.ifft2(jnp.fft.fft2(wave, norm="ortho") * jnp.broadcast_to(kernel, wave.shape), norm="ortho")
