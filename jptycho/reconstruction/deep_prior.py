"""The stage of the deep generative priors: estimates from halves of the electrons, pre-training, joint optimisation."""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp
from jax.sharding import Mesh

from jptycho.assembly.build import loss_of, projections_of
from jptycho.assembly.devices import networks_mesh
from jptycho.assembly.ensembles import stack
from jptycho.assembly.placing import place, side_by_side
from jptycho.assembly.prior_model import generators_of
from jptycho.assembly.stage_solvers import networks_solver
from jptycho.assembly.unknowns import without_stale_parts
from jptycho.config.run import Config
from jptycho.errors import DivergenceError
from jptycho.parallel import on_one_device
from jptycho.preprocess.direct_phase import DIRECT
from jptycho.reconstruction.confirmed import keep_confirmed
from jptycho.reconstruction.context import Context, Fit, Progress, Reached, Stage, stream
from jptycho.reconstruction.pixels import estimate_by_pixels
from jptycho.reconstruction.stages import log_best, reference_of, validation_loss
from jptycho.representations.base import POTENTIAL, ModelSpec, initialise
from jptycho.representations.estimate import Estimate
from jptycho.representations.generated import GeneratedObject, added_to_estimate
from jptycho.representations.networks.pretraining import (
    Generator,
    Pretraining,
    PretrainingState,
    begin_pretraining,
    better_added,
    continue_pretraining,
)
from jptycho.settings import AUTO
from jptycho.solvers.base import ScanData
from jptycho.solvers.constraints import check_projections
from jptycho.solvers.epochs import DONE, INTERRUPTED
from jptycho.solvers.streaming import StreamedScan
from jptycho.types import Constants, Params

COMPARISON = "comparison"
"""What the epochs of pixels are called with which a random start is compared."""
NETWORKS, LAST, START = "the networks' best epoch", "their last", "the start"
"""What may be kept of the stage."""


def begin_networks(context: Context, stage: Stage, progress: Progress, resumed: bool) -> Fit | None:
    """Generators of object and probe, pre-trained on the estimate so far, to be optimised jointly.

    Each network of an ensemble begins with a pair of half sets, where pixels made them. None where an interruption was
    asked for meanwhile.
    """
    config, mesh = stage.config, networks_mesh()
    solver = networks_solver(config, context.problem, context.extension)
    model = solver.model
    check_projections(model, projections_of(config, context.extension))
    size, starts = int(config.dgp.ensemble_size), []
    for number in range(size):
        if context.stop():
            return None
        start = _start(context, stage, model, _with_halves(context, config, progress, number, resumed), number, resumed)
        if start is None:
            return None
        starts.append(start)
    params, constants = starts[0]
    if size > 1:
        params, constants = (stack([start[n] for start in starts]) for n in (0, 1))
    return Fit(solver, mesh, params, constants, scan_data(context, stage, mesh))


def _with_halves(context: Context, config: Config, progress: Progress, number: int, resumed: bool) -> Estimate:
    """The estimate so far with those by a pair of half sets, which pixels or a direct method made."""
    estimate = without_stale_parts(config, context.problem, on_one_device(progress.estimate))
    if not config.dgp.half_sets:
        return dataclasses.replace(estimate, half_sets=None)
    if resumed:
        return dataclasses.replace(estimate, half_sets=jnp.stack([estimate.object, estimate.object]))
    if progress.pairs:
        return dataclasses.replace(estimate, half_sets=progress.pairs[number].half_sets)
    direct, positive = DIRECT[config.dgp.start], config.object.kind == POTENTIAL
    half_sets = [jnp.asarray(direct(half, positive)) for half in context.half_sets[number]]
    return dataclasses.replace(estimate, half_sets=jnp.stack(half_sets))


def scan_data(context: Context, stage: Stage, mesh: Mesh) -> ScanData | StreamedScan:
    """The scan on its devices: by half sets where there are, and for each member where there are several."""
    counts, setup, size = context.problem.counts, context.problem.setup, int(stage.config.dgp.ensemble_size)
    if stage.config.dgp.half_sets:
        pairs = [side_by_side([half.counts for half in pair]) for pair in context.half_sets[:size]]
        counts, setup = pairs[0] if len(pairs) == 1 else side_by_side(pairs), context.half_sets[0][0].setup
    elif size > 1:
        counts = side_by_side([counts])
    return place(counts, setup, mesh, reference_of(context, stage.config, context.problem), context.config.seed)


def conclude_networks(context: Context, stage: Stage, progress: Progress, reached: Reached) -> Progress:
    """Hand on what held-out electrons confirm: best or last epoch of the networks, or what they began with."""
    log_best(context, stage, reached)
    if stage.config.dgp.start == "random" and reached.status == DONE:
        _compare_with_pixels(context, stage, progress.estimate, reached.best)
    kept = keep_confirmed(
        dataclasses.replace(context, config=stage.config), _candidates(context, stage, progress.estimate, reached)
    )
    return dataclasses.replace(progress, estimate=kept, start=progress.estimate)


