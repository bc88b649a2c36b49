"""Further unknowns of beam and detector that the configuration turns on: representations, rates, units and effects."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import jax.numpy as jnp
import numpy as np

from jptycho.assembly.extension import Extension
from jptycho.config.run import Config
from jptycho.errors import ConfigError
from jptycho.forward.beam import FLY, FOCAL_SPREAD, VARIATION, WEIGHTS, MoveBeam, SpreadFocus, VaryProbe
from jptycho.forward.effects import BACKGROUND, FLUX, POINT_SPREAD, AddBackground, BlurPattern, ScaleFlux
from jptycho.forward.exit_waves import GAPS, STATES
from jptycho.forward.fields import BeamEffect, DetectorEffect
from jptycho.preprocess.prepare import Problem
from jptycho.representations.base import Unknown
from jptycho.representations.estimate import DESCAN
from jptycho.representations.lengths import FreeVector, PositiveNumber
from jptycho.representations.per_pattern import FREE, Descan, Flux
from jptycho.representations.shared import Background
from jptycho.representations.states import ObjectStates, SliceGaps
from jptycho.representations.variation import ProbeVariation, VariationWeights
from jptycho.scan import orient

KNOTS = 24
"""Of what varies slowly in time."""
FIRST_SPREAD = 20.0
"""Å: spread of the focus at which it begins where nothing says more; at zero it has no slope."""
DETECTOR: dict[str, DetectorEffect] = {
    FLUX: ScaleFlux(), POINT_SPREAD: BlurPattern(), BACKGROUND: AddBackground(),
}  # fmt: skip
"""Effects of the detector by the unknown that they read, in their order."""


def built_in(config: Config) -> dict[str, Unknown]:
    """The unknowns that a configuration turns on beside object, probe, positions, tilt and thickness.

    Args:
        config: of a run, or of a stage.

    Returns:
        them by name.

    Example:
        >>> from jptycho.config.run import parse_config
        >>> refine = {"background": "constant", "flux": "free"}
        >>> list(built_in(parse_config({"data": {"file": ""}, "refine": refine})))
        ['flux', 'background']
    """
    refine, found = config.refine, {}
    if refine.descan != "none":
        found[DESCAN] = Unknown(Descan(refine.descan), refine.descan_rate, "detector pixels")
    if refine.flux != "none":
        knots = 0 if refine.flux == FREE else KNOTS
        found[FLUX] = Unknown(Flux(knots), refine.flux_rate, "of an average pattern")
    if refine.background != "none":
        unit = "electrons a detector pixel"
        found[BACKGROUND] = Unknown(Background(refine.background), refine.background_rate, unit, True, True)
    if refine.probe_variation:
        count, rate = refine.probe_variation, refine.probe_variation_rate
        found[VARIATION] = Unknown(ProbeVariation(count), rate, shared=True)
        knots = 0 if refine.probe_weights == FREE else KNOTS
        found[WEIGHTS] = Unknown(VariationWeights(count, knots), rate, "rad, root mean square over the aperture")
    if refine.object_states:
        found[STATES] = Unknown(ObjectStates(refine.object_states), refine.object_states_rate, "rad", shared=True)
    if refine.point_spread:
        width = PositiveNumber(POINT_SPREAD, refine.point_spread)
        found[POINT_SPREAD] = Unknown(width, refine.point_spread_rate, "detector pixels", shared=True)
    stated = {name: unknown for name, unknown in known(config).items() if getattr(refine, name)}
    return {name: dataclasses.replace(unknown, by_refine=True) for name, unknown in (found | stated).items()}


def known(config: Config) -> dict[str, Unknown]:
    """What the tables ``[probe]`` and ``[object]`` say that ``[refine]`` may make an unknown.

    Args:
        config: of a run, or of a stage.

    Returns:
        representations that begin there, by name.

    Example:
        >>> from jptycho.config.run import parse_config
        >>> list(known(parse_config({"data": {"file": ""}, "probe": {"focal_spread": 30.0}})))
        ['focal_spread']
    """
    probe, refine, found = config.probe, config.refine, {}
    if probe.focal_spread or refine.focal_spread:
        spread = PositiveNumber(FOCAL_SPREAD, probe.focal_spread or FIRST_SPREAD)
        found[FOCAL_SPREAD] = Unknown(spread, refine.focal_spread_rate, "Å", True, by_refine=True)
    if any(probe.fly) or refine.fly:
        found[FLY] = Unknown(FreeVector(FLY), refine.fly_rate, "Å", True, by_refine=True)
    if config.object.slice_gaps or refine.slice_gaps:
        gaps = SliceGaps(config.object.slice_gaps or (1.0,) * (config.object.slices - 1))
        found[GAPS] = Unknown(gaps, refine.slice_gaps_rate, "of their mean", True, by_refine=True)
    return found


def with_refined(extension: Extension, configs: Iterable[Config]) -> Extension:
    """What the user brought, and the unknowns and effects that the configuration turns on anywhere.

    Args:
        extension: the user's.
        configs: of the run, or of each of its stages.

    Returns:
        both.

    Raises:
        ConfigError: an unknown of the user has the name of one of them.
    """
    found: dict[str, Unknown] = {}
    points = None
    for config in configs:
        found = built_in(config) | known(config) | found
        points = config.probe.fly_points
    for name in found:
        if name in extension.unknowns:
            raise ConfigError(f"unknowns: {name!r} is what refine.{name} is called. Choose another name.")
    beam: dict[str, BeamEffect] = {VARIATION: VaryProbe()}
    if points is not None:
        beam |= {FOCAL_SPREAD: SpreadFocus(), FLY: MoveBeam(points)}  # how many nodes the scan says
    return dataclasses.replace(
        extension,
        unknowns=found | dict(extension.unknowns),
        effects=(*(effect for name, effect in DETECTOR.items() if name in found), *extension.effects),
        beam=(*(effect for name, effect in beam.items() if name in found), *extension.beam),
    )


def with_line(config: Config, problem: Problem) -> Problem:
    """A scan with the line of a fly scan along the detector's axes; its settings say it along those of the scan.

    Args:
        config: of the run.
        problem: the scan made ready.

    Returns:
        the scan.
    """
    if FLY not in known(config):
        return problem
    calibration, estimate = problem.dataset.calibration, problem.estimate
    line = orient(np.array([config.probe.fly]), calibration.rotation, calibration.transpose)[0]
    shared = estimate.shared | {FLY: jnp.asarray(line, estimate.coverage.dtype)}
    return dataclasses.replace(problem, estimate=dataclasses.replace(estimate, shared=shared))


def check_sizes(config: Config, problem: Problem) -> None:
    """Refuse unknowns that the scan is too small for, or in whose unit it has no lengths.

    Args:
        config: of the run.
        problem: the scan made ready.

    Raises:
        ConfigError: which, and what would do.
    """
    patterns, modes = len(problem.estimate.positions), config.refine.probe_variation
    if modes >= patterns:
        raise ConfigError(
            f"refine.probe_variation: {modes} modes, but the scan has {patterns} positions. Use at most {patterns - 1}."
        )
    if FOCAL_SPREAD in known(config) and problem.dataset.calibration.length_unit == "px":
        key = "probe.focal_spread" if config.probe.focal_spread else "refine.focal_spread"
        raise ConfigError(f"{key}: in Å, but lengths are known in pixels only. Give the calibration in Å.")


def wave_copies(config: Config) -> int:
    """How many waves leave the object for each mode of the probe.

    Args:
        config: of a run, or of a stage, without ``auto``.

    Returns:
        the product over the sums of the beam and the states of the object.

    Example:
        >>> from jptycho.config.run import parse_config
        >>> wave_copies(parse_config({"data": {"file": ""}, "probe": {"fly": [0.0, 0.5], "fly_points": 4}}))
        4
    """
    probe, on = config.probe, known(config)
    focus = int(probe.focal_points) if FOCAL_SPREAD in on else 1
    line = probe.fly_points if FLY in on else 1
    return focus * line * max(1, config.refine.object_states)


def held_copies(problem: Problem) -> int:
    """The same of a scan that has begun, whose beam and states a stage keeps though it does not refine them.

    Args:
        problem: the scan made ready.

    Returns:
        1 where nothing has begun.
    """
    beam, states = problem.setup.beam, problem.estimate.shared.get(STATES)
    copies = 1 if states is None else len(states)
    for effect in beam:
        if isinstance(effect, SpreadFocus):
            copies *= effect.nodes
        if isinstance(effect, MoveBeam):
            copies *= effect.points
    return copies
