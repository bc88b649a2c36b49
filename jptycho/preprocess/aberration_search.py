"""Orientation and defocus from nothing: a grid of both that leaves nothing out."""

from __future__ import annotations

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np

from jptycho.optics.waves import cis, to_complex
from jptycho.preprocess.aberration_fit import kernel_arguments
from jptycho.preprocess.interference import Interference
from jptycho.preprocess.weak_phase import LEAST, Lens, beams, filled_bins, limited_gain
from jptycho.types import Array, Float

ANGLE = 8.0  # degrees between rotations that are looked at, in focus
STEP = 0.75  # of the defocus, in depths of focus λ/α²
CANDIDATES = 3  # maxima of each handedness


@dataclasses.dataclass(frozen=True)
class EvidenceMap:
    """Evidence of a weak phase against rotation and defocus, without astigmatism.

    Attributes:
        rotations: degrees in [0, 180): by 180 degrees more and the other defocus a weak phase shows the same.
        defoci: Å.
        evidence: for axes as they are and for swapped ones (handedness, rotations, defoci).
    """

    rotations: Float[np.ndarray, "rotations"]
    defoci: Float[np.ndarray, "defoci"]
    evidence: Float[np.ndarray, "2 rotations defoci"]


def map_evidence(data: Interference, lens: Lens, largest: float, step: float = STEP) -> EvidenceMap:
    """How likely each orientation and defocus of a grid is.

    Args:
        data: the scan.
        lens: its aperture.
        largest: defocus in Å to look for, of either sign.
        step: of the defocus in depths of focus λ/α².

    Returns:
        the map.
    """
    depth = lens.depth
    count = max(1, math.ceil(largest / (step * depth)))
    # The farther out of focus, the farther the images of the disk's border move with the angle.
    turns = math.ceil(180 / np.clip(4 * ANGLE * depth / largest, 2.0, ANGLE))
    angles, defoci = np.arange(turns) * math.pi / turns, np.linspace(-largest, largest, 2 * count + 1)
    grid = jnp.asarray(angles, jnp.float32), jnp.asarray(-defoci, jnp.float32)
    scores = [_along_defocus(*grid, *kernel_arguments(data, lens, transpose)) for transpose in (False, True)]
    return EvidenceMap(np.degrees(angles), defoci, np.asarray(scores))


def best_of_map(found: EvidenceMap, depth: float, candidates: int = CANDIDATES) -> list[tuple[bool, np.ndarray]]:
    """The highest points of a map, none beside a higher one.

    Args:
        found: the map.
        depth: of focus in Å.
        candidates: how many of each handedness.

    Returns:
        transpose and parameters, of each handedness the best first.

    Example:
        >>> evidence = np.zeros((2, 2, 3)); evidence[0, 1, 2] = 1.0
        >>> places = best_of_map(EvidenceMap(np.array([0.0, 90.0]), np.array([-9.0, 0.0, 9.0]), evidence), 1.0, 1)
        >>> bool(places[0][0]), places[0][1][:2].round(2).tolist()
        (False, [1.57, -9.0])
    """
    points = np.stack(np.meshgrid(np.radians(found.rotations), -found.defoci, indexing="ij"), axis=-1).reshape(-1, 2)
    points = np.pad(points, ((0, 0), (0, 2)))
    return [
        (transpose, points[i])
        for transpose in (False, True)
        for i in _maxima(points, found.evidence[int(transpose)].ravel(), depth, candidates)
    ]


@jax.jit
def _along_defocus(
    angles: Array, defoci: Array, q: Array, values: Array, k: Array, height: Array, lens: Array
) -> Array:
    """Evidence at every angle and every one of evenly spaced defoci, without astigmatism.

    With χ = πλ C10 k² both beams' phases are 2πλ C10 k·q ∓ πλ C10 q², so a step of C10 is one multiplication.
    """
    whole = jnp.sum(values.real**2 + values.imag**2, axis=1)
    weighted = values.conj() * to_complex(height)[None]
    step, bins = defoci[1] - defoci[0], filled_bins(height)

    def one(angle: Array) -> Array:
        below, above, along = jax.vmap(lambda place: beams(angle, place, k, lens))(q)
        square = jnp.sum(q**2, axis=1)
        low, high = (weighted * to_complex(side) for side in (below, above))
        alone = jnp.sum(height[None] ** 2 * (below**2 + above**2), axis=1)
        together = 2 * jnp.sum(height[None] ** 2 * below * above, axis=1)
        rate = 2 * math.pi * lens[0] * along

        def at(carry: Array, C10: Array) -> tuple[Array, Array]:
            beta = math.pi * lens[0] * C10 * square
            overlap = jnp.sum(low * carry, axis=1) * cis(-beta) - jnp.sum(high * carry, axis=1) * cis(beta)
            power = alone - together * jnp.cos(2 * beta) + LEAST
            share = (overlap.real**2 + overlap.imag**2) / (power * whole + LEAST)
            return carry * turn, jnp.sum(limited_gain(share, bins))

        turn = cis(rate * step)
        return jax.lax.scan(at, cis(rate * defoci[0]), defoci)[1]

    return jax.lax.map(one, angles)


def _maxima(points: np.ndarray, score: np.ndarray, depth: float, count: int) -> list[int]:
    """The highest points of a grid that are not beside a higher one."""
    chosen: list[int] = []
    for i in np.argsort(-score):
        turn = np.abs((points[chosen, 0] - points[i, 0] + math.pi / 2) % math.pi - math.pi / 2)
        move = np.abs(points[chosen, 1] - points[i, 1])
        if np.all((turn > math.radians(2 * ANGLE)) | (move > 2 * depth)):
            chosen.append(int(i))
        if len(chosen) == count:
            break
    return chosen
