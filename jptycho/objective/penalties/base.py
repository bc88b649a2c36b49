"""A penalty: a function of the rendered unknowns, and its weight beside the data loss."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import jax.numpy as jnp

from jptycho.forward.fields import Fields
from jptycho.objective.reference import Channels, Reference
from jptycho.types import Array, Float, Number

Term = Callable[[Fields, Channels, Reference], Array]
"""(fields, channels, reference) -> a number: a function of a module, or a frozen dataclass with a call."""


@dataclasses.dataclass(frozen=True)
class Penalty:
    """A penalty and its weight; hashable.

    Attributes:
        term: what is added to the data loss: one of :mod:`jptycho.objective.penalties`, or your own.
        weight: of its value.
    """

    term: Term
    weight: Number

    def __call__(self, fields: Fields, channels: Channels, reference: Reference) -> Float[Array, ""]:
        """Weight times term."""
        return self.weight * self.term(fields, channels, reference)


@dataclasses.dataclass(frozen=True)
class OfPhase:
    """A measure of an image, taken of the phase of each slice.

    Attributes:
        measure: (image (slices, Y, X), reference) -> a number, as in :mod:`jptycho.objective.penalties.roughness`.
    """

    measure: Callable[[Array, Reference], Array]

    def __call__(self, fields: Fields, channels: Channels, reference: Reference) -> Float[Array, ""]:
        """The measure of the first channel."""
        del fields
        return self.measure(channels[:, 0], reference)


@dataclasses.dataclass(frozen=True)
class OfAbsorption:
    """The same of the absorption, which objects of kind ``complex`` have.

    Attributes:
        measure: as of :class:`OfPhase`.
    """

    measure: Callable[[Array, Reference], Array]

    def __call__(self, fields: Fields, channels: Channels, reference: Reference) -> Float[Array, ""]:
        """The measure of the second channel."""
        del fields
        return self.measure(channels[:, 1], reference)


def total_penalty(
    penalties: tuple[Penalty, ...], fields: Fields, channels: Channels, reference: Reference
) -> Float[Array, ""]:
    """Σ weight · penalty; 0 where there is none.

    Args:
        penalties: with their weights (static).
        fields: the rendered unknowns.
        channels: phase and absorption.
        reference: what they are compared with.

    Returns:
        the sum.
    """
    return sum((penalty(fields, channels, reference) for penalty in penalties), jnp.zeros(()))
