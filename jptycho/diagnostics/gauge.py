"""Remove what ptychography cannot determine before an image is compared: constant, ramp and shift."""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from skimage.registration import phase_cross_correlation

from jptycho.types import Float


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
    weight = np.ones(image.shape) if weight is None else weight
    y, x = np.meshgrid(*[np.linspace(-1, 1, n) for n in image.shape], indexing="ij")
    basis = np.stack([np.ones(image.shape), y, x], axis=-1).reshape(-1, 3)
    root = np.sqrt(weight).reshape(-1)
    solution, *_ = np.linalg.lstsq(basis * root[:, None], image.reshape(-1) * root, rcond=None)
    return image - (basis @ solution).reshape(image.shape)


def fit_plane_and_shift(
    image: Float[np.ndarray, "Y X"], truth: Float[np.ndarray, "Y X"], max_shift: float = 3.0
) -> tuple[Float[np.ndarray, "Y X"], Float[np.ndarray, "2"]]:
    """Move an image by a sub-pixel shift and add a plane so that it fits the truth.

    The shift is that of the largest cross-correlation, to a twentieth of a pixel; the plane is a least-squares fit.

    Args:
        image: reconstructed phase (Y, X).
        truth: of the same sampling and origin up to a small shift.
        max_shift: pixels; where the correlation peaks farther away the image is not moved.

    Returns:
        the image in the truth's gauge, and the shift (y, x) in pixels that was applied.

    Example:
        >>> truth = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(32, 32)), 2)
        >>> moved, shift = fit_plane_and_shift(ndimage.shift(truth, (1, -0.5)) + 3, truth)
        >>> shift.round(1).tolist()  # true: -1.0, 0.5; the image is 32 pixels wide
        [-0.9, 0.4]
    """
    flat, reference = remove_plane(image), remove_plane(truth)
    window = np.outer(np.hanning(image.shape[0]), np.hanning(image.shape[1]))
    shift, *_ = phase_cross_correlation(reference * window, flat * window, upsample_factor=20, normalization=None)  # pyright: ignore[reportArgumentType]
    shift = shift if np.max(np.abs(shift)) <= max_shift else np.zeros(2)
    moved = ndimage.shift(flat, shift, order=3, mode="nearest")
    return truth + remove_plane(moved - truth), shift
