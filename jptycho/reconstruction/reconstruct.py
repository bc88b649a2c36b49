"""A reconstruction from a scan to a result: choose, start, optimise, collect."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from jptycho.config.run import Config
from jptycho.data.dataset import Dataset4D
from jptycho.data.results import Result, read_result
from jptycho.errors import ConfigError
from jptycho.preprocess.direct_phase import DIRECT
from jptycho.preprocess.prepare import Problem
from jptycho.preprocess.thinning import hold_out, make_half_sets
from jptycho.reconstruction.auto import check_config, prepare_from_config, resolve_auto, with_changes
from jptycho.reconstruction.build import pixel_mesh
from jptycho.reconstruction.confirmed import keep_confirmed
from jptycho.reconstruction.deep_prior import members_at_once, run_generators
from jptycho.reconstruction.extension import PLAIN, Extension, check_extension, extended
from jptycho.reconstruction.half_sets import run_half_sets
from jptycho.reconstruction.outcome import estimate_from_result, held_out_alike, make_result
from jptycho.reconstruction.pixel_stages import run_last_pixels, run_pixels
from jptycho.reconstruction.polish import in_polish, run_polish
from jptycho.reconstruction.run import DGP, PIXELS, Callback, Log, Run, has_checkpoint
from jptycho.reconstruction.summary import summarise_counts, summarise_objective
from jptycho.representations.base import POTENTIAL, Estimate
from jptycho.solvers.epochs import DONE, Announce, Record, interruptible
from jptycho.types import Array


def reconstruct(
    dataset: Dataset4D | None = None,
    config: Config | None = None,
    *,
    callback: Callback | None = None,
    log: Log | None = None,
    announce: Announce | None = None,
    checkpoint: Path | None = None,
    extension: Extension = PLAIN,
    **changes: Any,
) -> Result:
    """Reconstruct object and probe of a scan.

    Args:
        dataset: the scan; by default the one that ``config.data`` names.
        config: settings; by default those of :class:`jptycho.config.run.Config`.
        callback: called after each epoch with its record and a function that gives the object's channels then.
        log: told in words what happens.
        announce: told what is done while no epoch is reported, how much of it is done and of how much (0: unknown).
        checkpoint: folder for checkpoints; where it holds one of equal settings and data, the run goes on from there.
            It stays: remove it once the result is safe.
        extension: what you bring: unknowns, effects of the detector, loss, penalties, projections, denoisers, network.
        **changes: settings that replace the configuration's, tables as dictionaries, such as ``method="dgp"`` or
            ``object={"slices": 2, "slice_thickness": 26.0}``.

    Returns:
        the reconstruction, ``status`` ``"done"`` or ``"interrupted"`` (Ctrl-C, after the epoch).

    Raises:
        ConfigError: settings that cannot be.
        FormatError: data that cannot be read.
        DivergenceError: the loss is not finite.
    """
    started = time.perf_counter()
    if dataset is not None and "data" in changes:
        raise ConfigError("data: has no effect on a scan that is given. Give the options to open_dataset.")
    config = with_changes(config, changes)
    check_config(config)
    check_extension(config, extension)
    log, announce = log or _silent, announce or _unannounced
    announce("reading the scan", 0, 0)
    whole = extended(prepare_from_config(config, dataset), extension)
    config = resolve_auto(config, whole)
    announce("dividing the electrons", 0, 0)
    problem, held, half_sets, judged = _divided(config, whole, extension)
    with interruptible() as stop:
        run = Run(
            config,
            problem,
            whole,
            log,
            callback or _unobserved,
            announce,
            stop,
            checkpoint,
            started,
            held,
            half_sets,
            extension=extension,
        )
        run.log(_summary(run, judged))
        estimate, status = problem.estimate, DONE
        if config.method == PIXELS and half_sets is not None:
            (estimate,), status = run_half_sets(run, estimate, config.pixels.epochs)
        elif config.method == PIXELS:
            estimate, status = run_last_pixels(run, PIXELS, config, estimate, config.pixels.epochs)
        else:
            estimate, status = run_priors(run, estimate)
    return make_result(run, estimate, status)


def run_priors(run: Run, estimate: Estimate) -> tuple[Estimate, str]:
    """Estimate, networks, finish: the stages of the deep generative priors.

    Args:
        run: the run.
        estimate: where to start.

    Returns:
        the estimate reached, and the status.
    """
    dgp, status = run.config.dgp, DONE
    polish = dgp.polish_epochs and dgp.object == "network"
    if not (polish and in_polish(run)):
        estimate, estimates, status = _estimated(run, estimate)
        if status == DONE:
            candidates, status = run_generators(run, estimate, estimates)
            estimate = keep_confirmed(run, candidates) if candidates else estimate
    return run_polish(run, estimate) if polish and status == DONE else (estimate, status)


def _estimated(run: Run, estimate: Estimate) -> tuple[Estimate, list[Estimate] | None, str]:
    """What the networks start from, the same by halves of the electrons where pixels made it, and the status."""
    dgp, config = run.config.dgp, run.config
    if dgp.start_file:
        earlier = read_result(dgp.start_file, name="dgp.start_file")
        estimate = estimate_from_result(run.problem, earlier)
        if run.held is not None and not dgp.half_sets and not held_out_alike(earlier, config):
            run.log(SEEN_BEFORE)
    elif dgp.start in DIRECT:
        phase = DIRECT[dgp.start](run.problem, config.object.kind == POTENTIAL)
        estimate = dataclasses.replace(estimate, object=jnp.asarray(phase))
    if dgp.start != "pixels" or has_checkpoint(run, DGP):
        return estimate, None, DONE
    if run.half_sets is None:
        if dgp.start_file:
            return estimate, None, DONE
        reached = run_pixels(run, PIXELS, config, estimate, dgp.start_epochs)
        return reached.estimate, None, reached.status
    blank = dataclasses.replace(estimate, object=run.problem.estimate.object)
    estimates, status = run_half_sets(run, blank, dgp.start_epochs)
    if dgp.start_file:
        return estimate, estimates, status
    mean = jnp.mean(jnp.stack([estimate.object for estimate in estimates]), axis=0)
    return dataclasses.replace(estimates[0], object=mean, half_sets=None), estimates, status


SEEN_BEFORE = (
    "dgp.start_file: this result has seen electrons that are held out now, and the networks see it: what is held out "
    "predicts too well and stops too late. Use dgp.half_sets = true, or the seed and share of the run that made it"
)


def _divided(
    config: Config, problem: Problem, extension: Extension
) -> tuple[Problem, Problem | None, list[tuple[Problem, Problem]] | None, str]:
    """What is reconstructed, what judges it, the halves for each network, and in words what judges."""
    held, judged, half_sets = None, "", None
    if config.validation.fraction:
        problem, held, judged = hold_out(problem, float(config.validation.fraction), config.seed)
    if config.method == DGP:
        if config.dgp.ensemble_size > 1:
            members_at_once(config, problem, extension)  # refused before anything large is made
        if config.dgp.half_sets:
            half_sets = [make_half_sets(problem, config.seed, member) for member in range(config.dgp.ensemble_size)]
    elif config.pixels.half_sets:
        half_sets = [make_half_sets(problem, config.seed)]
    return problem, held, half_sets, judged


def _summary(run: Run, judged: str) -> str:
    problem, config = run.problem, run.config
    slices, _, rows, columns = problem.estimate.object.shape
    sampling, unit = problem.setup.grid.sampling, problem.dataset.calibration.length_unit.replace("A", "Å")
    window = " x ".join(str(n) for n in problem.setup.grid.shape)
    return "\n".join(
        [
            f"{len(problem.counts)} patterns of {window}, {problem.electrons:.3g} electrons each",
            f"object {config.object.kind}, {slices} slice{'s' if slices > 1 else ''} of {rows} x {columns} pixels of "
            f"{sampling[0]:.4g} {unit}; {config.probe.modes} probe mode{'s' if config.probe.modes > 1 else ''}",
            *summarise_counts(problem),
            *summarise_objective(config, run.extension),
            *([f"each epoch is judged by {judged}"] if judged else []),
            f"batch {config.pixels.batch}; pixels on {pixel_mesh(config).size} of {jax.device_count()} devices "
            f"({jax.devices()[0].device_kind})",
        ]
    )


def _silent(message: str) -> None:
    """Say nothing."""


def _unannounced(what: str, done: int, total: int) -> None:
    """Wait in silence."""


def _unobserved(record: Record, channels: Callable[[], Array]) -> None:
    """Look at nothing."""
