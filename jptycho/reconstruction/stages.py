"""A run's stages: the epochs of each, what judges them and which is kept."""

from __future__ import annotations

import dataclasses
import math
import time
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jptycho.config.pixels import AUTO
from jptycho.data.checkpoints import load_checkpoint, load_facts
from jptycho.forward.fields import Fields, Setup
from jptycho.objective.losses import Loss
from jptycho.objective.reference import Reference
from jptycho.parallel import replicate
from jptycho.preprocess.prepare import Problem
from jptycho.preprocess.reference import check_reference, make_reference
from jptycho.reconstruction.build import loss_of, penalties_of
from jptycho.reconstruction.run import DGP, HALVES, POLISH, Reached, Run, folder_of, has_checkpoint, save, stream
from jptycho.reconstruction.summary import advice
from jptycho.representations.base import Estimate, Representation, fields_of
from jptycho.solvers.base import ScanData, Solver, State, distribute, init_state
from jptycho.solvers.ensemble import EnsembleSolver, member_channels
from jptycho.solvers.epochs import Record, Stage, Validate, run_epochs
from jptycho.solvers.half_sets import HalfSetSolver
from jptycho.solvers.validation import loss_of_fields, validate_state
from jptycho.types import Array

UNKNOWNS = ("object", "probe", "positions", "tilt", "extra", "members")
"""What a stage begins with and a checkpoint keeps of it."""


def optimise(
    run: Run, name: str, solver: Solver, mesh: Mesh, estimate: Estimate, start: tuple[Any, Any], epochs: int
) -> Reached:
    """Run the epochs of a stage, from its checkpoint where there is one, saving checkpoints on the way.

    Args:
        run: the run.
        name: of the stage.
        solver: its settings.
        mesh: devices.
        estimate: what the stage began with.
        start: parameters and constants.
        epochs: in all.

    Returns:
        the estimate that is kept, and the status.
    """
    params, constants = start
    constants = replicate(mesh, constants)
    began = {"start": _unknowns(estimate), "fallback": _unknowns(run.fallback)}
    data = _distributed(run, mesh, name)
    state = init_state(solver, mesh, params, constants, stream(run, name, "epochs"))
    # A copy: the first epoch takes the state's arrays.
    best = None if run.held is None else BestEpoch(jax.tree.map(jnp.copy, state))
    if has_checkpoint(run, name):
        state, constants, began, best = _restored(run, name, _tree(state, constants, best) | began)
        estimate = dataclasses.replace(estimate, **began["start"])
    validate = _judge(run, solver, mesh, constants, data.setup)
    settings = (epochs, run.started, advice(run.config, name), validate, run.held is not None, run.announce)
    stage = Stage(name, solver, mesh, constants, data, *settings)
    saved_at = time.perf_counter()

    def callback(record: Record, now: State) -> None:
        nonlocal saved_at
        run.history.append(record)
        run.callback(record, lambda: jnp.copy(run.show(now) if run.show else object_channels(solver, now, constants)))
        if best is not None and record.validation_loss < best.value:
            # The next epoch takes the state's arrays.
            best.state, best.value, best.epoch = jax.tree.map(jnp.copy, now), record.validation_loss, record.epoch
        due = time.perf_counter() - saved_at >= 60 * run.config.output.checkpoint_minutes
        if run.checkpoint is not None and (due or run.stop()):
            tree = _tree(now, constants, best) | began
            judge_facts = {} if best is None else {"best": [best.value, best.epoch]}
            save(run, name, tree, judge_facts | {"ensemble": "members" in began["start"], "epochs": epochs})
            saved_at = time.perf_counter()

    def enough() -> bool:
        # The start does not count: pre-training only approximates it, and what follows may still surpass it.
        judged = [record.validation_loss for record in run.history if record.stage == name]
        return best is not None and len(judged) - int(np.argmin(judged or [0])) > run.config.validation.patience

    state, status = run_epochs(stage, state, callback, run.stop, enough)
    last = estimate_of(estimate, solver, state, constants)
    if best is None:
        return Reached(last, status, int(state.epoch), estimate, last)
    found = last if best.epoch == int(state.epoch) else estimate_of(estimate, solver, best.state, constants)
    kept = choose_estimate(run, name, mesh, best, estimate, found)
    return Reached(kept, status, 0 if kept is estimate else best.epoch, estimate, last)


def _restored(run: Run, name: str, like: dict[str, Any]) -> tuple[State, Any, dict[str, Any], BestEpoch | None]:
    """State, constants, what the stage began with and its best epoch, from a checkpoint; the history with them."""
    saved, facts = load_checkpoint(folder_of(run), like), load_facts(folder_of(run)) or {}
    run.fallback = run.fallback and dataclasses.replace(run.fallback, **saved["fallback"])
    run.history[:] = [Record(**record) for record in facts["history"]]
    run.started -= run.history[-1].seconds if run.history else 0.0
    run.log(f"goes on from the checkpoint after epoch {int(saved['state'].epoch)} of {name}")
    best = BestEpoch(saved["best"], *facts["best"]) if "best" in saved else None
    return saved["state"], saved["constants"], {key: saved[key] for key in ("start", "fallback")}, best


def _unknowns(estimate: Estimate | None) -> dict[str, Array]:
    """What a checkpoint keeps of an estimate."""
    found: dict[str, Any] = {name: getattr(estimate, name, None) for name in UNKNOWNS}
    return {name: value for name, value in found.items() if jax.tree.leaves(value)}


