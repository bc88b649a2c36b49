"""A reconstruction by the method that a configuration names, or by what unused electrons support."""

from __future__ import annotations

import dataclasses
import math
import time
from functools import partial
from pathlib import Path
from typing import Any

from jptycho.assembly.advice import DIVIDE, READ, memory_named
from jptycho.assembly.auto import prepare_from_config, resolve_auto
from jptycho.assembly.extension import PLAIN, Extension
from jptycho.assembly.listed import check_extensions, model_of
from jptycho.assembly.loading import choose_loading
from jptycho.assembly.memory_plan import MemoryPlan, summarise_plan
from jptycho.assembly.start import start_estimate
from jptycho.assembly.summary import summarise_run
from jptycho.assembly.unknowns import begun
from jptycho.automatic.attempt import Now, Run, Start
from jptycho.automatic.checks import check_automatic, check_memory, check_settings
from jptycho.automatic.clock import Clock, check_time, predicted_pace
from jptycho.automatic.journal import Journal
from jptycho.automatic.run import by_networks, run_steps
from jptycho.automatic.trials import first_settings
from jptycho.compilation import use_compilation_cache
from jptycho.config.run import Config, with_changes
from jptycho.data.dataset import Dataset4D
from jptycho.data.results import Result
from jptycho.errors import ConfigError
from jptycho.preprocess.prepare import Problem
from jptycho.preprocess.thinning import hold_out
from jptycho.reconstruction.checkpoint import fingerprint
from jptycho.reconstruction.context import Callback, Context, Log, Progress
from jptycho.reconstruction.outcome import make_result
from jptycho.reconstruction.plan import plan
from jptycho.reconstruction.reconstruct import divide, plan_run
from jptycho.reconstruction.reconstruct import reconstruct as reconstruct_as_said
from jptycho.settings import AUTO
from jptycho.solvers.epochs import Announce, interruptible

JUDGING = 0.5
"""Of as many electrons as validate epochs, how many decide what is kept, and nothing else."""


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
        the reconstruction, ``status`` ``"done"`` or ``"interrupted"`` (Ctrl-C, SIGTERM or SIGUSR1, after the epoch);
        of ``method="auto"`` with the attribute ``choices``, one line for each, and the settings that it chose.

    Raises:
        ConfigError: settings that cannot be, or too little time for one epoch.
        FormatError: data that cannot be read.
        DivergenceError: the loss is not finite.
        OutOfMemoryError: memory does not hold the scan or a stage.
    """
    wanted = with_changes(config, changes)
    check_automatic(wanted)
    if wanted.method != AUTO:
        return reconstruct_as_said(
            dataset,
            config,
            callback=callback,
            log=log,
            announce=announce,
            checkpoint=checkpoint,
            extension=extension,
            **changes,
        )
    if dataset is not None and "data" in changes:
        raise ConfigError("data: has no effect on a scan that is given. Give the options to open_dataset.")
    told = (log or _silent, callback or _unobserved, announce or _unannounced)
    return _reconstruct(dataset, wanted, told, checkpoint, extension)


def _reconstruct(
    dataset: Dataset4D | None,
    wanted: Config,
    told: tuple[Log, Callback, Announce],
    folder: Path | None,
    extension: Extension,
) -> Result:
    """A run that chooses its method by itself."""
    started, (log, callback, announce) = time.perf_counter(), told
    given, journal = first_settings(wanted), Journal(folder)
    check_settings(wanted)
    check_extensions(given, extension)
    use_compilation_cache(wanted.compilation_cache, log)
    announce("reading the scan", 0, 0)
    with memory_named("reading the scan", READ):
        loading = partial(choose_loading, given, planned=_planned)
        whole = begun(given, prepare_from_config(given, dataset, loading), model_of(given, extension))
    memory = _planned(given, whole)
    limit = math.inf if wanted.automatic.minutes is None else 60.0 * wanted.automatic.minutes
    pace = predicted_pace(whole)
    check_time(limit, pace)
    config = resolve_auto(given, whole)
    if whole.undivided and wanted.pixels.half_sets is True:
        raise ConfigError(f"pixels.half_sets: true, but electrons cannot be divided: {whole.undivided}. Leave it out.")
    announce("dividing the electrons", 0, 0)
    with memory_named("dividing the electrons", DIVIDE):
        rest, unseen, _ = hold_out(whole, JUDGING * float(config.validation.fraction), config.seed, "judging")
        problem, held, half_sets, validated = divide(config, rest, plan(config, whole), extension)
    clock = Clock(started - journal.seconds, limit)
    with interruptible() as stop:
        parts = (config, problem, whole, log, callback, announce, stop, folder, clock.started)
        context = Context(*parts, held, half_sets, extension)
        chosen = wanted.automatic.model_dump(mode="json", exclude={"minutes"})
        journal.identify(fingerprint(context) | {"automatic": chosen}, limit)
        log("\n".join(summarise_run(config, problem, validated, extension)))
        log(summarise_plan(memory))
        start = Start(context, _blank(context))
        run = Run(wanted, journal, clock, stop, start, unseen)
        now = run_steps(run, Now(given, context, start.progress, pace))
        method = "dgp" if by_networks(run) else "pixels"
        made = dataclasses.replace(now.context, config=now.context.config.model_copy(update={"method": method}))
        result = make_result(made, now.progress)
    return dataclasses.replace(result, attributes=result.attributes | {"choices": journal.words})


def _planned(given: Config, problem: Problem) -> MemoryPlan:
    """What the stages take that a run begins with; refused where memory does not hold that."""
    return check_memory(plan_run(given, problem))


def _blank(context: Context) -> Progress:
    """What a run begins with."""
    estimate = start_estimate(context.config, context.problem, True, context.log, context.whole.electrons)
    return Progress(estimate, estimate)


def _silent(message: str) -> None:
    """Say nothing."""


def _unannounced(what: str, done: int, total: int) -> None:
    """Wait in silence."""


def _unobserved(record: object, channels: object) -> None:
    """Look at nothing."""
