"""The stage of the deep generative priors: estimates from halves of the electrons, pre-training, joint optimisation."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from jptycho.config.pixels import AUTO
from jptycho.config.run import Config
from jptycho.errors import DivergenceError
from jptycho.parallel import make_mesh
from jptycho.preprocess.direct_phase import DIRECT
from jptycho.preprocess.prepare import Problem
from jptycho.reconstruction.build import (
    loss_of,
    network_of,
    penalties_of,
    preconditioner_of,
    probe_network_of,
    projections_of,
    refined,
    refined_rates,
)
from jptycho.reconstruction.ensembles import members_together, stack
from jptycho.reconstruction.extension import PLAIN, Extension
from jptycho.reconstruction.pixel_stages import estimate_by_pixels
from jptycho.reconstruction.run import DGP, Reached, Run, has_checkpoint, stream
from jptycho.reconstruction.stages import judged, optimise
from jptycho.representations.base import POTENTIAL, Estimate, ModelSpec, Representation, initialise
from jptycho.representations.generated import GeneratedObject, GeneratedProbe, added_to_estimate
from jptycho.representations.networks.pretraining import (
    Generator,
    Pretraining,
    PretrainingState,
    begin_pretraining,
    better_added,
    continue_pretraining,
)
from jptycho.representations.networks.unet import parameter_count
from jptycho.representations.pixels import PixelObject, PixelProbe
from jptycho.solvers.base import Solver
from jptycho.solvers.constraints import check_projections
from jptycho.solvers.ensemble import EnsembleSolver
from jptycho.solvers.epochs import DONE, INTERRUPTED
from jptycho.solvers.gradient import GradientSolver
from jptycho.solvers.optimisers import Optimiser

COMPARISON = "comparison"
"""What the epochs of pixels are called with which a random start is compared."""
NETWORKS, LAST, START = "the networks' best epoch", "their last", "the start"
"""What may be kept of the stage."""
PIXEL_PROBE = 10.0
"""Learning rate of a probe of pixels, in that of a network's."""


def run_generators(
    run: Run, estimate: Estimate, estimates: list[Estimate] | None = None
) -> tuple[dict[str, Estimate], str]:
    """Pre-train object and probe generators on an estimate, then optimise them jointly.

    Args:
        run: the run.
        estimate: the estimate.
        estimates: by the halves of each member's electrons, where pixels made them.

    Returns:
        estimates of which one is to be kept, by their names, that of the networks' best epoch first, none where the
        networks were interrupted before their first; and the status.
    """
    settings = run.config.dgp
    # One device: convolutions use all cores of a CPU by themselves, and shards would each evaluate the whole network.
    mesh = make_mesh(jax.devices()[:1]) if jax.default_backend() == "cpu" else make_mesh()
    model = prior_model(run.config, run.problem, run.extension)
    member = prior_solver(run.config, model, run.problem, run.extension)
    check_projections(model, member.projections)
    solver: Solver = member
    estimate = jax.device_put(estimate, mesh.devices[0])
    starts = []
    for number in range(settings.ensemble_size):
        half_sets = None if estimates is None else estimates[number].half_sets
        start = None if run.stop() else _start(run, model, dataclasses.replace(estimate, half_sets=half_sets), number)
        if start is None:
            return {}, INTERRUPTED
        starts.append(start)
    if settings.ensemble_size > 1:
        solver = EnsembleSolver(member, settings.ensemble_size, members_at_once(run.config, run.problem, run.extension))
    start = starts[0] if settings.ensemble_size == 1 else (stack([p for p, _ in starts]), stack([c for _, c in starts]))
    reached = optimise(run, DGP, solver, mesh, estimate, start, settings.epochs)
    if settings.start == "random" and reached.status == DONE:
        _compare_with_pixels(run, mesh, estimate, reached.estimate)
    return _candidates(run, mesh, reached), reached.status


def _candidates(run: Run, mesh: Mesh, reached: Reached) -> dict[str, Estimate]:
    """Best and last epoch of the networks, and their start.

    The best was chosen before its bands were made as strong as what is held out confirms; then a later one may be
    better. A network reproduces no probe exactly, so its objects get the probe of the start where that predicts more.
    An earlier result may have seen the electrons that are held out now: it is no candidate.
    """
    dgp, held, loss = run.config.dgp, run.held, loss_of(run.config, run.extension)
    candidates = {NETWORKS: reached.estimate} | ({} if reached.last is reached.estimate else {LAST: reached.last})
    if held is None or dgp.start_file is not None:
        return candidates
    if dgp.object == dgp.probe == "network":
        with_start = dataclasses.replace(reached.estimate, probe=reached.start.probe)
        if judged(held, loss, mesh, with_start) < judged(held, loss, mesh, reached.estimate):
            run.log("the probe of the start predicts more with the networks' object than theirs, and is kept")
            probe = reached.start.probe
            candidates = {name: dataclasses.replace(estimate, probe=probe) for name, estimate in candidates.items()}
    return candidates | {START: reached.start}


