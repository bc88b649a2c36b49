"""Circular convolutions that are quick inside a compiled loop on every platform.

Layout is (images, y, x, channels); the images are slices that share their weights, or one.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from jptycho.types import Array, Float

LAYOUT = ("NHWC", "HWIO", "NHWC")


def _correlate(image: Float[Array, "n y x i"], kernel: Float[Array, "3 3 i o"]) -> Float[Array, "n Y X o"]:
    return lax.conv_general_dilated(image, kernel, (1, 1), "VALID", dimension_numbers=LAYOUT)


def _wrap(image: Float[Array, "n y x c"]) -> Float[Array, "n Y X c"]:
    return jnp.pad(image, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="wrap")


@jax.custom_vjp
def circular_convolution(image: Float[Array, "n y x i"], kernel: Float[Array, "3 3 i o"]) -> Float[Array, "n y x o"]:
    """3x3 correlation with periodic borders.

    The gradients are written out: XLA's own run ten times slower on CPU inside a loop (jax issue 12868). That of the
    image is the same operation with the kernel turned round; that of the kernel is a one-dimensional correlation.

    Args:
        image: (images, y, x, in).
        kernel: (3, 3, in, out).

    Returns:
        (images, y, x, out).

    Example:
        >>> circular_convolution(jnp.ones((1, 4, 4, 2)), jnp.ones((3, 3, 2, 1)))[0, 0, 0].tolist()
        [18.0]
    """
    return _correlate(_wrap(image), kernel)


def _forward(image: Array, kernel: Array) -> tuple[Array, tuple[Array, Array]]:
    return _correlate(_wrap(image), kernel), (image, kernel)


def _backward(saved: tuple[Array, Array], cotangent: Array) -> tuple[Array, Array]:
    image, kernel = saved
    turned = jnp.flip(kernel, (0, 1)).swapaxes(2, 3)
    gradient = lax.platform_dependent(_wrap(image), cotangent, cpu=_kernel_gradient_rows, default=_kernel_gradient)
    return _correlate(_wrap(cotangent), turned), gradient


def _kernel_gradient(padded: Array, cotangent: Array) -> Array:
    """The kernel's gradient as one correlation of image and cotangent, channels for batch."""

    def one(pair: tuple[Array, Array]) -> Array:
        image, change = (a[None] for a in pair)
        return lax.conv_general_dilated(image, change, (1, 1), "VALID", dimension_numbers=("CHWN", "IHWO", "HWNC"))

    return _sum_over_images(one, padded, cotangent)


def _kernel_gradient_rows(padded: Array, cotangent: Array) -> Array:
    """The same as a correlation along y, the columns taken as features: the form that is quick on CPU.

    The three columns of the kernel are images of a batch.
    """

    def one(pair: tuple[Array, Array]) -> Array:
        image, change = pair
        columns, channels = change.shape[1], image.shape[2]
        rows = image.transpose(2, 0, 1)
        shifted = jnp.concatenate([rows[:, :, j : j + columns] for j in range(3)])
        found = lax.conv_general_dilated(shifted, change, (1,), "VALID", dimension_numbers=("NHC", "HIO", "NHC"))
        return found.reshape(3, channels, *found.shape[1:]).transpose(2, 0, 1, 3)

    return _sum_over_images(one, padded, cotangent)


def _sum_over_images(one: Callable[[tuple[Array, Array]], Array], images: Array, cotangents: Array) -> Array:
    """Σ over the first axis; one image needs no loop."""
    if images.shape[0] == 1:
        return one((images[0], cotangents[0]))
    return jnp.sum(lax.map(one, (images, cotangents)), axis=0)


circular_convolution.defvjp(_forward, _backward)
