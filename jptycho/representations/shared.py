"""Unknowns that all patterns share: the distance between slices, and the background of the detector."""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp

from jptycho.forward.effects import BACKGROUND
from jptycho.representations.estimate import Estimate
from jptycho.representations.per_pattern import CONSTANT, SMOOTH, hat_functions
from jptycho.types import Array, Constants, Float, Params

KNOTS = 5
"""Along each axis of the detector, between which a smooth background is linear."""
LEAST_BACKGROUND = 1e-4
"""Share of the electrons at which a background starts that was taken for none: zero has no slope."""
LEAST_LEVEL = 0.01
"""Of a background, in that of its mean, likewise."""


@dataclasses.dataclass(frozen=True)
class FreeThickness:
    """The distance between slices, by steps in its logarithm, so that it stays positive."""

    def init(self, key: Array, estimate: Estimate) -> tuple[Params, Constants]:
        """The guess is where it starts."""
        del key
        return jnp.zeros_like(estimate.thickness), estimate.thickness

    def apply(self, params: Params, constants: Constants, key: Array | None) -> Float[Array, ""]:
        """Å."""
        del key
        return constants * jnp.exp(params)


@dataclasses.dataclass(frozen=True)
class Background:
    """What falls on each pixel of the detector beside the pattern, as a share of an average pattern: s θ², s its start.

    Attributes:
        kind: ``constant``, ``smooth`` or ``pixels``.
    """

    kind: str = CONSTANT

    def init(self, key: Array, estimate: Estimate) -> tuple[Params, Constants]:
        """The square root of the guess in units of its mean, which is a constant as are the weights of the knots."""
        del key
        shape, dtype = estimate.probe.shape[-2:], estimate.coverage.dtype
        guess = estimate.shared.get(BACKGROUND, jnp.zeros((), dtype))
        scale = jnp.maximum(jnp.mean(guess), LEAST_BACKGROUND / (shape[0] * shape[1]))
        level, weights = guess / scale, None
        level = jnp.mean(level) if self.kind == CONSTANT else jnp.broadcast_to(level, shape)
        if self.kind == SMOOTH:
            weights = tuple(jnp.fft.ifftshift(hat_functions(n, KNOTS), axes=0).astype(dtype) for n in shape)
            level = jnp.linalg.pinv(weights[0]) @ level @ jnp.linalg.pinv(weights[1]).T
        return jnp.sqrt(jnp.maximum(level, LEAST_LEVEL)), (scale, weights)

    def apply(self, params: Params, constants: Constants, key: Array | None) -> Array:
        """Of each pixel; one number where it is constant."""
        del key
        scale, weights = constants
        level = params**2
        if weights is not None:
            level = weights[0] @ level @ weights[1].T
        return scale * level
