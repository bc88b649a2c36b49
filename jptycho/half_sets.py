"""The object by each half of the electrons alone: what a network is shown and what judges it."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from jptycho.engines import pixel_mesh, pixel_solver
from jptycho.parallel import replicate
from jptycho.preprocess.guess import DIRECT
from jptycho.preprocess.prepare import Problem
from jptycho.representations.base import POTENTIAL, Guess, initialise
from jptycho.run import Run, stream
from jptycho.solvers.base import distribute, init_state
from jptycho.solvers.loop import INTERRUPTED, Stage, run_epochs
from jptycho.stages import estimate_of, reference_of
from jptycho.types import Array
from jptycho.words import advice


def estimate_halves(run: Run, guess: Guess, member: int) -> Array | None:
    """The object by each half of the electrons alone, from nothing but the probe that is known.

    Args:
        run: the run.
        guess: whose probe is used.
        member: of an ensemble, whose halves are meant.

    Returns:
        channels (2, slices, channels, Y, X); None where an interruption was asked for.
    """
    assert run.halves is not None
    halves, direct = run.halves[member], DIRECT.get(run.config.dgp.start)
    if direct is not None:
        positive = run.config.object.kind == POTENTIAL
        return jnp.stack([jnp.asarray(direct(half, positive)) for half in halves])
    epochs = max(1, run.config.dgp.start_epochs)
    blank = dataclasses.replace(guess, object=run.problem.guess.object)
    found = []
    for number, half in enumerate(halves):
        estimate, status = estimate_by_pixels(run, half, blank, epochs, ("half sets", member, number))
        if status == INTERRUPTED:
            return None
        found.append(estimate.object)
    run.say(f"estimated the object from each half of the electrons: {epochs} epochs of pixels")
    return jnp.stack(found)


def estimate_by_pixels(
    run: Run, problem: Problem, guess: Guess, epochs: int, names: tuple[Any, ...]
) -> tuple[Guess, str]:
    """Some epochs of pixels that no checkpoint keeps.

    Args:
        run: the run.
        problem: its scan, or a part of the electrons of that.
        guess: where to start.
        epochs: to run.
        names: of the random numbers.

    Returns:
        the estimate reached, and the status.
    """
    config, mesh = run.config, pixel_mesh(run.config)
    solver = pixel_solver(config, problem, mesh, epochs)
    params, constants = initialise(solver.model, stream(run, *names, "weights"), guess)
    constants = replicate(mesh, constants)
    data = distribute(problem.counts, problem.setup, mesh, reference_of(run, problem))
    state = init_state(solver, mesh, params, constants, stream(run, *names, "epochs"))
    name = str(names[0]) if len(names) == 1 else f"half {names[-1] + 1} of the electrons"
    settings = (epochs, run.started, advice(config, "pixels"))
    stage = Stage(name, solver, mesh, constants, data, *settings, announce=run.announce)
    state, status = run_epochs(
        stage, state, lambda record, now: run.announce(name, record.epoch, record.epochs), run.stop
    )
    return jax.device_put(estimate_of(guess, solver, state, constants), jax.devices()[0]), status
