"""A run from the reconstruction of another package: on this run's canvas, its probe in this run's unit.

The object goes over pixel by pixel and is not interpolated: where its pixels lie on the canvas is decided by the
positions of both, whose means agree to a pixel; the remaining fraction is that of its positions, which are taken over.
Where positions say that it lies otherwise than this scan, the patterns are asked whether it was made of mirrored ones.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np

from jptycho.assembly.other_orientation import SAME, beam_offset, find_orientation, turned_back, with_beam_moved
from jptycho.data.other_results import OtherResult
from jptycho.errors import ConfigError
from jptycho.preprocess.prepare import Problem
from jptycho.representations.beam import COHERENT
from jptycho.representations.estimate import Estimate
from jptycho.types import Float

NAME = "start_file"
LARGEST_SAMPLING = 0.01  # relative difference of pixels
LARGEST_THICKNESS = 0.05  # relative difference of the distance between slices
LARGEST_MISFIT = 0.15  # rms difference of positions, of their rms distance from their mean


def estimate_from_other(
    problem: Problem,
    found: OtherResult,
    potential: bool = False,
    name: str = NAME,
    log: Callable[[str], None] = lambda _: None,
) -> Estimate:
    """Start from a reconstruction of the same scan by another package.

    Args:
        problem: the scan.
        found: the reconstruction.
        potential: whether the object may not be negative.
        name: of the argument that gave it, for messages.
        log: told where it was made of patterns that lay otherwise, or of another centre.

    Returns:
        the estimate.

    Raises:
        ConfigError: another scan, another orientation, other pixels, slices, or modes; and what to set.
    """
    start = f"{name}: the {found.package} result"
    lying = None if _lie_alike(problem, found) else find_orientation(problem, found)
    if lying is not None and lying != SAME:
        log(f"{name}: this result was made of patterns {lying.words()}, and is turned back")
        found = turned_back(found, lying)
    _check_arrays(problem, found, start)
    _check_lengths(problem, found, start)
    _check_positions(problem, found, start, lying is not None)
    offset = beam_offset(problem, found)
    if offset.any():
        where = f"({offset[0]:.1f}, {offset[1]:.1f})"
        log(f"{name}: the beam of this result is moved by {where} detector pixels to where the scan has it")
        found = with_beam_moved(found, offset)
    estimate = problem.estimate
    centres = np.asarray(estimate.positions, float) if found.centres is None else found.centres
    ahead = _ahead(problem, found)
    channels = [_gauged(found.phase, potential), found.absorption][: estimate.object.shape[1]]
    stack = np.stack([_on_canvas(one, ahead, estimate.object.shape[-2:]) for one in channels], axis=1)
    power = float(jnp.sum(jnp.abs(estimate.probe) ** 2)) / float((np.abs(found.probe) ** 2).sum())
    probe = np.fft.ifftshift(found.probe, axes=(-2, -1)) * math.sqrt(power)
    moved = centres if found.centres is None else centres + ahead
    return dataclasses.replace(
        estimate,
        object=jnp.asarray(stack, jnp.float32),
        probe=jnp.asarray(probe, estimate.probe.dtype),
        positions=jnp.asarray(moved, jnp.float32),
        shared={key: value for key, value in estimate.shared.items() if key != COHERENT},
    )


def _check_arrays(problem: Problem, found: OtherResult, start: str) -> None:
    """Refuse other numbers of slices, modes, detector pixels or patterns."""
    wanted, modes = problem.estimate.object.shape, problem.estimate.probe.shape[0]
    window, patterns = problem.estimate.probe.shape[-2:], len(problem.counts)
    if found.probe.shape[-2:] != window:
        raise ConfigError(
            f"{start} has a probe of {found.probe.shape[-2:]} pixels; expected {window}, as many as the detector has. "
            "Crop or bin the patterns as they were for it."
        )
    if len(found.phase) != wanted[0]:
        thick = "" if found.thickness is None else f" and object.slice_thickness = {found.thickness:.4g}"
        raise ConfigError(f"{start} has {len(found.phase)} slices, found object.slices = {wanted[0]}. Set it{thick}.")
    if len(found.probe) != modes:
        raise ConfigError(f"{start} has {len(found.probe)} modes, found probe.modes = {modes}. Set it.")
    if found.centres is not None and len(found.centres) != patterns:
        raise ConfigError(
            f"{start} has {len(found.centres)} positions for {patterns} patterns. Name a result of the same scan."
        )


def _check_lengths(problem: Problem, found: OtherResult, start: str) -> None:
    """Refuse pixels or slices of another size."""
    if problem.dataset.calibration.length_unit == "px":
        return
    pixel, sampling = problem.setup.grid.sampling, _in_angstrom(problem, found, start)
    if sampling is not None and not np.allclose(sampling, pixel, rtol=LARGEST_SAMPLING):
        raise ConfigError(
            f"{start} has pixels of {sampling[0]:.4g} x {sampling[1]:.4g} Å; expected {pixel[0]:.4g} x {pixel[1]:.4g}. "
            "Check data.reciprocal_sampling and data.energy, or crop the patterns as they were for it."
        )
    distance = float(problem.estimate.thickness)
    thickness = found.thickness if found.wavelength is None else _scaled(found.thickness, problem, found)
    if thickness is not None and abs(thickness - distance) > LARGEST_THICKNESS * thickness:
        raise ConfigError(
            f"{start} has {thickness:.4g} Å between slices, found object.slice_thickness = {distance:.4g}. Set it."
        )


def _in_angstrom(problem: Problem, found: OtherResult, start: str) -> tuple[float, float] | None:
    """The size of its pixels, whose unit its wavelength tells where it has one."""
    if found.sampling is None or found.wavelength is None:
        return found.sampling
    ratio = problem.setup.wavelength / found.wavelength
    unit = 10.0 ** round(math.log10(float(ratio)))
    if abs(float(ratio) / unit - 1) > LARGEST_SAMPLING:
        raise ConfigError(
            f"{start} has a wavelength of {found.wavelength:.4g}; expected {float(problem.setup.wavelength):.4g} Å in "
            "some unit. Check data.energy, or name a result of the same scan."
        )
    return found.sampling[0] * unit, found.sampling[1] * unit


def _scaled(thickness: float | None, problem: Problem, found: OtherResult) -> float | None:
    if thickness is None or found.wavelength is None:
        return thickness
    return thickness * 10.0 ** round(math.log10(float(problem.setup.wavelength) / found.wavelength))


def _lie_alike(problem: Problem, found: OtherResult) -> bool:
    """Whether windows and positions are those of this scan; where there are no positions nothing says that not."""
    if found.centres is None:
        return True
    if found.probe.shape[-2:] != problem.estimate.probe.shape[-2:] or len(found.centres) != len(problem.counts):
        return False
    theirs, ours = _about_mean(problem, found.centres)
    return not ours.any() or _misfit(theirs, ours) <= LARGEST_MISFIT * float(np.linalg.norm(ours))


def _about_mean(
    problem: Problem, centres: Float[np.ndarray, "scan 2"]
) -> tuple[Float[np.ndarray, "scan 2"], Float[np.ndarray, "scan 2"]]:
    """Positions of a result and of the scan about their mean, in the unit of the scan's lengths."""
    pixel = np.asarray(problem.setup.grid.sampling, float)
    theirs, ours = ((p - p.mean(axis=0)) * pixel for p in (centres, np.asarray(problem.estimate.positions, float)))
    return theirs, ours


