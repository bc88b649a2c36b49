"""How the unknowns are parameterised: pixels or networks. Nothing downstream knows which."""

from jptycho.representations.base import (
    OBJECT_KINDS,
    Assignable,
    Halved,
    ModelSpec,
    Representation,
    Unknown,
    initialise,
    render,
)
from jptycho.representations.estimate import Estimate, fields_of, transmission
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
    "transmission",
]
