"""A projection: a map of object channels and probe onto what obeys it."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from jptycho.objective.reference import Channels, Modes, Reference

OBJECT, PROBE, BOTH = ("object",), ("probe",), ("object", "probe")


@runtime_checkable
class Projection(Protocol):
    """A frozen, hashable dataclass that holds its own constants."""

    @property
    def touches(self) -> tuple[str, ...]:
        """Which unknowns it changes: ``object``, ``probe`` or both."""
        ...

    @property
    def instead(self) -> str:
        """What a generator, which cannot be projected, can be asked for in its place."""
        ...

    def __call__(self, channels: Channels, probe: Modes, reference: Reference) -> tuple[Channels, Modes]:
        """Object channels and probe that obey."""
        ...


def project(
    projections: tuple[Projection, ...], channels: Channels, probe: Modes, reference: Reference
) -> tuple[Channels, Modes]:
    """Apply projections in order.

    Args:
        projections: which (static).
        channels: phase and absorption.
        probe: modes.
        reference: coverage, sampling, thickness.

    Returns:
        object and probe.
    """
    for projection in projections:
        channels, probe = projection(channels, probe, reference)
    return channels, probe
