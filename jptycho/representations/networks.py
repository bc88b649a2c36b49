"""The Flax modules: circular convolutions that are quick inside a compiled loop, and the U-Net.

Layout is (Y, X, channels) without a batch axis: there is one image. No module holds a mutable collection.
"""

from __future__ import annotations

import dataclasses
import math
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from jptycho.types import Array, Float

LAYOUT = ("NHWC", "HWIO", "NHWC")
NORM_EPSILON = 1e-5


def _correlate(image: Float[Array, "y x i"], kernel: Float[Array, "3 3 i o"]) -> Float[Array, "Y X o"]:
    return lax.conv_general_dilated(image[None], kernel, (1, 1), "VALID", dimension_numbers=LAYOUT)[0]


def _wrap(image: Float[Array, "y x c"]) -> Float[Array, "Y X c"]:
    return jnp.pad(image, ((1, 1), (1, 1), (0, 0)), mode="wrap")


@jax.custom_vjp
def circular_convolution(image: Float[Array, "y x i"], kernel: Float[Array, "3 3 i o"]) -> Float[Array, "y x o"]:
    """3x3 correlation with periodic borders.

    The gradients are written out: XLA's own run ten times slower on CPU inside a loop (jax issue 12868). That of the
    image is the same operation with the kernel turned round; that of the kernel is three one-dimensional correlations.

    Args:
        image: (y, x, in).
        kernel: (3, 3, in, out).

    Returns:
        (y, x, out).

    Example:
        >>> circular_convolution(jnp.ones((4, 4, 2)), jnp.ones((3, 3, 2, 1)))[0, 0].tolist()
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
    return lax.conv_general_dilated(
        padded[None], cotangent[None], (1, 1), "VALID", dimension_numbers=("CHWN", "IHWO", "HWNC")
    )


def _kernel_gradient_rows(padded: Array, cotangent: Array) -> Array:
    """The same as three correlations along y, the columns taken as features: the form that is quick on CPU."""
    columns = cotangent.shape[1]
    rows = padded.transpose(2, 0, 1)
    shifted = [
        lax.conv_general_dilated(
            rows[:, :, j : j + columns], cotangent, (1,), "VALID", dimension_numbers=("NHC", "HIO", "NHC")
        )
        for j in range(3)
    ]
    return jnp.stack(shifted, axis=2).transpose(1, 2, 0, 3)


circular_convolution.defvjp(_forward, _backward)


@dataclasses.dataclass(frozen=True)
class UNetSpec:
    """A U-Net's shape; hashable.

    Attributes:
        levels: poolings.
        filters: channels of the first level, doubled at each.
        upsampling: ``"nearest"``, or ``"transposed"`` as in the reference network.
        complex_valued: whether the channels are pairs of real and imaginary part and the convolutions complex.
    """

    levels: int = 3
    filters: int = 16
    upsampling: str = "nearest"
    complex_valued: bool = False


PARITY = UNetSpec(levels=3, filters=16, upsampling="transposed")
"""The reference network: 645,009 parameters for one channel."""


def _bound(fan_in: int) -> nn.initializers.Initializer:
    """Declares a parameter by the bound 1/√fan-in of its uniform distribution; :func:`initial_weights` draws it."""
    return lambda key, shape, dtype=jnp.float32: jnp.full(shape, 1 / math.sqrt(fan_in), dtype)


class Convolution(nn.Module):
    """A convolution with bias, real or complex, its weights uniform within 1/√fan-in.

    A complex one takes and gives (real parts, imaginary parts) along the channels and is a real one whose kernel has
    the structure [[Re, Im], [-Im, Re]].
    """

    features: int
    size: int = 3
    complex_valued: bool = False
    transposed: bool = False

    @nn.compact
    def __call__(self, x: Float[Array, "y x i"]) -> Float[Array, "Y X o"]:
        parts = 2 if self.complex_valued else 1
        incoming = x.shape[-1] // parts
        fan_in = (self.features if self.transposed else incoming) * self.size**2
        shape = (self.size, self.size, incoming, self.features)
        kernel = [self.param(f"kernel_{p}", _bound(fan_in), shape) for p in range(parts)]
        bias = [self.param(f"bias_{p}", _bound(fan_in), (self.features,)) for p in range(parts)]
        weight = kernel[0]
        if self.complex_valued:
            top = jnp.concatenate([kernel[0], kernel[1]], axis=-1)
            weight = jnp.concatenate([top, jnp.concatenate([-kernel[1], kernel[0]], axis=-1)], axis=-2)
        if self.transposed:
            out = _upsample_transposed(x, weight)
        else:
            out = x @ weight[0, 0] if self.size == 1 else circular_convolution(x, weight)
        return out + jnp.concatenate(bias)


def _upsample_transposed(x: Array, kernel: Array) -> Array:
    """Transposed 3x3 convolution of stride 2, padding 1 and output padding 1, zeros outside."""
    return lax.conv_general_dilated(
        x[None], jnp.flip(kernel, (0, 1)), (1, 1), ((1, 2), (1, 2)), (2, 2), dimension_numbers=LAYOUT
    )[0]


class InstanceNorm(nn.Module):
    """Zero mean and unit variance of every channel over the image, then an affine map: BatchNorm of a batch of one."""

    @nn.compact
    def __call__(self, x: Float[Array, "y x c"]) -> Float[Array, "y x c"]:
        scale = self.param("scale", nn.initializers.ones, (x.shape[-1],))
        bias = self.param("bias", nn.initializers.zeros, (x.shape[-1],))
        mean = jnp.mean(x, axis=(0, 1))
        variance = jnp.mean((x - mean) ** 2, axis=(0, 1))
        return (x - mean) * (scale * lax.rsqrt(variance + NORM_EPSILON)) + bias


class Block(nn.Module):
    """Two units of convolution, ReLU, norm."""

    features: int
    complex_valued: bool

    @nn.compact
    def __call__(self, x: Float[Array, "y x i"]) -> Float[Array, "y x o"]:
        for _ in range(2):
            x = InstanceNorm()(nn.relu(Convolution(self.features, complex_valued=self.complex_valued)(x)))
        return x


class UNet(nn.Module):
    """Encoder, bottleneck and decoder with skips; a linear convolution at the end.

    Rows and columns must divide by 2^levels; slices or modes are channels.
    """

    spec: UNetSpec
    channels: int

    @nn.compact
    def __call__(self, x: Float[Array, "y x c"]) -> Float[Array, "y x c"]:
        spec, skips = self.spec, []
        for level in range(spec.levels):
            x = Block(spec.filters * 2**level, spec.complex_valued)(x)
            skips.append(x)
            x = _max_pool(x)
        x = Block(spec.filters * 2**spec.levels, spec.complex_valued)(x)
        for level in reversed(range(spec.levels)):
            features = spec.filters * 2**level
            x = self._upsample(x, features)
            x = Block(features, spec.complex_valued)(_join(x, skips[level], spec.complex_valued))
        return Convolution(self.channels, complex_valued=spec.complex_valued)(x)

    def _upsample(self, x: Array, features: int) -> Array:
        spec = self.spec
        if spec.upsampling == "transposed":
            x = Convolution(2 * features, complex_valued=spec.complex_valued, transposed=True)(x)
            return InstanceNorm()(Convolution(features, size=1, complex_valued=spec.complex_valued)(x))
        # A 1x1 convolution and a norm commute with repetition: do them on the smaller image.
        x = InstanceNorm()(Convolution(features, size=1, complex_valued=spec.complex_valued)(x))
        return jnp.repeat(jnp.repeat(x, 2, axis=0), 2, axis=1)


def _join(x: Array, skip: Array, complex_valued: bool) -> Array:
    """Concatenate channels; complex ones keep all real parts before all imaginary parts."""
    if not complex_valued:
        return jnp.concatenate([x, skip], axis=-1)
    (a, b), (c, d) = jnp.split(x, 2, axis=-1), jnp.split(skip, 2, axis=-1)
    return jnp.concatenate([a, c, b, d], axis=-1)


def _max_pool(x: Array) -> Array:
    """2x2 maxima by reshaping; XLA's pooling has a slow gradient."""
    y, z, c = x.shape
    return jnp.max(x.reshape(y // 2, 2, z // 2, 2, c), axis=(1, 3))


@partial(jax.jit, static_argnames="network")
def initial_weights(network: UNet, key: Array, image: Float[Array, "y x c"]) -> Any:
    """Random weights: kernels and biases uniform within ±1/√fan-in, norms the identity.

    One draw serves the whole network: a draw a parameter takes ten times as long to compile.

    Args:
        network: whose (static).
        key: random key.
        image: of the shape that the network will see.

    Returns:
        Flax parameters.

    Source:
        the default of the reference implementation; He et al., ICCV 2015, with gain 1/√3.

    Example:
        >>> params = initial_weights(UNet(UNetSpec(1, 2), 1), jax.random.key(0), jnp.zeros((4, 4, 1)))
        >>> sorted(params["params"])[:2]
        ['Block_0', 'Block_1']
    """
    declared = network.init(key, image)
    leaves, structure = jax.tree_util.tree_flatten_with_path(declared)
    draw = jax.random.uniform(key, (parameter_count(declared),), image.dtype, -1.0, 1.0)
    weights, start = [], 0
    for path, bound in leaves:
        random = draw[start : start + bound.size].reshape(bound.shape)
        weights.append(bound if "Norm" in str(path) else bound * random)
        start += bound.size
    return jax.tree_util.tree_unflatten(structure, weights)


def parameter_count(params: object) -> int:
    """How many real numbers a pytree holds.

    Args:
        params: of a network.

    Returns:
        the number.

    Example:
        >>> net = UNet(PARITY, 1)
        >>> parameter_count(net.init(jax.random.key(0), jnp.zeros((16, 16, 1))))
        645009
    """
    return sum(leaf.size for leaf in jax.tree.leaves(params))
