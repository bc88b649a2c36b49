"""From a configuration, and what the user brought, to the solver of the pixels and the functions that it takes."""

from __future__ import annotations

from typing import Any

from jax.sharding import Mesh

from jptycho.assembly.devices import parts_of_step
from jptycho.assembly.extension import PLAIN, Extension
from jptycho.assembly.parts import parts_of_scan
from jptycho.assembly.solver_checks import WHOLE_SCAN
from jptycho.assembly.unknowns import pixel_probe, probe_rate, ramp_is_gauge, refined, refined_rates
from jptycho.config import constraints
from jptycho.config.objective import LOSSES
from jptycho.config.pixels import GRADIENT
from jptycho.config.run import Config
from jptycho.objective.denoisers import Denoising
from jptycho.objective.losses import Loss
from jptycho.objective.penalties import Penalty
from jptycho.objective.projections import Projection
from jptycho.objective.shared_charge import SharedChargeLoss
from jptycho.preprocess.prepare import Problem
from jptycho.representations.base import ModelSpec
from jptycho.representations.networks.base import Network
from jptycho.representations.networks.unet import UNetSpec
from jptycho.representations.pixels import ChannelObject, PixelObject, PixelProbe, Preconditioner
from jptycho.scan import steps_per_epoch
from jptycho.solvers.base import Solver
from jptycho.solvers.difference_map import difference_map, raar
from jptycho.solvers.gradient import GradientSolver
from jptycho.solvers.lsqml import LSQMLSolver
from jptycho.solvers.optimisers import LINE_SEARCH, Optimiser
from jptycho.solvers.pie import PIESolver

SHARED_CHARGE = "shared_charge"
"""The loss of which the configuration says a width."""
PATIENCE = 3  # epochs without progress before a plateau halves the rates


def probe_network_of(config: Config) -> Network:
    """The network of a generated probe.

    Args:
        config: whose table ``[dgp]`` says how.

    Returns:
        the network.
    """
    dgp = config.dgp
    return UNetSpec(dgp.probe_levels, dgp.base_channels, dgp.upsampling, dgp.probe_complex, precision=dgp.precision)


def loss_of(config: Config, extension: Extension = PLAIN) -> Loss:
    """The loss of a run: the user's, or the one that the configuration names.

    Args:
        config: without ``auto``.
        extension: what the user brought.

    Returns:
        the function.

    Example:
        >>> from jptycho.config.run import parse_config
        >>> loss_of(parse_config({"data": {"file": ""}, "loss": "poisson"})).__name__
        'poisson_loss'
    """
    if extension.loss is not None:
        return extension.loss
    return SharedChargeLoss(config.refine.point_spread) if config.loss == SHARED_CHARGE else LOSSES[config.loss]


def penalties_of(config: Config, extension: Extension = PLAIN) -> tuple[Penalty, ...]:
    """The penalties of a run: those that the configuration names, then the user's.

    Args:
        config: of the run.
        extension: what the user brought.

    Returns:
        with their weights.
    """
    return (*constraints.penalties_of(config.penalties).values(), *extension.penalties)


def projections_of(config: Config, extension: Extension = PLAIN) -> tuple[Projection, ...]:
    """The projections of a run in their order: those that the configuration names, then the user's.

    Args:
        config: of the run.
        extension: what the user brought.

    Returns:
        with their constants.
    """
    return (*constraints.projections_of(config.projections).values(), *extension.projections)


def denoisers_of(config: Config, extension: Extension = PLAIN) -> tuple[Denoising, ...]:
    """The denoisers of a run's pixels.

    Args:
        config: of the run, which names none.
        extension: what the user brought.

    Returns:
        with their levels.
    """
    del config
    return extension.denoisers


def network_of(config: Config, extension: Extension = PLAIN) -> Network:
    """The network of a generated object: the user's, or the one that the configuration describes.

    Args:
        config: whose table ``[dgp]`` says how.
        extension: what the user brought.

    Returns:
        the network.
    """
    dgp = config.dgp
    if extension.network is not None:
        return extension.network
    return UNetSpec(
        dgp.levels,
        dgp.base_channels,
        dgp.upsampling,
        architecture=dgp.architecture,
        skips=dgp.skips,
        norm=dgp.norm,
        precision=dgp.precision,
    )


