"""From a configuration to the solver of the pixels, and what each solver cannot do."""

from __future__ import annotations

from typing import Any

import jax
from jax.sharding import Mesh

from jptycho.config.constraints import penalties_of, projections_of
from jptycho.config.objective import LOSSES
from jptycho.config.pixels import AUTO, GRADIENT
from jptycho.config.run import Config
from jptycho.errors import ConfigError
from jptycho.objective.losses import Loss
from jptycho.parallel import make_mesh
from jptycho.preprocess.automatic import choose_micro_batches
from jptycho.preprocess.prepare import Problem
from jptycho.reconstruction.extension import PLAIN, Extension
from jptycho.representations.base import ModelSpec
from jptycho.representations.per_position import FreePositions, FreeTilt
from jptycho.representations.pixels import ChannelObject, PixelObject, PixelProbe, Preconditioner
from jptycho.scan import steps_per_epoch
from jptycho.solvers.base import Solver
from jptycho.solvers.difference_map import difference_map, raar
from jptycho.solvers.gradient import GradientSolver
from jptycho.solvers.lsqml import LSQMLSolver
from jptycho.solvers.optimisers import LINE_SEARCH, Optimiser, check_optimiser
from jptycho.solvers.pie import PIESolver

PATIENCE = 3  # epochs without progress before a plateau halves the rates
WHOLE_SCAN = frozenset({"dm", "raar"})


def takes_whole_scan(config: Config) -> bool:
    """Whether the pixels' solver sees all patterns in one step.

    Args:
        config: of the run.

    Returns:
        whether.
    """
    pixels = config.pixels
    return pixels.solver in WHOLE_SCAN or (pixels.solver == GRADIENT and pixels.optimiser in LINE_SEARCH)


def check_engine(config: Config) -> None:
    """Refuse what the pixels' solver cannot do, and settings that it does not read.

    Args:
        config: as given.

    Raises:
        ConfigError: the setting, and what to use instead.
    """
    pixels, refine = config.pixels, config.refine
    wanted = [name for name, on in (("position_rate", refine.position_rate), ("tilt", refine.tilt != "none")) if on]
    classical = config.method == "pixels" and pixels.solver != GRADIENT
    if wanted and classical:
        raise ConfigError(
            f'refine.{wanted[0]}: solver "{pixels.solver}" optimises object and probe only. '
            'Use pixels.solver = "gradient", or remove it.'
        )
    for name, tilted in (("refine.tilt", refine.tilt != "none"), ("object.tilt", any(config.object.tilt))):
        if tilted and config.object.slices == 1:
            raise ConfigError(f"{name}: has no effect on one slice. Remove it, or raise object.slices.")
    if classical and config.loss not in (AUTO, "amplitude"):
        raise ConfigError(
            f'loss: solver "{pixels.solver}" corrects amplitudes, found "{config.loss}". '
            'Use loss = "amplitude", or pixels.solver = "gradient".'
        )
    if pixels.solver in WHOLE_SCAN and config.object.slices > 1:
        raise ConfigError(
            f'pixels.solver: "{pixels.solver}" knows one slice, found object.slices = {config.object.slices}. '
            'Use "gradient", "lsqml" or "epie".'
        )
    if pixels.solver == GRADIENT:
        _check_gradient(config, wanted)
    _check_tables(config)


def _check_gradient(config: Config, refine: list[str]) -> None:
    pixels = config.pixels
    check_optimiser(Optimiser(pixels.optimiser, tuple(pixels.optimiser_options.items())))
    if pixels.optimiser not in LINE_SEARCH:
        return
    for name, given in (
        ("pixels.object_rate", pixels.object_rate != AUTO),
        ("pixels.schedule", pixels.schedule == "plateau"),
        (f"refine.{refine[0]}" if refine else "", bool(refine)),
    ):
        if given:
            raise ConfigError(
                f"{name}: {pixels.optimiser} finds one step for all unknowns by itself. Remove it, or use adam."
            )


