"""The weights of a network as one vector: an optimiser's step is then one operation instead of one for each layer."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp

from jptycho.types import Array, Params, Shaped, pytree, static


@pytree
class Weights:
    """A pytree of arrays, end to end.

    Attributes:
        vector: all numbers; in an ensemble with leading axes.
        shapes: of the arrays, in the order of the tree (static).
        structure: of the tree (static).
    """

    vector: Shaped[Array, "*members n"]
    shapes: tuple[tuple[int, ...], ...] = static()
    structure: Any = static()


def flatten(params: Params) -> Params:
    """A pytree of arrays as one vector, where all are of one type; else as it is.

    Args:
        params: arrays.

    Returns:
        :class:`Weights`.

    Example:
        >>> flatten({"a": jnp.ones((2, 2)), "b": jnp.zeros(3)}).vector.tolist()
        [1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0]
    """
    leaves, structure = jax.tree.flatten(params)
    if len({leaf.dtype for leaf in leaves}) != 1:
        return params
    vector = jnp.concatenate([leaf.reshape(-1) for leaf in leaves])
    return Weights(vector, tuple(leaf.shape for leaf in leaves), structure)


def unflatten(params: Params) -> Params:
    """The pytree that was flattened.

    Args:
        params: of :func:`flatten`.

    Returns:
        arrays.

    Example:
        >>> unflatten(flatten({"a": jnp.ones((2, 2)), "b": jnp.zeros(3)}))["b"].tolist()
        [0.0, 0.0, 0.0]
    """
    if not isinstance(params, Weights):
        return params
    sizes = [math.prod(shape) for shape in params.shapes]
    parts = jax.lax.split(params.vector, sizes)
    arrays = [part.reshape(shape) for part, shape in zip(parts, params.shapes, strict=True)]
    return jax.tree.unflatten(params.structure, arrays)
