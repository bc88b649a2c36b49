"""How the unknowns are parameterised: pixels or networks. Nothing downstream knows which."""

from jptycho.representations.base import (
    OBJECT_KINDS,
    Assignable,
    Estimate,
    Halved,
    ModelSpec,
    Representation,
    Unknown,
    fields_of,
    initialise,
    render,
    render_channels,
    transmission,
)
from jptycho.representations.generated import GeneratedObject, GeneratedProbe
from jptycho.representations.per_position import FreePositions, FreeTilt
from jptycho.representations.pixels import ChannelObject, PixelObject, PixelProbe, Preconditioner

__all__ = [
    "OBJECT_KINDS",
    "Assignable",
    "ChannelObject",
    "Estimate",
    "FreePositions",
    "FreeTilt",
    "GeneratedObject",
    "GeneratedProbe",
    "Halved",
    "ModelSpec",
    "PixelObject",
    "PixelProbe",
    "Preconditioner",
    "Representation",
    "Unknown",
    "fields_of",
    "initialise",
    "render",
    "render_channels",
    "transmission",
]
