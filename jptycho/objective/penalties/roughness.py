"""How rough or large an image is: the measures from which penalties of phase and absorption are made."""

from __future__ import annotations

import jax.numpy as jnp

from jptycho.objective.reference import Reference, illuminated_mean
from jptycho.types import Array, Float

SMOOTH = 1e-3
"""rad, of the whole object: |x| is replaced by √(x² + ε²) - ε, whose gradient exists at zero."""


def magnitude(x: Float[Array, "*shape"], scale: float = 1.0) -> Float[Array, "*shape"]:
    """|x|, smooth at zero: √(x² + ε²) - ε.

    Args:
        x: any numbers.
        scale: of ε, in units of ``SMOOTH``: how much smaller x is in a thin slice.

    Returns:
        numbers that are not negative.

    Example:
        >>> round(float(magnitude(jnp.array(-2.0))), 2), float(magnitude(jnp.array(0.0)))
        (2.0, 0.0)
    """
    width = SMOOTH * scale
    return jnp.sqrt(x * x + width**2) - width


def _steps(image: Array) -> tuple[Array, Array]:
    """Forward differences along y and x, zero at the far edge."""
    edge = [(0, 0)] * (image.ndim - 2)
    y = jnp.pad(jnp.diff(image, axis=-2), [*edge, (0, 1), (0, 0)])
    x = jnp.pad(jnp.diff(image, axis=-1), [*edge, (0, 0), (0, 1)])
    return y, x


def total_variation(image: Float[Array, "slices Y X"], reference: Reference) -> Float[Array, ""]:
    """Σ_s ⟨|∇u_s|⟩, isotropic, differences a pixel.

    Args:
        image: u, phase or absorption of each slice.
        reference: holds the coverage.

    Returns:
        the penalty.

    Source:
        Rudin, Osher & Fatemi, Physica D 60 (1992) 259.
    """
    y, x = _steps(image)
    width = SMOOTH / len(image)
    return jnp.sum(illuminated_mean(jnp.sqrt(y * y + x * x + width**2) - width, reference))


def tikhonov(image: Float[Array, "slices Y X"], reference: Reference) -> Float[Array, ""]:
    """S Σ_s ⟨|∇u_s|²⟩ over S slices, differences a pixel.

    Args:
        image: u, phase or absorption of each slice.
        reference: holds the coverage.

    Returns:
        the penalty.

    Source:
        Tikhonov, Sov. Math. Dokl. 4 (1963) 1035.
    """
    y, x = _steps(image)
    return len(image) * jnp.sum(illuminated_mean(y * y + x * x, reference))


def depth_variation(image: Float[Array, "slices Y X"], reference: Reference) -> Float[Array, ""]:
    """S Σ_s ⟨|u_{s+1} - u_s|⟩: total variation along depth.

    Args:
        image: u, phase or absorption of each slice.
        reference: holds the coverage.

    Returns:
        the penalty.
    """
    return len(image) * jnp.sum(illuminated_mean(magnitude(jnp.diff(image, axis=0), len(image) ** -2), reference))


def depth_tikhonov(image: Float[Array, "slices Y X"], reference: Reference) -> Float[Array, ""]:
    """S³ Σ_s ⟨(u_{s+1} - u_s)²⟩: squared slope along depth.

    Args:
        image: u, phase or absorption of each slice.
        reference: holds the coverage.

    Returns:
        the penalty.
    """
    return len(image) ** 3 * jnp.sum(illuminated_mean(jnp.diff(image, axis=0) ** 2, reference))


def sparsity(image: Float[Array, "slices Y X"], reference: Reference) -> Float[Array, ""]:
    """Σ_s ⟨|u_s|⟩: the L1 norm.

    Args:
        image: u, phase or absorption of each slice.
        reference: holds the coverage.

    Returns:
        the penalty.
    """
    return jnp.sum(illuminated_mean(magnitude(image, 1 / len(image)), reference))
