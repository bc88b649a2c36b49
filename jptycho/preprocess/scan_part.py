"""The patterns that a calibration looks at, with what is known of them."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from jptycho.preprocess.disk import Disk
from jptycho.preprocess.interference import Interference, measure_interference
from jptycho.preprocess.weak_phase import Lens
from jptycho.types import Float, Shaped


@dataclasses.dataclass(frozen=True)
class Part:
    """Patterns that are looked at, with what is known of them."""

    counts: Shaped[np.ndarray, "scan ky kx"]
    positions: Float[np.ndarray, "scan 2"]
    disk: Disk
    sampling: tuple[float, float]
    mask: Float[np.ndarray, "ky kx"]
    wavelength: float

    def lens(self, bins: float) -> Lens:
        """The aperture, its edge as wide as a bin."""
        step = math.sqrt(self.sampling[0] * self.sampling[1])
        return Lens(self.wavelength, self.disk.cutoff * step, max(1.0, self.disk.radius / bins) * step)

    def measure(self, bins: float, q: Float[np.ndarray, "q 2"]) -> Interference:
        """The interference at spatial frequencies."""
        return measure_interference(self.counts, self.positions, self.disk, self.sampling, self.mask, (bins, q))
