"""Random shifts, mirror images and transposes of the grid, under which a network should do the same everywhere.

Pooling and upsampling tie a network to a grid of their own; a network that is trained on one image learns that image's
place on it.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jptycho.types import Array, Bool, Float, Int, pytree


@pytree
class Move:
    """A shift, then mirroring of both axes, then their exchange.

    Attributes:
        shift: in pixels along (y, x), periodic.
        mirrored: whether along (y, x).
        exchanged: whether y becomes x.
    """

    shift: Int[Array, "2"]
    mirrored: Bool[Array, "2"]
    exchanged: Bool[Array, ""]


def random_move(key: Array, stride: int) -> Move:
    """One of all moves, every one as likely as any other.

    Args:
        key: of the draw.
        stride: by which a shift changes nothing for the network.

    Returns:
        the move.
    """
    keys = jax.random.split(key, 3)
    return Move(
        jax.random.randint(keys[0], (2,), 0, stride),
        jax.random.bernoulli(keys[1], 0.5, (2,)),
        jax.random.bernoulli(keys[2]),
    )


def moved(image: Float[Array, "*n Y X c"], move: Move) -> Float[Array, "*n Y X c"]:
    """Carry out a move; axes of different length are not exchanged.

    Args:
        image: channels last.
        move: what to do.

    Returns:
        the image, of the same shape.
    """
    image = jnp.roll(image, move.shift, (-3, -2))
    return _exchanged(_mirrored(image, move), move)


def moved_back(image: Float[Array, "*n Y X c"], move: Move) -> Float[Array, "*n Y X c"]:
    """The inverse of :func:`moved`.

    Args:
        image: channels last.
        move: what was done.

    Returns:
        the image before.

    Example:
        >>> image, move = jnp.arange(12.0).reshape(1, 3, 4, 1), random_move(jax.random.key(0), 4)
        >>> bool(jnp.array_equal(moved_back(moved(image, move), move), image))
        True
    """
    image = _mirrored(_exchanged(image, move), move)
    return jnp.roll(image, -move.shift, (-3, -2))


def _mirrored(image: Array, move: Move) -> Array:
    for number, axis in enumerate((-3, -2)):
        image = jnp.where(move.mirrored[number], jnp.flip(image, axis), image)
    return image


def _exchanged(image: Array, move: Move) -> Array:
    if image.shape[-3] != image.shape[-2]:
        return image
    return jnp.where(move.exchanged, image.swapaxes(-3, -2), image)
