"""Positions that are searched for: the solver from a configuration, and what it found in words and in a result."""

from __future__ import annotations

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np

from jptycho.config.run import Config
from jptycho.data.dataset import Dataset4D, sampling_of
from jptycho.errors import ConfigError
from jptycho.objective.losses import Loss
from jptycho.optics.probe import disk_radius
from jptycho.preprocess.prepare import Problem, scan_positions
from jptycho.representations.base import ModelSpec, initialise
from jptycho.representations.estimate import Estimate
from jptycho.representations.per_position import FreePositions, RefineSettings
from jptycho.representations.pixels import ChannelObject, PixelProbe
from jptycho.settings import Table
from jptycho.solvers.displacements import Shared, find_neighbours, structure_of
from jptycho.solvers.positions import PositionSolver, Spread
from jptycho.types import Array, Complex, Constants, Float, Params

CAPTURE = 0.35
"""Spacing of trial positions in 1 / q, q the radius of the disk: from within half the finest fringes that it makes, a
pattern finds its place by itself."""
REACH = 2.5  # standard deviations of the displacements that are tried
MOST = 6  # trial positions on each side
Placement = dict[str, Array]
"""What an estimate keeps of a search for positions."""


def independent(refine: RefineSettings) -> float:
    """How far a pattern may be off, a wrong scale aside, which the object follows."""
    return math.hypot(refine.position_error, refine.position_lines, refine.position_drift)


def margin_of(config: Config, dataset: Dataset4D) -> float:
    """How much wider than the scan the canvas must be for positions that are searched for, Å.

    Args:
        config: of the run.
        dataset: the scan.

    Returns:
        the margin; 0 where positions are known.

    Raises:
        ConfigError: positions that may lie anywhere in the window, lines where there are none.
    """
    refines = [config.refine, *(config.refine.model_copy(update=entry.refine) for entry in config.stages)]
    if not any(refine.searched for refine in refines):
        return 0.0
    window = min(n * s for n, s in zip(dataset.shape[-2:], sampling_of(dataset), strict=True))
    extent = float(np.ptp(scan_positions(dataset), axis=0).max())
    for refine in refines:
        for key in ("position_error", "position_lines", "position_drift"):
            if REACH * (error := getattr(refine, key)) > window / 2:
                raise ConfigError(
                    f"refine.{key}: {error:g} Å, but the probe's window is {window:.3g} Å wide, so a pattern might lie "
                    f"anywhere in it. Expected at most {window / 2 / REACH:.3g} Å; check the unit (Å)."
                )
        if refine.position_lines and 1 in dataset.shape[:2]:
            raise ConfigError(
                f"refine.position_lines: the scan is of {dataset.shape[0]} x {dataset.shape[1]} positions and has no "
                "lines to shift. Use position_drift, or give the scan's shape."
            )
    return max(REACH * independent(refine) + refine.position_affine * extent for refine in refines)


def build_search(
    config: Config, problem: Problem, estimate: Estimate, loss: Loss, key: Array
) -> tuple[PositionSolver, Params, Constants]:
    """The search for positions from an estimate.

    Args:
        config: of the stage.
        problem: the scan, with the nominal positions.
        estimate: so far, on one device.
        loss: of one pattern.
        key: random key.

    Returns:
        solver, parameters and constants.
    """
    refine, nominal, sampling = config.refine, problem.estimate.positions, problem.setup.grid.sampling
    found = {name: shared_of(estimate, name, sampling) for name in ("shared", "last", "step")}
    nominal = nominal if refine.shared else nominal + found["shared"].moved
    model = ModelSpec(ChannelObject(config.object.kind), PixelProbe(), positions=FreePositions(centred=False))
    params, constants = initialise(model, key, dataclasses.replace(estimate, positions=nominal))
    params["positions"] = estimate.positions - nominal
    pixel = float(np.mean(sampling))
    parts = (value / pixel for value in (refine.position_lines, refine.position_drift))
    shape = (int(problem.dataset.shape[0]), int(problem.dataset.shape[1]))
    constants |= {
        "neighbours": find_neighbours(
            np.asarray(estimate.positions, float), math.sqrt(2) * probe_width(estimate.probe)
        ),
        "structure": structure_of(np.asarray(nominal, float), shape, refine.position_affine, *parts),
        **(found if refine.shared else jax.tree.map(jnp.zeros_like, found)),
    }
    spacing = CAPTURE / float(disk_radius(problem.estimate.probe))
    spread = independent(refine) / pixel
    reach = min(MOST, max(1, math.ceil(REACH * spread / spacing))) if spread else 0
    solver = PositionSolver(model, loss, spread or spacing, spacing, reach, free=bool(refine.position_error))
    return solver, params, constants


def shared_of(estimate: Estimate, name: str, sampling: tuple[float, float]) -> Shared:
    """What searches before found of what patterns have in common, in pixels.

    Args:
        estimate: so far.
        name: ``"shared"``; ``"last"``, in the round before; ``"step"``, from there.
        sampling: Å a pixel.

    Returns:
        displacements, zero before a search.
    """
    found, dtype, pixel = estimate.placement, estimate.positions.dtype, np.asarray(sampling)
    if name not in found:
        return Shared(jnp.zeros_like(estimate.positions), jnp.zeros((2, 2), dtype))
    affine = np.asarray(found[f"{name}_affine"]) * pixel / pixel[:, None]
    return Shared(jnp.asarray(np.asarray(found[name]) / pixel, dtype), jnp.asarray(affine, dtype))


