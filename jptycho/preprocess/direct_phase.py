"""A first phase without any iteration: differential phase contrast, or parallax of the bright field."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from jptycho.data.lazy_counts import in_memory
from jptycho.errors import ConfigError
from jptycho.optics.frequencies import host_frequencies
from jptycho.preprocess.prepare import Problem, shared_by_slices
from jptycho.preprocess.side_bands import single_side_band_phase, wigner_phase
from jptycho.types import Float

CHUNK = 64  # pixels of the bright disk at once
LEAST_TRANSFER = 0.05  # of the squared contrast transfer: below it noise is not raised any more


def centres_of_mass(problem: Problem) -> Float[np.ndarray, "scan 2"]:
    """Centre of mass of each pattern from that of the mean pattern.

    Args:
        problem: the scan made ready.

    Returns:
        (scan, 2) in Å⁻¹ along (y, x).
    """
    mask, grid = np.asarray(problem.setup.mask), problem.setup.grid
    counts = in_memory(problem.counts)
    weights = np.stack(np.broadcast_arrays(*host_frequencies(grid.shape, grid.sampling)))
    moments = np.tensordot(counts, weights * mask, axes=([1, 2], [1, 2]))
    total = np.tensordot(counts, mask, axes=2)
    centres = moments / np.maximum(total, 1e-12)[:, None]
    return centres - moments.sum(axis=0) / total.sum()


def differential_phase(problem: Problem, positive: bool = False) -> Float[np.ndarray, "slices channels Y X"]:
    """Phase whose slope moves the patterns as they were moved, blurred by the probe, shared equally by the slices.

    ∇φ = 2π ⟨k⟩ at each position, spread over the canvas by a Gaussian as wide as the distance between positions; φ
    fits it best in the sense of least squares.

    Args:
        problem: the scan made ready.
        positive: whether the smallest phase where patterns were taken is zero instead of the mean.

    Returns:
        channels in rad like those of the problem's guess.

    Source:
        Close, Chen, Shibata & Findlay, Ultramicroscopy 159 (2015) 124, Eq. 9.
    """
    canvas = problem.estimate.object.shape[-2:]
    pixels = np.asarray(problem.estimate.positions)
    slope = 2 * np.pi * centres_of_mass(problem)
    sampling = problem.setup.grid.sampling
    visits, sums = np.zeros(canvas), np.zeros((2, *canvas))
    index = tuple(np.round(pixels).astype(int).T)
    np.add.at(visits, index, 1.0)
    for axis in range(2):
        np.add.at(sums[axis], index, slope[:, axis])
    width = np.sqrt(np.prod(np.ptp(pixels, axis=0) + 1) / len(pixels))
    near = ndimage.gaussian_filter(visits, width)
    field = [ndimage.gaussian_filter(part, width) / (near + 1e-2 * near.max()) for part in sums]
    k = host_frequencies(canvas, sampling)
    squared = 2j * np.pi * (k[0] ** 2 + k[1] ** 2)
    squared[0, 0] = 1.0
    spectrum = (k[0] * np.fft.fft2(field[0]) + k[1] * np.fft.fft2(field[1])) / squared
    spectrum[0, 0] = 0.0
    phase = np.fft.ifft2(spectrum).real
    return shared_by_slices(problem, phase, visits > 0, positive)


def parallax_phase(problem: Problem, positive: bool = False) -> Float[np.ndarray, "slices channels Y X"]:
    """Phase from the images that pixels of a defocused bright disk take, each moved back to where it was seen from.

    The pixel at k sees the object at -λ Δf k from the probe's centre. The aligned images add up to
    -2 F⁻¹[sin(π λ Δf q²) F[φ]], which a Wiener filter undoes. Fine structure comes out; what is much slower than
    1 / √(λ Δf) does not.

    Args:
        problem: the scan made ready.
        positive: whether the smallest phase where patterns were taken is zero instead of the mean.

    Returns:
        channels in rad like those of the problem's guess.

    Raises:
        ConfigError: the scan is in focus.

    Source:
        Varnavides, Ribet et al., "Iterative phase retrieval algorithms for scanning transmission electron microscopy",
        arXiv 2309.05250, "parallax".
    """
    canvas, sampling = problem.estimate.object.shape[-2:], problem.setup.grid.sampling
    mean = problem.counts.mean(axis=0, dtype=np.float64) * (np.asarray(problem.setup.mask) > 0)
    bright = mean > 0.5 * mean[mean > 0.1 * mean.max()].mean()
    axes = np.broadcast_arrays(*host_frequencies(mean.shape, sampling))
    tilts = np.stack([axis[bright] - axis[bright].mean() for axis in axes], axis=1)
    reach = problem.setup.wavelength * problem.dataset.calibration.defocus
    seen_from = -reach * tilts / np.asarray(sampling)
    if not np.abs(seen_from).max(initial=0.0) > 1:
        raise ConfigError(
            f'dgp.start: "parallax" needs a defocused probe; with data.defocus = '
            f"{problem.dataset.calibration.defocus:g} Å the bright disk's images lie within a pixel of each other. "
            'Use "pixels" or "dpc".'
        )
    rows, columns = np.nonzero(bright)
    counts = in_memory(problem.counts)
    pixels, size = np.asarray(problem.estimate.positions), canvas[0] * canvas[1]
    sums, visits = np.zeros(size), np.zeros(size)
    for first in range(0, len(tilts), CHUNK):
        some = slice(first, first + CHUNK)
        places = np.round(pixels[:, None] + seen_from[None, some]).astype(int)
        flat = np.ravel_multi_index(tuple(np.moveaxis(places, -1, 0)), canvas, mode="clip").ravel()
        at = (rows[some], columns[some])
        sums += np.bincount(flat, (counts[:, *at] / mean[at] - 1).ravel(), size)
        visits += np.bincount(flat, minlength=size)
    image = (sums / (visits + 0.1 * visits.mean())).reshape(canvas)
    q = host_frequencies(canvas, sampling)
    transfer = -2 * np.sin(np.pi * reach * (q[0] ** 2 + q[1] ** 2))
    spectrum = np.fft.fft2(image) * transfer / (transfer**2 + 4 * LEAST_TRANSFER)
    return shared_by_slices(problem, np.fft.ifft2(spectrum).real, visits.reshape(canvas) > 0, positive)


DIRECT = {
    "dpc": differential_phase,
    "parallax": parallax_phase,
    "ssb": single_side_band_phase,
    "wdd": wigner_phase,
}
"""Estimates without iteration, by the name that ``dgp.start`` gives them."""
