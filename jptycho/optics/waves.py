"""What a wave is measured by."""

from __future__ import annotations

from jptycho.types import Array, Complex, Float


def intensity(wave: Complex[Array, "*modes y x"]) -> Float[Array, "*modes y x"]:
    """|ψ|², without the square root whose gradient fails at zero.

    Args:
        wave: complex amplitudes.

    Returns:
        intensities.

    Example:
        >>> import jax.numpy as jnp
        >>> intensity(jnp.array([[3 + 4j]])).item()
        25.0
    """
    return wave.real**2 + wave.imag**2
