"""The autoencoder loop: make a generator reproduce the guess before it sees any diffraction pattern."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import optax

from jptycho.types import Array, Float


@runtime_checkable
class Generator(Protocol):
    """A representation whose raw output can be compared with a target."""

    def raw(self, params: Any, constants: Any, key: Array | None) -> Array:
        """The network's output."""
        ...

    def target(self, constants: Any) -> Array:
        """What the output should be, of unit variance."""
        ...


@dataclasses.dataclass(frozen=True)
class Pretraining:
    """Settings of the loop; hashable.

    Attributes:
        steps: at most.
        rate: peak learning rate of Adam.
        tolerance: relative error, root mean square, at which it stops.
    """

    steps: int = 200
    rate: float = 3e-3
    tolerance: float = 0.1


@partial(jax.jit, static_argnames=("generator", "settings"))
def pretrain(
    generator: Generator, params: Any, constants: Any, key: Array, settings: Pretraining
) -> tuple[Any, Float[Array, ""], Array]:
    """Fit a generator to its guess: min Σ |net(guess + noise) - guess|², one compiled loop.

    Args:
        generator: frozen representation (static).
        params: random weights.
        constants: of the representation; they hold the guess.
        key: of the input noise.
        settings: of the loop (static).

    Returns:
        weights, relative error reached, steps done.

    Source:
        McCray et al., arXiv 2511.07795, "pre-training".
    """
    target = generator.target(constants)
    schedule = optax.warmup_cosine_decay_schedule(0.1 * settings.rate, settings.rate, 5, settings.steps)
    transform = optax.adam(schedule)

    def loss_of(p: Any, k: Array) -> Array:
        return jnp.mean((generator.raw(p, constants, k) - target) ** 2)

    def unfinished(carry: Any) -> Array:
        _, _, _, error, step = carry
        return (step < settings.steps) & (error > settings.tolerance)

    def improve(carry: Any) -> Any:
        p, opt, k, error, step = carry
        k, k_noise = jax.random.split(k)
        loss, gradient = jax.value_and_grad(loss_of)(p, k_noise)
        updates, opt = transform.update(gradient, opt, p)
        # Input noise makes one step's error uncertain: stop on a running mean.
        relative = jnp.sqrt(loss / jnp.mean(target**2))
        error = jnp.where(step == 0, relative, 0.7 * error + 0.3 * relative)
        return optax.apply_updates(p, updates), opt, k, error, step + 1

    start = (params, transform.init(params), key, jnp.asarray(jnp.inf, target.dtype), jnp.zeros((), int))
    params, _, _, error, steps = jax.lax.while_loop(unfinished, improve, start)
    return params, error, steps
