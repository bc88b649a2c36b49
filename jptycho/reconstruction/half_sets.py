"""The object by each half of the electrons alone, and what both confirm of it: the stage of the half sets."""

from __future__ import annotations

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp

from jptycho.config.pixels import GRADIENT
from jptycho.diagnostics.half_set_filter import HalfSets, half_set_filter
from jptycho.diagnostics.resolution import RingCorrelation, resolution_at
from jptycho.reconstruction.build import build_solver, loss_of, pixel_mesh
from jptycho.reconstruction.confirmed import admit, band_losses, summarise_gains
from jptycho.reconstruction.ensembles import stack
from jptycho.reconstruction.run import HALVES, Reached, Run, stream
from jptycho.reconstruction.stages import optimise
from jptycho.representations.base import Estimate, initialise
from jptycho.solvers.band_gains import best_gains, frequency_bands, with_gains
from jptycho.solvers.base import Solver, State
from jptycho.solvers.ensemble import EnsembleSolver, member_channels
from jptycho.solvers.epochs import DONE
from jptycho.solvers.gradient import GradientSolver
from jptycho.solvers.half_sets import HELD, LAST, ROUND, HalfSetSolver
from jptycho.solvers.optimisers import LINE_SEARCH
from jptycho.solvers.probe_filter import align_modes
from jptycho.types import Array

GOLD_STANDARD = 1 / 7
"""Ring correlation of halves where that of their mean with the truth is a half (Rosenthal & Henderson, J. Mol. Biol.
333 (2003) 721)."""


def run_half_sets(run: Run, estimate: Estimate, epochs: int) -> tuple[list[Estimate], str]:
    """Reconstruct each half of the electrons by pixels, and filter what they give by what both confirm.

    Args:
        run: the run.
        estimate: where every half starts.
        epochs: to run.

    Returns:
        for each pair of halves the filtered estimate, its ``halves`` filtered as well; and the status.
    """
    assert run.half_sets is not None
    found, status = estimate_halves(run, estimate, epochs)
    run.announce("filtering the half sets", 0, 0)
    return [combine_halves(run, found, number) for number in range(len(run.half_sets))], status


def estimate_halves(run: Run, estimate: Estimate, epochs: int) -> tuple[Estimate, str]:
    """Reconstruct each half of the electrons by pixels, all in one program.

    Args:
        run: the run.
        estimate: where every half starts.
        epochs: to run.

    Returns:
        the mean; object and probe of every half are its members; and the status.
    """
    assert run.half_sets is not None
    config, mesh = run.config, pixel_mesh(run.config)
    members = 2 * len(run.half_sets)
    member = build_solver(config, run.half_sets[0][0], mesh, epochs, run.extension)
    solver = _solver(run, member, members, epochs)
    started = [initialise(member.model, stream(run, HALVES, "weights", n), estimate) for n in range(members)]
    start = (stack([params for params, _ in started]), stack([constants for _, constants in started]))

    def filtered(state: State) -> Array:
        objects = jax.device_put(member_channels(state), jax.devices()[0])
        sampling = run.problem.setup.grid.sampling
        pairs = range(0, members, 2)
        means = [half_set_filter(objects[n], objects[n + 1], estimate.coverage, sampling).mean for n in pairs]
        return jnp.mean(jnp.stack(means), axis=0)

    alone = dataclasses.replace(run, held=None, show=filtered)  # the halves judge each other
    reached = optimise(alone, HALVES, solver, mesh, estimate, start, epochs)
    run.started, run.fallback = alone.started, alone.fallback  # a checkpoint may have changed them
    if reached.status == DONE and isinstance(solver, HalfSetSolver):
        run.log(f"both half sets confirm that the probe differs from its start by {_change(reached):.1%} of it")
    return reached.estimate, reached.status


def _change(reached: Reached) -> float:
    """How far a stage moved the probe, mixtures of modes aside, relative to where it was."""
    after, before = jax.device_put((reached.estimate.probe, reached.start.probe), jax.devices()[0])
    return float(jnp.linalg.norm(align_modes(after, before) - before) / jnp.linalg.norm(before))


def _solver(run: Run, member: Solver, members: int, epochs: int) -> EnsembleSolver:
    """Of all halves: with a probe that they share, where it moves freely by steps that may be changed afterwards."""
    config, together = run.config, 1 if jax.default_backend() == "cpu" else 2
    by_steps = config.pixels.solver == GRADIENT and config.pixels.optimiser not in LINE_SEARCH
    bound = any("probe" in projection.touches for projection in member.projections)
    if config.probe.fixed or bound or not by_steps:
        return EnsembleSolver(member, members, together)
    assert isinstance(member, GradientSolver)
    if member.optimiser.decay_steps and epochs >= ROUND + HELD + LAST:
        # Rates that have died down would leave each half with the probe that both share. A plateau's stay down.
        member = dataclasses.replace(
            member, optimiser=dataclasses.replace(member.optimiser, last_steps=LAST * member.steps)
        )
    return HalfSetSolver(member, members, together, epochs, run.problem.setup.grid.sampling)


def combine_halves(run: Run, found: Estimate, number: int) -> Estimate:
    """One estimate from a pair of halves: the Wiener-filtered mean, each band as strong as the other half confirms.

    Args:
        run: the run.
        found: with the object and probe of every half as members.
        number: of the pair.

    Returns:
        the estimate; it has no members.
    """
    found = jax.device_put(found, jax.devices()[0])
    objects, probes = found.members, found.member_probes
    assert run.half_sets is not None
    assert objects is not None
    assert probes is not None
    first, second = 2 * number, 2 * number + 1
    sampling, (rows, columns) = run.problem.setup.grid.sampling, found.coverage.shape
    filtered = half_set_filter(objects[first], objects[second], found.coverage, sampling)
    bands = jnp.asarray(frequency_bands((rows, columns), sampling), found.object.dtype)
    has_validation = zip(filtered.half_sets, probes[first : second + 1], reversed(run.half_sets[number]), strict=True)
    losses = [
        band_losses(
            loss_of(run.config, run.extension), dataclasses.replace(found, object=half, probe=probe), bands, validate
        )
        for half, probe, validate in has_validation
    ]
    gains = best_gains(jax.tree.map(jnp.add, *losses))
    run.log(_summarise(filtered, gains))
    allowed = partial(admit, run.config.object.kind)
    return dataclasses.replace(
        found,
        object=allowed(with_gains(filtered.mean, bands, gains)),
        half_sets=jnp.stack([allowed(with_gains(half, bands, gains)) for half in filtered.half_sets]),
        members=None,
        member_probes=None,
    )


def _summarise(filtered: HalfSets, gains: Array) -> str:
    rings = RingCorrelation(*jax.device_get((filtered.frequency, filtered.correlation)))
    limit = resolution_at(rings, GOLD_STANDARD)
    detail = f"{1 / limit:.3g} Å" if limit else "no detail at all"
    return f"half sets agree to {detail} (ring correlation 1/7) and confirm {summarise_gains(gains)}"
