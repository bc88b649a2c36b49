"""A first phase without any iteration: differential phase contrast from the patterns' centres of mass."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from jptycho.preprocess.prepare import Problem
from jptycho.types import Float


def centres_of_mass(problem: Problem) -> Float[np.ndarray, "scan 2"]:
    """Centre of mass of each pattern from that of the mean pattern.

    Args:
        problem: the scan made ready.

    Returns:
        (scan, 2) in Å⁻¹ along (y, x).
    """
    mask, grid = np.asarray(problem.setup.mask), problem.setup.grid
    counts = problem.counts
    axes = [np.fft.fftfreq(n, s) for n, s in zip(grid.shape, grid.sampling, strict=True)]
    weights = np.stack([np.broadcast_to(axes[0][:, None], grid.shape), np.broadcast_to(axes[1][None], grid.shape)])
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
    slices, channels, *canvas = problem.guess.object.shape
    pixels = np.asarray(problem.guess.positions)
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
    k = np.meshgrid(*map(np.fft.fftfreq, canvas, sampling), indexing="ij")
    squared = 2j * np.pi * (k[0] ** 2 + k[1] ** 2)
    squared[0, 0] = 1.0
    spectrum = (k[0] * np.fft.fft2(field[0]) + k[1] * np.fft.fft2(field[1])) / squared
    spectrum[0, 0] = 0.0
    phase = np.fft.ifft2(spectrum).real
    out = np.zeros((slices, channels, *canvas), np.float32)
    if positive:
        phase = np.maximum(phase - phase[visits > 0].min(), 0.0)
    out[:, 0] = phase / slices
    return out
