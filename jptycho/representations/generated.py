"""Deep generative priors: object and probe as the output of untrained CNNs that start from a guess.

A network that sees an estimate and is validated by the electrons it was made from learns their noise. Here each half of
the electrons validates what the network makes of the other half's estimate, so noise is all that it cannot predict.
Where an estimate holds more than the network can reproduce, the network adds to it.

Source: McCray, Ribet, Varnavides & Ophus, arXiv 2511.07795 (the priors); Hendriksen, Pelt & Batenburg, "Noise2Inverse",
IEEE Trans. Comput. Imaging 6 (2020) 1320 (the split).
"""

from __future__ import annotations

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp

from jptycho.optics.probe import probe_power
from jptycho.optics.waves import to_complex
from jptycho.randomness import named_key
from jptycho.representations.estimate import Estimate
from jptycho.representations.networks.augmentation import moved, moved_back, random_move
from jptycho.representations.networks.base import Network
from jptycho.representations.networks.input import (
    SMALLEST_SCALE,
    NetworkInput,
    corner,
    select_half,
    standardise,
    standardise_modes,
)
from jptycho.representations.networks.weights import flatten, unflatten
from jptycho.representations.object_kinds import constrain, unconstrain
from jptycho.representations.pixels import Preconditioner, precondition, uncondition
from jptycho.tracing import is_zero
from jptycho.types import Array, Complex, Constants, Float, Number, Params

BLANK_SCALE = 0.1
"""Scale of a channel where a network sees noise instead of an estimate, of which it may have to make much."""


def added_to_estimate(network: Network, params: Params, constants: Constants) -> tuple[Params, Constants]:
    """An object's network that adds to its estimate from now on, nothing at first.

    Args:
        network: that the weights are of.
        params: its weights.
        constants: the :class:`NetworkInput` estimates first.

    Returns:
        both, changed.
    """
    residual_weight = dataclasses.replace(constants[0], residual_weight=jnp.ones_like(constants[0].residual_weight))
    return flatten(network.silence(unflatten(params))), (residual_weight, *constants[1:])


@partial(jax.jit, static_argnames="network")
def _init(network: Network, key: Array, image: Float[Array, "n Y X channels"]) -> Params:
    """Random weights, drawn in one program."""
    return flatten(network.init(key, image))


def _run(
    network: Network, noise: Number, params: Params, constants: NetworkInput, key: Array | None
) -> Float[Array, "n Y X channels"]:
    """Mean of what the network makes of the estimates, fresh noise added to them where there is a key."""
    weights = unflatten(params)

    def one(image: Array) -> Array:
        if key is not None and not is_zero(noise):
            image = image + noise * jax.random.normal(key, image.shape, image.dtype)
        return network.apply(weights, image)

    images = constants.image
    return one(images[0]) if images.shape[0] == 1 else jnp.mean(jax.lax.map(one, images), axis=0)


