"""Unknowns of the beam that differ from pattern to pattern: where the pattern lies, and how many electrons it has."""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp
import numpy as np

from jptycho.forward.effects import FLUX
from jptycho.representations.estimate import DESCAN, Estimate
from jptycho.types import Array, Constants, Float, Params

CONSTANT, PLANE, FREE, SMOOTH = "constant", "plane", "free", "smooth"


@dataclasses.dataclass(frozen=True)
class Descan:
    """How far each pattern lies off its place on the detector.

    One shift of all patterns is a ramp of the probe, so only ``constant`` has it; the others have none on average.

    Attributes:
        kind: ``constant``, ``plane`` over the scan, or ``free``.
    """

    kind: str = PLANE

    def init(self, key: Array, estimate: Estimate) -> tuple[Params, Constants]:
        """The nearest shifts to the guess; the constants are coordinates between -1 and 1 about the scan's middle."""
        del key
        rows = estimate.extra.get(DESCAN, jnp.zeros_like(estimate.positions))
        if self.kind == CONSTANT:
            return jnp.mean(rows, axis=0), jnp.zeros_like(rows)
        centred = estimate.positions - jnp.mean(estimate.positions, axis=0, keepdims=True)
        unit = centred / jnp.maximum(jnp.max(jnp.abs(centred)), 1.0)
        if self.kind == FREE:
            return rows, unit
        return jnp.linalg.lstsq(unit, rows)[0], unit

    def apply(self, params: Params, constants: Constants, key: Array | None) -> Float[Array, "scan 2"]:
        """Detector pixels along (y, x)."""
        del key
        if self.kind == CONSTANT:
            return constants + params[None]
        if self.kind == PLANE:
            return constants @ params
        return params - jnp.mean(params, axis=0, keepdims=True)


@dataclasses.dataclass(frozen=True)
class Flux:
    """How many electrons each pattern has, in those of an average one: exp(θ) / ⟨exp(θ)⟩.

    Attributes:
        knots: in time, between which θ is linear; 0 for a value of its own for each pattern.
    """

    knots: int = 0

    def init(self, key: Array, estimate: Estimate) -> tuple[Params, Constants]:
        """The guess, or nothing but ones; the constants are the weights of the knots."""
        del key
        rows = jnp.log(estimate.extra.get(FLUX, jnp.ones_like(estimate.positions[:, 0])))
        if not self.knots:
            return rows, None
        weights = hat_functions(len(rows), self.knots).astype(rows.dtype)
        return jnp.linalg.lstsq(weights, rows)[0], weights

    def apply(self, params: Params, constants: Constants, key: Array | None) -> Float[Array, "scan"]:
        """Relative to the mean."""
        del key
        flux = jnp.exp(params if constants is None else constants @ params)
        return flux / jnp.mean(flux)


def hat_functions(length: int, knots: int) -> Float[Array, "length knots"]:
    """Weights of linear interpolation between knots that are evenly spaced from the first to the last of a row.

    Args:
        length: of the row.
        knots: how many, at least 2.

    Returns:
        weights that sum to one along the knots.

    Example:
        >>> hat_functions(3, 2).tolist()
        [[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]]
    """
    places = np.linspace(0.0, knots - 1.0, length)
    return jnp.asarray(np.maximum(1 - np.abs(places[:, None] - np.arange(knots)), 0.0))
