"""Soft penalties: what is known of object, probe and positions besides the patterns.

Each is a function of the rendered unknowns, so it applies to pixels and to generated objects alike, and each is
normalised so that its weight carries over: a mean over the illuminated canvas, so the size of the scan drops out, and
such a power of the number of slices that finer slices of the same object change nothing. Near a good model the data
loss is about 2 ⟨δφ²⟩ for an error δφ of the projected phase, which is the unit of every weight.
"""

from jptycho.objective.penalties.base import OfAbsorption, OfPhase, Penalty, Term, total_penalty
from jptycho.objective.penalties.probe import outside_share, probe_aperture, probe_support
from jptycho.objective.penalties.roughness import (
    depth_tikhonov,
    depth_variation,
    sparsity,
    tikhonov,
    total_variation,
)
from jptycho.objective.penalties.scan import smooth_positions, smooth_tilts
from jptycho.objective.penalties.slices import pure_phase, similar_slices, surface
from jptycho.objective.penalties.spectrum import Amorphous, charge_density

__all__ = [
    "Amorphous",
    "OfAbsorption",
    "OfPhase",
    "Penalty",
    "Term",
    "charge_density",
    "depth_tikhonov",
    "depth_variation",
    "outside_share",
    "probe_aperture",
    "probe_support",
    "pure_phase",
    "similar_slices",
    "smooth_positions",
    "smooth_tilts",
    "sparsity",
    "surface",
    "tikhonov",
    "total_penalty",
    "total_variation",
]
