"""What an object of each kind may be: the gauges it does not determine, and positivity."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp

from jptycho.representations.base import PHASE, POTENTIAL
from jptycho.types import Array, Float

SHARPNESS = 20.0
"""Inverse width in rad⁻¹ of the smooth step that keeps a potential or an absorption from being negative.

It does not narrow with the number of slices: a step as narrow as a slice is weak leaves pixels at zero for good."""
LEAST = 0.01
"""What is not positive is raised to in rad, all slices together, where the step is inverted."""


def channels_of(kind: str) -> int:
    """How many real channels an object kind has.

    Args:
        kind: one of ``OBJECT_KINDS``.

    Returns:
        1 (phase) or 2 (phase, absorption).

    Example:
        >>> channels_of("complex")
        2
    """
    return 2 if kind == "complex" else 1


def positive(free: Float[Array, "..."]) -> Float[Array, "..."]:
    """A smooth map onto positive numbers: log(1 + exp(s x)) / s.

    Args:
        free: any real numbers.

    Returns:
        positive numbers; equal to ``free`` where that is well above zero.

    Example:
        >>> round(float(positive(jnp.array(1.0))), 6), bool(positive(jnp.array(-9.0)) >= 0)
        (1.0, True)
    """
    return jax.nn.softplus(SHARPNESS * free) / SHARPNESS


def free_of(value: Float[Array, "..."], slices: int = 1) -> Float[Array, "..."]:
    """The inverse of :func:`positive`; what is not positive is raised to a small positive number first.

    Args:
        value: numbers that should be positive.
        slices: of the object, which share that number.

    Returns:
        the free numbers that give them.

    Example:
        >>> round(float(positive(free_of(jnp.array(0.3)))), 5)
        0.3
    """
    scaled = SHARPNESS * jnp.maximum(value, LEAST / slices)
    return (scaled + jnp.log(-jnp.expm1(-scaled))) / SHARPNESS


def weighted_plane(
    image: Float[Array, "Y X"], weight: Float[Array, "Y X"]
) -> tuple[Float[Array, ""], Float[Array, "Y X"]]:
    """Constant and ramp that fit an image best where it is illuminated.

    Args:
        image: (Y, X).
        weight: of each pixel, not negative.

    Returns:
        the weighted mean, and the ramp (Y, X), whose weighted mean is zero.

    Example:
        >>> mean, ramp = weighted_plane(jnp.arange(4.0)[:, None] + jnp.ones((4, 3)), jnp.ones((4, 3)))
        >>> float(mean), ramp[:, 0].round(5).tolist()
        (2.5, [-1.5, -0.5, 0.5, 1.5])
    """
    total = jnp.sum(weight)
    y, x = (axis - jnp.sum(weight * axis) / total for axis in _coordinates(image.shape, image.dtype))
    mean = jnp.sum(weight * image) / total
    a, b, c = jnp.sum(weight * y * y), jnp.sum(weight * x * y), jnp.sum(weight * x * x)
    u, v = jnp.sum(weight * y * image), jnp.sum(weight * x * image)
    determinant = a * c - b * b
    return mean, (y * (c * u - b * v) + x * (a * v - b * u)) / determinant


def _coordinates(shape: tuple[int, ...], dtype: jnp.dtype) -> tuple[Array, Array]:
    # In units of the image, so that the normal equations stay of order one in single precision.
    y = jnp.arange(shape[0], dtype=dtype)[:, None] / shape[0]
    x = jnp.arange(shape[1], dtype=dtype)[None, :] / shape[1]
    return y, x


@partial(jax.jit, static_argnames=("kind", "ramp_is_gauge"))
def constrain(
    kind: str,
    free: Float[Array, "slices channels Y X"],
    coverage: Float[Array, "Y X"],
    ramp_is_gauge: bool = True,
) -> Float[Array, "slices channels Y X"]:
    """Channels of an object of a kind: gauges removed, then what must be positive made so.

    A constant phase does nothing. A phase ramp shifts every pattern, which a probe that is free can undo by the
    opposite ramp (through several slices nearly so: the wave is deflected between them); with a probe that is held the
    patterns determine the ramp. The mean of the summed phase and, where it is a gauge, its ramp are therefore taken
    out. A ``potential`` keeps both: its vacuum is zero, and level.

    Args:
        kind: one of ``OBJECT_KINDS`` (static).
        free: unconstrained channels.
        coverage: weight of each pixel in mean and ramp.
        ramp_is_gauge: whether the probe is free (static).

    Returns:
        phase in rad and absorption.
    """
    slices = free.shape[0]
    if kind == POTENTIAL:
        return positive(free)
    mean, ramp = weighted_plane(jnp.sum(free[:, 0], axis=0), coverage)
    gauge = mean + ramp[None] if ramp_is_gauge else mean
    phase = free[:, 0] - gauge / slices
    return phase[:, None] if kind == PHASE else jnp.stack([phase, positive(free[:, 1])], axis=1)


@partial(jax.jit, static_argnames="kind")
def unconstrain(kind: str, channels: Float[Array, "slices channels Y X"]) -> Float[Array, "slices channels Y X"]:
    """Free channels from which :func:`constrain` gives these, up to gauges.

    Args:
        kind: one of ``OBJECT_KINDS`` (static).
        channels: phase and absorption.

    Returns:
        unconstrained channels.
    """
    if kind == PHASE:
        return channels
    if kind == POTENTIAL:
        return free_of(channels, len(channels))
    return jnp.stack([channels[:, 0], free_of(channels[:, 1], len(channels))], axis=1)


@partial(jax.jit, static_argnames="kind")
def admit(kind: str, channels: Array) -> Array:
    """Channels that the object's kind admits: filters make no phase of a potential negative, nor any absorption.

    Args:
        kind: one of ``OBJECT_KINDS``.
        channels: phase in rad and absorption (slices, channels, Y, X).

    Returns:
        the channels.
    """
    if kind == POTENTIAL:
        return jnp.maximum(channels, 0.0)
    return channels.at[:, 1:].set(jnp.maximum(channels[:, 1:], 0.0))
