"""Where further unknowns of beam and detector begin, as far as the patterns tell, and how a result has them."""

from __future__ import annotations

import dataclasses
from collections.abc import Container, Mapping

import jax.numpy as jnp
import numpy as np
from scipy import ndimage

from jptycho.data.lazy_counts import Counts
from jptycho.forward.effects import BACKGROUND
from jptycho.preprocess.prepare import Problem
from jptycho.representations.estimate import DESCAN
from jptycho.types import Array, Float, Shaped

DARK_SHARE = 0.05
"""Of the detector, which is taken for dark."""
SMOOTHING = 2.0
"""Detector pixels over which the mean pattern is averaged before its dark part is looked for."""
ROUNDS, TUNING = 30, 1.345
"""Of reweighted least squares, and Huber's constant: residuals beyond it, in standard deviations, count linearly."""
CHUNK = 1024
"""Patterns that are read at once."""


def with_guesses(problem: Problem, unknowns: Container[str]) -> Problem:
    """A scan with a start of the unknowns that its patterns show.

    Args:
        problem: the scan made ready.
        unknowns: names of those of the run.

    Returns:
        the scan, its estimate changed: half of what the darkest part of the detector sees for ``background``, for
        ``descan`` the plane of :func:`descan_plane`.
    """
    estimate, mask = problem.estimate, np.asarray(problem.setup.mask) > 0
    extra, shared = dict(estimate.extra), dict(estimate.shared)
    if BACKGROUND in unknowns:
        dark = darkest(problem.counts.mean(axis=0, dtype=np.float64), mask)
        shared[BACKGROUND] = jnp.asarray(0.5 * dark / float(problem.setup.dose), jnp.float32)
    if DESCAN in unknowns:
        plane = descan_plane(problem.counts, mask, np.asarray(estimate.positions))
        extra[DESCAN] = jnp.asarray(plane, jnp.float32)
    return dataclasses.replace(problem, estimate=dataclasses.replace(estimate, extra=extra, shared=shared))


def to_shared(problem: Problem, shared: Mapping[str, Array]) -> dict[str, np.ndarray]:
    """What all patterns share, as a result has it: on the detector centred, in electrons where it is a share of them.

    Args:
        problem: the scan, by all electrons.
        shared: of an estimate.

    Returns:
        arrays by name.
    """
    found = {name: np.asarray(np.asarray(value) * _electrons(problem, name)) for name, value in shared.items()}
    window = problem.setup.grid.shape
    return {n: np.fft.fftshift(v, axes=(-2, -1)) if v.shape[-2:] == window else v for n, v in found.items()}


def from_shared(problem: Problem, shared: Mapping[str, np.ndarray]) -> dict[str, Array]:
    """The inverse of :func:`to_shared`, of the unknowns that a problem has.

    Args:
        problem: the scan, by all electrons.
        shared: of a result.

    Returns:
        arrays by name.
    """
    window = problem.setup.grid.shape
    here = problem.estimate.shared
    known = {n: v / _electrons(problem, n) for n, v in shared.items() if n in here}
    known = {n: np.fft.ifftshift(v, axes=(-2, -1)) if v.shape[-2:] == window else v for n, v in known.items()}
    return {name: jnp.asarray(value, here[name].dtype) for name, value in known.items()}


def _electrons(problem: Problem, name: str) -> float:
    unknown = problem.unknowns.get(name)
    return problem.electrons if unknown is not None and unknown.in_electrons else 1.0


def darkest(mean_pattern: Float[np.ndarray, "ky kx"], mask: Shaped[np.ndarray, "ky kx"]) -> float:
    """What a pixel sees where the detector is darkest: an upper bound of its background.

    Args:
        mean_pattern: average over the scan.
        mask: whether a pixel is alive.

    Returns:
        counts.

    Example:
        >>> darkest(np.full((8, 8), 0.5), np.ones((8, 8), bool))
        0.5
    """
    seen = ndimage.gaussian_filter(mask.astype(float), SMOOTHING, mode="wrap")
    smooth = ndimage.gaussian_filter(mean_pattern * mask, SMOOTHING, mode="wrap") / np.maximum(seen, 1e-3)
    return float(np.quantile(smooth[mask], DARK_SHARE))


def descan_plane(
    counts: Counts, mask: Shaped[np.ndarray, "ky kx"], positions: Float[np.ndarray, "scan 2"]
) -> Float[np.ndarray, "scan 2"]:
    """The plane over the scan that the patterns' centres of mass lie near, by Huber's robust regression.

    A specimen deflects the beam as its phase's slope says, which is zero on average but between the borders of the
    scan; descan deflects it alike everywhere.

    Args:
        counts: patterns, zero frequency at [0, 0].
        mask: whether a pixel is alive.
        positions: of the patterns, in any unit.

    Returns:
        shift of each pattern in detector pixels, zero on average.

    Source:
        Huber, Ann. Math. Stat. 35 (1964) 73.
    """
    shape = counts.shape[1:]
    ky, kx = (np.fft.fftfreq(n) * n for n in shape)
    # What is on every pixel alike would pull each centre to the middle.
    dark = darkest(counts.mean(axis=0, dtype=np.float64), mask)
    centres = []
    for first in range(0, len(counts), CHUNK):
        part = (counts[first : first + CHUNK].astype(np.float64) - dark) * mask
        total = np.maximum(part.sum(axis=(1, 2)), 1e-9)
        centres.append(np.stack([part.sum(axis=2) @ ky / total, part.sum(axis=1) @ kx / total], axis=1))
    found = np.concatenate(centres)
    terms = np.concatenate([np.ones((len(found), 1)), positions - positions.mean(axis=0)], axis=1)
    plane = np.stack([_robust_fit(terms, axis) for axis in found.T], axis=1)
    return plane - plane.mean(axis=0)


def _robust_fit(terms: Float[np.ndarray, "n terms"], values: Float[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
    """What terms make of values, outliers weighing little."""
    weight = np.ones(len(values))
    fitted = np.zeros(len(values))
    for _ in range(ROUNDS):
        fitted = terms @ np.linalg.lstsq(terms * weight[:, None], values * weight, rcond=None)[0]
        misfit = np.abs(values - fitted)
        scale = max(1.4826 * float(np.median(misfit)), 1e-9)
        weight = np.sqrt(np.minimum(1.0, TUNING * scale / np.maximum(misfit, 1e-12)))
    return fitted
