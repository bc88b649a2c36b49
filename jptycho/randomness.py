"""Named streams of random numbers, which no two draws share by accident, and Poisson numbers that compile quickly."""

from __future__ import annotations

import zlib

import jax
import jax.numpy as jnp

from jptycho.types import Array, Float

FEW, MOST = 16.0, 64
"""Electrons below which their distribution is summed, and at most so many: 12 standard deviations beyond them."""


def named_key(key: Array, *names: str | int) -> Array:
    """A random key of its own for each sequence of names.

    Args:
        key: random key.
        *names: what the numbers are for, and of which number that is.

    Returns:
        the key, with every name folded in.

    Example:
        >>> key = jax.random.key(0)
        >>> bool((jax.random.key_data(named_key(key, "noise")) != jax.random.key_data(named_key(key, "batches"))).any())
        True
    """
    for name in names:
        key = jax.random.fold_in(key, _number(name))
    return key


def named_seed(seed: int, *names: str | int) -> list[int]:
    """The same for :func:`numpy.random.default_rng`.

    Args:
        seed: of the run.
        *names: what the numbers are for, and of which number that is.

    Returns:
        entropy.

    Example:
        >>> named_seed(7, "half sets", 0) == named_seed(7, "half sets", 0) != named_seed(7, "half sets", 1)
        True
    """
    # One number for all names: NumPy takes no notice of zeros at the end.
    return [seed, _number("/".join(map(str, names)))]


def poisson(key: Array, rate: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Random numbers of a Poisson distribution.

    A normal number z gives each: for few electrons the one at which the distribution first exceeds Φ(z), for many
    λ + √λ z + (z² - 1) / 6 in whole numbers. :func:`jax.random.poisson` rejects in nested loops instead, which are
    exact beyond that too, and which take seconds to compile. Rates below 1e-5 give a little too few.

    Args:
        key: random key.
        rate: λ, not negative.

    Returns:
        whole numbers in the type of the rate.

    Source:
        Cornish & Fisher, Rev. Int. Stat. Inst. 5 (1938) 307, to the skewness.

    Example:
        >>> drawn = poisson(jax.random.key(0), jnp.full(10000, 4.0))
        >>> round(float(drawn.mean()), 1), abs(float(drawn.var()) - 4.0) < 0.2
        (4.0, True)
    """
    z = jax.random.normal(key, rate.shape, rate.dtype)
    share, few = jax.scipy.special.ndtr(z), jnp.minimum(rate, FEW)

    def add(n: Array, so_far: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        drawn, chance, total = so_far
        exceeded = share > total
        chance = chance * few / (n.astype(rate.dtype) + 1)
        return drawn + exceeded.astype(rate.dtype), chance, total + chance

    nothing = jnp.exp(-few)
    summed, _, _ = jax.lax.fori_loop(0, MOST, add, (jnp.zeros_like(rate), nothing, nothing))
    root = jnp.sqrt(rate)
    many = jnp.floor(rate + root * z + (z**2 - 1) / 6 + 0.5)
    # Rounding may end the sum below the largest Φ(z), and the smallest z takes more than there is.
    return jnp.where(rate < FEW, jnp.minimum(summed, jnp.ceil(rate + 7 * root + 7)), jnp.maximum(many, 0.0))


def _number(name: str | int) -> int:
    """A number that stands for a name; numbers stand for themselves."""
    return name if isinstance(name, int) else zlib.crc32(name.encode())