def _candidates(context: Context, stage: Stage, start: Estimate, reached: Reached) -> dict[str, Estimate]:
    """Best and last epoch of the networks, and their start.

    The best was chosen before its bands were made as strong as what is held out confirms; then a later one may be
    better. A network reproduces no probe exactly, so its objects get the probe of the start where that predicts more.
    An earlier result may have seen the electrons that are held out now: it is no candidate.
    """
    dgp, held, mesh = stage.config.dgp, context.validation, networks_mesh()
    loss = loss_of(stage.config, context.extension)
    candidates = {NETWORKS: reached.best} | ({} if reached.last is reached.best else {LAST: reached.last})
    if held is None or dgp.start_file is not None:
        return candidates
    if dgp.object == dgp.probe == "network":
        with_start = dataclasses.replace(reached.best, probe=start.probe)
        if validation_loss(held, loss, mesh, with_start) < validation_loss(held, loss, mesh, reached.best):
            context.log("the probe of the start predicts more with the networks' object than theirs, and is kept")
            candidates = {name: dataclasses.replace(one, probe=start.probe) for name, one in candidates.items()}
    return candidates | {START: start}


def _compare_with_pixels(context: Context, stage: Stage, start: Estimate, found: Estimate) -> None:
    """Say so where networks that began without an estimate predict less than a few epochs of pixels."""
    held, loss = context.validation, loss_of(stage.config, context.extension)
    epochs = max(1, stage.config.dgp.start_epochs)
    if held is None:
        context.log(
            "nothing is held out (validation.fraction = 0), so nothing tells whether the random start found the object"
        )
        return
    problem = dataclasses.replace(context.problem, estimate=start)
    try:
        quick, status = estimate_by_pixels(context, stage.config, problem, epochs, COMPARISON)
    except DivergenceError:
        context.log("random start: pixels diverge, so nothing tells whether the networks found the object")
        return
    if status == INTERRUPTED:
        return
    by_pixels, by_networks = (validation_loss(held, loss, networks_mesh(), one) for one in (quick, found))
    compared = f"{by_networks:.6g} with the networks, {by_pixels:.6g} after {epochs} epochs of pixels"
    if by_networks > by_pixels:
        compared += '. The random start has not found the object: use dgp.start = "pixels"'
    context.log(f"random start, what is held out: {compared}")


def _start(
    context: Context, stage: Stage, model: ModelSpec, estimate: Estimate, member: int, resumed: bool
) -> tuple[Params, Constants] | None:
    """Parameters and constants of one network of each kind, pre-trained unless a checkpoint holds what they became.

    None where an interruption was asked for meanwhile: half of that is no start.
    """
    settings = stage.config.dgp
    params, constants = initialise(model, stream(context, stage.name, "weights", member), estimate)
    if resumed or settings.start == "random" or not settings.pretrain_steps:
        return params, constants
    rate = settings.pretrain_rate
    schedules = {
        "object": Pretraining(settings.pretrain_steps, rate, settings.pretrain_tolerance),
        "probe": Pretraining(settings.probe_pretrain_steps, rate, settings.probe_pretrain_tolerance),
    }
    for name, generator in generators_of(model).items():
        key = stream(context, stage.name, "pre-training", name, member)
        state = on_one_device(begin_pretraining(params[name], key, schedules[name]))
        state = _pretrained(context, name, generator, state, constants[name], schedules[name])
        if state is None:
            return None
        params[name], error = state.params, state.error
        context.log(f"pre-trained the {name}'s network: {int(state.step)} steps, relative error {float(error):.3f}")
        adds = settings.residual == AUTO and better_added(error, constants[name])
        if adds and isinstance(generator, GeneratedObject):
            context.log(
                "that is more than the noise of the estimate: the network adds to the estimate and does not replace it"
            )
            params[name], constants[name] = added_to_estimate(generator.network, params[name], constants[name])
    return params, constants


def _pretrained(
    context: Context,
    name: str,
    generator: Generator,
    state: PretrainingState,
    constants: Constants,
    settings: Pretraining,
) -> PretrainingState | None:
    """The state after pre-training, which shows how far it is; None where an interruption was asked for."""
    unfinished = True
    while unfinished:
        context.announce(f"pre-training the {name}'s network", int(state.step), settings.steps)
        until = int(state.step) + PART
        state, unfinished = continue_pretraining(generator, state, constants, settings, until)
        if context.stop():
            return None
    return state


PART = 10
"""Steps of pre-training between two looks at it."""
