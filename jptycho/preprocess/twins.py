"""Which of two descriptions is meant that make the same patterns in a thin object: atoms attract."""

from __future__ import annotations

import math

import numpy as np

from jptycho.preprocess.aberration_fit import AberrationFit, phase_spectrum
from jptycho.preprocess.interference import lowest_frequency
from jptycho.preprocess.scan_part import Part
from jptycho.types import Float

BINS = 9.0  # in the disk's radius
SLOW = 0.1  # of the aperture's radius, up to which a phase is that of thickness
SKEWNESS = 2.0  # standard errors, that a phase's skewness may say of its sign
UNDECIDED = 2.1
"""Scatter of what is summed about the twins where nothing tells them apart: of 48 specimens of atoms of either sign."""


def choose_twin(part: Part, fit: AberrationFit) -> tuple[AberrationFit, float]:
    """That of two twins whose phase has its peaks up: the potential of atoms is positive.

    Slowly varying phase rises with the electrons that leave the disk, for both rise with thickness. That the weak phase
    at the scan's positions is skewed towards atoms says so too, but of holes in something solid the contrary: it
    counts little.

    Args:
        part: of the scan.
        fit: either.

    Returns:
        the fit whose phase is positive, and by about how many standard errors.
    """
    lens = part.lens(BINS)
    q = dense_frequencies(part.positions, 0.7 * lens.cutoff)
    data = part.measure(BINS, q)
    phase = phase_spectrum(data, lens, fit)
    image = np.exp(2j * math.pi * (part.positions @ q.T)) @ phase
    wave = np.real(image) - np.mean(np.real(image))
    skewness = float(np.mean(wave**3) / max(np.mean(wave**2), 1e-30) ** 1.5) / math.sqrt(6 / len(image))
    slow = np.linalg.norm(q, axis=1) < max(SLOW * lens.cutoff, 2 * lowest_frequency(part.positions))
    cross = (phase * data.scattered.conj())[slow]
    thick = float(np.real(cross).sum()) / max(math.sqrt(0.5 * float((np.abs(cross) ** 2).sum())), 1e-30)
    positive = (thick + float(np.clip(skewness / 4, -SKEWNESS, SKEWNESS))) / UNDECIDED
    return (fit, positive) if positive >= 0 else (fit.twin(), -positive)


def dense_frequencies(positions: Float[np.ndarray, "scan 2"], highest: float) -> Float[np.ndarray, "q 2"]:
    """Spatial frequencies one period of the scan apart, one of each pair ±q.

    Args:
        positions: Å.
        highest: Å⁻¹; less where there would be more than 4,096 of them.

    Returns:
        (q, 2) in Å⁻¹.

    Example:
        >>> len(dense_frequencies(np.array([[0.0, 0.0], [10.0, 10.0]]), 0.2))
        4
    """
    length = np.ptp(positions, axis=0)
    highest = min(highest, math.sqrt(2 * 4096 / math.pi / float(np.prod(length))))
    orders = [np.arange(-math.floor(highest * n), math.floor(highest * n) + 1) for n in length]
    index = np.stack(np.meshgrid(*orders, indexing="ij"), axis=-1).reshape(-1, 2)
    half = (index[:, 0] > 0) | ((index[:, 0] == 0) & (index[:, 1] > 0))
    q = index / length
    size = np.linalg.norm(q, axis=1)
    return q[half & (size <= highest) & (np.linalg.norm(index, axis=1) > 1.2)]
