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


def same_gauge(
    image: Float[np.ndarray, "Y X"], truth: Float[np.ndarray, "Y X"], max_shift: float = 3.0
) -> tuple[Float[np.ndarray, "Y X"], Float[np.ndarray, "Y X"], Float[np.ndarray, "2"]]:
    """Move the truth by a sub-pixel shift onto an image, and add a plane to the image so that it fits.

    The shift is that of the largest cross-correlation, to a twentieth of a pixel. It is the truth that is moved: it is
    smooth, while interpolating a noisy image would blur its noise and flatter it.

    Args:
        image: reconstructed phase (Y, X).
        truth: of the same sampling and origin up to a small shift.
        max_shift: pixels; where the correlation peaks farther away nothing is moved.

    Returns:
        the image in the truth's gauge, the truth moved, and the shift (y, x) in pixels that moved it.

    Example:
        >>> truth = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(64, 64)), 3)
        >>> image, moved, shift = same_gauge(ndimage.shift(truth, (1, -0.5), mode="nearest") + 3, truth)
        >>> bool(np.allclose(shift, (1, -0.5), atol=0.1))
        True
    """
    flat, reference = remove_plane(image), remove_plane(truth)
    window = np.outer(np.hanning(image.shape[0]), np.hanning(image.shape[1]))
    shift, *_ = phase_cross_correlation(
        flat * window,
        reference * window,
        upsample_factor=20,
        normalization=None,  # pyright: ignore[reportArgumentType]
    )
    shift = shift if np.max(np.abs(shift)) <= max_shift else np.zeros(2)
    moved = ndimage.shift(truth, shift, order=3, mode="nearest")
    return moved + remove_plane(flat - moved), moved, shift