def choose_estimate(run: Run, name: str, mesh: Mesh, best: BestEpoch, start: Estimate, found: Estimate) -> Estimate:
    """The best epoch, or after a finish its start where that predicts better what is held out; said in words."""
    value = (
        judged(run.held, loss_of(run.config, run.extension), mesh, start)
        if run.held is not None and name == POLISH
        else math.inf
    )
    if value < best.value:
        run.log(f"{name}: no epoch predicts what is held out better than the start, {value:.6g}, which is kept")
        return start
    run.log(f"{name}: epoch {best.epoch} predicts what is held out best, {best.value:.6g}; it is kept")
    return found


def _distributed(run: Run, mesh: Mesh, name: str) -> ScanData:
    """The scan on its devices, with what penalties and projections compare the unknowns with."""
    reference = reference_of(run, run.problem)
    counts, setup = run.problem.counts, run.problem.setup
    if name == HALVES and run.half_sets is not None:
        counts = np.stack([half.counts for pair in run.half_sets for half in pair], axis=1)
        setup = run.half_sets[0][0].setup
    elif name == DGP and run.half_sets is not None:
        halved = [np.stack([first.counts, second.counts], axis=1) for first, second in run.half_sets]
        counts, setup = np.stack(halved, axis=1), run.half_sets[0][0].setup
        counts = counts[:, 0] if len(halved) == 1 else counts
    elif name == DGP and run.config.dgp.ensemble_size > 1:
        counts = counts[:, None]
    return distribute(counts, setup, mesh, reference)


def reference_of(run: Run, problem: Problem) -> Reference:
    """What penalties and projections compare the unknowns with.

    Args:
        run: the run.
        problem: its scan, or a part of the electrons of that.

    Returns:
        the arrays.

    Raises:
        ConfigError: a penalty that the scan cannot give its reference.
    """
    penalties = run.config.penalties
    radius = None if penalties.support_radius == AUTO else float(penalties.support_radius)
    reference = make_reference(problem, radius)
    check_reference(reference, penalties_of(run.config, run.extension))
    return reference


def judged(problem: Problem, loss: Loss, mesh: Mesh, estimate: Estimate) -> float:
    """How well an estimate predicts electrons that are held out.

    Args:
        problem: their scan.
        loss: of one pattern.
        mesh: devices.
        estimate: the estimate.

    Returns:
        the mean loss over patterns.
    """
    held = distribute(problem.counts, problem.setup, mesh)
    return float(loss_of_fields(mesh, loss, replicate(mesh, fields_of(estimate)), held))


def estimate_of(estimate: Estimate, solver: Solver, state: State, constants: Any) -> Estimate:
    """The guess, with the unknowns that a state stands for.

    Args:
        estimate: what else is known.
        solver: its settings.
        state: after some epochs.
        constants: of the representations.

    Returns:
        the estimate.
    """
    fields = _fields(solver, state.params, constants)
    found = dataclasses.replace(
        estimate,
        object=object_channels(solver, state, constants),
        probe=fields.probe,
        positions=fields.scan.position,
        tilt=fields.tilt if fields.scan.tilt is None else fields.tilt + fields.scan.tilt,
        extra=fields.scan.extra,
    )
    if not isinstance(solver, EnsembleSolver):
        return found
    probes = _every(solver, state.params, constants).probe
    probe = _shared(solver, state, probes) if isinstance(solver, HalfSetSolver) else found.probe
    return dataclasses.replace(found, probe=probe, members=member_channels(state), member_probes=probes)


@dataclasses.dataclass
class BestEpoch:
    """The best epoch of a stage so far.

    Attributes:
        state: then.
        value: its held-out loss.
        epoch: its number; 0 before the first.
    """

    state: State
    value: float = math.inf
    epoch: int = 0


def _judge(run: Run, solver: Solver, mesh: Mesh, constants: Any, setup: Setup) -> Validate:
    """The held-out loss of a state, where electrons are held out, and what noise alone gives."""
    held = None if run.held is None else distribute(run.held.counts, run.held.setup, mesh)
    return lambda state: validate_state(solver, mesh, loss_of(run.config, run.extension), state, constants, setup, held)


def object_channels(solver: Solver, state: State, constants: Any) -> Array:
    """The object that a state stands for: the running mean where there is one.

    Args:
        solver: its settings.
        state: after some epochs.
        constants: of the representations.

    Returns:
        phase in rad and absorption (slices, channels, Y, X).
    """
    if state.average is not None:
        return state.average
    return _applied(solver.model.object, state.params["object"], constants["object"])


@partial(jax.jit, static_argnames="solver")
def _fields(solver: Solver, params: Any, constants: Any) -> Fields:
    """Everything the physics sees, compiled once for all runs of equal settings."""
    return solver.fields(params, constants)


@partial(jax.jit, static_argnames="solver")
def _every(solver: EnsembleSolver, params: Any, constants: Any) -> Fields:
    """What the physics sees of each member."""
    return solver.every(params, constants)


@partial(jax.jit, static_argnames="solver")
def _shared(solver: HalfSetSolver, state: State, probes: Array) -> Array:
    """The probe that both half sets confirm."""
    return solver.confirmed_probe(state, probes)


@partial(jax.jit, static_argnames="representation")
def _applied(representation: Representation, params: Any, constants: Any) -> Array:
    """A representation without noise, compiled once for all runs of equal settings."""
    return representation.apply(params, constants, None)


def _tree(state: State, constants: Any, best: BestEpoch | None) -> dict[str, Any]:
    return {"state": state, "constants": constants} | ({} if best is None else {"best": best.state})
