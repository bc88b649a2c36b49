"""What a search for positions found, in words and in a result."""

from __future__ import annotations

import math

import jax.numpy as jnp
import numpy as np

from jptycho.data.dataset import Dataset4D
from jptycho.preprocess.prepare import Problem
from jptycho.representations.estimate import Estimate
from jptycho.representations.per_position import RefineSettings
from jptycho.settings import Table
from jptycho.types import Array, Float

Placement = dict[str, Array]
"""What an estimate keeps of a search for positions."""

MOST_HELD = 0.01
"""Of a stretch that nothing is said about: half of that is found where scale and rotation are right."""
CHANCE = 4.0
"""Times the stretch that independent displacements make by chance, likewise."""


def summarise_search(refine: RefineSettings) -> str:
    """What is unknown of the positions.

    Example:
        >>> summarise_search(RefineSettings(position_error=0.5, position_affine=0.02))
        'off by 0.5 Å or so, scale and shear by 2 %, rotation by 1.15°'
    """
    words = [f"off by {refine.position_error:g} Å or so"] if refine.position_error else []
    if refine.position_affine:
        share = refine.position_affine
        words.append(f"scale and shear by {100 * share:.3g} %, rotation by {math.degrees(share):.3g}°")
    words += [f"each line by {refine.position_lines:g} Å"] if refine.position_lines else []
    words += [f"drift by {refine.position_drift:g} Å"] if refine.position_drift else []
    return ", ".join(words)


def summarise_affine(placement: Placement, dataset: Dataset4D) -> list[str]:
    """Scale, rotation and shear that a search found, and what to write into a configuration for them.

    Args:
        placement: of an estimate.
        dataset: the scan, with the step and the rotation that were stated.

    Returns:
        lines.
    """
    affine, error = (np.asarray(placement[name], float) for name in ("shared_affine", "affine_error"))
    (a, b), (c, d), (ea, eb), (ec, ed) = (*affine, *error)
    scale, angle, shear = 50 * (a + d), math.degrees((c - b) / 2), 50 * (b + c)
    along, across = 50 * math.hypot(ea, ed), 50 * math.hypot(eb, ec)
    words = (
        f"scale {scale:+.2f} ± {along:.2f} %, rotation {angle:+.3f} ± {math.degrees(across / 100):.3f}°, "
        f"shear {shear:+.2f} ± {across:.2f} %, rows less columns {100 * (a - d):+.2f} ± {2 * along:.2f} %"
    )
    if dataset.positions is not None:
        return [words]
    step, rotation = corrected_raster(affine, dataset)
    return [words, f"as settings of [data]: step = [{step[0]:.4g}, {step[1]:.4g}], rotation = {rotation:.2f}"]


def corrected_raster(affine: Float[np.ndarray, "2 2"], dataset: Dataset4D) -> tuple[tuple[float, float], float]:
    """The step (slow, fast) and the rotation in degrees of a raster that was really stretched by 1 + A.

    Args:
        affine: A.
        dataset: the scan, a raster.

    Returns:
        both; of a shear, which no raster has, the mean of both axes' rotations.

    Example:
        >>> from jptycho.data.dataset import Calibration, from_arrays
        >>> scan = from_arrays(np.ones((2, 2, 4, 4)), Calibration(step=(1.0, 2.0), rotation=30.0))
        >>> corrected_raster(np.array([[0.1, 0.0], [0.0, 0.1]]), scan)
        ((1.1, 2.2), 30.0)
    """
    calibration = dataset.calibration
    turn = math.radians(calibration.rotation)
    stated = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    first, second = ((np.eye(2) + affine) @ stated).T  # what detector rows and columns of the raster became
    step = calibration.step or (1.0, 1.0)
    lengths = (float(np.hypot(*first)), float(np.hypot(*second)))
    lengths = lengths[::-1] if calibration.transpose else lengths
    # The angles are those of (cos, sin) and of (-sin, cos); their difference from the stated ones is small.
    turned = [math.atan2(*(stated.T @ first)[::-1]), math.atan2(-(stated.T @ second)[0], (stated.T @ second)[1])]
    rotation = calibration.rotation + math.degrees(sum(turned) / 2)
    return (round(step[0] * lengths[0], 9), round(step[1] * lengths[1], 9)), round(rotation, 9)


