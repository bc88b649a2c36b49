"""To which spatial frequency an image is right: Fourier ring correlation and lattice reflections above the noise."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy import ndimage

from jptycho.optics.frequencies import host_frequencies, ring_numbers
from jptycho.types import Float

BAND = 12  # reflections of neighbouring frequency of which half must be seen


@dataclasses.dataclass(frozen=True)
class RingCorrelation:
    """How alike two images are at each spatial frequency.

    Attributes:
        frequency: of each ring in Å⁻¹, up to Nyquist.
        correlation: real part of Σ A B* / √(Σ|A|² Σ|B|²).
    """

    frequency: Float[np.ndarray, "rings"]
    correlation: Float[np.ndarray, "rings"]


def fourier_ring_correlation(
    first: Float[np.ndarray, "Y X"], second: Float[np.ndarray, "Y X"], sampling: tuple[float, float]
) -> RingCorrelation:
    """Correlation of two images on rings of spatial frequency, a Hann window over both.

    Args:
        first: image (Y, X).
        second: of the same field, such as the truth.
        sampling: Å a pixel.

    Returns:
        the correlation of each ring, one pixel of the transform wide.

    Source:
        Saxton & Baumeister, J. Microscopy 127 (1982) 127.

    Example:
        >>> image = np.random.default_rng(0).normal(size=(32, 48))
        >>> bool(np.allclose(fourier_ring_correlation(image, 3 * image, (0.4, 0.4)).correlation, 1))
        True
    """
    a, b = windowed_transform(first), windowed_transform(second)
    ring, width, rings = ring_numbers(first.shape, sampling)

    def total(values: np.ndarray) -> np.ndarray:
        return np.bincount(ring.ravel(), values.ravel(), minlength=rings)[1:rings]

    power = np.sqrt(total(np.abs(a) ** 2) * total(np.abs(b) ** 2))
    return RingCorrelation(width * np.arange(1, rings), total(np.real(a * np.conj(b))) / np.maximum(power, 1e-30))


def resolution_at(rings: RingCorrelation, level: float) -> float:
    """The frequency up to which a ring correlation stays above a level, once it has risen above it.

    What is slower than the field of view or lies in the gauges may be wrong; it does not count.

    Args:
        rings: of :func:`fourier_ring_correlation`; a median over five rings is taken first.
        level: 1/2 against a truth; 1/7 between images from two halves of the data, where it means as much.

    Returns:
        Å⁻¹; the last frequency where it never falls below, 0 where it never rises above.

    Example:
        >>> resolution_at(RingCorrelation(np.arange(1.0, 11.0), np.r_[np.ones(6), np.zeros(4)]), 0.5)
        7.0
    """
    smooth = ndimage.median_filter(rings.correlation, 5, mode="nearest")
    above = np.flatnonzero(smooth >= level)
    if not len(above):
        return 0.0
    below = np.flatnonzero(smooth[above[0] :] < level)
    return float(rings.frequency[above[0] + below[0] if len(below) else -1])


def shell_snr(rings: RingCorrelation) -> Float[np.ndarray, "rings"]:
    """Signal-to-noise ratio of each ring, from its correlation with the truth: c² / (1 - c²).

    Args:
        rings: against the truth.

    Returns:
        power ratio, zero where the correlation is negative.

    Example:
        >>> shell_snr(RingCorrelation(np.ones(1), np.array([0.5]))).round(3).tolist()
        [0.333]
    """
    c = np.clip(rings.correlation, 0.0, 1 - 1e-9)
    return c**2 / (1 - c**2)


def information_limit(
    image: Float[np.ndarray, "Y X"],
    truth: Float[np.ndarray, "Y X"],
    sampling: tuple[float, float],
    threshold: float = 4.0,
) -> tuple[float, float]:
    """How far the truth's lattice reflections stand out of an image's spectrum.

    A reflection is a local maximum of the truth's spectrum far above its surroundings. It is seen where the image's
    amplitude there exceeds ``threshold`` times the median amplitude around it and its phase is within 60° of the truth.

    Args:
        image: in the truth's gauge.
        truth: of a crystal.
        sampling: Å a pixel.
        threshold: of the amplitude.

    Returns:
        Å⁻¹ up to which at least half of the reflections of similar frequency are seen, and of the highest one seen.
    """
    true, found = windowed_transform(truth), windowed_transform(image)
    frequency = np.hypot(*host_frequencies(image.shape, sampling))
    strength = np.abs(true)
    around = _surroundings(strength)
    peak = (strength == ndimage.maximum_filter(strength, 3, mode="wrap")) & (strength > 6 * around)
    peak &= (frequency > 0.05 / min(sampling)) & (frequency < 0.5 / max(sampling))
    height = np.abs(found) / _surroundings(np.abs(found))
    seen = (height > threshold) & (np.real(found * np.conj(true)) > 0.5 * np.abs(found) * strength)
    order = np.argsort(frequency[peak])
    at, hit = frequency[peak][order], seen[peak][order]
    if len(at) < BAND:
        return 0.0, float(at[hit].max(initial=0.0))
    share = np.convolve(hit, np.ones(BAND) / BAND, mode="valid")
    lost = np.flatnonzero(share < 0.5)
    limit = at[lost[0] + BAND // 2] if len(lost) else at[-1]
    return float(limit), float(at[hit].max(initial=0.0))


def windowed_transform(image: Float[np.ndarray, "Y X"]) -> np.ndarray:
    """Fourier transform under a Hann window, the mean removed.

    Args:
        image: (Y, X).

    Returns:
        complex spectrum (Y, X), zero frequency at [0, 0].

    Example:
        >>> bool(np.abs(windowed_transform(np.full((8, 8), 3.0))).max() < 1e-12)
        True
    """
    window = np.outer(np.hanning(image.shape[0]), np.hanning(image.shape[1]))
    return np.fft.fft2((image - image.mean()) * window, norm="ortho")


def _surroundings(strength: np.ndarray) -> np.ndarray:
    return np.maximum(ndimage.median_filter(strength, 15, mode="wrap"), 1e-30)
