"""Hot and dead pixels of a detector, seen in the mean pattern and left out by a mask."""

from __future__ import annotations

import numpy as np

from jptycho.types import Float, Shaped

CERTAIN = 8.0  # standard deviations of its neighbours and of noise
ALIKE = 0.25  # of its neighbours' mean by which a pixel may differ without noise: structure of a pattern
SURE_DEAD = 20.0  # electrons about a dead pixel: of Poisson numbers of that mean e⁻²⁰ are zero
DARK = 0.05  # of its neighbours' mean, below which a pixel is dead


def find_bad_pixels(
    mean_pattern: Float[np.ndarray, "ky kx"], patterns: int, counts_per_electron: float = 1.0
) -> Shaped[np.ndarray, "ky kx"]:
    """A mask that is zero for pixels that differ from their neighbours by more than noise and structure can.

    A pixel x is compared with the median m of the eight about it and with their second brightest b: hot where
    x - m > 8 √(g m / N + s²) + m / 4 and x - b > 8 √(g b / N) + b / 4; dead where the second darkest d is more than 20
    electrons over the scan and x less than 0.05 m and 0.05 d. s is the scatter of the eight, so that the edge of the
    bright disk and Bragg spots wider than a pixel stay.
    Counts are never interpolated: what is bad is left out. Dead ones that touch more than one other, such as a row, a
    column or a gap between modules, are not seen: give a mask.

    Args:
        mean_pattern: average over the scan.
        patterns: N, how many.
        counts_per_electron: g.

    Returns:
        1 for a good pixel, 0 for a bad one.

    Source:
        The rule of Dixon & Massey for outliers, with the median absolute deviation for the scatter.

    Example:
        >>> pattern = np.full((8, 8), 10.0); pattern[2, 3], pattern[5, 5] = 500.0, 0.0
        >>> [tuple(map(int, place)) for place in np.argwhere(find_bad_pixels(pattern, 100) == 0)]
        [(2, 3), (5, 5)]
    """
    padded = np.pad(np.asarray(mean_pattern, np.float64), 1, mode="reflect")
    rows, columns = mean_pattern.shape
    shifts = [(i, j) for i in range(3) for j in range(3) if (i, j) != (1, 1)]
    about = np.sort(np.stack([padded[i : i + rows, j : j + columns] for i, j in shifts]), axis=0)
    middle = 0.5 * (about[3] + about[4])
    scatter = 1.48 * np.median(np.abs(about - middle), axis=0)
    shot, brightest = (
        np.sqrt(counts_per_electron * np.maximum(level, counts_per_electron / patterns) / patterns)
        for level in (middle, about[6])
    )
    # One of the eight may be hot or dead itself; at the tip of a sharp disk three are bright and five are not.
    hot = mean_pattern - middle > CERTAIN * np.hypot(shot, scatter) + ALIKE * middle
    hot &= mean_pattern - about[6] > CERTAIN * brightest + ALIKE * about[6]
    dead = (
        (mean_pattern < DARK * middle)
        & (mean_pattern < DARK * about[1])
        & (about[1] * patterns > SURE_DEAD * counts_per_electron)
    )
    return (~(hot | dead)).astype(float)
