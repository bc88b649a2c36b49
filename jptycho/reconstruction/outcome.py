"""What is kept of a run."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from jptycho.assembly.focus import doubts_of_points
from jptycho.assembly.found_positions import affine_of
from jptycho.assembly.summary import summarise_objective
from jptycho.assembly.unknowns import further_of
from jptycho.data.results import Result
from jptycho.diagnostics.uncertainty import ensemble_resolution
from jptycho.errors import DivergenceError
from jptycho.forward.fields import Fields, ScanFields, Setup
from jptycho.forward.model import predict
from jptycho.parallel import on_one_device
from jptycho.preprocess.prepare import Problem, field_of_view, per_electron
from jptycho.reconstruction.context import Context, Progress
from jptycho.representations.estimate import Estimate, fields_of
from jptycho.settings import Table, to_toml
from jptycho.solvers.epochs import Record
from jptycho.types import Array

REPORT_PATTERNS = 256  # of the scan, that the modelled mean pattern is taken over


def make_result(context: Context, progress: Progress) -> Result:
    """Everything that is worth keeping of a run, on the host; DivergenceError where it is not finite."""
    problem, estimate = context.whole, progress.estimate
    channels = np.asarray(estimate.object)
    if not (np.isfinite(channels).all() and np.isfinite(np.asarray(estimate.probe)).all()):
        raise DivergenceError("object, probe: not finite at the end of the run. Lower the rates, or use the defaults.")
    for doubt in doubts_of_points(problem, estimate):
        context.log(f"look at this: {doubt}")
    fov = field_of_view(problem)
    measured, modelled = _mean_patterns(problem, estimate)
    sampling = problem.setup.grid.sampling
    deviation, agreed = _spread(estimate, fov, sampling)
    return Result(
        phase=channels[:, 0],
        deviation=deviation,
        absorption=channels[:, 1] if channels.shape[1] == 2 else None,
        probe=np.fft.fftshift(np.asarray(estimate.probe), axes=(-2, -1)),
        positions=np.asarray(estimate.positions, np.float64) * sampling + problem.origin,
        tilts=np.asarray(estimate.tilt) if estimate.tilt.ndim == 2 else None,
        **further_of(problem, estimate),
        history={
            field.name: np.array([getattr(record, field.name) for record in progress.history])
            for field in dataclasses.fields(Record)
            if field.name != "epochs"
        },
        measured=measured,
        modelled=modelled,
        field_of_view=(fov[0].start, fov[0].stop, fov[1].start, fov[1].stop),
        attributes=_attributes(context, progress) | agreed,
    )


def _attributes(context: Context, progress: Progress) -> Table:
    """What a result says beside its arrays."""
    problem, config, estimate = context.whole, context.config, progress.estimate
    calibration, centre = problem.dataset.calibration, problem.setup.centre
    return {
        "method": config.method,
        "status": progress.status,
        "seed": config.seed,
        "kind": config.object.kind,
        "sampling": problem.setup.grid.sampling,
        "origin": problem.origin,
        "slice_thickness": float(estimate.thickness),
        "length_unit": "Å" if calibration.length_unit == "A" else "px",
        "dose": float(problem.setup.dose) * stored_per_count(problem),
        "wavelength": problem.setup.wavelength,
        "energy": calibration.energy or 0.0,
        "tilt": np.reshape(estimate.tilt, (-1, 2)).mean(axis=0).tolist(),
        **({} if centre is None else {"centre": np.asarray(centre, float).tolist()}),
        "objective": "\n".join(summarise_objective(config, context.extension)),
        **affine_of(estimate),
        "configuration": to_toml(config),
    }


def stored_per_count(problem: Problem) -> float:
    """Counts of the file for one of a problem's: 1 unless they were divided by their unit."""
    return problem.unit.value / per_electron(problem)


def _spread(
    estimate: Estimate, view: tuple[slice, slice], sampling: tuple[float, float]
) -> tuple[np.ndarray | None, dict[str, int | float]]:
    """Standard deviation of the phase over an ensemble's members, and the detail on which they agree."""
    if estimate.members is None:
        return None, {}
    phases = np.asarray(estimate.members)[:, :, 0]
    _, detail = ensemble_resolution(phases.sum(axis=1)[:, view[0], view[1]], sampling)
    return phases.std(axis=0), {"members": len(phases), "ensemble_resolution": detail}


def _mean_patterns(problem: Problem, estimate: Estimate) -> tuple[np.ndarray, np.ndarray]:
    fields = fields_of(on_one_device(estimate))
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
