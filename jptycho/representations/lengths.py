"""Unknowns of one or two numbers that all patterns share: the spread of the focus, the line of a fly scan."""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp

from jptycho.representations.estimate import Estimate
from jptycho.types import Array, Constants, Float, Number, Params


@dataclasses.dataclass(frozen=True)
class PositiveNumber:
    """A number that stays positive: its logarithm is what moves.

    Attributes:
        name: under which an estimate has it among what all patterns share.
        start: where it begins, in its unit.
    """

    name: str
    start: Number

    def init(self, key: Array, estimate: Estimate) -> tuple[Params, Constants]:
        """No step away from the estimate's."""
        del key
        start = estimate.shared.get(self.name, jnp.asarray(self.start, estimate.coverage.dtype))
        return jnp.zeros_like(start), start

    def apply(self, params: Params, constants: Constants, key: Array | None) -> Float[Array, ""]:
        """In its unit."""
        del key
        return constants * jnp.exp(params)


@dataclasses.dataclass(frozen=True)
class FreeVector:
    """Two numbers along (y, x).

    Attributes:
        name: under which an estimate has them among what all patterns share, in their unit.
    """

    name: str

    def init(self, key: Array, estimate: Estimate) -> tuple[Params, Constants]:
        """Those of the estimate."""
        del key
        return estimate.shared[self.name], None

    def apply(self, params: Params, constants: Constants, key: Array | None) -> Float[Array, "2"]:
        """In their unit."""
        del constants, key
        return params
