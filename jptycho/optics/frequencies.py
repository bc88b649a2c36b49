"""Spatial frequencies and scattering angles of a grid, zero frequency at index [0, 0]."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from jptycho.types import Array, Float, Grid, Int, Number


def spatial_frequencies(grid: Grid, half: bool = False) -> tuple[Float[Array, "y 1"], Float[Array, "1 k"]]:
    """Spatial frequencies of a grid in FFT order.

    Args:
        grid: shape and sampling (Å).
        half: whether kx is that of :func:`jax.numpy.fft.rfft2`.

    Returns:
        ky of shape (ny, 1) and kx of shape (1, nx), or (1, nx // 2 + 1) for half, in Å⁻¹.

    Example:
        >>> ky, kx = spatial_frequencies(Grid((4, 5), (0.5, 0.2)))
        >>> ky[:, 0].tolist()
        [0.0, 0.5, -1.0, -0.5]
    """
    ky = jnp.fft.fftfreq(grid.shape[0], grid.sampling[0])[:, None]
    along_x = jnp.fft.rfftfreq if half else jnp.fft.fftfreq
    return ky, along_x(grid.shape[1], grid.sampling[1])[None, :]


def host_frequencies(
    shape: tuple[int, ...], sampling: tuple[float, float], half: bool = False
) -> tuple[Float[np.ndarray, "y 1"], Float[np.ndarray, "1 k"]]:
    """:func:`spatial_frequencies` in NumPy and double precision.

    Args:
        shape: rows and columns.
        sampling: Å a pixel.
        half: whether kx is that of :func:`numpy.fft.rfft2`.

    Returns:
        ky and kx in Å⁻¹.

    Example:
        >>> host_frequencies((4, 4), (0.5, 0.25), half=True)[1].tolist()
        [[0.0, 1.0, 2.0]]
    """
    along_x = np.fft.rfftfreq if half else np.fft.fftfreq
    return np.fft.fftfreq(shape[0], sampling[0])[:, None], along_x(shape[1], sampling[1])[None, :]


def scattering_angles(
    grid: Grid, wavelength: Number, centre: tuple[Number, Number] = (0.0, 0.0)
) -> tuple[Float[Array, "y x"], Float[Array, "y x"]]:
    """Polar scattering angles α = λ|k| and φ = atan2(ky, kx) of a grid.

    Args:
        grid: shape and sampling (Å).
        wavelength: Å.
        centre: where the optical axis meets the detector, in detector pixels (y, x) from the zero frequency.

    Returns:
        α in rad and φ in rad, both (ny, nx), in FFT order.

    Example:
        >>> alpha, phi = scattering_angles(Grid((4, 4), (1.0, 1.0)), 0.02)
        >>> round(float(alpha[0, 1]), 4), round(float(phi[1, 0]), 4)
        (0.005, 1.5708)
    """
    ky, kx = spatial_frequencies(grid)
    ky = ky - centre[0] / (grid.shape[0] * grid.sampling[0])
    kx = kx - centre[1] / (grid.shape[1] * grid.sampling[1])
    square = kx**2 + ky**2
    zero = square == 0
    # The square root's gradient is infinite at zero: take it of one there and discard it.
    radius = jnp.where(zero, 0.0, jnp.sqrt(jnp.where(zero, 1.0, square)))
    ky, kx = jnp.broadcast_arrays(ky, kx)
    return wavelength * radius, jnp.arctan2(ky, jnp.where(zero, 1.0, kx))


def aspect_of(sampling: tuple[float, float]) -> tuple[float, float]:
    """A sampling without its unit, on which the rings of :func:`ring_numbers` do not depend.

    Args:
        sampling: Å a pixel along (y, x).

    Returns:
        one, and the second over the first to six digits, so that equal ones share a program.

    Example:
        >>> aspect_of((0.2, 0.3))
        (1.0, 1.5)
    """
    return 1.0, round(sampling[1] / sampling[0], 6)


def ring_numbers(shape: tuple[int, ...], sampling: tuple[float, float]) -> tuple[np.ndarray, float, int]:
    """Rings of equal spatial frequency, one period of the smaller side wide.

    Args:
        shape: of the image.
        sampling: Å a pixel.

    Returns:
        number of each pixel's ring, the last one for all beyond Nyquist; the rings' width in Å⁻¹; how many lie within
        Nyquist.

    Example:
        >>> ring_numbers((4, 4), (0.5, 0.5))[0][0].tolist()
        [0, 1, 2, 1]
    """
    frequency = np.hypot(*host_frequencies(shape, sampling))
    width = 1 / min(n * s for n, s in zip(shape, sampling, strict=True))
    rings = int(0.5 / max(sampling) / width)
    return np.minimum(np.round(frequency / width).astype(int), rings), width, rings


def ring_totals(values: Float[Array, "y x"], rings: Int[np.ndarray, "y x"]) -> Float[Array, "rings"]:
    """Sums over rings.

    Args:
        values: of each pixel.
        rings: of :func:`ring_numbers`.

    Returns:
        the sum of each ring.

    Example:
        >>> ring_totals(jnp.ones((4, 4)), ring_numbers((4, 4), (0.5, 0.5))[0]).tolist()
        [1.0, 8.0, 7.0]
    """
    return jnp.zeros(int(rings.max()) + 1, values.dtype).at[rings.ravel()].add(values.ravel())