def _compare_with_pixels(run: Run, mesh: Mesh, estimate: Estimate, found: Estimate) -> None:
    """Say so where networks that began without an estimate predict less than a few epochs of pixels."""
    epochs = max(1, run.config.dgp.start_epochs)
    if run.held is None:
        run.log(
            "nothing is held out (validation.fraction = 0), so nothing tells whether the random start found the object"
        )
        return
    try:
        quick, status = estimate_by_pixels(run, estimate, epochs, COMPARISON)
    except DivergenceError:
        run.log("random start: pixels diverge, so nothing tells whether the networks found the object")
        return
    if status == INTERRUPTED:
        return
    by_pixels, by_networks = (
        judged(run.held, loss_of(run.config, run.extension), mesh, estimate) for estimate in (quick, found)
    )
    compared = f"{by_networks:.6g} with the networks, {by_pixels:.6g} after {epochs} epochs of pixels"
    if by_networks > by_pixels:
        compared += '. The random start has not found the object: use dgp.start = "pixels"'
    run.log(f"random start, what is held out: {compared}")


def members_at_once(config: Config, problem: Problem, extension: Extension = PLAIN) -> int:
    """How many members of an ensemble are evaluated together.

    Args:
        config: without ``auto``.
        problem: the scan made ready.
        extension: what the user brought.

    Returns:
        at least one.

    Raises:
        ConfigError: memory does not hold the members.
    """
    model = prior_model(config, problem, extension)
    shapes = jax.eval_shape(lambda estimate: initialise(model, jax.random.key(0), estimate)[0], problem.estimate)
    return members_together(config, problem, parameter_count(shapes))


def _start(run: Run, model: ModelSpec, estimate: Estimate, member: int) -> tuple[Any, Any] | None:
    """Parameters and constants of one network of each kind, pre-trained unless a checkpoint holds what they became.

    None where an interruption was asked for meanwhile: half of that is no start.
    """
    settings, resumed = run.config.dgp, has_checkpoint(run, DGP)
    if run.half_sets is not None and estimate.half_sets is None:
        # Of what a checkpoint holds only the shape matters.
        direct = (lambda half, positive: estimate.object) if resumed else DIRECT[settings.start]
        positive = run.config.object.kind == POTENTIAL
        half_sets = jnp.stack([jnp.asarray(direct(half, positive)) for half in run.half_sets[member]])
        estimate = dataclasses.replace(estimate, half_sets=half_sets)
    params, constants = initialise(model, stream(run, DGP, "weights", member), estimate)
    if resumed or settings.start == "random" or not settings.pretrain_steps:
        return params, constants
    rate = settings.pretrain_rate
    schedules = {
        "object": Pretraining(settings.pretrain_steps, rate, settings.pretrain_tolerance),
        "probe": Pretraining(settings.probe_pretrain_steps, rate, settings.probe_pretrain_tolerance),
    }
    for name, generator in generators_of(model).items():
        key = stream(run, DGP, "pre-training", name, member)
        state = begin_pretraining(params[name], key, schedules[name])
        state = _pretrained(run, name, generator, state, constants[name], schedules[name])
        if state is None:
            return None
        params[name], error = state.params, state.error
        run.log(f"pre-trained the {name}'s network: {int(state.step)} steps, relative error {float(error):.3f}")
        adds = settings.residual == AUTO and better_added(error, constants[name])
        if adds and isinstance(generator, GeneratedObject):
            run.log(
                "that is more than the noise of the estimate: the network adds to the estimate and does not replace it"
            )
            params[name], constants[name] = added_to_estimate(generator.network, params[name], constants[name])
    return params, constants


def _pretrained(
    run: Run, name: str, generator: Generator, state: PretrainingState, constants: Any, settings: Pretraining
) -> PretrainingState | None:
    """The state after pre-training, which shows how far it is; None where an interruption was asked for."""
    unfinished = True
    while unfinished:
        run.announce(f"pre-training the {name}'s network", int(state.step), settings.steps)
        until = int(state.step) + PART
        state, unfinished = continue_pretraining(generator, state, constants, settings, until)
        if run.stop():
            return None
    return state


PART = 10
"""Steps of pre-training between two looks at it."""


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
    whole: Representation = PixelObject(kind, filtered, config.pixels.coverage_weighting, not config.probe.fixed)
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
            not config.probe.fixed,
            settings.augment,
        )
    probe: Representation = PixelProbe()
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
    settings, patterns = config.dgp, len(problem.counts)
    steps = min(settings.steps, patterns)
    generated = generators_of(model)
    rates = {
        "object": settings.object_rate if "object" in generated else float(config.pixels.object_rate),
        "probe": settings.probe_rate * (1.0 if "probe" in generated else PIXEL_PROBE),
    }
    return GradientSolver(
        model,
        loss_of(config, extension),
        object_rate=rates["object"],
        probe_rate=0.0 if config.probe.fixed else rates["probe"],
        steps=steps,
        micro_batches=max(1, -(-patterns // steps // settings.micro_batch)),
        optimiser=Optimiser(warm_up=settings.warm_up),
        ema_decay=settings.ema_decay,
        **refined_rates(config, problem),
        penalties=penalties_of(config, extension),
        projections=projections_of(config, extension),
    )
