"""How slices lie between vacuum, are alike, and absorb nothing."""

from __future__ import annotations

import jax.numpy as jnp

from jptycho.forward.fields import Fields
from jptycho.objective.reference import Channels, Reference, illuminated_mean
from jptycho.types import Array, Float


def surface(fields: Fields, channels: Channels, reference: Reference) -> Float[Array, ""]:
    """S² ⟨|t_1 - 1|² + |t_S - 1|²⟩ to second order: first and last slice are vacuum.

    Args:
        fields: not used.
        channels: phase and absorption.
        reference: holds the coverage.

    Returns:
        the penalty.
    """
    del fields
    outer = channels[jnp.array([0, -1])] ** 2
    return len(channels) ** 2 * jnp.sum(illuminated_mean(outer, reference))


def similar_slices(fields: Fields, channels: Channels, reference: Reference) -> Float[Array, ""]:
    """S Σ_s ⟨(u_s - mean_s u)²⟩ of phase and absorption.

    Args:
        fields: not used.
        channels: phase and absorption.
        reference: holds the coverage.

    Returns:
        the penalty.
    """
    del fields
    return len(channels) * jnp.sum(illuminated_mean((channels - jnp.mean(channels, axis=0)) ** 2, reference))


def pure_phase(fields: Fields, channels: Channels, reference: Reference) -> Float[Array, ""]:
    """S Σ_s ⟨(|t_s| - 1)²⟩: a thin specimen absorbs nothing.

    Args:
        fields: not used.
        channels: absorption is the second, where there is one.
        reference: holds the coverage.

    Returns:
        the penalty.
    """
    del fields
    return len(channels) * jnp.sum(illuminated_mean(jnp.expm1(-channels[:, 1:]) ** 2, reference))
