"""What is kept of a run, and how a later run starts from it."""

from __future__ import annotations

import dataclasses
import tomllib

import jax
import jax.numpy as jnp
import numpy as np

from jptycho.config.run import Config
from jptycho.data.results import Result
from jptycho.diagnostics.uncertainty import ensemble_resolution
from jptycho.errors import ConfigError, DivergenceError
from jptycho.forward.fields import Fields, ScanFields, Setup
from jptycho.forward.model import predict
from jptycho.preprocess.prepare import Problem, field_of_view, per_electron
from jptycho.reconstruction.context import ALL, Context, Progress
from jptycho.reconstruction.summary import summarise_objective
from jptycho.representations.estimate import Estimate, fields_of
from jptycho.settings import to_toml
from jptycho.solvers.epochs import Record
from jptycho.types import Array

LARGEST_SHIFT = 0.5  # detector pixels, by which the beam's centre may differ from that of a result to start from
REPORT_PATTERNS = 256  # of the scan, that the modelled mean pattern is taken over


def make_result(context: Context, progress: Progress) -> Result:
    """Everything that is worth keeping of a run.

    Args:
        context: of the run.
        progress: how far it came.

    Returns:
        the result, on the host.
    """
    problem, config, estimate = context.whole, context.config, progress.estimate
    channels = np.asarray(estimate.object)
    if not (np.isfinite(channels).all() and np.isfinite(np.asarray(estimate.probe)).all()):
        raise DivergenceError("object, probe: not finite at the end of the run. Lower the rates, or use the defaults.")
    fov = field_of_view(problem)
    measured, modelled = _mean_patterns(problem, estimate)
    sampling = problem.setup.grid.sampling
    calibration = problem.dataset.calibration
    deviation, agreed = _spread(estimate, fov, sampling)
    return Result(
        phase=channels[:, 0],
        deviation=deviation,
        absorption=channels[:, 1] if channels.shape[1] == 2 else None,
        probe=np.fft.fftshift(np.asarray(estimate.probe), axes=(-2, -1)),
        positions=np.asarray(estimate.positions, np.float64) * sampling + problem.origin,
        tilts=np.asarray(estimate.tilt) if estimate.tilt.ndim == 2 else None,
        extra={name: np.asarray(rows) for name, rows in estimate.extra.items()},
        history={
            field.name: np.array([getattr(record, field.name) for record in progress.history])
            for field in dataclasses.fields(Record)
            if field.name != "epochs"
        },
        measured=measured,
        modelled=modelled,
        field_of_view=(fov[0].start, fov[0].stop, fov[1].start, fov[1].stop),
        attributes={
            "method": config.method,
            "status": progress.status,
            "seed": config.seed,
            "kind": config.object.kind,
            "sampling": sampling,
            "origin": problem.origin,
            "slice_thickness": float(estimate.thickness),
            "length_unit": "Å" if calibration.length_unit == "A" else "px",
            "dose": float(problem.setup.dose) * stored_per_count(problem),
            "wavelength": problem.setup.wavelength,
            "energy": calibration.energy or 0.0,
            "tilt": np.reshape(estimate.tilt, (-1, 2)).mean(axis=0).tolist(),
            **({} if problem.setup.centre is None else {"centre": np.asarray(problem.setup.centre, float).tolist()}),
            "objective": "\n".join(summarise_objective(config, context.extension)),
            "configuration": to_toml(config),
            **agreed,
        },
    )


def stored_per_count(problem: Problem) -> float:
    """Counts of the file for one of a problem's counts.

    Args:
        problem: the scan made ready.

    Returns:
        1 unless the file's counts were divided by their unit.
    """
    return problem.unit.value / per_electron(problem)


def _spread(
    estimate: Estimate, view: tuple[slice, slice], sampling: tuple[float, float]
) -> tuple[np.ndarray | None, dict[str, int | float]]:
    """Standard deviation of the phase over an ensemble's members, and the detail on which they agree."""
    if estimate.members is None:
        return None, {}
    phases = np.asarray(estimate.members)[:, :, 0]
    _, detail = ensemble_resolution(phases.sum(axis=1)[:, view[0], view[1]], sampling)
    return phases.std(axis=0), {"members": len(phases), "agreement": detail}


