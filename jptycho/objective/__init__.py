"""What a reconstruction minimises."""

from jptycho.objective.data_term import batch_loss
from jptycho.objective.denoisers import Denoiser, Denoising, TotalVariation
from jptycho.objective.losses import Loss, amplitude_loss, anscombe_loss, intensity_loss, mixed_loss, poisson_loss
from jptycho.objective.penalties import Penalty
from jptycho.objective.projections import Projection
from jptycho.objective.reference import Reference

__all__ = [
    "Denoiser",
    "Denoising",
    "Loss",
    "Penalty",
    "Projection",
    "Reference",
    "TotalVariation",
    "amplitude_loss",
    "anscombe_loss",
    "batch_loss",
    "intensity_loss",
    "mixed_loss",
    "poisson_loss",
]
