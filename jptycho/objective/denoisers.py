"""Denoisers of the estimate, applied as a proximal step after every epoch: plug-and-play priors of the object.

Source: Venkatakrishnan, Bouman & Wohlberg, "Plug-and-play priors for model based reconstruction", GlobalSIP (2013) 945.
"""

from __future__ import annotations

import dataclasses
from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp

from jptycho.objective.reference import Channels
from jptycho.types import Array, Float, Number


@runtime_checkable
class Denoiser(Protocol):
    """A function of a module, or a frozen, hashable dataclass with a call; traced by JAX, the level as well."""

    def __call__(self, channels: Channels, level: Number) -> Channels:
        """Phase in rad and absorption without noise of about that standard deviation; of the same shape and type."""
        ...


@dataclasses.dataclass(frozen=True)
class Denoising:
    """A denoiser and the level of noise that it takes away after every epoch; hashable.

    Attributes:
        denoiser: :class:`TotalVariation`, or your own.
        level: rad; the same of the absorption.
    """

    denoiser: Denoiser
    level: Number

    def __call__(self, channels: Channels) -> Channels:
        """The object without that noise."""
        return self.denoiser(channels, self.level)


def denoise(denoisers: tuple[Denoising, ...], channels: Channels) -> Channels:
    """Apply denoisers in order.

    Args:
        denoisers: which (static).
        channels: phase and absorption.

    Returns:
        the object.
    """
    for denoising in denoisers:
        channels = denoising(channels)
    return channels


@dataclasses.dataclass(frozen=True)
class TotalVariation:
    """argmin_u ½ |u - f|² + level Σ |∇u| of each slice and channel f, isotropic, differences a pixel, free borders.

    In the dual variable p, |p| <= 1 at every pixel: g = ∇(div p - f / level), p ← (p + τ g) / (1 + τ |g|), and
    u = f - level div p.

    Attributes:
        iterations: of the dual variable, from zero.

    Source:
        Chambolle, J. Math. Imaging Vis. 20 (2004) 89, eq. 9.

    Example:
        >>> flat = TotalVariation()(jnp.full((1, 1, 4, 6), 0.25), 0.1)
        >>> float(jnp.abs(flat - 0.25).max())
        0.0
    """

    iterations: int = 50

    def __call__(self, channels: Channels, level: Number) -> Channels:
        """Phase and absorption, each of least total variation near what it was."""

        def improve(_: Array, dual: Array) -> Array:
            slope = _gradient(_divergence(dual) - channels / level)
            return (dual + STEP * slope) / (1 + STEP * jnp.sqrt(jnp.sum(slope**2, axis=0, keepdims=True) + LEAST))

        dual = jax.lax.fori_loop(0, self.iterations, improve, jnp.zeros((2, *channels.shape), channels.dtype))
        return channels - level * _divergence(dual)


STEP = 0.25
"""τ: convergence is proven up to 1/8 and found up to 1/4."""
LEAST = 1e-30
"""Added to |g|², whose root else has no gradient where the image is flat."""


def _gradient(image: Float[Array, "... Y X"]) -> Float[Array, "2 ... Y X"]:
    """Forward differences along y and x, zero at the far edge."""
    y = jnp.diff(image, axis=-2, append=image[..., -1:, :])
    x = jnp.diff(image, axis=-1, append=image[..., :, -1:])
    return jnp.stack([y, x])


def _divergence(dual: Float[Array, "2 ... Y X"]) -> Float[Array, "... Y X"]:
    """Minus the adjoint of :func:`_gradient`, for arrays that are zero at the far edge."""
    y = jnp.diff(dual[0], axis=-2, prepend=jnp.zeros_like(dual[0, ..., :1, :]))
    x = jnp.diff(dual[1], axis=-1, prepend=jnp.zeros_like(dual[1, ..., :, :1]))
    return y + x