def build_solver(config: Config, problem: Problem, mesh: Mesh, epochs: int, extension: Extension = PLAIN) -> Solver:
    """The solver that a configuration asks for.

    Args:
        config: without ``auto``.
        problem: the scan made ready.
        mesh: devices.
        epochs: that will be run, for the schedule.
        extension: what the user brought.

    Returns:
        the solver.
    """
    pixels, batch = config.pixels, int(config.pixels.batch)
    constrained_by: dict[str, Any] = {
        "projections": projections_of(config, extension),
        "denoisers": denoisers_of(config, extension),
    }
    if pixels.solver in WHOLE_SCAN:
        make = raar if pixels.solver == "raar" else difference_map
        settings = config.difference_map
        return make(
            ModelSpec(ChannelObject(config.object.kind), PixelProbe()),
            settings.beta,
            passes=settings.passes,
            hold_probe=config.probe.fixed,
            **constrained_by,
        )
    parts, patterns = parts_of_scan(problem.counts)
    shared: dict[str, Any] = {
        "steps": steps_per_epoch(patterns, batch, mesh.size),
        "micro_batches": parts_of_step(config, mesh.size),
        **constrained_by,
    }
    if pixels.solver == GRADIENT:
        return _gradient(config, problem, epochs, shared | {"parts": parts}, extension)
    return _by_batches(config, shared)


def _by_batches(config: Config, shared: dict[str, Any]) -> Solver:
    """LSQ-ML, or one of the PIE family."""
    pixels = config.pixels
    model = ModelSpec(ChannelObject(config.object.kind), PixelProbe())
    if pixels.solver == "lsqml":
        settings = config.lsqml
        return LSQMLSolver(
            model,
            damping=settings.damping,
            beta=settings.beta,
            compact=settings.compact,
            hold_probe=config.probe.fixed,
            **shared,
        )
    settings = config.pie
    alpha = 1.0 if pixels.solver == "epie" else settings.alpha
    return PIESolver(
        model,
        object_step=settings.object_step,
        probe_step=0.0 if config.probe.fixed else settings.probe_step,
        object_alpha=alpha,
        probe_alpha=alpha,
        momentum=settings.momentum if pixels.solver == "mpie" else 0.0,
        period=settings.period,
        **shared,
    )


def preconditioner_of(config: Config, problem: Problem) -> Preconditioner:
    """The spectral preconditioner of a run.

    Args:
        config: without ``auto``.
        problem: the scan made ready.

    Returns:
        its constants.
    """
    chosen = config.pixels.preconditioner
    return Preconditioner(float(chosen.gain), float(chosen.cutoff), problem.setup.grid.sampling)


def _gradient(
    config: Config, problem: Problem, epochs: int, shared: dict[str, Any], extension: Extension
) -> GradientSolver:
    pixels, steps = config.pixels, shared["steps"] * shared["parts"]
    model = ModelSpec(
        PixelObject(
            config.object.kind, preconditioner_of(config, problem), pixels.coverage_weighting, ramp_is_gauge(config)
        ),
        pixel_probe(config, problem, float(pixels.probe_rate)),
        **refined(config, problem),
    )
    schedules = {
        "cosine": {"decay_steps": steps * epochs},
        "constant": {},
        "plateau": {"plateau": (0.5, PATIENCE)},
    }
    optimiser = Optimiser(
        pixels.optimiser, tuple(sorted(pixels.optimiser_options.items())), **schedules[pixels.schedule]
    )
    return GradientSolver(
        model,
        loss_of(config, extension),
        object_rate=1.0 if pixels.optimiser in LINE_SEARCH else float(pixels.object_rate),
        probe_rate=probe_rate(config, float(pixels.probe_rate)),
        optimiser=optimiser,
        **refined_rates(config, problem),
        penalties=penalties_of(config, extension),
        **shared,
    )
