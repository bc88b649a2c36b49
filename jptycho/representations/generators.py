"""Deep generative priors: object and probe as the output of untrained CNNs that start as autoencoders of a guess.

Source: McCray, Ribet, Varnavides & Ophus, arXiv 2511.07795.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from jptycho.optics.probe import probe_power
from jptycho.representations.base import Guess
from jptycho.representations.kinds import constrain, unconstrain
from jptycho.representations.networks import UNet, UNetSpec, initial_weights
from jptycho.types import Array, Complex, Float, pytree


@pytree
class Standardised:
    """An image that a network sees, and what undoes its scaling.

    Attributes:
        image: zero mean and unit variance a channel, padded periodically to a size the network takes (Y, X, channels).
        mean: (channels,).
        scale: (channels,).
    """

    image: Float[Array, "Y X channels"]
    mean: Float[Array, "channels"]
    scale: Float[Array, "channels"]


def standardise(image: Float[Array, "y x c"], multiple: int) -> Standardised:
    """Scale each channel to zero mean and unit variance and pad to a multiple.

    Args:
        image: (y, x, channels).
        multiple: that rows and columns must divide by.

    Returns:
        the image for the network. A channel without contrast keeps a scale that is small and not zero.

    Example:
        >>> standardise(jnp.arange(12.0).reshape(3, 4, 1), 4).image.shape
        (4, 4, 1)
    """
    mean = jnp.mean(image, axis=(0, 1))
    scale = jnp.maximum(jnp.std(image, axis=(0, 1)), SMALLEST_SCALE)
    pad = [(0, -image.shape[i] % multiple) for i in range(2)]
    return Standardised(jnp.pad((image - mean) / scale, (*pad, (0, 0)), mode="wrap"), mean, scale)


SMALLEST_SCALE = 1e-2
"""Scale of a channel without contrast: 0.01 rad for a phase."""


def _run(
    network: UNet, noise: float, params: Any, constants: Standardised, key: Array | None
) -> Float[Array, "Y X channels"]:
    """The network at its standardised input, fresh noise added where there is a key."""
    image = constants.image
    if key is not None and noise:
        image = image + noise * jax.random.normal(key, image.shape, image.dtype)
    return jnp.asarray(network.apply(params, image))


@dataclasses.dataclass(frozen=True)
class GeneratedObject:
    """An object that a CNN renders from the guess itself; slices and channels are the CNN's channels.

    Attributes:
        kind: one of ``OBJECT_KINDS``.
        network: the U-Net's shape.
        noise: standard deviation of fresh input noise, relative to the input's.
    """

    kind: str
    network: UNetSpec
    noise: float

    def init(self, key: Array, guess: Guess) -> tuple[Any, Any]:
        """Random weights; the constants hold the guess as input and target."""
        free = unconstrain(self.kind, guess.object)
        slices, channels, rows, columns = free.shape
        image = free.reshape(slices * channels, rows, columns).transpose(1, 2, 0)
        constants = standardise(image, 2**self.network.levels)
        return initial_weights(self._network(constants), key, constants.image), (
            constants,
            guess.coverage,
            guess.object,
        )

    def apply(self, params: Any, constants: Any, key: Array | None) -> Float[Array, "slices channels Y X"]:
        """Phase in rad and absorption."""
        inputs, coverage, guess = constants
        image = self.raw(params, constants, key) * inputs.scale + inputs.mean
        image = image[: guess.shape[-2], : guess.shape[-1]].transpose(2, 0, 1)
        return constrain(self.kind, image.reshape(guess.shape), coverage)

    def raw(self, params: Any, constants: Any, key: Array | None) -> Float[Array, "Y X channels"]:
        """The network's own output, which pre-training brings to the standardised guess."""
        return _run(self._network(constants[0]), self.noise, params, constants[0], key)

    def target(self, constants: Any) -> Float[Array, "Y X channels"]:
        """What pre-training makes :meth:`raw` reproduce."""
        return constants[0].image

    def _network(self, inputs: Standardised) -> UNet:
        return UNet(self.network, inputs.image.shape[-1])


@dataclasses.dataclass(frozen=True)
class GeneratedProbe:
    """A probe that a CNN renders from the guess itself; real parts, then imaginary parts of the modes are its channels.

    The network gives the shape; the power is a parameter of its own, for the patterns determine it at once and a
    network's scale drifts.

    Attributes:
        network: the U-Net's shape.
        noise: standard deviation of fresh input noise, relative to the input's.
    """

    network: UNetSpec
    noise: float

    def init(self, key: Array, guess: Guess) -> tuple[Any, Any]:
        """Random weights; the constants hold the guess as input and target."""
        parts = jnp.concatenate([guess.probe.real, guess.probe.imag])
        constants = standardise_modes(parts.transpose(1, 2, 0), 2**self.network.levels)
        weights = initial_weights(self._network(constants), key, constants.image)
        return {"network": weights, "log_power": jnp.log(probe_power(guess.probe))}, (constants, guess.probe)

    def apply(self, params: Any, constants: Any, key: Array | None) -> Complex[Array, "modes y x"]:
        """Complex modes of the power that is learned."""
        inputs, guess = constants
        image = self.raw(params, constants, key) * inputs.scale
        image = image[: guess.shape[-2], : guess.shape[-1]].transpose(2, 0, 1)
        modes = guess.shape[0]
        wave = image[:modes] + 1j * image[modes:]
        return wave * jnp.sqrt(jnp.exp(params["log_power"]) / probe_power(wave))

    def raw(self, params: Any, constants: Any, key: Array | None) -> Float[Array, "y x channels"]:
        """The network's own output, which pre-training brings to the standardised guess."""
        return _run(self._network(constants[0]), self.noise, params["network"], constants[0], key)

    def target(self, constants: Any) -> Float[Array, "y x channels"]:
        """What pre-training makes :meth:`raw` reproduce."""
        return constants[0].image

    def _network(self, inputs: Standardised) -> UNet:
        parts = 2 if self.network.complex_valued else 1
        return UNet(self.network, inputs.image.shape[-1] // parts)


def standardise_modes(parts: Float[Array, "y x c"], multiple: int) -> Standardised:
    """Scale a mode's real and imaginary part by its common root mean square, and pad with zeros.

    Args:
        parts: real parts, then imaginary parts (y, x, 2 modes).
        multiple: that rows and columns must divide by.

    Returns:
        the image for the network; its mean is left alone, for a wave's phase means something.

    Example:
        >>> standardise_modes(jnp.ones((3, 3, 2)), 4).image.shape
        (4, 4, 2)
    """
    power = jnp.mean(parts**2, axis=(0, 1))
    half = parts.shape[-1] // 2
    scale = jnp.tile(jnp.sqrt((power[:half] + power[half:]) / 2), 2)
    pad = [(0, -parts.shape[i] % multiple) for i in range(2)]
    return Standardised(jnp.pad(parts / scale, (*pad, (0, 0))), jnp.zeros_like(scale), scale)