def _check_positions(problem: Problem, found: OtherResult, start: str, compared: bool) -> None:
    """Refuse another scan, or one that is turned or mirrored against this one."""
    if found.centres is None or _lie_alike(problem, found):
        return
    theirs, ours = _about_mean(problem, found.centres)
    left, _, right = np.linalg.svd(theirs.T @ ours)
    turn = left @ right
    if _misfit(theirs @ turn, ours) > LARGEST_MISFIT * float(np.linalg.norm(ours)):
        raise ConfigError(f"{start} has positions that are not those of this scan. Name a result of the same scan.")
    mirrored = bool(np.linalg.det(turn) < 0)
    angle = math.degrees(math.atan2(turn[0, 1], turn[0, 0]))
    how = f"mirrored and turned by {angle:.1f} degrees" if mirrored else f"turned by {angle:.1f} degrees"
    keys = _as_it_was(problem, turn)
    alike, advice = (
        ", and patterns that lie as these do",
        f"Set {keys}, with which it was made, or name another result.",
    )
    if not compared:
        alike, advice = (
            "",
            f"Set {keys} if its patterns lay as these do, which does not show; else name another result.",
        )
    raise ConfigError(f"{start} has the positions of this scan {how}{alike}. {advice}")


def _as_it_was(problem: Problem, turn: Float[np.ndarray, "2 2"]) -> str:
    """Keys of ``[data]`` by which positions of this scan p become p R with the R of a result."""
    calibration = problem.dataset.calibration
    angle = math.radians(calibration.rotation)
    there = turn @ np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    # A mirrored scan is one with its axes swapped, turned.
    mirrored = bool(np.linalg.det(turn) < 0)
    there = there[:, ::-1] if mirrored else there
    rotation = math.degrees(math.atan2(there[1, 0], there[0, 0]))
    swapped = f"data.transpose = {str(not calibration.transpose).lower()} and " if mirrored else ""
    return f"{swapped}data.rotation = {rotation:.1f}"


def _misfit(theirs: Float[np.ndarray, "scan 2"], ours: Float[np.ndarray, "scan 2"]) -> float:
    return math.sqrt(float(((theirs - ours) ** 2).sum()))


def _ahead(problem: Problem, found: OtherResult) -> tuple[int, int]:
    """Pixels of the canvas before the first of the other object, negative where that begins outside."""
    if found.centres is None:
        shapes = zip(problem.estimate.object.shape[-2:], found.phase.shape[-2:], strict=True)
        return tuple((wanted - there) // 2 for wanted, there in shapes)  # type: ignore[return-value]
    means = np.asarray(problem.estimate.positions, float).mean(axis=0) - found.centres.mean(axis=0)
    return round(means[0]), round(means[1])


def _gauged(phase: Float[np.ndarray, "slices Y X"], potential: bool) -> Float[np.ndarray, "slices Y X"]:
    """The phase of each slice, which is known but for a constant: about zero, or not below it for a potential."""
    return phase - (phase.min if potential else phase.mean)(axis=(1, 2), keepdims=True)


def _on_canvas(
    stack: Float[np.ndarray, "slices y x"], ahead: tuple[int, int], canvas: tuple[int, ...]
) -> Float[np.ndarray, "slices Y X"]:
    """An object on a canvas, cut where it reaches beyond, zero where it does not reach."""
    result = np.zeros((len(stack), *canvas), stack.dtype)
    spans = [
        (max(0, first), min(wanted, first + there))
        for first, there, wanted in zip(ahead, stack.shape[-2:], canvas, strict=True)
    ]
    (top, bottom), (left, right) = spans
    if bottom > top and right > left:
        result[:, top:bottom, left:right] = stack[
            :, top - ahead[0] : bottom - ahead[0], left - ahead[1] : right - ahead[1]
        ]
    return result
