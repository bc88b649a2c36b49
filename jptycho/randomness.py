"""Named streams of random numbers: what draws them says its name, so that no two draws share a key by accident."""

from __future__ import annotations

import zlib

import jax

from jptycho.types import Array


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
        key = jax.random.fold_in(key, name_to_number(name))
    return key


def named_seed(seed: int, *names: str | int) -> list[int]:
    """The same for :func:`numpy.random.default_rng`.

    Args:
        seed: of the run.
        *names: what the numbers are for, and of which number that is.

    Returns:
        entropy.

    Example:
        >>> named_seed(7, 1)
        [7, 1]
    """
    return [seed, *(name_to_number(name) for name in names)]


def name_to_number(name: str | int) -> int:
    """A number that stands for a name; numbers stand for themselves.

    Args:
        name: text, or a number that is not negative.

    Returns:
        below 2**32.

    Example:
        >>> name_to_number("noise") == name_to_number("noise") != name_to_number("batches")
        True
    """
    return name if isinstance(name, int) else zlib.crc32(name.encode())
