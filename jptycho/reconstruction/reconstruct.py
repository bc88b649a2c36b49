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
from jptycho.preprocess.thinning import halve, hold_out
from jptycho.reconstruction.auto import check_config, effective, prepare_from_config, with_changes
from jptycho.reconstruction.build import pixel_mesh
from jptycho.reconstruction.confirmed import keep_confirmed
from jptycho.reconstruction.deep_prior import members_at_once, run_generators
from jptycho.reconstruction.extension import Extension, check_unknowns, extended
from jptycho.reconstruction.half_sets import run_half_sets
from jptycho.reconstruction.outcome import collect, guess_from_result, held_out_alike
from jptycho.reconstruction.pixel_stages import run_last_pixels, run_pixels
from jptycho.reconstruction.polish import in_finish, run_finish
from jptycho.reconstruction.run import DGP, PIXELS, Observer, Run, Say, has_checkpoint
from jptycho.reconstruction.summary import counts_in_words, objective_in_words
from jptycho.representations.base import POTENTIAL, Guess
from jptycho.solvers.epochs import DONE, Announce, Record, interruptible
from jptycho.types import Array

PLAIN = Extension()
"""The model as it is."""


def reconstruct(
    dataset: Dataset4D | None = None,
    config: Config | None = None,
    *,
    observe: Observer | None = None,
    say: Say | None = None,
    announce: Announce | None = None,
    checkpoint: Path | None = None,
    extension: Extension = PLAIN,
    **changes: Any,
) -> Result:
    """Reconstruct object and probe of a scan.

    Args:
        dataset: the scan; by default the one that ``config.data`` names.
        config: settings; by default those of :class:`jptycho.config.run.Config`.
        observe: called after each epoch with its record and a function that gives the object's channels then.
        say: told in words what happens.
        announce: told what is done while no epoch is reported, how much of it is done and of how much (0: unknown).
        checkpoint: folder for checkpoints; where it holds one of equal settings and data, the run goes on from there.
            It stays: remove it once the result is safe.
        extension: of the model by unknowns and by effects of the detector of your own.
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
    check_unknowns(config, extension.unknowns)
    say, announce = say or _silent, announce or _unannounced
    announce("reading the scan", 0, 0)
    whole = extended(prepare_from_config(config, dataset), extension)
    config = effective(config, whole)
    announce("dividing the electrons", 0, 0)
    problem, held, halves, judged = _divided(config, whole)
    with interruptible() as stop:
        run = Run(
            config, problem, whole, say, observe or _unobserved, announce, stop, checkpoint, started, held, halves
        )
        run.say(_summary(run, judged))
        guess, status = problem.guess, DONE
        if config.method == PIXELS and halves is not None:
            (guess,), status = run_half_sets(run, guess, config.pixels.epochs)
        elif config.method == PIXELS:
            guess, status = run_last_pixels(run, PIXELS, config, guess, config.pixels.epochs)
        else:
            guess, status = run_priors(run, guess)
    return collect(run, guess, status)


def run_priors(run: Run, guess: Guess) -> tuple[Guess, str]:
    """Estimate, networks, finish: the stages of the deep generative priors.

    Args:
        run: the run.
        guess: where to start.

    Returns:
        the estimate reached, and the status.
    """
    dgp, status = run.config.dgp, DONE
    finish = dgp.finish_epochs and dgp.object == "network"
    if not (finish and in_finish(run)):
        guess, estimates, status = _estimated(run, guess)
        if status == DONE:
            candidates, status = run_generators(run, guess, estimates)
            guess = keep_confirmed(run, candidates) if candidates else guess
    return run_finish(run, guess) if finish and status == DONE else (guess, status)


def _estimated(run: Run, guess: Guess) -> tuple[Guess, list[Guess] | None, str]:
    """What the networks start from, the same by halves of the electrons where pixels made it, and the status."""
    dgp, config = run.config.dgp, run.config
    if dgp.start_file:
        earlier = read_result(dgp.start_file, name="dgp.start_file")
        guess = guess_from_result(run.problem, earlier)
        if run.held is not None and not dgp.split and not held_out_alike(earlier, config):
            run.say(SEEN_BEFORE)
    elif dgp.start in DIRECT:
        phase = DIRECT[dgp.start](run.problem, config.object.kind == POTENTIAL)
        guess = dataclasses.replace(guess, object=jnp.asarray(phase))
    if dgp.start != "pixels" or has_checkpoint(run, DGP):
        return guess, None, DONE
    if run.halves is None:
        if dgp.start_file:
            return guess, None, DONE
        reached = run_pixels(run, PIXELS, config, guess, dgp.start_epochs)
        return reached.guess, None, reached.status
    blank = dataclasses.replace(guess, object=run.problem.guess.object)
    estimates, status = run_half_sets(run, blank, dgp.start_epochs)
    if dgp.start_file:
        return guess, estimates, status
    mean = jnp.mean(jnp.stack([estimate.object for estimate in estimates]), axis=0)
    return dataclasses.replace(estimates[0], object=mean, halves=None), estimates, status


SEEN_BEFORE = (
    "dgp.start_file: this result has seen electrons that are held out now, and the networks see it: what is held out "
    "predicts too well and stops too late. Use dgp.split = true, or the seed and share of the run that made it"
)


def _divided(
    config: Config, problem: Problem
) -> tuple[Problem, Problem | None, list[tuple[Problem, Problem]] | None, str]:
    """What is reconstructed, what judges it, the halves for each network, and in words what judges."""
    held, judged, halves = None, "", None
    if config.stop.held_out:
        problem, held, judged = hold_out(problem, float(config.stop.held_out), config.seed)
    if config.method == DGP:
        if config.dgp.members > 1:
            members_at_once(config, problem)  # refused before anything large is made
        if config.dgp.split:
            halves = [halve(problem, config.seed, member) for member in range(config.dgp.members)]
    elif config.pixels.half_sets:
        halves = [halve(problem, config.seed)]
    return problem, held, halves, judged


def _summary(run: Run, judged: str) -> str:
    problem, config = run.problem, run.config
    slices, _, rows, columns = problem.guess.object.shape
    sampling, unit = problem.setup.grid.sampling, problem.dataset.calibration.length_unit.replace("A", "Å")
    window = " x ".join(str(n) for n in problem.setup.grid.shape)
    return "\n".join(
        [
            f"{len(problem.counts)} patterns of {window}, {problem.electrons:.3g} electrons each",
            f"object {config.object.kind}, {slices} slice{'s' if slices > 1 else ''} of {rows} x {columns} pixels of "
            f"{sampling[0]:.4g} {unit}; {config.probe.modes} probe mode{'s' if config.probe.modes > 1 else ''}",
            *counts_in_words(problem),
            *objective_in_words(config),
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
