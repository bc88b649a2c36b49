"""The autoencoder loop: make a generator reproduce an estimate before it sees any diffraction pattern.

Where there is an estimate from each half of the electrons, the network learns to make one of the other: a denoiser.
"""

from __future__ import annotations

import dataclasses
from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import optax

from jptycho.randomness import named_key
from jptycho.representations.networks.input import LEAST_POWER, NetworkInput, noise_floor
from jptycho.tracing import jit_settings, numpy_promotion
from jptycho.types import Array, Constants, Float, Number, Params, PyTree, pytree


@runtime_checkable
class Generator(Protocol):
    """A representation whose raw output can be compared with a target."""

    def raw(self, params: Params, constants: Constants, key: Array | None) -> Array:
        """The network's output."""
        ...

    def select_half(self, constants: Constants, half: Array) -> Constants:
        """Constants with the estimate of one half only."""
        ...


@dataclasses.dataclass(frozen=True)
class Pretraining:
    """Settings of the loop; hashable.

    Attributes:
        steps: at most.
        rate: peak learning rate of Adam.
        tolerance: relative error, root mean square and beyond the target's own noise, at which it stops; at that noise
            where it is less.
    """

    steps: int = 40
    rate: Number = 3e-3
    tolerance: Number = 0.1


@pytree
class PretrainingState:
    """What the loop carries.

    Attributes:
        params: weights.
        optimiser: Adam's memory.
        key: of the input noise.
        error: relative error, a running mean.
        step: steps done.
    """

    params: Params
    optimiser: PyTree
    key: Array
    error: Float[Array, ""]
    step: Array


@jit_settings("settings")
def begin_pretraining(params: Params, key: Array, settings: Pretraining) -> PretrainingState:
    """The state before the first step.

    Args:
        params: random weights.
        key: of the input noise.
        settings: of the loop.

    Returns:
        the state.
    """
    return PretrainingState(params, _adam(settings).init(params), key, jnp.array(jnp.inf, float), jnp.zeros((), int))


def _adam(settings: Pretraining) -> optax.GradientTransformation:
    share = optax.warmup_cosine_decay_schedule(0.1, 1.0, 5, max(settings.steps, 6))
    return optax.adam(lambda step: settings.rate * share(step))


@jit_settings("generator", "settings")
def continue_pretraining(
    generator: Generator, state: PretrainingState, constants: Constants, settings: Pretraining, until: int | Array
) -> tuple[PretrainingState, Array]:
    """Fit a generator to its estimates: min Σ |net(estimate + noise) - target|², one compiled loop.

    Args:
        generator: frozen representation.
        state: before.
        constants: of the representation, the :class:`NetworkInput` estimates first.
        settings: of the loop.
        until: step at which to return.

    Returns:
        the state after, and whether there is anything left to do.

    Source:
        McCray et al., arXiv 2511.07795, "pre-training".
    """
    inputs: NetworkInput = constants[0]
    power, floor = jnp.maximum(jnp.mean(inputs.target**2), LEAST_POWER), noise_floor(inputs)
    tolerance = jnp.minimum(settings.tolerance, jnp.where(floor > 0, jnp.sqrt(floor), jnp.inf))
    transform = _adam(settings)

    def loss_of(p: Params, k: Array) -> Array:
        chosen = generator.select_half(constants, jax.random.randint(named_key(k, "half"), (), 0, 2))
        return jnp.mean((generator.raw(p, chosen, named_key(k, "noise")) - chosen[0].target[0]) ** 2)

    def unfinished(now: PretrainingState, last: int | Array) -> Array:
        return (now.step < last) & (now.error > tolerance)

    def improve(now: PretrainingState) -> PretrainingState:
        loss, gradient = jax.value_and_grad(loss_of)(now.params, jax.random.fold_in(now.key, now.step))
        with numpy_promotion():  # Optax counts steps in whole numbers
            updates, memory = transform.update(gradient, now.optimiser, now.params)
        # Input noise makes one step's error uncertain: stop on a running mean.
        relative = jnp.sqrt(jnp.maximum(loss / power - floor, 0.0))
        error = jnp.where(now.step == 0, relative, 0.7 * now.error + 0.3 * relative).astype(now.error.dtype)
        params: Params = optax.apply_updates(now.params, updates)
        return PretrainingState(params, memory, now.key, error, now.step + 1)

    last = jnp.minimum(until, settings.steps)
    state = jax.lax.while_loop(lambda now: unfinished(now, last), improve, state)
    return state, unfinished(state, settings.steps)


def pretrain(
    generator: Generator, params: Params, constants: Constants, key: Array, settings: Pretraining
) -> tuple[Params, Float[Array, ""], Array]:
    """All of :func:`continue_pretraining` at once.

    Args:
        generator: frozen representation.
        params: random weights.
        constants: of the representation, the :class:`NetworkInput` estimates first.
        key: of the input noise.
        settings: of the loop.

    Returns:
        weights, relative error reached, steps done.
    """
    start = begin_pretraining(params, key, settings)
    state, _ = continue_pretraining(generator, start, constants, settings, settings.steps)
    return state.params, state.error, state.step


def better_added(error: Float[Array, ""], constants: Constants) -> bool:
    """Whether pre-training lost more of an estimate than noise had hidden before; then it is better kept and added to.

    Args:
        error: relative, that pre-training reached.
        constants: of the representation, the :class:`NetworkInput` estimates first.

    Returns:
        False where no halves tell what is noise.
    """
    floor = noise_floor(constants[0])
    return bool((error**2 > floor) & (floor > 0))
