"""The minimum of a parabola through the scores of trials, and how far noise lets it move."""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np

from jptycho.types import Float

SPARE = 3
"""Trials beyond the coefficients, so that what the parabola does not follow shows."""
SURE = 3.0
"""Standard errors on each side of the minimum, that must span less than the trials do."""
POWER = 2.0
"""Of the weights, with which a trial as far behind the best as the median one counts a quarter."""


@dataclasses.dataclass(frozen=True)
class Vertex:
    """Where a parabola is lowest.

    Attributes:
        place: in units of the points (settings,).
        errors: standard error along each axis, whatever the others are.
        used: trials that the parabola goes through.
    """

    place: Float[np.ndarray, "settings"]
    errors: Float[np.ndarray, "settings"]
    used: int


def coefficients(settings: int) -> int:
    """How many a parabola of so many settings has.

    Args:
        settings: of them.

    Returns:
        the number.

    Example:
        >>> coefficients(1), coefficients(2), coefficients(3)
        (3, 6, 10)
    """
    return (settings + 1) * (settings + 2) // 2


def find_vertex(
    points: Float[np.ndarray, "trials settings"], losses: Float[np.ndarray, "trials scan"]
) -> Vertex | None:
    """The minimum of a parabola through the best trials, all settings together.

    q(x) = a + b·x + x·H x / 2 is fitted to the mean losses of the best 2 m + 3 trials, m its number of coefficients,
    the better ones with more weight. The minimum is at x₀ = -H⁻¹ b. Its error has two parts. The electrons that judge
    are noisy: the same fit to each pattern gives gradients g_i = b_i + H_i x₀, and the mean's error moves x₀ by
    H⁻¹ std(g) / √N. And the scores are no parabola: what it leaves of them, as if it were noise, moves x₀ too.

    Args:
        points: of the trials that ended, scaled so that each setting's range is about 1.
        losses: of each trial, on the patterns that judge.

    Returns:
        the minimum; None where trials are too few, have no minimum among them, or leave it anywhere among them.

    Example:
        >>> x = np.linspace(-0.5, 0.5, 9)[:, None]
        >>> find_vertex(x, (x - 0.1) ** 2 + np.array([[0.0, 0.1, 0.3]])).place.round(6).tolist()
        [0.1]
    """
    settings, scores = points.shape[1], losses.mean(axis=1)
    number = coefficients(settings)
    if len(points) < number + SPARE:
        return None
    best = np.argsort(scores, kind="stable")[: 2 * number + SPARE]
    points, losses, weight = points[best], np.asarray(losses[best], np.float64), _weights(scores[best])
    middle, width = points.mean(axis=0), np.maximum(np.ptp(points, axis=0), 1e-12)
    design = _design((points - middle) / width)
    if np.linalg.matrix_rank(design) < number:
        return None
    design, losses = weight[:, None] * design, weight[:, None] * losses
    each = np.linalg.lstsq(design, losses, rcond=None)[0]
    mean = each.mean(axis=1)
    slope, bend = _parts(mean, settings)
    if np.linalg.eigvalsh(bend)[0] <= 0:
        return None
    place = -np.linalg.solve(bend, slope)
    spread = np.sqrt(np.diag(_covariance(design, losses.mean(axis=1), weight, each, place)))
    found = middle + width * place
    if (found < points.min(axis=0)).any() or (found > points.max(axis=0)).any() or (SURE * spread > 0.5).any():
        return None
    return Vertex(found, width * spread, len(points))


def _weights(scores: Float[np.ndarray, "trials"]) -> Float[np.ndarray, "trials"]:
    """Less for a trial the worse it is: far from the minimum scores are no parabola."""
    behind = scores - scores.min()
    return (1 + behind / max(float(np.median(behind)), 1e-300)) ** -POWER


def _design(points: Float[np.ndarray, "trials settings"]) -> Float[np.ndarray, "trials terms"]:
    """1, x, and the products of two: halves of squares, so that the coefficients are those of the Hessian."""
    count = points.shape[1]
    pairs = itertools.combinations_with_replacement(range(count), 2)
    products = [points[:, i] * points[:, j] * (0.5 if i == j else 1.0) for i, j in pairs]
    return np.stack([np.ones(len(points)), *points.T, *products], axis=1)


def _parts(values: Float[np.ndarray, "terms"], settings: int) -> tuple[np.ndarray, np.ndarray]:
    """Slope and Hessian."""
    bend = np.zeros((settings, settings))
    pairs = itertools.combinations_with_replacement(range(settings), 2)
    for (i, j), value in zip(pairs, values[1 + settings :], strict=True):
        bend[i, j] = bend[j, i] = value
    return values[1 : 1 + settings], bend


def _covariance(
    design: Float[np.ndarray, "trials terms"],
    scores: Float[np.ndarray, "trials"],
    weight: Float[np.ndarray, "trials"],
    each: Float[np.ndarray, "terms scan"],
    place: Float[np.ndarray, "settings"],
) -> Float[np.ndarray, "settings settings"]:
    """Of the minimum: the noise of the patterns that judge, and what the parabola does not follow.

    That is as large at every trial, however little it weighs: with A the weighted design and r what is left, its
    variance is r·r / (Σ w² - tr (AᵀA)⁻¹ Aᵀw²A), and the coefficients' (AᵀA)⁻¹ Aᵀw²A (AᵀA)⁻¹ times that.
    """
    settings, patterns, inverse = len(place), each.shape[1], np.linalg.inv(design.T @ design)
    # d(b + H x0) / d coefficients, and d x0 = -H⁻¹ of that.
    gradient = np.stack([_slope_at(place, column) for column in np.eye(design.shape[1])], axis=1)
    to_place = -np.linalg.solve(_parts(each.mean(axis=1), settings)[1], gradient)
    left, twice = scores - design @ each.mean(axis=1), design.T @ (weight[:, None] ** 2 * design)
    freedom = float(np.sum(weight**2) - np.trace(inverse @ twice))
    unexplained = float(left @ left) / max(freedom, 1e-12) * inverse @ twice @ inverse
    noise = np.cov(each) / patterns if patterns > 1 else np.full_like(unexplained, math.inf)
    return to_place @ (noise + unexplained) @ to_place.T


def _slope_at(place: np.ndarray, values: np.ndarray) -> np.ndarray:
    slope, bend = _parts(values, len(place))
    return slope + bend @ place
