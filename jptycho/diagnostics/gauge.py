"""Remove what ptychography cannot determine before an image is compared: constant, ramp and shift."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import ndimage

from jptycho.types import Float

GRID_STEPS = 8  # per pixel of the cross-correlation
CANDIDATES = 3  # of its peaks that are refined
STEPS = 20  # of the refinement, at most
CONVERGED = 1e-5  # pixels
DIFFERENCE = 1e-3  # pixels, for the slope of the expected image


def plane_basis(shape: tuple[int, int]) -> Float[np.ndarray, "pixels 3"]:
    """Constant and the two ramps, as columns.

    Args:
        shape: of the image.

    Returns:
        of each pixel in C order.

    Example:
        >>> plane_basis((1, 3))[:, 2].tolist()
        [-1.0, 0.0, 1.0]
    """
    y, x = np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij")
    return np.stack([np.ones(shape), y, x], axis=-1).reshape(-1, 3)


def remove_plane(
    image: Float[np.ndarray, "Y X"], weight: Float[np.ndarray, "Y X"] | None = None
) -> Float[np.ndarray, "Y X"]:
    """Subtract the constant and ramp that fit an image best.

    Args:
        image: phase in rad.
        weight: of each pixel in the fit; uniform by default.

    Returns:
        the image without them.

    Example:
        >>> bool(np.allclose(remove_plane(np.add.outer(np.arange(4.0), np.arange(5.0))), 0))
        True
    """
    basis = plane_basis(image.shape)
    root = np.sqrt(np.ones(image.shape) if weight is None else weight).reshape(-1)
    solution, *_ = np.linalg.lstsq(basis * root[:, None], image.reshape(-1) * root, rcond=None)
    return image - (basis @ solution).reshape(image.shape)


def same_gauge(
    image: Float[np.ndarray, "Y X"],
    expected: Callable[[Float[np.ndarray, "2"]], Float[np.ndarray, "Y X"]],
    max_shift: float = 3.0,
) -> tuple[Float[np.ndarray, "Y X"], Float[np.ndarray, "Y X"], Float[np.ndarray, "2"]]:
    """Move the truth by a sub-pixel shift onto an image, and add a plane to the image so that it fits.

    The highest peaks of the cross-correlation, on a grid much finer than a pixel, are refined by Gauss-Newton steps on
    the squared difference, in which contrast and plane are free; the one that fits best is the shift. On whole pixels
    the wrong site of a lattice could win. It is the truth that is moved, each time from its original: interpolating a
    noisy image would blur its noise and flatter it.

    Args:
        image: reconstructed phase (Y, X).
        expected: the truth on the image's pixels, moved by a shift (y, x) in pixels.
        max_shift: pixels; where the correlation peaks farther away nothing is moved.

    Returns:
        the image in the truth's gauge, the truth moved, and the shift (y, x) in pixels that moved it.

    Example:
        >>> wave = lambda s: np.cos(np.add.outer((np.arange(40) - s[0]) / 3, (np.arange(50) - s[1]) / 4))
        >>> _, moved, _ = same_gauge(wave(np.array([0.3, -0.2])) + 3, wave)
        >>> bool(np.allclose(moved, wave(np.array([0.3, -0.2])), atol=1e-5))
        True
    """
    flat = remove_plane(image)
    found = [
        _refine_shift(flat, expected, start, max_shift)
        for start in _correlation_peaks(flat, remove_plane(expected(np.zeros(2))), max_shift)
    ]
    shift = min(found, key=lambda pair: pair[1])[0] if found else np.zeros(2)
    moved = expected(shift)
    return moved + remove_plane(flat - moved), moved, shift


def _correlation_peaks(
    image: Float[np.ndarray, "Y X"], reference: Float[np.ndarray, "Y X"], max_shift: float
) -> list[Float[np.ndarray, "2"]]:
    """The highest local maxima of the windowed cross-correlation within a shift; none where one beyond is higher."""
    window = np.outer(np.hanning(image.shape[0]), np.hanning(image.shape[1]))
    cross = np.fft.fft2(image * window) * np.conj(np.fft.fft2(reference * window))
    shifts = np.arange(-round(max_shift * GRID_STEPS), round(max_shift * GRID_STEPS) + 1) / GRID_STEPS
    along_y, along_x = (np.exp(2j * np.pi * np.outer(shifts, np.fft.fftfreq(n))) for n in image.shape)
    near = np.real(along_y @ cross @ along_x.T) / image.size
    anywhere = np.real(np.fft.ifft2(cross)).max()
    if near.max() < anywhere - 1e-9 * abs(anywhere):  # the same peak may differ by rounding
        return []
    peaks = np.argwhere((near == ndimage.maximum_filter(near, GRID_STEPS + 1)) & (near > 0))
    order = np.argsort([-near[y, x] for y, x in peaks])[:CANDIDATES]
    return [shifts[peaks[i]] for i in order]


def _refine_shift(
    image: Float[np.ndarray, "Y X"],
    expected: Callable[[Float[np.ndarray, "2"]], Float[np.ndarray, "Y X"]],
    start: Float[np.ndarray, "2"],
    max_shift: float,
) -> tuple[Float[np.ndarray, "2"], float]:
    """Least squares over shift, contrast and plane, by Gauss-Newton steps that are halved until the misfit falls.

    The shift and its misfit; those of the start where the steps lead beyond the largest shift.
    """
    plane = plane_basis(image.shape)

    def misfit(at: Float[np.ndarray, "2"]) -> float:
        terms = np.column_stack([expected(at).ravel(), plane])
        fit = _least_squares(terms, image.ravel())
        return float(np.sum((image.ravel() - terms @ fit) ** 2))

    shift, least = start, misfit(start)
    begun = least
    for _ in range(STEPS):
        here = expected(shift)
        slopes = [(expected(shift + DIFFERENCE * step) - here).ravel() / DIFFERENCE for step in np.eye(2)]
        fit = _least_squares(np.column_stack([here.ravel(), *slopes, plane]), image.ravel())
        change = fit[1:3] / fit[0] if fit[0] > 0 else np.zeros(2)
        change *= min(1.0, 1.0 / max(float(np.max(np.abs(change))), CONVERGED))
        while np.max(np.abs(change)) > CONVERGED and misfit(shift + change) >= least:
            change = change / 2
        if np.max(np.abs(change)) <= CONVERGED:
            break
        shift = shift + change
        least = misfit(shift)
    return (shift, least) if np.max(np.abs(shift)) <= max_shift else (start, begun)


def _least_squares(terms: Float[np.ndarray, "pixels terms"], values: Float[np.ndarray, "pixels"]) -> np.ndarray:
    """Of few terms and many values, by the normal equations of terms of unit length."""
    length = np.maximum(np.linalg.norm(terms, axis=0), np.finfo(float).tiny)
    terms = terms / length
    return np.linalg.lstsq(terms.T @ terms, terms.T @ values, rcond=None)[0] / length
