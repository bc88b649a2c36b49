"""From a configuration to the solver of the pixels, and what each solver cannot do."""

from __future__ import annotations

from typing import Any

import jax
from jax.sharding import Mesh

from jptycho.config import Config
from jptycho.config_solvers import AUTO, GRADIENT
from jptycho.constraints import in_words, penalties_of, projections_of
from jptycho.errors import ConfigError
from jptycho.parallel import make_mesh
from jptycho.preprocess.automatic import choose_micro_batches
from jptycho.preprocess.prepare import Problem
from jptycho.representations.base import ModelSpec, Representation
from jptycho.representations.pixels import ChannelObject, PixelObject, PixelProbe, Preconditioner
from jptycho.representations.positions import FreePositions, FreeTilt
from jptycho.scan import steps_per_epoch
from jptycho.solvers.base import Solver
from jptycho.solvers.gradient import GradientSolver
from jptycho.solvers.lsqml import LSQMLSolver
from jptycho.solvers.optimisers import LINE_SEARCH, Optimiser, check_optimiser
from jptycho.solvers.pie import PIESolver
from jptycho.solvers.sets import difference_map, raar

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
    """Refuse what the pixels' solver cannot do.

    Args:
        config: as given.

    Raises:
        ConfigError: the setting, and what to use instead.
    """
    pixels, refine = config.pixels, config.refine
    if pixels.solver == GRADIENT:
        check_optimiser(Optimiser(pixels.optimiser, tuple(pixels.optimiser_options.items())))
        return
    for name, wanted in (("position_rate", bool(refine.position_rate)), ("tilt", refine.tilt != "none")):
        if wanted:
            raise ConfigError(
                f'refine.{name}: solver "{pixels.solver}" optimises object and probe only. '
                'Use pixels.solver = "gradient", or remove it.'
            )
    if config.loss not in (AUTO, "amplitude"):
        raise ConfigError(
            f'loss: solver "{pixels.solver}" corrects amplitudes, found "{config.loss}". '
            'Use loss = "amplitude", or pixels.solver = "gradient".'
        )
    if pixels.solver in WHOLE_SCAN and config.object.slices > 1:
        raise ConfigError(
            f'pixels.solver: "{pixels.solver}" knows one slice, found object.slices = {config.object.slices}. '
            'Use "gradient", "lsqml" or "epie".'
        )


def refined(config: Config) -> dict[str, Representation]:
    """Representations of positions and tilt, where they are refined.

    Args:
        config: of the run.

    Returns:
        arguments of :class:`jptycho.representations.base.ModelSpec`.
    """
    found: dict[str, Representation] = {}
    if config.refine.position_rate:
        found["positions"] = FreePositions()
    if config.refine.tilt != "none":
        found["tilt"] = FreeTilt(config.refine.tilt == "local")
    return found


def pixel_mesh(config: Config) -> Mesh:
    """Devices for the pixels: all of them, unless a step holds too little to share.

    Args:
        config: without ``auto``.

    Returns:
        the mesh.
    """
    shared = config.pixels.solver not in WHOLE_SCAN and int(config.pixels.batch) >= jax.device_count()
    return make_mesh() if shared else make_mesh(jax.devices()[:1])


def pixel_solver(config: Config, problem: Problem, mesh: Mesh, epochs: int) -> Solver:
    """The solver that a configuration asks for.

    Args:
        config: without ``auto``.
        problem: the scan made ready.
        mesh: devices.
        epochs: that will be run, for the schedule.

    Returns:
        the solver.
    """
    pixels, batch = config.pixels, int(config.pixels.batch)
    if pixels.solver in WHOLE_SCAN:
        make = raar if pixels.solver == "raar" else difference_map
        sets = config.sets
        return make(
            ModelSpec(ChannelObject(config.object.kind), PixelProbe()),
            sets.beta,
            passes=sets.passes,
            hold_probe=config.probe.fixed,
            projections=projections_of(config.projections),
        )
    shared: dict[str, Any] = {
        "steps": steps_per_epoch(len(problem.counts), batch, mesh.size),
        "micro_batches": choose_micro_batches(batch, mesh.size, jax.default_backend()),
        "projections": projections_of(config.projections),
    }
    if pixels.solver == GRADIENT:
        return _gradient(config, problem, epochs, shared)
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


def _gradient(config: Config, problem: Problem, epochs: int, shared: dict[str, Any]) -> GradientSolver:
    pixels, steps = config.pixels, shared["steps"]
    weight = Preconditioner(float(pixels.amplitude), float(pixels.corner), problem.setup.grid.sampling)
    model = ModelSpec(PixelObject(config.object.kind, weight, pixels.even), PixelProbe(), **refined(config))
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
        config.loss,
        object_rate=float(pixels.object_rate),
        probe_rate=0.0 if config.probe.fixed else pixels.probe_rate,
        optimiser=optimiser,
        position_rate=config.refine.position_rate,
        tilt_rate=config.refine.tilt_rate,
        penalties=penalties_of(config.penalties),
        **shared,
    )


def objective_in_words(config: Config) -> list[str]:
    """What a run minimises, with what, and under which constraints: everything that is on.

    Args:
        config: without ``auto``.

    Returns:
        lines.
    """
    pixels, refine = config.pixels, config.refine
    solver = pixels.solver
    if solver == GRADIENT:
        solver = f"{pixels.optimiser}, spectral preconditioner amplitude {pixels.amplitude:.3g}, "
        solver += f"corner {pixels.corner:.3g}"
    free = ["object", *([] if config.probe.fixed else ["probe"])]
    free += [f"positions (rate {refine.position_rate:g} px)"] if refine.position_rate else []
    free += [f"{refine.tilt} tilt (rate {refine.tilt_rate:g} mrad)"] if refine.tilt != "none" else []
    return [
        f"loss: {config.loss}",
        *in_words(penalties_of(config.penalties), projections_of(config.projections)),
        f"optimised: {', '.join(free)}",
        f"pixels by {solver}",
    ]


def advice(config: Config, stage: str) -> str:
    """What to do where a stage diverges.

    Args:
        config: of the run.
        stage: ``"pixels"`` or ``"dgp"``.

    Returns:
        a sentence.
    """
    if stage == "dgp" or config.pixels.solver == GRADIENT:
        return f"Lower {stage}.object_rate or {stage}.probe_rate, and any weight of [penalties]."
    if config.pixels.solver == "lsqml":
        return "Lower lsqml.beta, or raise lsqml.damping."
    return "Lower sets.beta." if config.pixels.solver in WHOLE_SCAN else "Lower pie.object_step or pie.probe_step."
