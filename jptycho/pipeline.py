"""A reconstruction from a scan to a result: choose, start, optimise, collect."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

from jptycho.choices import check_config, effective, prepare_from_config, with_changes
from jptycho.config import Config
from jptycho.constraints import penalties_of, projections_of
from jptycho.data.dataset import Dataset4D
from jptycho.data.results import Result, read_result
from jptycho.engines import pixel_mesh, pixel_solver, refined
from jptycho.errors import ConfigError
from jptycho.outcome import collect, guess_from_result
from jptycho.parallel import make_mesh
from jptycho.preprocess.thin import hold_out
from jptycho.pretrain import Pretraining, pretrain
from jptycho.representations.base import Guess, ModelSpec, initialise
from jptycho.representations.generators import GeneratedObject, GeneratedProbe
from jptycho.representations.networks import UNetSpec
from jptycho.representations.pixels import PixelProbe
from jptycho.solvers.base import check_projections
from jptycho.solvers.gradient import GradientSolver
from jptycho.solvers.loop import DONE, Record, interruptible
from jptycho.solvers.optimisers import Optimiser
from jptycho.stages import Observer, Run, Say, has_checkpoint, optimise
from jptycho.types import Array
from jptycho.words import objective_in_words


def reconstruct(
    dataset: Dataset4D | None = None,
    config: Config | None = None,
    *,
    observe: Observer | None = None,
    say: Say | None = None,
    checkpoint: Path | None = None,
    **changes: Any,
) -> Result:
    """Reconstruct object and probe of a scan.

    Args:
        dataset: the scan; by default the one that ``config.data`` names.
        config: settings; by default those of :class:`jptycho.config.Config`.
        observe: called after each epoch with its record and a function that gives the object's channels then.
        say: told in words what happens.
        checkpoint: folder for checkpoints; where it holds one of equal settings and data, the run goes on from there.
            It stays: remove it once the result is safe.
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
    problem = prepare_from_config(config, dataset)
    config = effective(config, problem)
    held = None
    if config.stop.held_out:
        problem, held = hold_out(problem, config.stop.held_out, config.seed)
    with interruptible() as stop:
        run = Run(config, problem, say or _silent, observe or _unobserved, stop, checkpoint, started, held)
        run.say(_summary(run))
        guess, status = problem.guess, DONE
        if config.method == "pixels":
            guess, status = run_pixels(run, guess, config.pixels.epochs)
        else:
            if config.dgp.start_file:
                guess = guess_from_result(problem, read_result(config.dgp.start_file, name="dgp.start_file"))
            elif not has_checkpoint(run, "dgp"):
                guess, status = run_pixels(run, guess, config.dgp.start_epochs)
            if status == DONE:
                guess, status = run_generators(run, guess)
    return collect(run, guess, status)


def run_pixels(run: Run, guess: Guess, epochs: int) -> tuple[Guess, str]:
    """Optimise pixels from a guess.

    Args:
        run: the run.
        guess: where to start.
        epochs: to run.

    Returns:
        the estimate reached, and the status.
    """
    mesh = pixel_mesh(run.config)
    solver = pixel_solver(run.config, run.problem, mesh, epochs)
    params, constants = initialise(solver.model, jax.random.key(run.config.seed), guess)
    return optimise(run, "pixels", solver, mesh, guess, (params, constants), epochs)


def run_generators(run: Run, guess: Guess) -> tuple[Guess, str]:
    """Pre-train object and probe generators on an estimate, then optimise them jointly.

    Args:
        run: the run.
        guess: the estimate.

    Returns:
        the estimate reached, and the status.
    """
    settings, kind = run.config.dgp, run.config.object.kind
    # One device: convolutions use all cores of a CPU by themselves, and shards would each evaluate the whole network.
    mesh = make_mesh(jax.devices()[:1]) if jax.default_backend() == "cpu" else make_mesh()
    networks = (
        UNetSpec(settings.levels, settings.filters, settings.upsampling),
        UNetSpec(settings.probe_levels, settings.filters, settings.upsampling, settings.probe_complex),
    )
    generators: dict[str, Any] = {"object": GeneratedObject(kind, networks[0], float(settings.noise))}
    if not run.config.probe.fixed:
        generators["probe"] = GeneratedProbe(networks[1], settings.probe_noise)
    model = ModelSpec(**{"probe": PixelProbe(), **generators, **refined(run.config)})
    patterns = len(run.problem.counts)
    steps = min(settings.steps, patterns)
    solver = GradientSolver(
        model,
        run.config.loss,
        object_rate=settings.object_rate,
        probe_rate=0.0 if run.config.probe.fixed else settings.probe_rate,
        steps=steps,
        micro_batches=max(1, -(-patterns // steps // settings.micro_batch)),
        optimiser=Optimiser(warm_up=settings.warm_up),
        average=settings.average,
        position_rate=run.config.refine.position_rate,
        tilt_rate=run.config.refine.tilt_rate,
        penalties=penalties_of(run.config.penalties),
        projections=projections_of(run.config.projections),
    )
    check_projections(model, solver.projections)
    key, key_pretrain = jax.random.split(jax.random.key(run.config.seed + 1))
    guess = jax.device_put(guess, mesh.devices[0])
    params, constants = initialise(model, key, guess)
    if not has_checkpoint(run, "dgp"):
        schedule = Pretraining(settings.pretrain_steps, settings.pretrain_rate, settings.pretrain_tolerance)
        for name, generator in generators.items():
            params[name], error, done = pretrain(generator, params[name], constants[name], key_pretrain, schedule)
            run.say(f"pre-trained the {name}'s network: {int(done)} steps, relative error {float(error):.3f}")
    return optimise(run, "dgp", solver, mesh, guess, (params, constants), settings.epochs)


def _summary(run: Run) -> str:
    problem, config = run.problem, run.config
    slices, _, rows, columns = problem.guess.object.shape
    sampling, unit = problem.setup.grid.sampling, problem.dataset.calibration.length_unit.replace("A", "Å")
    window = " x ".join(str(n) for n in problem.setup.grid.shape)
    return "\n".join(
        [
            f"{len(problem.counts)} patterns of {window}, {problem.electrons:.3g} electrons each",
            f"object {config.object.kind}, {slices} slice{'s' if slices > 1 else ''} of {rows} x {columns} pixels of "
            f"{sampling[0]:.4g} {unit}; {config.probe.modes} probe mode{'s' if config.probe.modes > 1 else ''}",
            *objective_in_words(config),
            f"batch {config.pixels.batch}; {jax.device_count()} x {jax.devices()[0].device_kind}",
        ]
    )


def _silent(message: str) -> None:
    """Say nothing."""


def _unobserved(record: Record, channels: Callable[[], Array]) -> None:
    """Look at nothing."""
