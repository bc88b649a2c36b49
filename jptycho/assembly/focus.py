"""How finely a spread of the focus is summed over, as the scan's aperture and wavelength need."""

from __future__ import annotations

import dataclasses
import math

import jax.numpy as jnp

from jptycho.assembly.extension import Extension
from jptycho.assembly.refinable import FIRST_SPREAD
from jptycho.config.run import Config
from jptycho.forward.beam import FOCAL_SPREAD, MOST_NODES, SpreadFocus, focal_nodes, largest_phase
from jptycho.optics.frequencies import spatial_frequencies
from jptycho.preprocess.prepare import Problem
from jptycho.representations.estimate import Estimate
from jptycho.representations.variation import aperture
from jptycho.settings import AUTO

GROWS = 2.0
"""Times where it begins that a spread which is refined is summed over finely enough."""


def edge_phase(problem: Problem, spread: float) -> float:
    """The phase of the aperture's edge over a spread of the focus.

    Args:
        problem: the scan made ready.
        spread: σ, standard deviation in Å.

    Returns:
        π α² σ / λ in rad; where the calibration has no semiangle, that of a disk as wide as the probe's spectrum.
    """
    wavelength, angle = float(problem.setup.wavelength), problem.dataset.calibration.semiangle_cutoff
    if angle:
        return math.pi * (1e-3 * angle) ** 2 * spread / wavelength
    ky, kx = spatial_frequencies(problem.setup.grid)
    weight = aperture(problem.estimate.probe)
    y, x = (k - jnp.sum(weight * k) for k in jnp.broadcast_arrays(ky, kx))
    return math.pi * wavelength * spread * 2 * float(jnp.sum(weight * (y**2 + x**2)))


def spreads(config: Config) -> bool:
    """Whether the focus spreads in any stage of a run.

    Args:
        config: of the run.

    Returns:
        whether.
    """
    return config.probe.focal_spread > 0 or _refined(config)


def _refined(config: Config) -> bool:
    """Whether a run, or a stage of its list, finds the spread."""
    return config.refine.focal_spread or any(entry.refine.get(FOCAL_SPREAD) for entry in config.stages)


def focal_points(config: Config, problem: Problem) -> int:
    """Points of the sum over a spread of the focus.

    Args:
        config: of the run.
        problem: the scan made ready.

    Returns:
        as the settings say, or as many as the spread needs.
    """
    if config.probe.focal_points != AUTO:
        return int(config.probe.focal_points)
    start = config.probe.focal_spread or FIRST_SPREAD
    return focal_nodes(edge_phase(problem, start * (GROWS if _refined(config) else 1.0)))


def with_nodes(config: Config, problem: Problem, model: Extension) -> Extension:
    """A model whose sum over the focus has as many nodes as the scan needs.

    Args:
        config: of the run.
        problem: the scan made ready.
        model: of the run.

    Returns:
        the model.
    """
    if not spreads(config):
        return model
    spread = SpreadFocus(focal_points(config, problem))
    beam = tuple(spread if isinstance(effect, SpreadFocus) else effect for effect in model.beam)
    return dataclasses.replace(model, beam=beam)


def doubts_of_points(problem: Problem, estimate: Estimate) -> tuple[str, ...]:
    """Whether the sum over the focus is too coarse for the spread that an estimate has.

    Args:
        problem: the scan, begun.
        estimate: what a run begins with, or found.

    Returns:
        a sentence; none where it is fine enough, or the focus does not spread.
    """
    nodes = [effect.nodes for effect in problem.setup.beam if isinstance(effect, SpreadFocus)]
    if not nodes or FOCAL_SPREAD not in estimate.shared:
        return ()
    spread = float(estimate.shared[FOCAL_SPREAD])
    phase = edge_phase(problem, spread)
    if phase > largest_phase(MOST_NODES):
        most = spread * largest_phase(MOST_NODES) / phase
        return (
            f"the focus spreads by {spread:.3g} Å, for which a sum of {MOST_NODES} points, the most there are, is too "
            f"coarse at this aperture: it serves up to {most:.3g} Å. Check it and data.semiangle_cutoff",
        )
    wanted = focal_nodes(phase)
    if nodes[0] >= wanted:
        return ()
    return (
        f"the focus spreads by {spread:.3g} Å, and its sum has {nodes[0]} points where {wanted} are needed: set "
        f"probe.focal_points = {wanted}, or probe.focal_spread = {spread:.3g} and no points, which then follow from it",
    )
