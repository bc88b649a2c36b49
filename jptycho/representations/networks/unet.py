"""The Flax modules: U-Nets whose slices are channels or an axis of their own, and a deep decoder.

Layout is (images, Y, X, channels). A plain U-Net sees one image whose channels are the slices or modes; a network with
depth sees each slice as an image, all of them through the same weights. No module holds a mutable collection.
"""

from __future__ import annotations

import dataclasses
import math
from functools import partial
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from jptycho.representations.networks.convolution import LAYOUT, circular_convolution
from jptycho.types import Array, Float, Params

NORM_EPSILON = 1e-5
UNET, DEPTH, DECODER = "unet", "depth", "decoder"
HEAD = "Convolution_0"
"""The last convolution's name among the weights."""


@dataclasses.dataclass(frozen=True)
class UNetSpec:
    """A U-Net or deep decoder, a :class:`jptycho.representations.networks.base.Network`; hashable.

    Attributes:
        levels: poolings.
        base_channels: channels of the first level, doubled at each.
        upsampling: ``"nearest"``, or ``"transposed"`` as in the reference network.
        complex_valued: whether the channels are pairs of real and imaginary part and the convolutions complex.
        architecture: ``"unet"``: slices are channels; ``"depth"``: slices share their weights and each convolution
            sees its neighbours along the beam; ``"decoder"``: no encoder, the input is fixed noise.
        skips: whether each level of the encoder is handed to the decoder.
        norm: whether channels are normalised over the image.
        precision: of the arithmetic: ``"float32"``, or ``"bfloat16"`` with weights kept in single precision.
    """

    levels: int = 3
    base_channels: int = 16
    upsampling: Literal["nearest", "transposed"] = "nearest"
    complex_valued: bool = False
    architecture: str = UNET
    skips: bool = True
    norm: bool = True
    precision: Literal["float32", "bfloat16"] = "float32"

    @property
    def multiple(self) -> int:
        """Each pooling halves rows and columns."""
        return 2**self.levels

    @property
    def slices_are_images(self) -> bool:
        """With depth they are."""
        return self.architecture == DEPTH

    def build(self, channels: int) -> UNet:
        """The Flax module for an image of some channels."""
        return UNet(self, channels // 2 if self.complex_valued else channels)

    def init(self, key: Array, image: Float[Array, "n y x c"]) -> Params:
        """Random weights by :func:`initial_weights`."""
        return initial_weights(self.build(image.shape[-1]), key, image)

    def apply(self, params: Params, image: Float[Array, "n y x c"]) -> Float[Array, "n y x c"]:
        """The output, computed in the network's precision."""
        network = self.build(image.shape[-1])
        if self.precision == "float32":
            return jnp.asarray(network.apply(params, image))
        lower = jnp.dtype(self.precision)
        weights = jax.tree.map(lambda leaf: leaf.astype(lower), params)
        return jnp.asarray(network.apply(weights, image.astype(lower))).astype(image.dtype)

    def silence(self, params: Params) -> Params:
        """Zeros in the last convolution."""
        return {"params": {**params["params"], HEAD: jax.tree.map(jnp.zeros_like, params["params"][HEAD])}}


PARITY = UNetSpec(levels=3, base_channels=16, upsampling="transposed")
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
    def __call__(self, x: Float[Array, "n y x i"]) -> Float[Array, "n Y X o"]:
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
        return out + jnp.concatenate(bias)[None, None, None]


def _upsample_transposed(x: Array, kernel: Array) -> Array:
    """Transposed 3x3 convolution of stride 2, padding 1 and output padding 1, zeros outside."""
    return lax.conv_general_dilated(
        x, jnp.flip(kernel, (0, 1)), (1, 1), ((1, 2), (1, 2)), (2, 2), dimension_numbers=LAYOUT
    )


class InstanceNorm(nn.Module):
    """Zero mean and unit variance of every channel over all images, then an affine map: BatchNorm of a batch of one."""

    @nn.compact
    def __call__(self, x: Float[Array, "n y x c"]) -> Float[Array, "n y x c"]:
        scale = self.param("scale", nn.initializers.ones, (x.shape[-1],))
        bias = self.param("bias", nn.initializers.zeros, (x.shape[-1],))
        mean = jnp.mean(x, axis=(0, 1, 2), keepdims=True)
        variance = jnp.mean((x - mean) ** 2, axis=(0, 1, 2), keepdims=True)
        scale, bias = scale[None, None, None], bias[None, None, None]
        return (x - mean) * (scale * lax.rsqrt(variance + NORM_EPSILON)) + bias


class Block(nn.Module):
    """Two units of convolution, ReLU, norm; with depth, neighbouring slices are mixed first."""

    features: int
    spec: UNetSpec

    @nn.compact
    def __call__(self, x: Float[Array, "n y x i"]) -> Float[Array, "n y x o"]:
        spec = self.spec
        if spec.architecture == DEPTH:
            ends = jnp.pad(x, ((1, 1), (0, 0), (0, 0), (0, 0)), mode="edge")
            x = Convolution(x.shape[-1], size=1)(jnp.concatenate([ends[:-2], x, ends[2:]], axis=-1))
        for _ in range(2):
            x = nn.relu(Convolution(self.features, complex_valued=spec.complex_valued)(x))
            x = InstanceNorm()(x) if spec.norm else x
        return x


class Upsample(nn.Module):
    """Twice the rows and columns and half the channels."""

    features: int
    spec: UNetSpec

    @nn.compact
    def __call__(self, x: Float[Array, "n y x i"]) -> Float[Array, "n Y X o"]:
        spec = self.spec
        if spec.upsampling == "transposed":
            x = Convolution(2 * self.features, complex_valued=spec.complex_valued, transposed=True)(x)
        x = Convolution(self.features, size=1, complex_valued=spec.complex_valued)(x)
        x = InstanceNorm()(x) if spec.norm else x
        if spec.upsampling == "transposed":
            return x
        # A 1x1 convolution and a norm commute with repetition: they are done on the smaller image.
        return jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2)


