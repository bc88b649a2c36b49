"""The solver of each kind of stage: of plain pixels, of half sets, of networks."""

from __future__ import annotations

import dataclasses

import jax
from jax.sharding import Mesh

from jptycho.assembly.build import build_solver
from jptycho.assembly.ensembles import members_together
from jptycho.assembly.extension import PLAIN, Extension
from jptycho.assembly.prior_model import prior_model, prior_solver
from jptycho.config.pixels import GRADIENT
from jptycho.config.run import Config
from jptycho.optics.frequencies import aspect_of
from jptycho.preprocess.prepare import Problem
from jptycho.representations.base import initialise
from jptycho.representations.networks.unet import parameter_count
from jptycho.solvers.base import Solver
from jptycho.solvers.ensemble import EnsembleSolver
from jptycho.solvers.gradient import GradientSolver
from jptycho.solvers.half_sets import HELD, LAST, ROUND, HalfSetSolver
from jptycho.solvers.optimisers import LINE_SEARCH


def half_set_solver(
    config: Config, problem: Problem, mesh: Mesh, members: int, epochs: int, extension: Extension = PLAIN
) -> EnsembleSolver:
    """Pixels by every half of the electrons: with a probe that they share, where it moves freely by steps that may be
    changed afterwards.

    Args:
        config: without ``auto``.
        problem: the scan by one half.
        mesh: devices.
        members: halves, twice the number of pairs.
        epochs: that will be run.
        extension: what the user brought.

    Returns:
        the solver.
    """
    member: Solver = build_solver(config, problem, mesh, epochs, extension)
    together = 1 if jax.default_backend() == "cpu" else 2
    by_steps = config.pixels.solver == GRADIENT and config.pixels.optimiser not in LINE_SEARCH
    bound = any("probe" in projection.touches for projection in member.projections)
    if config.probe.fixed or bound or not by_steps:
        return EnsembleSolver(member, members, together)
    assert isinstance(member, GradientSolver)
    if member.optimiser.decay_steps and epochs >= ROUND + HELD + LAST:
        # Rates that have died down would leave each half with the probe that both share. A plateau's stay down.
        optimiser = dataclasses.replace(member.optimiser, last_steps=LAST * member.steps * member.parts)
        member = dataclasses.replace(member, optimiser=optimiser)
    return HalfSetSolver(member, members, together, epochs, aspect_of(problem.setup.grid.sampling))


def networks_solver(config: Config, problem: Problem, extension: Extension = PLAIN) -> Solver:
    """Networks of object and probe; several where an ensemble is asked for.

    Args:
        config: without ``auto``.
        problem: the scan made ready.
        extension: what the user brought.

    Returns:
        the solver.
    """
    member = prior_solver(config, prior_model(config, problem, extension), problem, extension)
    size = int(config.dgp.ensemble_size)
    return member if size == 1 else EnsembleSolver(member, size, members_at_once(config, problem, extension))


def members_at_once(config: Config, problem: Problem, extension: Extension = PLAIN) -> int:
    """How many members of an ensemble are evaluated together.

    Args:
        config: without ``auto``.
        problem: the scan made ready.
        extension: what the user brought.

    Returns:
        members.

    Raises:
        ConfigError: memory does not hold them.
    """
    model = prior_model(config, problem, extension)
    shapes = jax.eval_shape(lambda estimate: initialise(model, jax.random.key(0), estimate)[0], problem.estimate)
    return members_together(config, problem, parameter_count(shapes))