@dataclasses.dataclass(frozen=True)
class GeneratedObject:
    """An object that a CNN renders from an estimate of it.

    Attributes:
        kind: one of ``OBJECT_KINDS``.
        network: the CNN; the slices are its channels, or its images.
        noise: standard deviation of fresh input noise, relative to the input's.
        residual: whether the CNN adds to the estimate from the start.
        preconditioner: through which the CNN's phase passes; None for none.
        random_input: whether the CNN sees fixed noise in place of the estimate.
        ramp_is_gauge: whether the probe is free, so that no pattern determines a phase ramp.
        augmented: whether the CNN sees the estimate shifted, mirrored and transposed at random, and its output is
            moved back.
    """

    kind: str
    network: Network
    noise: Number
    residual: bool = False
    preconditioner: Preconditioner | None = None
    random_input: bool = False
    ramp_is_gauge: bool = True
    augmented: bool = False

    def init(self, key: Array, estimate: Estimate) -> tuple[Params, Constants]:
        """Random weights; the constants hold the estimates as inputs and targets."""
        stacks = estimate.object[None] if estimate.half_sets is None else estimate.half_sets
        images = jnp.stack([self._image(stack) for stack in stacks])
        smallest = BLANK_SCALE if self.random_input else SMALLEST_SCALE
        constants = standardise(images, self.network.multiple, smallest)
        if self.random_input:
            noise = jax.random.normal(named_key(key, "input"), constants.image.shape[1:], images.dtype)
            constants = dataclasses.replace(constants, image=jnp.broadcast_to(noise, constants.image.shape))
        weights = _init(self.network, named_key(key, "weights"), constants.image[0])
        constants = (constants, estimate.coverage, estimate.object)
        return added_to_estimate(self.network, weights, constants) if self.residual else (weights, constants)

    def apply(self, params: Params, constants: Constants, key: Array | None) -> Float[Array, "slices channels Y X"]:
        """Phase in rad and absorption."""
        inputs, coverage, estimate = constants
        raw = self.raw(params, constants, key)
        image = raw * jnp.broadcast_to(inputs.scale, raw.shape) + jnp.broadcast_to(inputs.mean, raw.shape)
        image = image[:, : estimate.shape[-2], : estimate.shape[-1]].transpose(0, 3, 1, 2)
        free = image.reshape(estimate.shape)
        if self.preconditioner is not None:
            free = free.at[:, 0].set(precondition(self.preconditioner, free[:, 0]))
        return constrain(self.kind, free, coverage, self.ramp_is_gauge)

    def raw(self, params: Params, constants: Constants, key: Array | None) -> Float[Array, "n Y X channels"]:
        """The standardised output, which pre-training brings to the target."""
        inputs: NetworkInput = constants[0]
        if key is not None and self.augmented:
            move = random_move(named_key(key, "move"), self.network.multiple)
            seen = dataclasses.replace(inputs, image=moved(inputs.image, move))
            image = moved_back(_run(self.network, self.noise, params, seen, key), move)
        else:
            image = _run(self.network, self.noise, params, inputs, key)
        return image + inputs.residual_weight * jnp.mean(inputs.image, axis=0)

    def select_half(self, constants: Constants, half: Array) -> Constants:
        """Constants of what one half of the electrons validates."""
        return (select_half(constants[0], half), *constants[1:])

    def _image(self, channels: Float[Array, "slices channels Y X"]) -> Float[Array, "n Y X c"]:
        """Free channels as the network sees them."""
        free = unconstrain(self.kind, channels)
        if self.preconditioner is not None:
            free = free.at[:, 0].set(uncondition(self.preconditioner, free[:, 0]))
        images = free if self.network.slices_are_images else free.reshape(1, -1, *free.shape[-2:])
        return images.transpose(0, 2, 3, 1)


@dataclasses.dataclass(frozen=True)
class GeneratedProbe:
    """A probe that a CNN renders from the guess itself; real parts, then imaginary parts of the modes are its channels.

    The network gives the shape; the power is a parameter of its own, for the patterns determine it at once and a
    network's scale drifts.

    Attributes:
        network: the CNN; real and imaginary parts of the modes are the channels of its one image.
        noise: standard deviation of fresh input noise, relative to the input's.
    """

    network: Network
    noise: Number

    def init(self, key: Array, estimate: Estimate) -> tuple[Params, Constants]:
        """Random weights; the constants hold the guess as input and target."""
        parts = jnp.concatenate([estimate.probe.real, estimate.probe.imag])
        constants = standardise_modes(parts.transpose(1, 2, 0)[None, None], self.network.multiple)
        weights = _init(self.network, named_key(key, "weights"), constants.image[0])
        return {"network": weights, "log_power": jnp.log(probe_power(estimate.probe))}, (constants, estimate.probe)

    def apply(self, params: Params, constants: Constants, key: Array | None) -> Complex[Array, "modes y x"]:
        """Complex modes of the power that is learned."""
        inputs, estimate = constants
        image = self.raw(params, constants, key)[0] * inputs.scale[None, None]
        image = corner(image[: estimate.shape[-2], : estimate.shape[-1]], self.network.multiple).transpose(2, 0, 1)
        modes = estimate.shape[0]
        wave = jax.lax.complex(image[:modes], image[modes:])
        return wave * to_complex(jnp.sqrt(jnp.exp(params["log_power"]) / probe_power(wave)))

    def raw(self, params: Params, constants: Constants, key: Array | None) -> Float[Array, "n y x channels"]:
        """The standardised output, which pre-training brings to the target."""
        return _run(self.network, self.noise, params["network"], constants[0], key)

    def select_half(self, constants: Constants, half: Array) -> Constants:
        """The same constants: all electrons determine the probe far better than a half's pixels."""
        del half
        return constants
