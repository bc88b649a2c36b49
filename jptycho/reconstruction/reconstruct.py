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
from jptycho.reconstruction.auto import prepare_from_config, resolve_auto, with_changes
from jptycho.reconstruction.build import pixel_mesh
from jptycho.reconstruction.carry import as_seen_by, handed_on
from jptycho.reconstruction.checkpoint import blank_progress, fingerprint, stage_of_checkpoint
from jptycho.reconstruction.checks import check_config
from jptycho.reconstruction.context import NETWORKS, Callback, Context, Log, Progress, Stage
from jptycho.reconstruction.deep_prior import members_at_once
from jptycho.reconstruction.extension import PLAIN, Extension, check_extension, extended
from jptycho.reconstruction.listed import check_stages, listed
from jptycho.reconstruction.outcome import estimate_from_result, held_out_alike, make_result
from jptycho.reconstruction.plan import plan
from jptycho.reconstruction.stages import run_stage
from jptycho.reconstruction.summary import summarise_counts, summarise_objective
from jptycho.representations.base import POTENTIAL
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
    check_stages(config)
    if any(entry.window for entry in config.stages) and (extension.effects or extension.unknowns):
        raise ConfigError(
            "stages: a window changes the detector, which effects and unknowns of your own do not follow. Leave it out."
        )
    for own in (config, *(own for _, _, own in listed(config))):
        check_extension(own, extension)
    log, announce = log or _silent, announce or _unannounced
    announce("reading the scan", 0, 0)
    whole = extended(prepare_from_config(config, dataset), extension)
    given, config = config, resolve_auto(config, whole)
    announce("dividing the electrons", 0, 0)
    problem, held, half_sets, judged = _divided(config, whole, extension)
    stages = plan(config, problem, given)
    with interruptible() as stop:
        told = (log, callback or _unobserved, announce, stop, checkpoint, started)
        context = Context(config, problem, whole, *told, held, half_sets, extension)
        context = dataclasses.replace(context, identity=fingerprint(context))
        context.log(_summary(context, judged))
        return make_result(*_run(context, stages))


def _run(context: Context, stages: tuple[Stage, ...]) -> tuple[Context, Progress]:
    """The stages one after another, from the checkpoint where there is one; what the last was given and reached."""
    resumed, now = stage_of_checkpoint(context), context
    if resumed is None:
        progress = _first(context)
    else:
        stages = stages[[stage.name for stage in stages].index(resumed) :]
        progress = blank_progress(context)
        seconds = progress.history[-1].seconds if progress.history else 0.0
        context = dataclasses.replace(context, started=context.started - seconds)
    for stage in stages:
        before, now = now, as_seen_by(context, stage)
        on = stage.name == resumed
        progress = run_stage(now, stage, progress if on else handed_on(progress, before, now), on)
        if progress.status != DONE:
            break
    return now, progress


def _first(context: Context) -> Progress:
    """What the first stage begins with: an earlier result, an estimate without iterations, or a blank object."""
    config, problem = context.config, context.problem
    dgp, estimate = config.dgp, problem.estimate
    if config.method == NETWORKS and dgp.start_file:
        earlier = read_result(dgp.start_file, name="dgp.start_file")
        estimate = estimate_from_result(problem, earlier)
        if context.validation is not None and not dgp.half_sets and not held_out_alike(earlier, config):
            context.log(SEEN_BEFORE)
    elif config.method == NETWORKS and dgp.start in DIRECT:
        phase = DIRECT[dgp.start](problem, config.object.kind == POTENTIAL)
        estimate = dataclasses.replace(estimate, object=jnp.asarray(phase))
    return Progress(estimate, estimate)


SEEN_BEFORE = (
    "dgp.start_file: this result has seen electrons that are held out now, and the networks see it: what is held out "
    "predicts too well and stops too late. Use dgp.half_sets = true, or the seed and share of the run that made it"
)


def _divided(
    config: Config, problem: Problem, extension: Extension
) -> tuple[Problem, Problem | None, tuple[tuple[Problem, Problem], ...], str]:
    """What is reconstructed, what validates it, the half sets for each network, and in words what validates."""
    held, judged, pairs = None, "", 0
    if config.validation.fraction:
        problem, held, judged = hold_out(problem, float(config.validation.fraction), config.seed)
    if config.method == NETWORKS:
        if config.dgp.ensemble_size > 1 and not config.stages:
            members_at_once(config, problem, extension)  # refused before anything large is made
        pairs = config.dgp.ensemble_size if config.dgp.half_sets else 0
    elif config.pixels.half_sets:
        pairs = 1
    if config.stages:
        pairs = _listed_pairs(config, problem, extension)
    return problem, held, tuple(make_half_sets(problem, config.seed, number) for number in range(pairs)), judged


def _listed_pairs(config: Config, problem: Problem, extension: Extension) -> int:
    """How many pairs of half sets the listed stages want: one for each network of an ensemble."""
    entries = list(listed(config))
    networks = [own for _, entry, own in entries if entry.method == "dgp"]
    for own in networks:
        if own.dgp.ensemble_size > 1:
            members_at_once(own, problem, extension)
    if all(entry.method != "half_sets" for _, entry, _ in entries):
        return 0
    return max([1, *(own.dgp.ensemble_size for own in networks if own.dgp.half_sets)])


def _summary(context: Context, judged: str) -> str:
    problem, config = context.problem, context.config
    slices, _, rows, columns = problem.estimate.object.shape
    sampling, unit = problem.setup.grid.sampling, problem.dataset.calibration.length_unit.replace("A", "Å")
    window = " x ".join(str(n) for n in problem.setup.grid.shape)
    return "\n".join(
        [
            f"{len(problem.counts)} patterns of {window}, {problem.electrons:.3g} electrons each",
            f"object {config.object.kind}, {slices} slice{'s' if slices > 1 else ''} of {rows} x {columns} pixels of "
            f"{sampling[0]:.4g} {unit}; {config.probe.modes} probe mode{'s' if config.probe.modes > 1 else ''}",
            *summarise_counts(problem),
            *summarise_objective(config, context.extension),
            *([f"each epoch is validated by {judged}"] if judged else []),
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
