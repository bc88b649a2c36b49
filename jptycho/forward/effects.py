"""What the beam and the detector do to an intensity: a background, and a flux that varies from pattern to pattern."""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp

from jptycho.forward.fields import ScanFields
from jptycho.types import Array, Float

BACKGROUND, FLUX = "background", "flux"
"""Names of the unknowns that these effects read."""


@dataclasses.dataclass(frozen=True)
class ScaleFlux:
    """I f: the electrons of a pattern are f times those of an average one; ``flux`` of its row."""

    def __call__(self, intensity: Float[Array, "ky kx"], row: ScanFields) -> Float[Array, "ky kx"]:
        """The intensity, scaled."""
        return intensity * row.extra[FLUX]


@dataclasses.dataclass(frozen=True)
class AddBackground:
    """I + b: what falls on the detector beside the pattern; ``background``, one number or one for each pixel."""

    def __call__(self, intensity: Float[Array, "ky kx"], row: ScanFields) -> Float[Array, "ky kx"]:
        """The intensity and the background."""
        return intensity + jnp.broadcast_to(row.extra[BACKGROUND], intensity.shape)
