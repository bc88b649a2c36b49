"""Positions that are searched for: the solver from a configuration, and what it found in words and in a result."""

from __future__ import annotations

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np

from jptycho.assembly.found_positions import Placement
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
from jptycho.solvers.displacements import Shared, find_neighbours, structure_of
from jptycho.solvers.positions import PositionSolver, Spread
from jptycho.types import Array, Complex, Constants, Float, Params

CAPTURE = 0.35
"""Spacing of trial positions in 1 / q, q the radius of the disk: from within half the finest fringes that it makes, a
pattern finds its place by itself."""
REACH = 2.5  # standard deviations of the displacements that are tried
MOST = 6  # trial positions on each side


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
    pixel, places = float(np.mean(sampling)), np.asarray(problem.estimate.positions, float)
    parts = (value / pixel for value in (refine.position_lines, refine.position_drift))
    shape = (int(problem.dataset.shape[0]), int(problem.dataset.shape[1]))
    constants |= {
        # Of what is known beforehand: a run that goes on has its estimate later, and arrays of the same shapes now.
        "neighbours": find_neighbours(places, math.sqrt(2) * probe_width(problem.estimate.probe)),
        "structure": structure_of(places, shape, refine.position_affine, *parts),
        **(found if refine.shared else jax.tree.map(jnp.zeros_like, found)),
    }
    spacing = CAPTURE / float(disk_radius(problem.estimate.probe))
    spread = independent(refine) / pixel
    reach = min(MOST, max(1, math.ceil(REACH * spread / spacing))) if spread else 0
    free = bool(refine.position_error)
    solver = PositionSolver(model, loss, spread or spacing, spacing, reach, free, held=free and not refine.shared)
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
    turn = pixel[:, None] / pixel
    if not refine.shared:
        assert memory.stretch is not None
        found = {"error": np.asarray(memory.error) * pixel, "stretch": np.asarray(memory.stretch) * turn}
        return estimate.placement | {name: jnp.asarray(value, jnp.float32) for name, value in found.items()}
    found = {"error": np.asarray(memory.error) * pixel, "affine_error": np.asarray(memory.affine) * turn}
    for name, part in (("shared", memory.shared), ("step", memory.step), ("last", before)):
        assert part is not None
        found |= {name: np.asarray(part.moved) * pixel, f"{name}_affine": np.asarray(part.affine) * turn}
    return {name: jnp.asarray(value, jnp.float32) for name, value in found.items()}
