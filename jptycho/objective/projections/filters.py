"""Filters in the plane: no detail beyond a frequency."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import ClassVar

import jax.numpy as jnp

from jptycho.objective.projections.base import OBJECT
from jptycho.objective.reference import Channels, Modes, Reference
from jptycho.optics.frequencies import spatial_frequencies
from jptycho.optics.waves import to_complex
from jptycho.types import Array, Grid, Number


def _filter(channels: Array, reference: Reference, response: Callable[[Array], Array]) -> Array:
    """Multiply the spectrum of each channel by a function of |k|² in Å⁻²."""
    ky, kx = spatial_frequencies(Grid((channels.shape[-2], channels.shape[-1]), reference.sampling), half=True)
    weight = to_complex(response(ky**2 + kx**2).astype(channels.dtype))
    return jnp.fft.irfft2(jnp.fft.rfft2(channels) * weight[None, None], s=channels.shape[-2:])


@dataclasses.dataclass(frozen=True)
class LowPass:
    """No detail beyond a frequency.

    Attributes:
        cutoff: Å⁻¹.
    """

    cutoff: Number
    touches: ClassVar[tuple[str, ...]] = OBJECT
    instead: ClassVar[str] = "penalties.tikhonov_phase or penalties.amorphous"

    def __call__(self, channels: Channels, probe: Modes, reference: Reference) -> tuple[Channels, Modes]:
        """Phase and absorption without it; the probe is left alone."""
        return _filter(channels, reference, lambda square: square <= self.cutoff**2), probe


@dataclasses.dataclass(frozen=True)
class Butterworth:
    """Multiply frequencies by 1 / (1 + (k / cutoff)^(2 order)).

    Attributes:
        cutoff: Å⁻¹.
        order: how steeply it falls.
    """

    cutoff: Number
    order: Number
    touches: ClassVar[tuple[str, ...]] = OBJECT
    instead: ClassVar[str] = "penalties.tikhonov_phase or penalties.amorphous"

    def __call__(self, channels: Channels, probe: Modes, reference: Reference) -> tuple[Channels, Modes]:
        """Phase and absorption, filtered; the probe is left alone."""

        def response(square: Array) -> Array:
            return 1 / (1 + (square / self.cutoff**2) ** self.order)

        return _filter(channels, reference, response), probe
