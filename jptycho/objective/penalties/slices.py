"""How slices lie between vacuum, are alike, and absorb nothing."""

from __future__ import annotations

import jax.numpy as jnp

from jptycho.objective.reference import Reference, illuminated_mean
from jptycho.representations.estimate import Estimate
from jptycho.types import Array, Float


def surface(estimate: Estimate, reference: Reference) -> Float[Array, ""]:
    """S² ⟨|t_1 - 1|² + |t_S - 1|²⟩ to second order: first and last slice are vacuum.

    Args:
        estimate: phase and absorption.
        reference: holds the coverage.

    Returns:
        the penalty.
    """
    outer = estimate.object[jnp.array([0, -1])] ** 2
    return len(estimate.object) ** 2 * jnp.sum(illuminated_mean(outer, reference))


def similar_slices(estimate: Estimate, reference: Reference) -> Float[Array, ""]:
    """S Σ_s ⟨(u_s - mean_s u)²⟩ of phase and absorption.

    Args:
        estimate: phase and absorption.
        reference: holds the coverage.

    Returns:
        the penalty.
    """
    departure = estimate.object - jnp.mean(estimate.object, axis=0, keepdims=True)
    return len(estimate.object) * jnp.sum(illuminated_mean(departure**2, reference))


def pure_phase(estimate: Estimate, reference: Reference) -> Float[Array, ""]:
    """S Σ_s ⟨(|t_s| - 1)²⟩: a thin specimen absorbs nothing.

    Args:
        estimate: absorption is the second, where there is one.
        reference: holds the coverage.

    Returns:
        the penalty.
    """
    return len(estimate.object) * jnp.sum(illuminated_mean(jnp.expm1(-estimate.object[:, 1:]) ** 2, reference))