USED = {
    "epie": {"pie": {"object_step", "probe_step"}},
    "rpie": {"pie": {"object_step", "probe_step", "alpha"}},
    "mpie": {"pie": {"object_step", "probe_step", "alpha", "momentum", "period"}},
    "lsqml": {"lsqml": {"damping", "beta", "compact"}},
    "dm": {"difference_map": {"beta", "passes"}},
    "raar": {"difference_map": {"beta", "passes"}},
}
"""Keys of the solvers' own tables that each reads."""


def _check_tables(config: Config) -> None:
    """Refuse settings of a solver that is not the one."""
    used = USED.get(config.pixels.solver, {})
    for table in ("pie", "lsqml", "difference_map"):
        section = getattr(config, table)
        for key, field in type(section).model_fields.items():
            if getattr(section, key) != field.default and key not in used.get(table, ()):
                raise ConfigError(
                    f'{table}.{key}: has no effect with pixels.solver = "{config.pixels.solver}". Remove it.'
                )


def refined(config: Config, problem: Problem) -> dict[str, Any]:
    """Representations of positions and tilt, where they are refined, and of further unknowns.

    Args:
        config: of the run.
        problem: the scan made ready.

    Returns:
        arguments of :class:`jptycho.representations.base.ModelSpec`.
    """
    found: dict[str, Any] = {}
    if config.refine.position_rate:
        found["positions"] = FreePositions()
    if config.refine.tilt != "none":
        found["tilt"] = FreeTilt(config.refine.tilt == "local")
    return found | {"extra": tuple((name, unknown.representation) for name, unknown in problem.unknowns.items())}


def refined_rates(config: Config, problem: Problem) -> dict[str, Any]:
    """Learning rates of what :func:`refined` gives.

    Args:
        config: of the run.
        problem: the scan made ready.

    Returns:
        arguments of :class:`jptycho.solvers.gradient.GradientSolver`.
    """
    extra = tuple((name, unknown.rate) for name, unknown in problem.unknowns.items())
    refine = config.refine
    return {"position_rate": refine.position_rate, "tilt_rate": refine.tilt_rate, "extra_rates": extra}


LEAST_PATTERNS = 4  # a step on each device


def pixel_mesh(config: Config) -> Mesh:
    """Devices for the pixels: all of them, unless a step holds too little to share.

    Args:
        config: without ``auto``.

    Returns:
        the mesh.
    """
    filled = max(1, int(config.pixels.batch) // LEAST_PATTERNS)
    shared = 1 if config.pixels.solver in WHOLE_SCAN else min(jax.device_count(), filled)
    return make_mesh(jax.devices()[:shared])


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
    return LOSSES[config.loss] if extension.loss is None else extension.loss


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
    if pixels.solver in WHOLE_SCAN:
        make = raar if pixels.solver == "raar" else difference_map
        settings = config.difference_map
        return make(
            ModelSpec(ChannelObject(config.object.kind), PixelProbe()),
            settings.beta,
            passes=settings.passes,
            hold_probe=config.probe.fixed,
            projections=projections_of(config.projections),
        )
    shared: dict[str, Any] = {
        "steps": steps_per_epoch(len(problem.counts), batch, mesh.size),
        "micro_batches": choose_micro_batches(batch, mesh.size, jax.default_backend()),
        "projections": projections_of(config.projections),
    }
    if pixels.solver == GRADIENT:
        return _gradient(config, problem, epochs, shared | {"loss": loss_of(config, extension)})
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


def _gradient(config: Config, problem: Problem, epochs: int, shared: dict[str, Any]) -> GradientSolver:
    pixels, steps = config.pixels, shared["steps"]
    model = ModelSpec(
        PixelObject(
            config.object.kind, preconditioner_of(config, problem), pixels.coverage_weighting, not config.probe.fixed
        ),
        PixelProbe(),
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
        object_rate=float(pixels.object_rate),
        probe_rate=0.0 if config.probe.fixed else float(pixels.probe_rate),
        optimiser=optimiser,
        **refined_rates(config, problem),
        penalties=penalties_of(config.penalties),
        **shared,
    )