def _mean_patterns(problem: Problem, estimate: Estimate) -> tuple[np.ndarray, np.ndarray]:
    fields = fields_of(jax.device_put(estimate, jax.devices()[0]))
    chosen = np.linspace(0, len(problem.counts) - 1, min(REPORT_PATTERNS, len(problem.counts))).astype(int)

    unit = stored_per_count(problem)
    modelled = (
        np.asarray(_mean_prediction(fields, problem.setup, fields.scan[chosen])) * float(problem.setup.dose) * unit
    )
    measured = problem.counts[chosen].mean(axis=0, dtype=np.float64) * unit
    return np.fft.fftshift(measured).astype(np.float32), np.fft.fftshift(modelled).astype(np.float32)


@jax.jit
def _mean_prediction(fields: Fields, setup: Setup, rows: ScanFields) -> Array:
    return jnp.mean(jax.lax.map(lambda row: predict(fields, setup, row), rows), axis=0)


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


def estimate_from_result(problem: Problem, result: Result) -> Estimate:
    """Start from a previous result of the same scan.

    Args:
        problem: the scan.
        result: of an earlier reconstruction.

    Returns:
        the guess.

    Raises:
        ConfigError: the shapes do not agree, or the beam's centre.
    """
    channels = [result.phase] if result.absorption is None else [result.phase, result.absorption]
    wanted = problem.estimate.object.shape
    stack = np.stack(channels[: wanted[1]], axis=1)
    stack = np.concatenate([stack, np.zeros((len(stack), wanted[1] - stack.shape[1], *stack.shape[2:]))], axis=1)
    shapes = (result.probe.shape, result.positions.shape)
    if stack.shape != wanted or shapes != (problem.estimate.probe.shape, problem.estimate.positions.shape):
        raise ConfigError(
            f"dgp.start_file: object {stack.shape} and probe {result.probe.shape}; expected {wanted} and "
            f"{problem.estimate.probe.shape}. Name a result of the same scan, slices and modes."
        )
    _check_centre(problem, result)
    probe = jnp.asarray(np.fft.ifftshift(result.probe, axes=(-2, -1)))
    sampling = np.asarray(problem.setup.grid.sampling)
    positions = jnp.asarray((result.positions - np.asarray(problem.origin)) / sampling, jnp.float32)
    return dataclasses.replace(
        problem.estimate,
        object=jnp.asarray(stack, jnp.float32),
        probe=probe,
        positions=positions,
        tilt=_tilt_from(problem, result),
        extra=problem.estimate.extra
        | {name: jnp.asarray(rows) for name, rows in result.extra.items() if name in problem.unknowns},
    )


def _tilt_from(problem: Problem, result: Result) -> Array:
    """The tilt that an earlier run found, unless this one states its own."""
    if bool(jnp.any(problem.estimate.tilt != 0)):
        return problem.estimate.tilt
    shared = result.attributes.get("tilt", problem.estimate.tilt)
    return jnp.asarray(shared if result.tilts is None else result.tilts, jnp.float32)


def _check_centre(problem: Problem, result: Result) -> None:
    """Refuse a result whose probe is about another beam's centre, where it says about which."""
    grid, centre = problem.setup.grid, problem.setup.centre
    if "centre" not in result.attributes or centre is None:
        return
    pixel = 1 / np.multiply(grid.shape, grid.sampling)
    wanted, found = np.asarray(centre) / pixel, np.asarray(result.attributes["centre"]) / pixel
    if np.abs(found - wanted).max() > LARGEST_SHIFT:
        raise ConfigError(
            f"dgp.start_file: its beam's centre is ({found[0]:.1f}, {found[1]:.1f}) detector pixels from the zero "
            f"frequency; expected ({wanted[0]:.1f}, {wanted[1]:.1f}), that of this scan, within {LARGEST_SHIFT:g}. "
            "Name a result of the same scan, with the same mask and cropping, or leave it out."
        )
