"""Remove what ptychography cannot determine before an image is compared: constant, ramp and shift."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from skimage.registration import phase_cross_correlation

from jptycho.types import Float

GRID_STEPS = 20  # per pixel: the cross-correlation's peak is found to one of them
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

    The shift is that of the largest cross-correlation, refined by Gauss-Newton steps on the squared difference, in
    which contrast and plane are free. It is the truth that is moved, each time from its original: interpolating a noisy
    image would blur its noise and flatter it.

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
    flat, reference = remove_plane(image), remove_plane(expected(np.zeros(2)))
    window = np.outer(np.hanning(image.shape[0]), np.hanning(image.shape[1]))
    shift, *_ = phase_cross_correlation(
        flat * window,
        reference * window,
        upsample_factor=GRID_STEPS,
        normalization=None,  # pyright: ignore[reportArgumentType]
    )
    near = float(np.max(np.abs(shift))) <= max_shift
    shift = _refine_shift(flat, expected, np.asarray(shift, float), max_shift) if near else np.zeros(2)
    moved = expected(shift)
    return moved + remove_plane(flat - moved), moved, shift


def _refine_shift(
    image: Float[np.ndarray, "Y X"],
    expected: Callable[[Float[np.ndarray, "2"]], Float[np.ndarray, "Y X"]],
    start: Float[np.ndarray, "2"],
    max_shift: float,
) -> Float[np.ndarray, "2"]:
    """Least squares over shift, contrast and plane, by Gauss-Newton steps that are halved until the misfit falls."""
    plane = plane_basis(image.shape)

    def misfit(at: Float[np.ndarray, "2"]) -> float:
        terms = np.column_stack([expected(at).ravel(), plane])
        fit, *_ = np.linalg.lstsq(terms, image.ravel(), rcond=None)
        return float(np.sum((image.ravel() - terms @ fit) ** 2))

    shift, least = start, misfit(start)
    for _ in range(STEPS):
        here = expected(shift)
        slopes = [(expected(shift + DIFFERENCE * step) - here).ravel() / DIFFERENCE for step in np.eye(2)]
        fit, *_ = np.linalg.lstsq(np.column_stack([here.ravel(), *slopes, plane]), image.ravel(), rcond=None)
        change = fit[1:3] / fit[0] if fit[0] > 0 else np.zeros(2)
        change *= min(1.0, 1.0 / max(float(np.max(np.abs(change))), CONVERGED))
        while np.max(np.abs(change)) > CONVERGED and misfit(shift + change) >= least:
            change = change / 2
        if np.max(np.abs(change)) <= CONVERGED:
            break
        shift = shift + change
        least = misfit(shift)
    return shift if np.max(np.abs(shift)) <= max_shift else start
