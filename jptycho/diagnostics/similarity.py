"""How like the truth a phase image is."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy import ndimage
from skimage.metrics import structural_similarity

from jptycho.types import Float

HIGH_PASS_PERIOD = 1.5  # Å
BULK_PERIOD = 8.0  # Å: what is slower is the specimen's shape, not its atoms


@dataclasses.dataclass(frozen=True)
class Similarity:
    """A phase image against the truth.

    Attributes:
        correlation: Pearson correlation of the phases.
        high_pass: the same after structure slower than ``HIGH_PASS_PERIOD`` is removed.
        ssim: structural similarity over the truth's range.
        bulk: share of the bulk phase that has arrived, see :func:`bulk_share`.
    """

    correlation: float
    high_pass: float
    ssim: float
    bulk: float


def correlation(a: Float[np.ndarray, "Y X"], b: Float[np.ndarray, "Y X"]) -> float:
    """Pearson correlation coefficient.

    Args:
        a: image.
        b: image.

    Returns:
        between -1 and 1; 0 where an image is constant.

    Example:
        >>> correlation(np.array([[0.0, 1.0]]), np.array([[3.0, 5.0]]))
        1.0
    """
    a, b = a - a.mean(), b - b.mean()
    return float(np.sum(a * b) / max(np.sqrt(np.sum(a * a) * np.sum(b * b)), 1e-300))


def high_pass(image: Float[np.ndarray, "Y X"], sampling: tuple[float, float], period: float) -> np.ndarray:
    """Subtract a Gaussian blur whose transfer is one half at the given period.

    Args:
        image: (Y, X).
        sampling: Å a pixel.
        period: Å.

    Returns:
        the image without slow structure.

    Example:
        >>> bool(np.allclose(high_pass(np.ones((8, 8)), (0.5, 0.5), 1.5), 0))
        True
    """
    sigma = period * np.sqrt(2 * np.log(2)) / (2 * np.pi)
    return image - ndimage.gaussian_filter(image, [sigma / s for s in sampling])


def bulk_share(
    image: Float[np.ndarray, "Y X"], truth: Float[np.ndarray, "Y X"], sampling: tuple[float, float]
) -> float:
    """The step from the thin to the thick part of a specimen, as a share of the true one.

    Both parts are those of the truth without structure faster than ``BULK_PERIOD``: its lowest and highest fifth of the
    range. Slow structure converges last, so this says how far a reconstruction has come.

    Args:
        image: in the truth's gauge.
        truth: of the same shape.
        sampling: Å a pixel.

    Returns:
        1 where all of it is there.

    Example:
        >>> step = np.repeat([0.0, 1.0], 200) * np.ones((50, 1))
        >>> round(bulk_share(0.25 * step + 3, step, (0.5, 0.5)), 3)
        0.25
    """
    slow = truth - high_pass(truth, sampling, BULK_PERIOD)
    low, high = slow.min(), slow.max()
    thin, thick = slow < low + 0.2 * (high - low), slow > high - 0.2 * (high - low)
    return float((image[thick].mean() - image[thin].mean()) / (truth[thick].mean() - truth[thin].mean()))


def compare(
    image: Float[np.ndarray, "Y X"], truth: Float[np.ndarray, "Y X"], sampling: tuple[float, float]
) -> Similarity:
    """Correlation, high-pass correlation, SSIM and bulk share of a phase image that lies as the truth does.

    Args:
        image: reconstructed phase in rad, in the truth's gauge (:func:`jptycho.diagnostics.gauge.same_gauge`).
        truth: in rad, of the same shape and sampling.
        sampling: Å a pixel.

    Returns:
        the four numbers.

    Example:
        >>> truth = np.random.default_rng(0).normal(size=(32, 32))
        >>> round(compare(truth, truth, (0.3, 0.3)).ssim, 3)
        1.0
    """
    extent = float(truth.max() - truth.min())
    a, b = (high_pass(x, sampling, HIGH_PASS_PERIOD) for x in (image, truth))
    return Similarity(
        correlation(image, truth),
        correlation(a, b),
        float(np.asarray(structural_similarity(image, truth, data_range=extent))),
        bulk_share(image, truth, sampling),
    )
