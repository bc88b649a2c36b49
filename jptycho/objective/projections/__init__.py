"""Hard constraints: maps of object channels and probe onto what obeys them, applied after every epoch.

A representation whose arrays can be assigned honours them; a generator cannot, and its run is refused when it is built,
with the penalty that does the same softly.
"""

from jptycho.objective.projections.base import Projection, project
from jptycho.objective.projections.depth import (
    DepthBlur,
    IdenticalSlices,
    MissingWedge,
    MissingWedgePtychoShelves,
    wedge_weight,
)
from jptycho.objective.projections.filters import Butterworth, LowPass
from jptycho.objective.projections.probe import ProbeCentring, ProbePower
from jptycho.objective.projections.values import FieldOfView, PhaseOnly, Positivity, VacuumAmplitude

__all__ = [
    "Butterworth",
    "DepthBlur",
    "FieldOfView",
    "IdenticalSlices",
    "LowPass",
    "MissingWedge",
    "MissingWedgePtychoShelves",
    "PhaseOnly",
    "Positivity",
    "ProbeCentring",
    "ProbePower",
    "Projection",
    "VacuumAmplitude",
    "project",
    "wedge_weight",
]