KEPT = {"shared": "position_shared", "error": "position_error"}
"""Names in a result of what a search leaves for each pattern, Å."""


def rows_of(estimate: Estimate) -> dict[str, np.ndarray]:
    """What a result keeps of each pattern beside its position: further unknowns, and what a search left.

    Args:
        estimate: at the end of a run.

    Returns:
        rows by name.
    """
    found = {KEPT[name]: np.asarray(value) for name, value in estimate.placement.items() if name in KEPT}
    rows = {name: np.asarray(value) for name, value in estimate.extra.items()}
    return rows | {name: value for name, value in found.items() if value.any()}


def units_of(problem: Problem, estimate: Estimate) -> dict[str, str]:
    """The units of :func:`rows_of`, of those that have one.

    Args:
        problem: the scan.
        estimate: at the end of a run.

    Returns:
        units by name.
    """
    length = "Å" if problem.dataset.calibration.length_unit == "A" else "px"
    found = {name: length for name in rows_of(estimate) if name in KEPT.values()}
    return found | {name: unknown.unit for name, unknown in problem.unknowns.items() if unknown.unit}


def affine_of(estimate: Estimate) -> Table:
    """Attributes of a result: the affine part of displacements and its errors, where it was searched for.

    Args:
        estimate: at the end of a run.

    Returns:
        A of u = A p and the standard deviation of each of its numbers; nothing where it was not.
    """
    found = {name: np.asarray(estimate.placement.get(name, 0.0)) for name in ("shared_affine", "affine_error")}
    if not found["affine_error"].any():
        return {}
    return {"scan_affine": found["shared_affine"].tolist(), "scan_affine_error": found["affine_error"].tolist()}


def summarise_found(estimate: Estimate, before: Estimate, problem: Problem, refine: RefineSettings) -> list[str]:
    """What a search found, in words.

    Args:
        estimate: after it.
        before: with which it began.
        problem: the scan.
        refine: what was searched for.

    Returns:
        lines.
    """
    others, pixel = (problem.estimate.positions, before.positions), np.asarray(problem.setup.grid.sampling)
    away = [np.asarray(estimate.positions - other) * pixel for other in others]
    nominal, moved = (f"{np.sqrt(np.mean(far**2)):.3g}" for far in away)
    unit = problem.dataset.calibration.length_unit.replace("A", "Å")
    first = f"{nominal} {unit} from where the scan says, {moved} {unit} from where they were"
    first += ", root mean square along an axis"
    if refine.position_affine:
        return [first, *summarise_affine(estimate.placement, problem.dataset)]
    return [first, *summarise_held(estimate.placement, np.asarray(estimate.positions) * pixel, away[0])]


def summarise_held(
    placement: Placement, places: Float[np.ndarray, "scan 2"], moved: Float[np.ndarray, "scan 2"]
) -> list[str]:
    """What to do where displacements of single patterns would also stretch or turn the scan.

    Independent ones do, by their spread over the extent of the scan and the root of their number.

    Args:
        placement: of an estimate.
        places: positions.
        moved: their displacements, in the same unit.

    Returns:
        a line, or none.

    Example:
        >>> places = np.stack(np.meshgrid(np.arange(9.0), np.arange(9.0)), axis=-1).reshape(-1, 2)
        >>> summarise_held({"stretch": jnp.diag(jnp.array([0.02, 0.0]))}, places, 0.01 * np.ones((81, 2)))[0][:41]
        'scale, shear and rotation were held, by 2'
        >>> summarise_held({"stretch": jnp.diag(jnp.array([0.02, 0.0]))}, places, 0.2 * np.ones((81, 2)))
        []
    """
    held = np.linalg.norm(np.asarray(placement.get("stretch", jnp.zeros((2, 2))), float), 2)
    extent = np.sqrt(len(places)) * np.std(places, axis=0).min()
    by_chance = np.sqrt(np.mean(moved**2)) / extent if extent else np.inf
    if held < MOST_HELD + CHANCE * by_chance:
        return []
    return [
        f"scale, shear and rotation were held, by {100 * held:.2g} % of which the patterns would change the scan: "
        "where step or rotation may be wrong, set refine.position_affine too"
    ]
