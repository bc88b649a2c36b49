"""Representations and solver of the deep generative priors, from a configuration."""

from __future__ import annotations

from jptycho.assembly.build import (
    loss_of,
    network_of,
    penalties_of,
    preconditioner_of,
    probe_network_of,
    projections_of,
)
from jptycho.assembly.extension import PLAIN, Extension
from jptycho.assembly.parts import parts_of_scan
from jptycho.assembly.unknowns import pixel_probe, probe_rate, ramp_is_gauge, refined, refined_rates
from jptycho.config.run import Config
from jptycho.preprocess.prepare import Problem
from jptycho.representations.base import ModelSpec, Representation
from jptycho.representations.generated import GeneratedObject, GeneratedProbe
from jptycho.representations.networks.pretraining import (
    Generator,
)
from jptycho.representations.pixels import PixelObject
from jptycho.solvers.gradient import GradientSolver
from jptycho.solvers.optimisers import Optimiser

PIXEL_PROBE = 10.0
"""Learning rate of a probe of pixels, in that of a network's."""


def prior_model(config: Config, problem: Problem, extension: Extension = PLAIN) -> ModelSpec:
    """Representations of the unknowns: networks or pixels.

    Args:
        config: without ``auto``.
        problem: the scan made ready.
        extension: what the user brought.

    Returns:
        the model.
    """
    settings, kind = config.dgp, config.object.kind
    filtered = preconditioner_of(config, problem)
    network = network_of(config, extension)
    whole: Representation = PixelObject(kind, filtered, config.pixels.coverage_weighting, ramp_is_gauge(config))
    if settings.object == "network":
        through = filtered if settings.preconditioned else None
        residual = settings.residual is True
        blind = settings.random_input or settings.start == "random"  # a blank estimate would be a network's blank input
        whole = GeneratedObject(
            kind,
            network,
            float(settings.input_noise),
            residual,
            through,
            blind,
            ramp_is_gauge(config),
            settings.augment,
        )
    probe = pixel_probe(config, problem, PIXEL_PROBE * settings.probe_rate)
    if settings.probe == "network" and not config.probe.fixed:
        probe = GeneratedProbe(probe_network_of(config), settings.probe_input_noise)
    return ModelSpec(whole, probe, **refined(config, problem))


def generators_of(model: ModelSpec) -> dict[str, Generator]:
    """Those of object and probe that are generated.

    Args:
        model: representations.

    Returns:
        generators by the name of the unknown.
    """
    both = {"object": model.object, "probe": model.probe}
    return {name: r for name, r in both.items() if isinstance(r, Generator)}


def prior_solver(config: Config, model: ModelSpec, problem: Problem, extension: Extension = PLAIN) -> GradientSolver:
    """Adam on the weights, the networks evaluated once a step.

    Args:
        config: without ``auto``.
        model: representations.
        problem: the scan made ready.
        extension: what the user brought.

    Returns:
        the solver.
    """
    settings, (parts, patterns) = config.dgp, parts_of_scan(problem.counts)
    steps = min(-(-settings.steps // parts), patterns)
    generated = generators_of(model)
    rates = {
        "object": settings.object_rate if "object" in generated else float(config.pixels.object_rate),
        "probe": settings.probe_rate if "probe" in generated else probe_rate(config, PIXEL_PROBE * settings.probe_rate),
    }
    return GradientSolver(
        model,
        loss_of(config, extension),
        object_rate=rates["object"],
        probe_rate=rates["probe"],
        steps=steps,
        parts=parts,
        micro_batches=max(1, -(-patterns // steps // settings.micro_batch)),
        optimiser=Optimiser(warm_up=settings.warm_up),
        ema_decay=settings.ema_decay,
        **refined_rates(config, problem),
        penalties=penalties_of(config, extension),
        projections=projections_of(config, extension),
    )
