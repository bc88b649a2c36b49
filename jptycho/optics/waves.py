"""What waves are made from, and what they are measured by."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jptycho.types import Array, Complex, Float


def to_complex(real: Float[Array, "*shape"]) -> Complex[Array, "*shape"]:
    """Real numbers as complex ones of the same precision, to multiply or divide a wave by.

    Args:
        real: any.

    Returns:
        the same.

    Example:
        >>> to_complex(jnp.ones(1, jnp.float32)).dtype
        dtype('complex64')
    """
    return jax.lax.complex(real, jnp.zeros_like(real))


def cis(phase: Float[Array, "*shape"]) -> Complex[Array, "*shape"]:
    """exp(i phase), of the phase's precision.

    Args:
        phase: rad.

    Returns:
        of modulus one.

    Example:
        >>> cis(jnp.zeros(1)).tolist()
        [(1+0j)]
    """
    return jnp.exp(jax.lax.complex(jnp.zeros_like(phase), phase))


def intensity(wave: Complex[Array, "*modes y x"]) -> Float[Array, "*modes y x"]:
    """|ψ|², without the square root whose gradient fails at zero.

    Args:
        wave: complex amplitudes.

    Returns:
        intensities.

    Example:
        >>> intensity(jnp.array([[3 + 4j]])).item()
        25.0
    """
    return wave.real**2 + wave.imag**2
