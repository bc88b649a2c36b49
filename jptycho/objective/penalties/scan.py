"""Positions and tilts that change little from one pattern to its neighbour."""

from __future__ import annotations

import jax.numpy as jnp

from jptycho.objective.reference import Reference
from jptycho.representations.estimate import Estimate
from jptycho.types import Array, Float


def smooth_positions(estimate: Estimate, reference: Reference) -> Float[Array, ""]:
    """Mean of |d_i - d_j|² over neighbours i, j; d is the displacement from the nominal position in pixels.

    Args:
        estimate: positions.
        reference: nominal positions and neighbours.

    Returns:
        the penalty.
    """
    return _roughness(estimate.positions - reference.positions, reference.neighbours)


def smooth_tilts(estimate: Estimate, reference: Reference) -> Float[Array, ""]:
    """Mean of |θ_i - θ_j|² over neighbours i, j, in mrad².

    Args:
        estimate: tilts, one for each position.
        reference: neighbours.

    Returns:
        the penalty; 0 for a tilt that all positions share.
    """
    return jnp.zeros(()) if estimate.tilt.ndim == 1 else _roughness(estimate.tilt, reference.neighbours)


def _roughness(values: Array, neighbours: Array) -> Array:
    return jnp.mean(jnp.sum((values[neighbours[:, 0]] - values[neighbours[:, 1]]) ** 2, axis=-1))
