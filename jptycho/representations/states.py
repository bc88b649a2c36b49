"""Unknowns of the object beside its transmission: states that it changes between, and the spacing of its slices."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from jptycho.forward.exit_waves import GAPS, STATES
from jptycho.representations.estimate import Estimate
from jptycho.representations.pixels import visibility
from jptycho.types import Array, Constants, Float, Number, Params

FIRST = 0.02
"""rad: standard deviation of the states' phases at first; equal states have equal gradients and would stay equal."""


@dataclasses.dataclass(frozen=True)
class ObjectStates:
    """What the phase of each state is beside the object's: the mean over states is zero.

    Attributes:
        count: of states, between which the object changes from electron to electron, as atoms do that vibrate.
    """

    count: int

    def init(self, key: Array, estimate: Estimate) -> tuple[Params, Constants]:
        """No step away from the estimate's states, or from random ones; the constants are those and the coverage."""
        slices, _, *canvas = estimate.object.shape
        start = estimate.shared.get(STATES)
        if start is None:
            start = FIRST * jax.random.normal(key, (self.count, slices, *canvas), estimate.coverage.dtype)
        return jnp.zeros_like(start), (start, estimate.coverage)

    def apply(self, params: Params, constants: Constants, key: Array | None) -> Float[Array, "states slices Y X"]:
        """rad."""
        del key
        start, coverage = constants
        phases = start + params * visibility(coverage)[None, None]
        return phases - jnp.mean(phases, axis=0, keepdims=True)


@dataclasses.dataclass(frozen=True)
class SliceGaps:
    """Distances between slices in units of their mean, by steps in their logarithms.

    Attributes:
        start: where they begin, in any unit.
    """

    start: tuple[Number, ...]

    def init(self, key: Array, estimate: Estimate) -> tuple[Params, Constants]:
        """No step away from the estimate's."""
        del key
        said = jnp.stack([jnp.asarray(gap, estimate.coverage.dtype) for gap in self.start])
        start = estimate.shared.get(GAPS, said)
        return jnp.zeros_like(start), start

    def apply(self, params: Params, constants: Constants, key: Array | None) -> Float[Array, "gaps"]:
        """Of mean one: what all of them measure is the thickness."""
        del key
        gaps = constants * jnp.exp(params)
        return gaps / jnp.mean(gaps)
