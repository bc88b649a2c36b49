"""What the names of a configuration stand for: losses, penalties and projections. Nothing else knows these names."""

from __future__ import annotations

from typing import Any

from jptycho.objective.losses import Loss, amplitude_loss, anscombe_loss, intensity_loss, mixed_loss, poisson_loss
from jptycho.objective.penalties import (
    Amorphous,
    OfAbsorption,
    OfPhase,
    Term,
    charge_density,
    depth_tikhonov,
    depth_variation,
    probe_aperture,
    probe_support,
    pure_phase,
    similar_slices,
    smooth_positions,
    smooth_tilts,
    sparsity,
    surface,
    tikhonov,
    total_variation,
)
from jptycho.objective.projections import (
    Butterworth,
    DepthBlur,
    FieldOfView,
    IdenticalSlices,
    LowPass,
    MissingWedge,
    MissingWedgePtychoShelves,
    PhaseOnly,
    Positivity,
    ProbeCentring,
    ProbePower,
    VacuumAmplitude,
)

LOSSES: dict[str, Loss] = {
    "amplitude": amplitude_loss,
    "poisson": poisson_loss,
    "anscombe": anscombe_loss,
    "intensity": intensity_loss,
    "mixed": mixed_loss,
}
MEASURES = {
    "tv": total_variation,
    "tikhonov": tikhonov,
    "tv_depth": depth_variation,
    "tikhonov_depth": depth_tikhonov,
    "l1": sparsity,
}
PENALTIES: dict[str, Term] = {
    **{f"{name}_phase": OfPhase(measure) for name, measure in MEASURES.items()},
    **{f"{name}_absorption": OfAbsorption(measure) for name, measure in MEASURES.items()},
    "surface": surface,
    "similar_slices": similar_slices,
    "pure_phase": pure_phase,
    "amorphous": Amorphous(),
    "charge_density": charge_density,
    "smooth_positions": smooth_positions,
    "smooth_tilts": smooth_tilts,
    "probe_support": probe_support,
    "probe_aperture": probe_aperture,
}
PROJECTIONS: dict[str, Any] = {
    "phase_only": PhaseOnly,
    "low_pass": LowPass,
    "butterworth": Butterworth,
    "missing_wedge": MissingWedge,
    "missing_wedge_ptychoshelves": MissingWedgePtychoShelves,
    "identical_slices": IdenticalSlices,
    "depth_blur": DepthBlur,
    "vacuum_amplitude": VacuumAmplitude,
    "positivity": Positivity,
    "field_of_view": FieldOfView,
    "probe_centring": ProbeCentring,
    "probe_power": ProbePower,
}
"""In the order in which they are applied; positivity after every filter that could undo it."""
