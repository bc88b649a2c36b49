"""Displacements of a scan from what each pattern tells, where the object has moved along with those that formed it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np

from jptycho.types import Array, Float, Int, pytree

MOST = 64  # neighbours of a pattern; of more, as many evenly spread ones stand for all
AT_ONCE = 256  # patterns whose neighbours are looked for together: of fine steps each has thousands
RANGE = 2.5  # standard deviations of the weights, beyond which patterns are no neighbours
ITERATIONS, TOLERANCE = 300, 1e-5  # of conjugate gradients
COURSES = 32  # slow functions of time at most
LONGEST = 3.0  # times a step that steps before may lengthen it by


@pytree
class Measured:
    """What a pattern tells of six numbers: its shift (2), and the gradient of the object's displacement there (2 x 2).

    The log-likelihood about ``at`` is ``force`` · (x - at) - ½ (x - at)ᵀ ``information`` (x - at).

    Attributes:
        at: where it was linearised; the gradient there is zero.
        force: its derivative.
        information: of Fisher.
    """

    at: Float[Array, "*scan 6"]
    force: Float[Array, "*scan 6"]
    information: Float[Array, "*scan 6 6"]


@pytree
class Neighbours:
    """How the object at each pattern follows the displacements of the patterns that formed it.

    Attributes:
        index: of the neighbours of each pattern, itself included.
        weight: of each in the object's displacement there, that of a weighted linear regression; they sum to one.
        slope: of each in the gradient of that displacement along (y, x), pixels⁻¹.
    """

    index: Int[Array, "scan near"]
    weight: Float[Array, "scan near"]
    slope: Float[Array, "scan near 2"]


@pytree
class Structure:
    """What displacements of different patterns have in common, and the standard deviations expected of it.

    Attributes:
        place: positions from the centre of the scan, pixels.
        line: of the scan that each pattern belongs to.
        courses: slow functions of time (scan, courses), together of unit variance.
        affine: of each of scale, shear and rotation, dimensionless.
        lines: of the shift of each line, pixels.
        drift: of the smooth drift, pixels.
    """

    place: Float[Array, "scan 2"]
    line: Int[Array, " scan"]
    courses: Float[Array, "scan courses"]
    affine: Float[Array, ""]
    lines: Float[Array, " lines"]
    drift: Float[Array, ""]


@pytree
class Parts:
    """The numbers of a displacement, each in its standard deviation.

    Attributes:
        affine: A of u = A p: rows are (δy, δx), columns (y, x).
        lines: shift of each line.
        courses: of the slow functions of time.
        free: of each pattern.
    """

    affine: Float[Array, "2 2"]
    lines: Float[Array, "lines 2"]
    courses: Float[Array, "courses 2"]
    free: Float[Array, "scan 2"]


@pytree
class Solution:
    """Displacements from the nominal positions.

    Attributes:
        total: pixels.
        shared: of it what patterns have in common, pixels.
        affine: A of u = A p (2, 2), and the standard deviation of each of its numbers.
    """

    total: Float[Array, "scan 2"]
    shared: Float[Array, "scan 2"]
    affine: Float[Array, "2 2 2"]


def find_neighbours(positions: Float[np.ndarray, "scan 2"], width: float) -> Neighbours:
    """Which patterns form the object at each position.

    Args:
        positions: pixels.
        width: standard deviation of Gaussian weights, pixels: √2 times that of the probe's intensity along an axis, for
            the object is a mean over probes and a pattern a mean over the object that its own probe meets.

    Returns:
        the neighbours.

    Example:
        >>> near = find_neighbours(np.array([[0.0, 0.0], [0.0, 1.0], [0.0, 90.0]]), 2.0)
        >>> near.index.shape, near.weight[2].tolist()
        ((3, 2), [1.0, 0.0])
    """
    near = list(_nearby(positions, RANGE * width))
    sizes = np.array([len(one) for one in near])
    index = np.stack([np.pad(one, (0, sizes.max() - len(one)), constant_values=one[0]) for one in near])
    away = positions[index] - positions[:, None]
    weight = np.exp(-0.5 * np.sum(away**2, axis=-1) / width**2) * (np.arange(sizes.max()) < sizes[:, None])
    weight /= weight.sum(axis=1, keepdims=True)
    middle = np.einsum("nk,nka->na", weight, away)[:, None]
    away -= middle
    # Along a single line there is no gradient across it: a hundredth of the width keeps that at zero.
    moment = np.einsum("nk,nka,nkb->nab", weight, away, away) + (1e-2 * width) ** 2 * np.eye(2)
    slope = np.einsum("nk,nka,nab->nkb", weight, away, np.linalg.inv(moment))
    weight -= np.einsum("nka,na->nk", slope, middle[:, 0])  # from the middle of the neighbours to the pattern
    return Neighbours(jnp.asarray(index, jnp.int32), *(jnp.asarray(x, jnp.float32) for x in (weight, slope)))


def _nearby(positions: np.ndarray, far: float) -> Iterator[np.ndarray]:
    """Each pattern and those that stand for its neighbours: all of them are kept of a few patterns at a time."""
    from scipy.spatial import KDTree  # noqa: PLC0415  (slow to import)

    tree = KDTree(positions)
    for first in range(0, len(positions), AT_ONCE):
        found = tree.query_ball_point(positions[first : first + AT_ONCE], far)
        for number, others in enumerate(found, first):
            beside = np.setdiff1d(others, number)
            yield np.append(number, beside[:: max(1, -(-len(beside) // (MOST - 1)))])


def structure_of(
    positions: Float[np.ndarray, "scan 2"],
    shape: tuple[int, int],
    affine: float,
    lines: float,
    drift: float,
) -> Structure:
    """The parts of a scan's displacements, each expected to be of some size; zero for none.

    Args:
        positions: nominal ones, pixels.
        shape: slow and fast steps of the scan.
        affine: standard deviation of scale, shear and rotation (rad).
        lines: of the shift of each line, pixels.
        drift: of the smooth drift in time, pixels.

    Returns:
        the structure; a drift's k-th cosine is expected to be 1/k as strong as the first, like Brownian motion.
    """
    slow, fast = shape
    number = np.arange(1, 1 + (min(COURSES, slow) if drift else 1))
    time = (np.arange(len(positions)) + 0.5) / len(positions)
    strength = 1 / number / np.sqrt(np.sum(0.5 / number**2))
    courses = strength * np.cos(np.pi * number * time[:, None])
    line = np.arange(len(positions)) // fast if lines else np.zeros(len(positions))
    each = np.full(slow if lines else 1, lines)
    numbers = (positions - positions.mean(axis=0), courses, affine, each, drift)
    place, courses, affine_, each, drift_ = (jnp.asarray(x, jnp.float32) for x in numbers)
    return Structure(place, jnp.asarray(line, jnp.int32), courses, affine_, each, drift_)


def shared_part(structure: Structure, parts: Parts) -> Float[Array, "scan 2"]:
    """What patterns have in common: A p, the shift of the line and the drift, pixels.

    Args:
        structure: of the scan.
        parts: the numbers; the free ones are not read.

    Returns:
        displacements.
    """
    affine = structure.affine * structure.place @ parts.affine.T
    lines = (structure.lines[:, None] * parts.lines)[structure.line]
    return affine + lines + structure.drift * structure.courses @ parts.courses


def as_measured(near: Neighbours, moved: Float[Array, "scan 2"]) -> Float[Array, "scan 6"]:
    """What patterns tell of displacements, u - v and ∇v: v is that of the object, which has moved along.

    A shift of all patterns alike is not followed: it is told as it is.

    Args:
        near: neighbours.
        moved: displacements u since the object was formed, pixels.

    Returns:
        shifts and gradients.
    """
    others = (moved - jnp.mean(moved, axis=0, keepdims=True))[near.index]
    follows = jnp.einsum("nk,nka->na", near.weight, others)
    gradient = jnp.einsum("nka,nkb->nab", others, near.slope)
    return jnp.concatenate([moved - follows, gradient.reshape(-1, 4)], axis=1)


def solve(
    measured: Measured,
    near: Neighbours,
    structure: Structure,
    spread: Float[Array, ""],
    before: Float[Array, "scan 2"],
) -> Solution:
    """The most probable displacements: u = A p + line + drift + free, each part normally distributed.

    Minimises ½ Σ (M u - x)ᵀ H (M u - x) + ½ |z|², u linear in the numbers z and M :func:`as_measured`, by conjugate
    gradients. Because M knows that the object follows, slow displacements need no more rounds than fast ones.

    Args:
        measured: by each pattern, about ``before``.
        near: neighbours.
        structure: of the scan, with the standard deviations.
        spread: of free displacements along an axis, pixels.
        before: displacements with which the object was formed, pixels.

    Returns:
        displacements.
    """
    number, dtype = len(before), before.dtype
    zero = Parts(*(jnp.zeros((n, 2), dtype) for n in (2, len(structure.lines), structure.courses.shape[1], number)))

    def told(parts: Parts) -> Array:
        return as_measured(near, shared_part(structure, parts) + spread * parts.free - before)

    start, forwards = jax.linearize(told, zero)
    backwards = jax.linear_transpose(forwards, zero)
    weighed = lambda x: jnp.einsum("nab,nb->na", measured.information, x)  # noqa: E731
    (pull,) = backwards(weighed(measured.at - start) + measured.force)

    def normal(parts: Parts) -> Parts:
        return jax.tree.map(jnp.add, parts, backwards(weighed(forwards(parts)))[0])

    found = _conjugate(normal, pull)
    shared = shared_part(structure, found)
    errors = jax.lax.cond(structure.affine > 0, lambda: _errors(normal, zero), lambda: jnp.zeros((2, 2), dtype))
    affine = structure.affine * jnp.stack([found.affine, errors])
    return Solution(shared + spread * found.free, shared, affine)


@pytree
class Shared:
    """What patterns have in common: displacements, of them the affine part, and the steps that led there.

    Attributes:
        moved: pixels.
        affine: A of u = A p.
    """

    moved: Float[Array, "scan 2"]
    affine: Float[Array, "2 2"]


def extrapolate(now: Shared, step: Shared, last: Shared, last_step: Shared) -> Shared:
    """Where the steps of this round and of the one before lead to together (Anderson's acceleration of depth one).

    The object, the probe and their errors take up a part of every wrong scale, so that each step is too short by the
    same share.

    Args:
        now: where the object was formed.
        step: from there, as the patterns have it.
        last: where it was formed before; what ``now`` is in the first round.
        last_step: from there; zero in the first round.

    Returns:
        x + r + g (x - x' + r - r'), g = -<r, r - r'> / |r - r'|² between 0 and 3.
    """
    change = step.moved - last_step.moved
    known = jnp.sum(last_step.moved**2) > 0
    share = -jnp.sum(step.moved * change) / jnp.where(known, jnp.sum(change**2), 1.0)
    share = jnp.where(known, jnp.clip(share, 0.0, LONGEST), 0.0)
    return jax.tree.map(lambda x, r, before, then: x + r + share * (x - before + r - then), now, step, last, last_step)


def _conjugate(normal: Callable[[Parts], Parts], pull: Parts) -> Parts:
    return jax.scipy.sparse.linalg.cg(normal, pull, tol=TOLERANCE, maxiter=ITERATIONS)[0]


def _errors(normal: Callable[[Parts], Parts], zero: Parts) -> Float[Array, "2 2"]:
    """Standard deviations of the four affine numbers: roots of the inverse's diagonal."""
    units = jnp.eye(4, dtype=zero.affine.dtype).reshape(4, 2, 2)
    one = lambda unit: jnp.sum(unit * _conjugate(normal, Parts(unit, zero.lines, zero.courses, zero.free)).affine)  # noqa: E731
    return jnp.sqrt(jnp.maximum(jax.lax.map(one, units), 0)).reshape(2, 2)
