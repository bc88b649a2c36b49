"""The autoencoder loop: make a generator reproduce an estimate before it sees any diffraction pattern.

Where there is an estimate from each half of the electrons, the network learns to make one of the other: a denoiser.
"""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import optax

from jptycho.representations.generators import LEAST_POWER, Standardised, noise_floor
from jptycho.types import Array, Float


@runtime_checkable
class Generator(Protocol):
    """A representation whose raw output can be compared with a target."""

    def raw(self, params: Any, constants: Any, key: Array | None) -> Array:
        """The network's output."""
        ...

    def at_half(self, constants: Any, half: Array) -> Any:
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

    steps: int = 200
    rate: float = 3e-3
    tolerance: float = 0.1


@partial(jax.jit, static_argnames=("generator", "settings"))
def pretrain(
    generator: Generator, params: Any, constants: Any, key: Array, settings: Pretraining
) -> tuple[Any, Float[Array, ""], Array]:
    """Fit a generator to its estimates: min Σ |net(estimate + noise) - target|², one compiled loop.

    Args:
        generator: frozen representation (static).
        params: random weights.
        constants: of the representation, the :class:`Standardised` estimates first.
        key: of the input noise.
        settings: of the loop (static).

    Returns:
        weights, relative error reached, steps done.

    Source:
        McCray et al., arXiv 2511.07795, "pre-training".
    """
    inputs: Standardised = constants[0]
    power, floor = jnp.maximum(jnp.mean(inputs.target**2), LEAST_POWER), noise_floor(inputs)
    tolerance = jnp.minimum(settings.tolerance, jnp.where(floor > 0, jnp.sqrt(floor), jnp.inf))
    schedule = optax.warmup_cosine_decay_schedule(0.1 * settings.rate, settings.rate, 5, max(settings.steps, 6))
    transform = optax.adam(schedule)

    def loss_of(p: Any, k: Array) -> Array:
        key_half, key_noise = jax.random.split(k)
        chosen = generator.at_half(constants, jax.random.randint(key_half, (), 0, 2))
        return jnp.mean((generator.raw(p, chosen, key_noise) - chosen[0].target[0]) ** 2)

    def unfinished(carry: Any) -> Array:
        _, _, _, error, step = carry
        return (step < settings.steps) & (error > tolerance)

    def improve(carry: Any) -> Any:
        p, opt, k, error, step = carry
        k, k_noise = jax.random.split(k)
        loss, gradient = jax.value_and_grad(loss_of)(p, k_noise)
        updates, opt = transform.update(gradient, opt, p)
        # Input noise makes one step's error uncertain: stop on a running mean.
        relative = jnp.sqrt(jnp.maximum(loss / power - floor, 0.0))
        error = jnp.where(step == 0, relative, 0.7 * error + 0.3 * relative)
        return optax.apply_updates(p, updates), opt, k, error, step + 1

    start = (params, transform.init(params), key, jnp.asarray(jnp.inf, power.dtype), jnp.zeros((), int))
    params, _, _, error, steps = jax.lax.while_loop(unfinished, improve, start)
    return params, error, steps


def better_added(error: Float[Array, ""], constants: Any) -> bool:
    """Whether pre-training lost more of an estimate than noise had hidden before; then it is better kept and added to.

    Args:
        error: relative, that pre-training reached.
        constants: of the representation, the :class:`Standardised` estimates first.

    Returns:
        False where no halves tell what is noise.
    """
    floor = noise_floor(constants[0])
    return bool((error**2 > floor) & (floor > 0))
