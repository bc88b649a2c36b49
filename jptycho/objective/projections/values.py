"""Values that phase and absorption may have: signs, vacuum, no absorption."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import jax.numpy as jnp

from jptycho.objective.projections.base import BOTH, OBJECT
from jptycho.objective.reference import Channels, Modes, Reference
from jptycho.optics.waves import to_complex
from jptycho.types import Number


@dataclasses.dataclass(frozen=True)
class Positivity:
    """Phase and absorption are not negative."""

    touches: ClassVar[tuple[str, ...]] = OBJECT
    instead: ClassVar[str] = 'object.kind = "potential"'

    def __call__(self, channels: Channels, probe: Modes, reference: Reference) -> tuple[Channels, Modes]:
        """What is negative becomes zero; the probe is left alone."""
        del reference
        return jnp.maximum(channels, 0.0), probe


@dataclasses.dataclass(frozen=True)
class PhaseOnly:
    """No absorption: |t| = 1."""

    touches: ClassVar[tuple[str, ...]] = OBJECT
    instead: ClassVar[str] = 'object.kind = "phase", or penalties.pure_phase'

    def __call__(self, channels: Channels, probe: Modes, reference: Reference) -> tuple[Channels, Modes]:
        """The phase and zeros; the probe is left alone."""
        del reference
        return channels.at[:, 1:].set(0.0), probe


@dataclasses.dataclass(frozen=True)
class VacuumAmplitude:
    """The most transparent illuminated place, the 1 % quantile of the summed absorption, absorbs nothing.

    The probe makes up for it: a constant absorption and the probe's power cannot be told apart.
    """

    touches: ClassVar[tuple[str, ...]] = BOTH
    instead: ClassVar[str] = "penalties.pure_phase"

    def __call__(self, channels: Channels, probe: Modes, reference: Reference) -> tuple[Channels, Modes]:
        """Absorption moved by a constant, and the probe of the other power."""
        if channels.shape[1] == 1:
            return channels, probe
        total = jnp.where(reference.coverage > 0.5, jnp.sum(channels[:, 1], axis=0), jnp.nan)
        least = jnp.nanquantile(total, 0.01)
        return channels.at[:, 1].add(-least / len(channels)), probe * to_complex(jnp.exp(-least))


@dataclasses.dataclass(frozen=True)
class FieldOfView:
    """What is illuminated less than a share of the mean is vacuum.

    Attributes:
        share: of the mean illumination.
    """

    share: Number
    touches: ClassVar[tuple[str, ...]] = OBJECT
    instead: ClassVar[str] = "penalties.l1_phase"

    def __call__(self, channels: Channels, probe: Modes, reference: Reference) -> tuple[Channels, Modes]:
        """Zeros there; the probe is left alone."""
        seen = (reference.coverage >= self.share).astype(channels.dtype)
        return channels * seen[None, None], probe
