"""A reconstruction from a scan to a result: choose, start, optimise, collect."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from jptycho.assembly.advice import DIVIDE, READ, memory_advice, memory_named
from jptycho.assembly.auto import prepare_from_config, resolve_auto
from jptycho.assembly.checks import check_config
from jptycho.assembly.extension import PLAIN, Extension
from jptycho.assembly.listed import check_extensions, check_stages, model_of
from jptycho.assembly.loading import choose_loading, fit_stages
from jptycho.assembly.memory_plan import MemoryPlan, check_plan, summarise_plan
from jptycho.assembly.stage_solvers import members_at_once
from jptycho.assembly.start import start_estimate
from jptycho.assembly.summary import summarise_run
from jptycho.assembly.unknowns import begun
from jptycho.compilation import use_compilation_cache
from jptycho.config.run import Config, with_changes
from jptycho.data.dataset import Dataset4D
from jptycho.data.results import Result
from jptycho.errors import ConfigError
from jptycho.preprocess.prepare import Problem
from jptycho.preprocess.thinning import hold_out, make_half_sets
from jptycho.reconstruction.carry import as_seen_by, handed_on
from jptycho.reconstruction.checkpoint import blank_progress, fingerprint, stage_of_checkpoint
from jptycho.reconstruction.context import Callback, Context, Log, Progress, Stage
from jptycho.reconstruction.deep_prior import begin_networks
from jptycho.reconstruction.outcome import make_result
from jptycho.reconstruction.plan import pairs_of_half_sets, plan
from jptycho.reconstruction.stages import run_stage
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
    """Reconstruct object and probe of a scan by the method, or the stages, that a configuration names.

    Arguments, result and errors are those of :func:`jptycho.reconstruct`, which calls it for every method but ``auto``.
    """
    started = time.perf_counter()
    if dataset is not None and "data" in changes:
        raise ConfigError("data: has no effect on a scan that is given. Give the options to open_dataset.")
    config = with_changes(config, changes)
    check_config(config)
    check_stages(config)
    check_extensions(config, extension)
    model = model_of(config, extension)
    log, announce = log or _silent, announce or _unannounced
    use_compilation_cache(config.compilation_cache, log)
    announce("reading the scan", 0, 0)
    with memory_named("reading the scan", READ):
        loading = partial(choose_loading, config, planned=plan_run)
        whole = begun(config, prepare_from_config(config, dataset, loading), model)
    config = resolve_auto(config, whole)
    stages, memory = _fitted(config, whole)
    check_plan(memory)
    announce("dividing the electrons", 0, 0)
    with memory_named("dividing the electrons", DIVIDE):
        problem, held, half_sets, validated = divide(config, whole, stages, extension)
    with interruptible() as stop:
        told = (log, callback or _unobserved, announce, stop, checkpoint, started)
        context = Context(config, problem, whole, *told, held, half_sets, extension)
        context = dataclasses.replace(context, identity=fingerprint(context))
        context.log("\n".join(summarise_run(config, problem, validated, extension)))
        context.log(summarise_plan(memory))
        return make_result(*run_stages(context, stages))


def _fitted(config: Config, problem: Problem, streamed: bool | None = None) -> tuple[tuple[Stage, ...], MemoryPlan]:
    """The stages of a run, each with parts of a step that memory holds, and what they take."""
    stages = plan(config, problem)
    configs, memory = fit_stages(stages, config, problem, pairs_of_half_sets(stages), streamed)
    both = zip(stages, configs, strict=True)
    return tuple(dataclasses.replace(stage, config=own) for stage, own in both), memory


def plan_run(config: Config, problem: Problem, streamed: bool = False) -> MemoryPlan:
    """What a run takes, from some of its patterns, before it is decided whether all are held."""
    return _fitted(resolve_auto(config, problem), problem, streamed)[1]


def run_stages(context: Context, stages: tuple[Stage, ...], begun: Progress | None = None) -> tuple[Context, Progress]:
    """Stages one after another, from the checkpoint where there is one; what the last was given and reached."""
    resumed, now, progress = stage_of_checkpoint(context), context, begun
    if resumed is not None:
        stages = stages[[stage.name for stage in stages].index(resumed) :]
        progress = blank_progress(context)
        seconds = progress.history[-1].seconds if progress.history else 0.0
        context = dataclasses.replace(context, started=context.started - seconds)
    elif progress is None:
        held = context.validation is not None
        estimate = start_estimate(context.config, context.problem, held, context.log, context.whole.electrons)
        progress = Progress(estimate, estimate)
    for stage in stages:
        before, now = now, as_seen_by(context, stage)
        on = stage.name == resumed
        with memory_named(stage.name, memory_advice(stage.config, stage.name)):
            progress = run_stage(now, stage, progress if on else handed_on(progress, before, now), on)
        if progress.status != DONE:
            break
    return now, progress


def divide(
    config: Config, problem: Problem, stages: tuple[Stage, ...], extension: Extension
) -> tuple[Problem, Problem | None, tuple[tuple[Problem, Problem], ...], str]:
    """What is reconstructed, what validates it, the half sets for each network, and in words what validates."""
    held, validated = None, ""
    for own in (stage.config for stage in stages if stage.begin is begin_networks):
        if int(own.dgp.ensemble_size) > 1:
            members_at_once(own, problem, extension)  # refused before anything large is made
    if config.validation.fraction:
        problem, held, validated = hold_out(problem, float(config.validation.fraction), config.seed)
    pairs = tuple(make_half_sets(problem, config.seed, number) for number in range(pairs_of_half_sets(stages)))
    return problem, held, pairs, validated


def _silent(message: str) -> None:
    """Say nothing."""


def _unannounced(what: str, done: int, total: int) -> None:
    """Wait in silence."""


def _unobserved(record: Record, channels: Callable[[], Array]) -> None:
    """Look at nothing."""
