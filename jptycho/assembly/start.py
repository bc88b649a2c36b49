"""What a run starts from: an earlier result, an estimate without iterations, or a blank object."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np

from jptycho.assembly.other_start import estimate_from_other
from jptycho.config.run import Config
from jptycho.config.stages import ALL, NETWORKS
from jptycho.data.other_results import OtherResult, read_start
from jptycho.data.results import Result
from jptycho.errors import ConfigError
from jptycho.forward.beam import VARIATION, WEIGHTS
from jptycho.forward.exit_waves import GAPS, STATES
from jptycho.preprocess.direct_phase import DIRECT
from jptycho.preprocess.guesses import from_shared
from jptycho.preprocess.prepare import Problem
from jptycho.representations.base import POTENTIAL
from jptycho.representations.beam import COHERENT
from jptycho.representations.estimate import Estimate
from jptycho.types import Array

LARGEST_SHIFT = 0.5  # detector pixels, by which the beam's centre may differ from that of a result to start from
SEEN_BY_PIXELS = (
    "this result has seen electrons that are held out now: what is held out predicts too well and stops too late"
)
SEEN_BEFORE = (
    "this result has seen electrons that are held out now, and the networks see it: what is held out "
    "predicts too well and stops too late. Use dgp.half_sets = true, or the seed and share of the run that made it"
)
UNPLACED = (
    "this result has no positions: its object is put amid this scan's, which may be some pixels off, and whether both "
    "lie alike is not checked"
)


def start_estimate(
    config: Config, problem: Problem, validated: bool, log: Callable[[str], None], electrons: float | None = None
) -> Estimate:
    """What the first stage begins with.

    Args:
        config: without ``auto``.
        problem: the scan made ready.
        validated: whether electrons are held out.
        log: told where an earlier result has seen them.
        electrons: of an average pattern, those included that are held out; None for the problem's.

    Returns:
        the estimate.
    """
    dgp, estimate = config.dgp, problem.estimate
    networks = config.method == NETWORKS
    file, name = (dgp.start_file, "dgp.start_file") if networks else (config.pixels.start_file, "pixels.start_file")
    if file and (networks or not config.stages):
        earlier = read_start(file, name=name)
        other = isinstance(earlier, OtherResult)
        halves = networks and dgp.half_sets
        if validated and not halves and (other or not held_out_alike(earlier, config)):
            log(f"{name}: {SEEN_BEFORE if networks else SEEN_BY_PIXELS}")
        log(f"starts from {file}" + (f", by {earlier.package}" if other else ""))
        if other and earlier.centres is None:
            log(f"{name}: {UNPLACED}")
        if other:
            return estimate_from_other(problem, earlier, config.object.kind == POTENTIAL, name, log)
        return estimate_from_result(problem, earlier, electrons, name)
    if config.method == NETWORKS and dgp.start in DIRECT:
        phase = DIRECT[dgp.start](problem, config.object.kind == POTENTIAL)
        return dataclasses.replace(estimate, object=jnp.asarray(phase))
    return estimate


def held_out_alike(result: Result, config: Config) -> bool:
    """Whether an earlier run held out the electrons that this one does: the same share by the same seed, and no other.

    Args:
        result: of the earlier run.
        config: of this one, without ``auto``.

    Returns:
        whether its configuration says so.
    """
    try:
        stop = tomllib.loads(str(result.attributes.get("configuration", "")))["validation"]
        share = float(stop["fraction"])
    except (tomllib.TOMLDecodeError, KeyError, TypeError, ValueError):
        return False
    repeated = ALL in result.history.get("stage", ())
    return not repeated and (share, result.attributes.get("seed")) == (config.validation.fraction, config.seed)


def estimate_from_result(
    problem: Problem, result: Result, electrons: float | None = None, name: str = "dgp.start_file"
) -> Estimate:
    """Start from a previous result of the same scan.

    Args:
        problem: the scan.
        result: of an earlier reconstruction.
        electrons: of an average pattern by all that were recorded, as a result counts them; None for the problem's.
        name: of the argument that gave it, for messages.

    Returns:
        the guess.

    Raises:
        ConfigError: the shapes do not agree, or the beam's centre.
    """
    channels = [result.phase] if result.absorption is None else [result.phase, result.absorption]
    wanted = problem.estimate.object.shape
    stack = np.stack(channels[: wanted[1]], axis=1)
    stack = _on_canvas(stack, result, problem)
    stack = np.concatenate([stack, np.zeros((len(stack), wanted[1] - stack.shape[1], *stack.shape[2:]))], axis=1)
    shapes = (result.probe.shape, result.positions.shape)
    if stack.shape != wanted or shapes != (problem.estimate.probe.shape, problem.estimate.positions.shape):
        raise ConfigError(
            f"{name}: object {stack.shape} and probe {result.probe.shape}; expected {wanted} and "
            f"{problem.estimate.probe.shape}. Name a result of the same scan, slices and modes."
        )
    _check_centre(problem, result, name)
    probe = jnp.asarray(np.fft.ifftshift(result.probe, axes=(-2, -1)))
    sampling = np.asarray(problem.setup.grid.sampling)
    positions = jnp.asarray((result.positions - np.asarray(problem.origin)) / sampling, jnp.float32)
    whole = problem if electrons is None else dataclasses.replace(problem, electrons=electrons)
    _check_shapes(problem, result)
    shared = problem.estimate.shared | from_shared(whole, result.shared)
    if COHERENT not in result.shared:
        shared.pop(COHERENT, None)  # the nominal one, which would stand for the probe of the result
    return dataclasses.replace(
        problem.estimate,
        object=jnp.asarray(stack, jnp.float32),
        probe=probe,
        positions=positions,
        tilt=_tilt_from(problem, result),
        extra=problem.estimate.extra
        | {name: jnp.asarray(rows) for name, rows in result.extra.items() if name in problem.unknowns},
        shared=shared,
        thickness=_thickness_from(problem, result),
    )


def _check_shapes(problem: Problem, result: Result) -> None:
    """Refuse unknowns of another number: modes of a varying probe, states or gaps of the object."""
    here, there = problem.estimate.shared | problem.estimate.extra, result.shared | result.extra
    for name in (VARIATION, WEIGHTS, STATES, GAPS):
        if name in here and name in there and here[name].shape != there[name].shape:
            raise ConfigError(
                f"dgp.start_file: its {name} have shape {there[name].shape}; expected {here[name].shape}. "
                "Ask for as many in this run, or leave it out."
            )


def _on_canvas(stack: np.ndarray, result: Result, problem: Problem) -> np.ndarray:
    """An object on the canvas of a scan, which is wider or narrower than that of the run where positions were found."""
    first, pixel = result.attributes["origin"], problem.setup.grid.sampling
    if not np.allclose(result.attributes["sampling"], pixel, rtol=1e-4):
        return stack
    for axis, wanted in ((-2, problem.estimate.object.shape[-2]), (-1, problem.estimate.object.shape[-1])):
        ahead = round((first[axis] - problem.origin[axis]) / pixel[axis])
        behind = wanted - ahead - stack.shape[axis]
        kept = slice(max(0, -ahead), stack.shape[axis] + min(0, behind))
        stack = stack[..., kept, :] if axis == -2 else stack[..., kept]
        width = [(0, 0)] * stack.ndim
        width[axis] = (max(0, ahead), max(0, behind))
        stack = np.pad(stack, width)
    return stack


def _thickness_from(problem: Problem, result: Result) -> Array:
    """The distance between slices that an earlier run refined; where it did not, this one's holds."""
    known = problem.estimate.thickness
    try:
        settings = tomllib.loads(str(result.attributes.get("configuration", "")))
        tables = [settings, *settings.get("stages", ())]
        refined = any(table.get("refine", {}).get("thickness") for table in tables)
    except (tomllib.TOMLDecodeError, AttributeError, TypeError):
        return known
    return jnp.asarray(result.attributes["slice_thickness"], known.dtype) if refined else known


def _tilt_from(problem: Problem, result: Result) -> Array:
    """The tilt that an earlier run found, unless this one states its own."""
    if bool(jnp.any(problem.estimate.tilt != 0)):
        return problem.estimate.tilt
    shared = result.attributes.get("tilt", problem.estimate.tilt)
    return jnp.asarray(shared if result.tilts is None else result.tilts, jnp.float32)


def _check_centre(problem: Problem, result: Result, name: str) -> None:
    """Refuse a result whose probe is about another beam's centre, where it says about which."""
    grid, centre = problem.setup.grid, problem.setup.centre
    if "centre" not in result.attributes or centre is None:
        return
    pixel = 1 / np.multiply(grid.shape, grid.sampling)
    wanted, found = np.asarray(centre) / pixel, np.asarray(result.attributes["centre"]) / pixel
    if np.abs(found - wanted).max() > LARGEST_SHIFT:
        raise ConfigError(
            f"{name}: its beam's centre is ({found[0]:.1f}, {found[1]:.1f}) detector pixels from the zero "
            f"frequency; expected ({wanted[0]:.1f}, {wanted[1]:.1f}), that of this scan, within {LARGEST_SHIFT:g}. "
            "Name a result of the same scan, with the same mask and cropping, or leave it out."
        )
