"""What a network sees: estimates of zero mean and unit variance, padded to a size that it takes."""

from __future__ import annotations

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp

from jptycho.types import Array, Float, pytree

SMALLEST_SCALE = 1e-2
"""Scale of a channel without contrast: 0.01 rad for a phase."""
LEAST_POWER = 1e-6
"""Of a target, so that a blank one can be reproduced too; others have one."""


@pytree
class NetworkInput:
    """Estimates that a network sees, those it should reproduce, and what undoes their scaling.

    Attributes:
        image: of about zero mean and unit variance, padded to a size the network takes; the estimates lead: one from
            all electrons, or one from the electrons of each half.
        target: what the network should make of each estimate: itself, or that of the other half.
        mean: (channels,).
        scale: (channels,).
        residual_weight: of the estimate in the output: 1 where the network adds to it, 0 where its output is
            all.
    """

    image: Float[Array, "estimates n Y X channels"]
    target: Float[Array, "estimates n Y X channels"]
    mean: Float[Array, "channels"]
    scale: Float[Array, "channels"]
    residual_weight: Float[Array, ""]


@partial(jax.jit, static_argnames=("multiple", "smallest"))
def standardise(
    estimates: Float[Array, "estimates n y x c"], multiple: int, smallest: float = SMALLEST_SCALE
) -> NetworkInput:
    """Scale each channel to zero mean and unit variance over all estimates and pad to a multiple.

    Args:
        estimates: one, or two from halves of the electrons.
        multiple: that rows and columns must divide by.
        smallest: scale.

    Returns:
        the images for the network. A channel without contrast keeps a scale that is small and not zero.

    Example:
        >>> standardise(jnp.arange(12.0).reshape(1, 1, 3, 4, 1), 4).image.shape
        (1, 1, 4, 4, 1)
    """
    mean = jnp.mean(estimates, axis=(0, 1, 2, 3))
    scale = jnp.maximum(jnp.std(estimates, axis=(0, 1, 2, 3)), smallest)
    shape = estimates.shape
    image = _pad((estimates - jnp.broadcast_to(mean, shape)) / jnp.broadcast_to(scale, shape), multiple, "wrap")
    return NetworkInput(image, image[::-1], mean, scale, jnp.zeros(()))


def _pad(image: Array, multiple: int, mode: str) -> Array:
    pad = [(0, -image.shape[i] % multiple) for i in (2, 3)]
    return jnp.pad(image, ((0, 0), (0, 0), *pad, (0, 0)), mode=mode)


def _centred(image: Array, multiple: int) -> Array:
    """The probe's centre in the middle where zeros are added at the end: beside [0, 0] they would cut it through."""
    padded = any(n % multiple for n in image.shape[-3:-1])
    return jnp.fft.fftshift(image, axes=(-3, -2)) if padded else image


def corner(image: Array, multiple: int) -> Array:
    """The corner of a probe's window back at [0, 0] that :func:`standardise_modes` moved to the middle.

    Args:
        image: (…, y, x, channels) without what was padded.
        multiple: that rows and columns of the padded image divide by.

    Returns:
        the image as the physics takes it.
    """
    padded = any(n % multiple for n in image.shape[-3:-1])
    return jnp.fft.ifftshift(image, axes=(-3, -2)) if padded else image


def select_half(constants: NetworkInput, half: Array) -> NetworkInput:
    """What is validated by one half of the electrons: the estimate from the other half.

    Args:
        constants: with an estimate from each half; unchanged where there is only one.
        half: 0 or 1.

    Returns:
        the same with one estimate.
    """
    if constants.image.shape[0] == 1:
        return constants
    return dataclasses.replace(
        constants,
        image=jax.lax.dynamic_index_in_dim(constants.image, 1 - half, keepdims=True),
        target=jax.lax.dynamic_index_in_dim(constants.target, 1 - half, keepdims=True),
    )


@jax.jit
def noise_floor(constants: NetworkInput) -> Float[Array, ""]:
    """Mean square that even the truth is away from its target: the noise of an estimate, half that of a difference.

    Args:
        constants: of a generator.

    Returns:
        relative to the target's mean square; zero where the target is the input.

    Example:
        >>> noise_floor(standardise(jnp.arange(12.0).reshape(1, 1, 3, 4, 1), 4)).item()
        0.0
    """
    power = jnp.maximum(jnp.mean(constants.target**2), LEAST_POWER)
    return 0.5 * jnp.mean((constants.target - constants.target[::-1]) ** 2) / power


@partial(jax.jit, static_argnames="multiple")
def standardise_modes(parts: Float[Array, "1 1 y x c"], multiple: int) -> NetworkInput:
    """Scale a mode's real and imaginary part by its common root mean square, and pad with zeros.

    Args:
        parts: real parts, then imaginary parts (1, 1, y, x, 2 modes).
        multiple: that rows and columns must divide by.

    Returns:
        the image for the network; its mean is left alone, for a wave's phase means something.

    Example:
        >>> standardise_modes(jnp.ones((1, 1, 3, 3, 2)), 4).image.shape
        (1, 1, 4, 4, 2)
    """
    power = jnp.mean(parts**2, axis=(0, 1, 2, 3))
    half = parts.shape[-1] // 2
    scale = jnp.tile(jnp.sqrt((power[:half] + power[half:]) / 2), 2)
    scale = jnp.where(scale > 0, scale, 1.0)  # an empty mode stays empty
    image = _pad(_centred(parts / jnp.broadcast_to(scale, parts.shape), multiple), multiple, "constant")
    return NetworkInput(image, image, jnp.zeros_like(scale), scale, jnp.zeros(()))
