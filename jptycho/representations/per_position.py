"""Positions and tilts that are refined: steps away from where the scan says they are."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Literal

import jax.numpy as jnp

from jptycho.representations.estimate import Estimate
from jptycho.representations.variation import MOST
from jptycho.settings import Count, Field, NotNegative, Positive, Section
from jptycho.types import Array, Constants, Float, Params


@dataclasses.dataclass(frozen=True)
class FreePositions:
    """Every position moves by itself.

    Attributes:
        centred: whether their mean stays, for it is the object's place on the canvas; not where the object is held.
    """

    centred: bool = True

    def init(self, key: Array, estimate: Estimate) -> tuple[Params, Constants]:
        """No displacement; the constants are the nominal positions."""
        del key
        return jnp.zeros_like(estimate.positions), estimate.positions

    def apply(self, params: Params, constants: Constants, key: Array | None) -> Float[Array, "scan 2"]:
        """Canvas pixels."""
        del key
        return constants + params - (jnp.mean(params, axis=0, keepdims=True) if self.centred else 0.0)


ORDER = 3
"""Of the polynomials of a tilt that varies slowly over the scan."""


@dataclasses.dataclass(frozen=True)
class FreeTilt:
    """The specimen's tilt.

    Attributes:
        local: whether each position has its own.
        smooth: whether these are polynomials over the scan up to ``ORDER``.
    """

    local: bool = False
    smooth: bool = False

    def init(self, key: Array, estimate: Estimate) -> tuple[Params, Constants]:
        """The guess, for every position where tilts are local, else their mean; of smooth ones what is nearest."""
        del key
        if not self.local:
            return jnp.mean(jnp.reshape(estimate.tilt, (-1, 2)), axis=0), None
        rows = jnp.broadcast_to(estimate.tilt, (len(estimate.positions), 2))
        if not self.smooth:
            return rows, None
        basis = slow_functions(estimate.positions, ORDER)
        return basis.T @ rows / len(rows), basis

    def apply(self, params: Params, constants: Constants, key: Array | None) -> Array:
        """mrad."""
        del key
        return constants @ params if self.smooth else params


def slow_functions(positions: Float[Array, "scan 2"], order: int) -> Float[Array, "scan terms"]:
    """Polynomials over the scan, orthogonal and of mean square one.

    Args:
        positions: in any unit.
        order: of the highest; no more terms than there are positions (static).

    Returns:
        their values at each position, the constant first.

    Example:
        >>> slow_functions(jnp.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0]]), 1).shape
        (3, 3)
    """
    centred = positions - jnp.mean(positions, axis=0, keepdims=True)
    y, x = (centred / jnp.maximum(jnp.max(jnp.abs(centred)), 1e-6)).T
    terms = [y ** (n - m) * x**m for n in range(order + 1) for m in range(n + 1)][: len(positions)]
    return jnp.linalg.qr(jnp.stack(terms, axis=1))[0] * len(positions) ** 0.5


SHARED = ("position_affine", "position_lines", "position_drift")
SEARCHED = ("position_error", *SHARED)
CHOICES = (
    "tilt", "descan", "thickness", "background", "flux", "source_size", "probe_variation", "focal_spread", "fly",
    "object_states", "slice_gaps", "point_spread",
)  # fmt: skip
"""Keys of ``[refine]`` that say whether, and how, something is an unknown; each has a rate."""
RATES = ("position_rate", *(f"{name}_rate" for name in CHOICES))
"""Keys of the learning rates in ``[refine]``."""


class RefineSettings(Section):
    """``[refine]``: what else is unknown; rates are of the gradient only."""

    position_error: NotNegative = Field(
        0.0,
        description="Å (pixels where only those are known) by which positions may be off, root mean square along an "
        "axis; above 0 they are searched for in rounds between the pixels",
    )
    position_affine: Annotated[float, Field(ge=0, le=0.2)] = Field(
        0.0,
        description="by which scale and shear of the scan may be off (0.02: 2 %), and its rotation in rad (0.02: "
        "1.1°); above 0 they are found in the same rounds",
    )
    position_lines: NotNegative = Field(
        0.0, description="Å by which each line of the scan may be shifted as a whole; above 0 likewise"
    )
    position_drift: NotNegative = Field(
        0.0, description="Å, root mean square, of a smooth drift in time; above 0 likewise"
    )
    position_rounds: Count = Field(4, description="of that search")
    position_rate: NotNegative = Field(0.0, description="learning rate of the positions in pixels; 0 keeps them")
    tilt: Literal["none", "global", "smooth", "local"] = Field(
        "none", description="one tilt for all positions, one that varies slowly over the scan, or one for each"
    )
    tilt_rate: Positive = Field(0.1, description="learning rate of the tilt in mrad")
    descan: Literal["none", "constant", "plane", "free"] = Field(
        "none",
        description="shift of the patterns on the detector: of all alike, a plane over the scan, of each its own",
    )
    descan_rate: Positive = Field(0.05, description="learning rate of that in detector pixels")
    thickness: bool = Field(False, description="whether the distance between slices is an unknown")
    thickness_rate: Positive = Field(0.01, description="learning rate of its logarithm")
    background: Literal["none", "constant", "smooth", "pixels"] = Field(
        "none",
        description="electrons beside the pattern: on every detector pixel alike, varying slowly, of each its own",
    )
    background_rate: Positive = Field(0.03, description="learning rate of its square root, in that of its start")
    flux: Literal["none", "smooth", "free"] = Field(
        "none",
        description="electrons of a pattern, in those of an average one: varying slowly in time, or of each its own",
    )
    flux_rate: Positive = Field(0.01, description="learning rate of its logarithm")

    source_size: bool = Field(
        False, description="whether the size of the source is an unknown, of which modes are made"
    )

    source_size_rate: Positive = Field(0.03, description="learning rate of its logarithm")
    probe_variation: Annotated[int, Field(ge=0, le=MOST)] = Field(
        0, description="modes by which the probe differs from pattern to pattern (orthogonal probe relaxation)"
    )
    probe_variation_rate: Positive = Field(0.02, description="learning rate of these modes and of their weights")
    probe_weights: Literal["smooth", "free"] = Field(
        "smooth", description="of these modes in a pattern: varying slowly in time, or of each its own"
    )
    focal_spread: bool = Field(False, description="whether the spread of the focus is an unknown")
    focal_spread_rate: Positive = Field(0.03, description="learning rate of its logarithm")
    fly: bool = Field(False, description="whether the line of a fly scan is an unknown")
    fly_rate: Positive = Field(0.02, description="learning rate of that in Å")
    object_states: Annotated[int, Field(ge=0, le=16)] = Field(
        0, description="states between which the object changes, as by vibration: from 2; a step costs so many times"
    )
    object_states_rate: Positive = Field(0.01, description="learning rate of their phases in rad")
    slice_gaps: bool = Field(False, description="whether slices may be unevenly spaced; their mean is the thickness")
    slice_gaps_rate: Positive = Field(0.01, description="learning rate of their logarithms")
    point_spread: NotNegative = Field(
        0.0, description="detector pixels, standard deviation of a point on the detector: where it begins; 0 for none"
    )
    point_spread_rate: NotNegative = Field(0.02, description="learning rate of its logarithm; 0 keeps it")

    @property
    def shared(self) -> tuple[str, ...]:
        """Keys of what displacements of different patterns may have in common, where it is searched for."""
        return tuple(key for key in SHARED if getattr(self, key))

    @property
    def searched(self) -> tuple[str, ...]:
        """Keys by which positions are searched for."""
        return (*(("position_error",) if self.position_error else ()), *self.shared)

    @property
    def by_gradient(self) -> list[str]:
        """Keys of what is on and has a learning rate."""
        return [key for key in ("position_rate", *CHOICES) if getattr(self, key) not in (0, "none", False)]
