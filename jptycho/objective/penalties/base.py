"""A penalty: a function of the rendered unknowns, and its weight beside the data loss."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import jax.numpy as jnp

from jptycho.objective.reference import Reference
from jptycho.representations.estimate import Estimate
from jptycho.types import Array, Float, Number

Term = Callable[[Estimate, Reference], Array]
"""(estimate, reference) -> a number: a function of a module, or a frozen dataclass with a call."""


@dataclasses.dataclass(frozen=True)
class Penalty:
    """A penalty and its weight; hashable.

    Attributes:
        term: what is added to the data loss: one of :mod:`jptycho.objective.penalties`, or your own.
        weight: of its value.
    """

    term: Term
    weight: Number

    def __call__(self, estimate: Estimate, reference: Reference) -> Float[Array, ""]:
        """Weight times term."""
        return self.weight * self.term(estimate, reference)


@dataclasses.dataclass(frozen=True)
class OfPhase:
    """A measure of an image, taken of the phase of each slice.

    Attributes:
        measure: (image (slices, Y, X), reference) -> a number, as in :mod:`jptycho.objective.penalties.roughness`.
    """

    measure: Callable[[Array, Reference], Array]

    def __call__(self, estimate: Estimate, reference: Reference) -> Float[Array, ""]:
        """The measure of the first channel."""
        return self.measure(estimate.object[:, 0], reference)


@dataclasses.dataclass(frozen=True)
class OfAbsorption:
    """The same of the absorption, which objects of kind ``complex`` have.

    Attributes:
        measure: as of :class:`OfPhase`.
    """

    measure: Callable[[Array, Reference], Array]

    def __call__(self, estimate: Estimate, reference: Reference) -> Float[Array, ""]:
        """The measure of the second channel."""
        return self.measure(estimate.object[:, 1], reference)


def total_penalty(penalties: tuple[Penalty, ...], estimate: Estimate, reference: Reference) -> Float[Array, ""]:
    """Σ weight · penalty; 0 where there is none.

    Args:
        penalties: with their weights (static).
        estimate: the rendered unknowns.
        reference: what they are compared with.

    Returns:
        the sum.
    """
    return sum((penalty(estimate, reference) for penalty in penalties), jnp.zeros(()))
