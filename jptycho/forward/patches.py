"""The window of the object that a position sees, and the probe's sub-pixel shift."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from jptycho.optics.waves import cis
from jptycho.types import Array, Complex, Float, Int, Shaped


def crop(
    canvas: Shaped[Array, "*channels Y X"], corner: Int[Array, "2"], shape: tuple[int, int]
) -> Shaped[Array, "*channels y x"]:
    """Cut a window out of the last two axes.

    The window must lie on the canvas: :func:`jptycho.forward.model.window_of` sees to it.

    Args:
        canvas: arrays (..., Y, X).
        corner: first row and column of the window.
        shape: rows and columns of the window (static).

    Returns:
        the window (..., y, x).

    Example:
        >>> crop(jnp.arange(12).reshape(3, 4), jnp.array([1, 2]), (2, 2)).tolist()
        [[6, 7], [10, 11]]
    """
    lead = canvas.ndim - 2
    starts = (0,) * lead + (corner[0], corner[1])
    return jax.lax.dynamic_slice(canvas, starts, (*canvas.shape[:lead], *shape))


def shift_ramp(shape: tuple[int, int], shift: Float[Array, "2"]) -> Complex[Array, "y x"]:
    """The Fourier multiplier exp(-2πi k·s) that moves an array by ``shift`` pixels, periodically.

    Args:
        shape: of the array (static).
        shift: pixels along (y, x).

    Returns:
        ramp (y, x) in FFT order, of modulus one.

    Example:
        >>> shift_ramp((2, 2), jnp.array([1.0, 0.0])).real.round().astype(int).tolist()
        [[1, 1], [-1, -1]]
    """
    ramp_y = cis(-2 * math.pi * jnp.fft.fftfreq(shape[0]).astype(shift.dtype) * shift[0])
    ramp_x = cis(-2 * math.pi * jnp.fft.fftfreq(shape[1]).astype(shift.dtype) * shift[1])
    return ramp_y[:, None] * ramp_x[None, :]


def fourier_shift(wave: Complex[Array, "*modes y x"], shift: Float[Array, "2"]) -> Complex[Array, "*modes y x"]:
    """Move complex arrays by a fraction of a pixel: F⁻¹[F[ψ] exp(-2πi k·s)].

    Args:
        wave: amplitudes (..., y, x).
        shift: pixels along (y, x); positive moves towards larger indices.

    Returns:
        the moved amplitudes, of the same norm.

    Example:
        >>> moved = fourier_shift(jnp.eye(4, dtype=complex), jnp.array([0.0, 1.0]))
        >>> bool(jnp.allclose(moved, jnp.roll(jnp.eye(4), 1, axis=1), atol=1e-6))
        True
    """
    ramp = shift_ramp((wave.shape[-2], wave.shape[-1]), shift)
    return jnp.fft.ifft2(jnp.fft.fft2(wave, norm="ortho") * jnp.broadcast_to(ramp, wave.shape), norm="ortho")
