"""On what the members of an ensemble agree."""

from __future__ import annotations

import numpy as np

from jptycho.diagnostics.resolution import RingCorrelation, fourier_ring_correlation, resolution_at
from jptycho.types import Float


def ensemble_resolution(
    phases: Float[np.ndarray, "members Y X"], sampling: tuple[float, float]
) -> tuple[RingCorrelation, float]:
    """Ring correlation between the members of an ensemble, and the detail on which they agree.

    Members share most of their electrons, so what they do not agree on is not to be believed; that they agree is no
    proof.

    Args:
        phases: projected phase of each member in rad.
        sampling: Å a pixel.

    Returns:
        mean correlation of each member with the next, and Å at which it falls to a half.

    Example:
        >>> image = np.random.default_rng(0).normal(size=(16, 16))
        >>> round(ensemble_resolution(np.stack([image, image]), (0.5, 0.5))[1], 3)
        1.143
    """
    pairs = [fourier_ring_correlation(a, b, sampling) for a, b in zip(phases, np.roll(phases, 1, axis=0), strict=True)]
    mean = RingCorrelation(pairs[0].frequency, np.mean([pair.correlation for pair in pairs], axis=0))
    return mean, 1 / max(resolution_at(mean, 0.5), 1e-9)