def searched_within(solver: PositionSolver, pixel: float) -> str:
    """What to say where a search reaches less far than positions may be off; empty where it does not."""
    if REACH * float(solver.spread) <= MOST * float(solver.spacing):
        return ""
    within = MOST * float(solver.spacing) * pixel
    return f"searched no further than {within:.3g} from where each is expected, along each axis"


def probe_width(probe: Complex[Array, "modes y x"]) -> float:
    """Standard deviation of a probe's intensity along an axis, pixels.

    Args:
        probe: centre at [0, 0].

    Returns:
        the width.

    Example:
        >>> round(probe_width(jnp.zeros((1, 8, 8), complex).at[0, [1, -1], 0].set(1.0)), 4)
        0.7071
    """
    intensity = np.sum(np.abs(np.asarray(probe)) ** 2, axis=0)
    y, x = (np.fft.fftfreq(n) * n for n in intensity.shape)
    return float(np.sqrt(np.sum(intensity * (y[:, None] ** 2 + x**2)) / 2 / np.sum(intensity)))


def follow(
    estimate: Estimate, positions: Float[Array, "scan 2"], held: Float[Array, "scan 2"], width: float
) -> Estimate:
    """An estimate at new positions, its object moved along with the patterns that formed it, a common shift aside.

    Args:
        estimate: so far.
        positions: new ones, canvas pixels.
        held: those that the object was formed with.
        width: of the probe, pixels.

    Returns:
        the estimate.
    """
    from scipy.ndimage import gaussian_filter, map_coordinates  # noqa: PLC0415  (slow to import)

    moved = np.asarray(positions - held, float)
    canvas = estimate.coverage.shape
    where = tuple(np.clip(np.round(np.asarray(held)).astype(int), 0, np.array(canvas) - 1).T)
    sums = np.zeros((3, *canvas))
    for total, values in zip(sums, (*(moved - moved.mean(axis=0)).T, np.ones(len(moved))), strict=True):
        np.add.at(total, where, values)
        total[:] = gaussian_filter(total, width, truncate=8.0)
    shift = sums[:2] / np.maximum(sums[2], 1e-9 * sums[2].max())
    places = np.indices(canvas) - shift

    def carried(channels: Array | None) -> Array | None:
        if channels is None:
            return None
        flat = np.asarray(channels).reshape(-1, *canvas)
        found = np.stack([map_coordinates(one, places, order=3, mode="nearest") for one in flat])
        return jnp.asarray(found.reshape(channels.shape), channels.dtype)

    moved_object = carried(estimate.object)
    assert moved_object is not None
    return dataclasses.replace(
        estimate, object=moved_object, half_sets=carried(estimate.half_sets), positions=positions
    )


def placement_of(
    memory: Spread, estimate: Estimate, refine: RefineSettings, sampling: tuple[float, float]
) -> Placement:
    """What a search found beside the positions, in Å: see :class:`jptycho.representations.estimate.Estimate`.

    Args:
        memory: of the solver after its epoch.
        estimate: with which that began.
        refine: what was searched for; what patterns have in common stays as it is where that was not.
        sampling: Å a pixel.

    Returns:
        arrays by name.
    """
    assert memory.affine is not None
    pixel, before = np.asarray(sampling), shared_of(estimate, "shared", sampling)
    if not refine.shared:
        return estimate.placement | {"error": jnp.asarray(np.asarray(memory.error) * pixel, jnp.float32)}
    turn = pixel[:, None] / pixel
    found = {"error": np.asarray(memory.error) * pixel, "affine_error": np.asarray(memory.affine) * turn}
    for name, part in (("shared", memory.shared), ("step", memory.step), ("last", before)):
        assert part is not None
        found |= {name: np.asarray(part.moved) * pixel, f"{name}_affine": np.asarray(part.affine) * turn}
    return {name: jnp.asarray(value, jnp.float32) for name, value in found.items()}


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


def placement_rows(estimate: Estimate) -> dict[str, np.ndarray]:
    """What a result keeps of a search for positions beside them, a row for each pattern, Å."""
    names = {"shared": "position_shared", "error": "position_error"}
    rows = {
        names[name]: np.asarray(jax.device_get(value)) for name, value in estimate.placement.items() if name in names
    }
    return {name: value for name, value in rows.items() if value.any()}


def placement_units(problem: Problem) -> dict[str, str]:
    """Their unit."""
    unit = problem.dataset.calibration.length_unit.replace("A", "Å")
    return dict.fromkeys(("position_shared", "position_error"), unit)


def placement_attributes(estimate: Estimate) -> Table:
    """The affine part of displacements and its standard deviations, where it was searched for."""
    found = {name: np.asarray(estimate.placement.get(name, 0.0)) for name in ("shared_affine", "affine_error")}
    if not found["affine_error"].any():
        return {}
    return {"scan_affine": found["shared_affine"].tolist(), "scan_affine_error": found["affine_error"].tolist()}
