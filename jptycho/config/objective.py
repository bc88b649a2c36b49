"""What the names of a configuration stand for: losses, penalties and projections. Nothing else knows these names."""

from __future__ import annotations

from jptycho.objective.losses import Loss, amplitude_loss, anscombe_loss, intensity_loss, mixed_loss, poisson_loss

LOSSES: dict[str, Loss] = {
    "amplitude": amplitude_loss,
    "poisson": poisson_loss,
    "anscombe": anscombe_loss,
    "intensity": intensity_loss,
    "mixed": mixed_loss,
}
