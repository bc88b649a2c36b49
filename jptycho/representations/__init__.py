"""How the unknowns are parameterised: pixels or networks. Nothing downstream knows which."""

from jptycho.representations.base import (
    OBJECT_KINDS,
    Assignable,
    Composed,
    Halved,
    ModelSpec,
    Representation,
    Unknown,
    initialise,
    render,
)
from jptycho.representations.beam import BlurredProbe, ParametricProbe
from jptycho.representations.estimate import Estimate, fields_of, transmission
from jptycho.representations.generated import GeneratedObject, GeneratedProbe
from jptycho.representations.per_pattern import Descan, Flux
from jptycho.representations.per_position import FreePositions, FreeTilt
from jptycho.representations.pixels import ChannelObject, PixelObject, PixelProbe, Preconditioner
from jptycho.representations.shared import Background, FreeThickness

__all__ = [
    "OBJECT_KINDS",
    "Assignable",
    "Background",
    "BlurredProbe",
    "ChannelObject",
    "Composed",
    "Descan",
    "Estimate",
    "Flux",
    "FreePositions",
    "FreeThickness",
    "FreeTilt",
    "GeneratedObject",
    "GeneratedProbe",
    "Halved",
    "ModelSpec",
    "ParametricProbe",
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