class UNet(nn.Module):
    """Encoder, bottleneck and decoder with skips; a linear convolution at the end.

    Rows and columns must divide by 2^levels.
    """

    spec: UNetSpec
    channels: int

    @nn.compact
    def __call__(self, image: Float[Array, "n y x c"]) -> Float[Array, "n y x c"]:
        spec, skips, x = self.spec, [], image
        if spec.architecture == DECODER:
            x = _fixed_noise(image, spec)
        else:
            for level in range(spec.levels):
                x = Block(spec.base_channels * 2**level, spec)(x)
                skips.append(x)
                x = _max_pool(x)
        x = Block(spec.base_channels * 2**spec.levels, spec)(x)
        for level in reversed(range(spec.levels)):
            x = Upsample(spec.base_channels * 2**level, spec)(x)
            if skips and spec.skips:
                x = _join(x, skips[level], spec.complex_valued)
            x = Block(spec.base_channels * 2**level, spec)(x)
        return Convolution(self.channels, complex_valued=spec.complex_valued)(x)


def _fixed_noise(image: Array, spec: UNetSpec) -> Array:
    """What a deep decoder starts from: the same random numbers at every call, on the coarsest level."""
    rows, columns = (n // 2**spec.levels for n in image.shape[1:3])
    return jax.random.normal(jax.random.key(0), (image.shape[0], rows, columns, spec.base_channels), image.dtype)


def _join(x: Array, skip: Array, complex_valued: bool) -> Array:
    """Concatenate channels; complex ones keep all real parts before all imaginary parts."""
    if not complex_valued:
        return jnp.concatenate([x, skip], axis=-1)
    (a, b), (c, d) = jnp.split(x, 2, axis=-1), jnp.split(skip, 2, axis=-1)
    return jnp.concatenate([a, c, b, d], axis=-1)


def _max_pool(x: Array) -> Array:
    """2x2 maxima by reshaping; XLA's pooling has a slow gradient."""
    n, y, z, c = x.shape
    return jnp.max(x.reshape(n, y // 2, 2, z // 2, 2, c), axis=(2, 4))


@partial(jax.jit, static_argnames="network")
def initial_weights(network: UNet, key: Array, image: Float[Array, "n y x c"]) -> Params:
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
        >>> params = initial_weights(UNet(UNetSpec(1, 2), 1), jax.random.key(0), jnp.zeros((1, 4, 4, 1)))
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
        >>> parameter_count(net.init(jax.random.key(0), jnp.zeros((1, 16, 16, 1))))
        645009
    """
    return sum(leaf.size for leaf in jax.tree.leaves(params))
