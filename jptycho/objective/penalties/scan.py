"""Positions and tilts that change little from one pattern to its neighbour."""

from __future__ import annotations

import jax.numpy as jnp

from jptycho.forward.fields import Fields
from jptycho.objective.reference import Channels, Reference
from jptycho.types import Array, Float


def smooth_positions(fields: Fields, channels: Channels, reference: Reference) -> Float[Array, ""]:
    """Mean of |d_i - d_j|² over neighbours i, j; d is the displacement from the nominal position in pixels.

    Args:
        fields: positions.
        channels: not used.
        reference: nominal positions and neighbours.

    Returns:
        the penalty.
    """
    del channels
    return _roughness(fields.scan.position - reference.positions, reference.neighbours)


def smooth_tilts(fields: Fields, channels: Channels, reference: Reference) -> Float[Array, ""]:
    """Mean of |θ_i - θ_j|² over neighbours i, j, in mrad².

    Args:
        fields: tilts, one for each position.
        channels: not used.
        reference: neighbours.

    Returns:
        the penalty; 0 for a tilt that all positions share.
    """
    del channels
    return jnp.zeros(()) if fields.scan.tilt is None else _roughness(fields.scan.tilt, reference.neighbours)


def _roughness(values: Array, neighbours: Array) -> Array:
    return jnp.mean(jnp.sum((values[neighbours[:, 0]] - values[neighbours[:, 1]]) ** 2, axis=-1))
