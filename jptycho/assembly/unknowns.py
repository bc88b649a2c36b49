"""The unknowns of a run beside its object: which representation each has, at what rate, and where it begins."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import numpy as np

from jptycho.assembly.extension import Extension, extended
from jptycho.assembly.focus import with_nodes
from jptycho.assembly.found_positions import rows_of, units_of
from jptycho.assembly.refinable import built_in, check_sizes, with_line
from jptycho.config.run import Config
from jptycho.errors import ConfigError
from jptycho.forward.beam import VARIATION, WEIGHTS
from jptycho.preprocess.guesses import to_shared, with_guesses
from jptycho.preprocess.nominal_probe import nominal_probe
from jptycho.preprocess.prepare import Problem
from jptycho.representations.base import Composed, Representation, Unknown
from jptycho.representations.beam import COHERENT, BlurredProbe, ParametricProbe, unit_of
from jptycho.representations.estimate import Estimate
from jptycho.representations.per_pattern import CONSTANT
from jptycho.representations.per_position import FreePositions, FreeTilt
from jptycho.representations.pixels import PixelProbe
from jptycho.representations.shared import FreeThickness
from jptycho.representations.variation import aperture, ordered_variation

SHARE = "probe_variation_share"
"""What a result calls the part of the intensity by which each of the modes makes probes differ, to first order."""
FIRST_SOURCE = 0.1
"""Å: size of a source at which it begins where nothing says more."""


def refined(config: Config, problem: Problem) -> dict[str, Any]:
    """Representations of positions, tilt and thickness, where they are refined, and of further unknowns.

    Args:
        config: of the run.
        problem: the scan made ready.

    Returns:
        arguments of :class:`jptycho.representations.base.ModelSpec`.
    """
    found: dict[str, Any] = {}
    further = unknowns_at(config, problem)
    if config.refine.position_rate:
        found["positions"] = FreePositions()
    if config.refine.tilt != "none":
        found["tilt"] = FreeTilt(config.refine.tilt != "global", config.refine.tilt == "smooth")
    if config.refine.thickness:
        found["thickness"] = FreeThickness()
    for field, shared in (("extra", False), ("shared", True)):
        found[field] = tuple((name, u.representation) for name, u in further.items() if u.shared is shared)
    return found


def refined_rates(config: Config, problem: Problem) -> dict[str, Any]:
    """Learning rates of what :func:`refined` gives.

    Args:
        config: of the run.
        problem: the scan made ready.

    Returns:
        arguments of :class:`jptycho.solvers.gradient.GradientSolver`.
    """
    refine = config.refine
    extra = tuple((name, unknown.rate) for name, unknown in unknowns_at(config, problem).items())
    extra = (*extra, ("thickness", refine.thickness_rate)) if refine.thickness else extra
    return {"position_rate": refine.position_rate, "tilt_rate": refine.tilt_rate, "extra_rates": extra}


def composed(config: Config) -> bool:
    """Whether the probe is made of aberrations, or of a source's size.

    Args:
        config: of the run.

    Returns:
        whether.
    """
    return not config.probe.fixed and (config.probe.model == "parametric" or config.refine.source_size)


def ramp_is_gauge(config: Config) -> bool:
    """Whether a ramp of the object's phase changes no pattern that probe or detector could not undo.

    Args:
        config: of the run.

    Returns:
        whether the probe is free to, or the patterns to be shifted together.
    """
    return (not config.probe.fixed and config.probe.model == "pixels") or config.refine.descan == CONSTANT


def pixel_probe(config: Config, problem: Problem, otherwise: float = 1.0) -> Representation:
    """The probe where no network makes it: pixels or aberrations, its modes free or those of a source.

    Args:
        config: of the run.
        problem: the scan made ready.
        otherwise: learning rate of a probe of pixels.

    Returns:
        the representation.
    """
    if not composed(config):
        return PixelProbe()
    inner: Representation = PixelProbe()
    grid, calibration = problem.setup.grid, problem.dataset.calibration
    if config.probe.model == "parametric":
        if not calibration.semiangle_cutoff:
            raise ConfigError('probe.model: "parametric" needs data.semiangle_cutoff in mrad to begin with. Add it.')
        inner = ParametricProbe(
            grid.shape,
            grid.sampling,
            problem.setup.wavelength,
            float(calibration.semiangle_cutoff or 0),
            centre_of(problem),
            None,
            config.probe.aberrations,
            (*sorted(dict(calibration.aberrations).items()), ("C10", -calibration.defocus)),
            config.probe.free_cutoff,
        )
    modes, free = config.probe.modes, config.refine.source_size
    if modes == 1 and not free:
        return inner
    speed = config.refine.source_size_rate / probe_rate(config, otherwise) if free else 1.0
    return BlurredProbe(inner, modes, grid.sampling, config.probe.source_size or FIRST_SOURCE, free, speed)


def centre_of(problem: Problem) -> tuple[float, float]:
    """Where the disk is.

    Args:
        problem: the scan made ready.

    Returns:
        (y, x) in detector pixels from the zero frequency.
    """
    if problem.setup.centre is None:
        return 0.0, 0.0
    y, x = np.asarray(problem.setup.centre, float) * problem.setup.grid.shape * problem.setup.grid.sampling
    return float(y), float(x)


def probe_rate(config: Config, otherwise: float) -> float:
    """Learning rate of a probe that no network makes.

    Args:
        config: of the run.
        otherwise: of one of pixels.

    Returns:
        the rate; 0 where it is fixed.
    """
    if config.probe.fixed:
        return 0.0
    return config.probe.parametric_rate if config.probe.model == "parametric" else otherwise


def begun(config: Config, problem: Problem, model: Extension) -> Problem:
    """A scan with all further unknowns where they begin.

    Args:
        config: of the run.
        problem: the scan made ready.
        model: of :func:`jptycho.assembly.listed.model_of`.

    Returns:
        the scan.
    """
    check_sizes(config, problem)
    model = with_nodes(config, problem, model)
    problem = extended(with_guesses(with_line(config, problem), model.unknowns), model)
    probe, estimate = pixel_probe(config, problem), problem.estimate
    if config.probe.source_size or isinstance(probe, BlurredProbe):
        _check_one_wave(config, problem)
    if not isinstance(probe, Composed):
        return problem
    if isinstance(probe, BlurredProbe):
        spec, grid = config.object.spec(), problem.setup.grid
        first = nominal_probe(problem.dataset, grid, spec, centre_of(problem), 1)[0]
        estimate = dataclasses.replace(estimate, shared=estimate.shared | {COHERENT: first})
    parts = probe.parts(*probe.init(jax.random.key(0), estimate))
    estimate = dataclasses.replace(estimate, shared=estimate.shared | parts)
    return dataclasses.replace(problem, estimate=estimate)


def _check_one_wave(config: Config, problem: Problem) -> None:
    """Refuse modes that are given where they are to be made of a source."""
    given = problem.dataset.probe
    modes = 1 if given is None else int(np.any(given, axis=(-2, -1)).sum())
    if modes > 1:
        key = "probe.source_size" if config.probe.source_size else "refine.source_size"
        raise ConfigError(
            f"{key}: makes the modes of the probe of a point source, but data.probe has {modes}. Give one mode there, "
            "or remove it."
        )


def without_stale_parts(config: Config, problem: Problem, estimate: Estimate) -> Estimate:
    """An estimate without what an earlier stage said of a probe that this one changes otherwise.

    Args:
        config: of a stage.
        problem: the scan made ready.
        estimate: what the stage begins with.

    Returns:
        the estimate; where the stage keeps its probe, or makes it of the same parts, all of it.
    """
    if composed(config) or (config.probe.fixed and not config.refine.thickness):
        return estimate
    kept = {name: value for name, value in estimate.shared.items() if name in problem.unknowns}
    return dataclasses.replace(estimate, shared=kept)


def further_of(problem: Problem, estimate: Estimate) -> dict[str, dict[str, Any]]:
    """Further unknowns as a result has them.

    Args:
        problem: the scan, by all electrons.
        estimate: what a run found.

    Returns:
        ``extra``, ``shared`` and ``units`` of :class:`jptycho.data.results.Result`.
    """
    estimate = _with_ordered_variation(estimate)
    every = {name: unit_of(name) for name in estimate.shared} | units_of(problem, estimate)
    return {
        "extra": rows_of(estimate),
        "shared": to_shared(problem, estimate.shared),
        "units": {name: unit for name, unit in every.items() if unit},
    }


def _with_ordered_variation(estimate: Estimate) -> Estimate:
    """The modes by which the probe varies in the order of what they hold, and their share of the beam."""
    if VARIATION not in estimate.shared:
        return estimate
    made = ordered_variation(aperture(estimate.probe), estimate.shared[VARIATION], estimate.extra[WEIGHTS])
    shared = estimate.shared | {VARIATION: made[0], SHARE: made[2]}
    return dataclasses.replace(estimate, shared=shared, extra=estimate.extra | {WEIGHTS: made[1]})


def unknowns_at(config: Config, problem: Problem) -> dict[str, Unknown]:
    """Those of the configuration of a run, or of a stage, and the user's.

    Args:
        config: whose table ``[refine]`` says which are on now; what is not is held.
        problem: the scan made ready.

    Returns:
        them by name.
    """
    every = problem.unknowns.items()
    own = {name: unknown for name, unknown in every if not unknown.by_refine}
    return built_in(config) | own
