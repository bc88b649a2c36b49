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


def _number(name: str | int) -> int:
    """A number that stands for a name; numbers stand for themselves."""
    return name if isinstance(name, int) else zlib.crc32(name.encode())
