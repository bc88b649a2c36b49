"""Stages of pixels: one of them, and the last, which is repeated with all electrons."""

from __future__ import annotations

import dataclasses

import jax

from jptycho.config.run import Config
from jptycho.data.checkpoints import load_facts
from jptycho.parallel import replicate
from jptycho.reconstruction.build import build_solver, pixel_mesh
from jptycho.reconstruction.run import ALL, Reached, Run, folder_of, has_checkpoint, stream
from jptycho.reconstruction.stages import estimate_of, optimise, reference_of
from jptycho.reconstruction.summary import advice
from jptycho.representations.base import Estimate, initialise
from jptycho.solvers.base import distribute, init_state
from jptycho.solvers.epochs import DONE, Stage, run_epochs


def run_pixels(
    run: Run, name: str, config: Config, estimate: Estimate, epochs: int, scheduled: int | None = None
) -> Reached:
    """Optimise pixels from a guess.

    Args:
        run: the run.
        name: of the stage.
        config: whose table ``[pixels]`` says how.
        estimate: where to start.
        epochs: to run.
        scheduled: that the learning rates are scheduled for; the same by default.

    Returns:
        the estimate that is kept.
    """
    mesh = pixel_mesh(config)
    solver = build_solver(config, run.problem, mesh, scheduled or epochs, run.extension)
    start = initialise(solver.model, stream(run, name, "weights"), estimate)
    return optimise(run, name, solver, mesh, estimate, start, epochs)


def run_last_pixels(run: Run, name: str, config: Config, estimate: Estimate, epochs: int) -> tuple[Estimate, str]:
    """The last stage of a run; then once more with what was held out, for as many epochs as were best without.

    What held-out electrons had to decide is decided by then, and they are a tenth of what was paid for.

    Args:
        run: the run.
        name: of the stage.
        config: whose table ``[pixels]`` says how.
        estimate: where it starts.
        epochs: to run at most.

    Returns:
        the estimate that is kept, and the status.
    """
    found = estimate  # of a checkpoint only the shapes matter
    if has_checkpoint(run, ALL):
        best = int((load_facts(folder_of(run)) or {})["epochs"])
    else:
        reached = run_pixels(run, name, config, estimate, epochs)
        found, estimate, best = reached.estimate, reached.start, reached.epoch
        if run.held is None or not config.validation.all_electrons or best == 0 or reached.status != DONE:
            return found, reached.status
        run.log(f"repeats these {best} epochs with all electrons, those included that were held out")
    whole = dataclasses.replace(run, problem=run.whole, held=None, half_sets=None, fallback=found)
    again = run_pixels(whole, ALL, config, estimate, best, epochs)
    return (again.estimate if again.status == DONE else whole.fallback or found), again.status


def estimate_by_pixels(run: Run, estimate: Estimate, epochs: int, name: str) -> tuple[Estimate, str]:
    """Some epochs of pixels that no checkpoint keeps and nothing judges.

    Args:
        run: the run.
        estimate: where to start.
        epochs: to run.
        name: of what they are for.

    Returns:
        the estimate reached, and the status.
    """
    config, mesh = run.config, pixel_mesh(run.config)
    solver = build_solver(config, run.problem, mesh, epochs, run.extension)
    params, constants = initialise(solver.model, stream(run, name, "weights"), estimate)
    constants = replicate(mesh, constants)
    data = distribute(run.problem.counts, run.problem.setup, mesh, reference_of(run, run.problem))
    state = init_state(solver, mesh, params, constants, stream(run, name, "epochs"))
    settings = (epochs, run.started, advice(config, "pixels"))
    stage = Stage(name, solver, mesh, constants, data, *settings, announce=run.announce)
    state, status = run_epochs(
        stage, state, lambda record, now: run.announce(name, record.epoch, record.epochs), run.stop
    )
    return jax.device_put(estimate_of(estimate, solver, state, constants), jax.devices()[0]), status
