"""The gauges of a probe: its place in the window, its power."""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar

import jax.numpy as jnp

from jptycho.objective.projections.base import BOTH, PROBE
from jptycho.objective.reference import Channels, Modes, Reference
from jptycho.optics.waves import intensity, to_complex


@dataclasses.dataclass(frozen=True)
class ProbeCentring:
    """Move probe and object together by whole pixels until the probe's centre of mass is at its window's centre.

    Only their relative position is determined; whole pixels need no interpolation, and no pattern changes.
    """

    touches: ClassVar[tuple[str, ...]] = BOTH
    instead: ClassVar[str] = "penalties.probe_support"

    def __call__(self, channels: Channels, probe: Modes, reference: Reference) -> tuple[Channels, Modes]:
        """Both, moved."""
        del reference
        power = jnp.sum(intensity(probe), axis=0)
        # The centre of mass on a torus: the phase of the first Fourier coefficient.
        total = jnp.fft.fft2(power)
        turns = jnp.stack([-jnp.angle(total[1, 0]), -jnp.angle(total[0, 1])]) / (2 * math.pi)
        shift = -jnp.round(turns * jnp.array(probe.shape[1:], turns.dtype)).astype(int)
        return jnp.roll(channels, shift, axis=(2, 3)), jnp.roll(probe, shift, axis=(1, 2))


@dataclasses.dataclass(frozen=True)
class ProbePower:
    """The modes' intensities sum to one, the electrons of an average pattern.

    Without absorption, and where the detector sees every electron, that is the incident beam.
    """

    touches: ClassVar[tuple[str, ...]] = PROBE
    instead: ClassVar[str] = "none: a generated probe's power is one learned number"

    def __call__(self, channels: Channels, probe: Modes, reference: Reference) -> tuple[Channels, Modes]:
        """The object as it is, and the probe scaled."""
        del reference
        return channels, probe / to_complex(jnp.sqrt(jnp.sum(intensity(probe))))
