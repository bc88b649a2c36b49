"""The scale of a scan's steps from a lattice spacing that is known."""

from __future__ import annotations

import numpy as np

from jptycho.data.counts import load_counts, part_of
from jptycho.data.dataset import Dataset4D
from jptycho.errors import ConfigError
from jptycho.optics.frequencies import host_frequencies
from jptycho.types import Float, Shaped

CERTAIN = 7.0  # of noise, e⁻⁷ of the scans have a peak in the ring that is taken for the lattice's
SEARCHED = 0.15  # of the nominal frequency, by which the step may be off
BLOCK = 64  # positions along each side of the part of a scan that is looked at
FINE = 16  # points a period of the image, between which a peak is looked for


def step_scale(
    image: Float[np.ndarray, "slow fast"], step: tuple[float, float], lattice: float, searched: float = SEARCHED
) -> tuple[float, float]:
    """The factor by which the nominal steps are too short, from the strongest ring of a spectrum near a lattice's.

    The image's power spectrum, after a Hann window, has peaks at |q| = 1 / (factor · d). Peaks within ``searched`` of
    1 / d are found to a sixteenth of a period and their |q| d averaged, weighted by power.

    Args:
        image: of the specimen, one value a position: virtual image or phase.
        step: nominal Å along the slow and the fast axis.
        lattice: spacing d in Å.
        searched: share of 1 / d by which the peak may be off.

    Returns:
        factor, so that step · factor is the true step; and its standard error.

    Raises:
        ConfigError: the steps are too wide to show the spacing, or no peak stands out.

    Example:
        >>> y, x = np.indices((40, 48)) * 1.03
        >>> factor, _ = step_scale(np.cos(2 * np.pi * (0.6 * y + 0.8 * x) / 4.0), (1.0, 1.0), 4.0)
        >>> round(factor, 2)
        1.03
    """
    finest = 2 * max(step) * (1 + searched)
    if lattice < finest:
        raise ConfigError(
            f"lattice: {lattice:g} Å, but steps of {max(step):g} Å show spacings above {finest:.3g} Å only. "
            "Name a wider spacing or give an image with finer steps."
        )
    window = np.outer(*(np.hanning(n + 2)[1:-1] for n in image.shape))
    flat = (image - np.average(image, weights=window)) * window
    q = np.hypot(*host_frequencies(image.shape, step))
    power = np.abs(np.fft.fft2(flat)) ** 2
    ring = np.abs(q * lattice - 1) <= searched
    if not ring.any():
        raise ConfigError(f"lattice: a scan of {image.shape[0]} x {image.shape[1]} is too small for {lattice:g} Å.")
    # The power of noise is exponential: of median ln 2 times its mean, and N of them reach (ln N + c) times that.
    least = np.median(power[ring]) / np.log(2) * (np.log(np.count_nonzero(ring)) + CERTAIN)
    places = np.argwhere(ring & (power > least) & _is_peak(power))
    if not len(places):
        raise ConfigError(
            f"lattice: no peak within {searched:.0%} of 1/{lattice:g} Å⁻¹ stands out of the image's spectrum. Check "
            "the spacing and data.step, or give an image that shows the lattice."
        )
    found = [_peak(flat, place, step) for place in places]
    ratio, weight = np.array([(frequency * lattice, strength) for frequency, strength in found]).T
    factor = float(np.average(ratio, weights=weight))
    independent = max(len(ratio) / 2, 1)  # q and -q are one
    period = lattice / (min(n * s for n, s in zip(image.shape, step, strict=True)) * FINE)
    scatter = np.average((ratio - factor) ** 2, weights=weight) / max(independent - 1, 1)
    return factor, float(np.sqrt(scatter + period**2 / independent))


def scan_step_scale(dataset: Dataset4D, lattice: float) -> tuple[float, float]:
    """:func:`step_scale` of a raster, from what its middle shows of the lattice.

    Looked at are the electrons in the disk and the centre of mass along either axis of the detector, which is the slope
    of the phase; those that show the lattice are averaged, each weighted by 1 / error².

    Args:
        dataset: the scan.
        lattice: spacing d in Å.

    Returns:
        factor, so that step · factor is the true step; and its standard error.

    Raises:
        ConfigError: the scan is no raster of known steps, or shows no such lattice.
    """
    step = dataset.calibration.step
    if step is None or len(dataset.shape) != 4 or dataset.positions is not None:
        raise ConfigError(
            "data.lattice: gives the scale of data.step; expected a raster with a step, found positions of its own. "
            "Leave it out."
        )
    shape = tuple(min(n, BLOCK) for n in dataset.shape[:2])
    slow, fast = (np.arange(n) + (whole - n) // 2 for n, whole in zip(shape, dataset.shape[:2], strict=True))
    counts = load_counts(part_of(dataset, (slow[:, None] * dataset.shape[1] + fast).ravel()))
    found, refused = [], None
    for image in _images(counts, shape):
        try:
            found.append(step_scale(image, step, lattice))
        except ConfigError as error:
            refused = error
    if not found:
        raise refused or ConfigError("data.lattice: the scan shows none. Leave it out.")
    factors, errors = np.array(found).T
    weight = errors**-2
    return float(np.average(factors, weights=weight)), float(errors.min())


def _images(counts: Shaped[np.ndarray, "scan ky kx"], shape: tuple[int, ...]) -> list[np.ndarray]:
    """Electrons in the disk and both centres of mass, as images of the scan."""
    mean = counts.mean(axis=0, dtype=np.float64)
    bright = mean > 0.25 * np.quantile(mean, 0.99)
    total = np.maximum(counts.sum(axis=(1, 2), dtype=np.float64), 1e-12)
    axes = host_frequencies(mean.shape, (1 / mean.shape[0], 1 / mean.shape[1]))
    weights = [bright, *np.broadcast_arrays(*axes)]
    return [(np.tensordot(counts, weight.astype(np.float64), axes=2) / total).reshape(shape) for weight in weights]


def _is_peak(power: Float[np.ndarray, "slow fast"]) -> np.ndarray:
    """Whether no neighbour is stronger."""
    shifts = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1) if (i, j) != (0, 0)]
    return np.all([power >= np.roll(power, shift, axis=(0, 1)) for shift in shifts], axis=0)


def _peak(image: np.ndarray, place: np.ndarray, step: tuple[float, float]) -> tuple[float, float]:
    """|q| in Å⁻¹ and power of a spectrum's highest point within a period of a place."""
    offsets = np.arange(-FINE, FINE + 1) / FINE
    orders = [np.fft.fftfreq(n, 1 / n)[i] + offsets for n, i in zip(image.shape, place, strict=True)]
    waves = [np.exp(-2j * np.pi * np.outer(o / n, np.arange(n))) for o, n in zip(orders, image.shape, strict=True)]
    power = np.abs(waves[0] @ image @ waves[1].T) ** 2
    i, j = np.unravel_index(np.argmax(power), power.shape)
    length = [n * s for n, s in zip(image.shape, step, strict=True)]
    return float(np.hypot(orders[0][i] / length[0], orders[1][j] / length[1])), float(power[i, j])
