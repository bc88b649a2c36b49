"""What a user brings to a run: unknowns, effects of the detector, functions in place of names."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping
from typing import Any

import jax

from jptycho.config.deep_prior import DGPConfig
from jptycho.config.pixels import GRADIENT
from jptycho.config.run import Config
from jptycho.errors import ConfigError
from jptycho.forward.fields import BeamEffect, DetectorEffect
from jptycho.objective.denoisers import Denoising
from jptycho.objective.losses import Loss
from jptycho.objective.penalties import Penalty
from jptycho.objective.projections import Projection
from jptycho.optics.aberrations import COEFFICIENTS
from jptycho.preprocess.prepare import Problem
from jptycho.randomness import named_key
from jptycho.representations.base import Representation, Unknown
from jptycho.representations.beam import COHERENT, CUTOFF, DEFOCUS, SOURCE
from jptycho.representations.networks.base import Network
from jptycho.settings import AUTO
from jptycho.solvers.optimisers import LINE_SEARCH
from jptycho.types import Array

TAKEN = ("object", "probe", "positions", "tilt", "thickness", "fixed")
"""Names that no further unknown may have."""
PARTS = (DEFOCUS, CUTOFF, SOURCE, COHERENT)
"""Names under which an estimate keeps what a probe is made of, beside its coefficients."""
SHAPE = ("architecture", "levels", "skips", "norm")
"""Settings of the object's network that have no effect on the user's."""


@dataclasses.dataclass(frozen=True)
class Extension:
    """What a user brings to a run beyond what its configuration names.

    Functions are those of a module or frozen dataclasses with a call, so that equal ones share a compilation. A
    checkpoint knows them by their ``repr``, without addresses: there too a frozen dataclass serves best.

    Attributes:
        unknowns: by name, in addition to object, probe and what ``config.refine`` asks for. Each gives a row for every
            pattern, or one array that all share; the effects find either in ``row.extra`` under its name.
        effects: of the detector on the intensity, in their order: functions of intensity and row, whose position is in
            pixels of the canvas. The classical solvers want them local, as
            :func:`jptycho.forward.detector.modulus_constraint` says.
        beam: effects on the modes of the probe before they meet the object, in their order; solver gradient only.
        loss: of each pattern, (predicted, measured, noise) -> of each pixel; in place of what ``config.loss`` names.
        penalties: beside the loss, after those of the configuration.
        projections: after each epoch, after those of the configuration.
        denoisers: of an object of pixels, after each epoch and before the projections.
        network: of a generated object, in place of the one that ``config.dgp`` describes.
    """

    unknowns: Mapping[str, Unknown | Representation] = dataclasses.field(default_factory=dict)
    effects: tuple[DetectorEffect, ...] = ()
    beam: tuple[BeamEffect, ...] = ()
    loss: Loss | None = None
    penalties: tuple[Penalty, ...] = ()
    projections: tuple[Projection, ...] = ()
    denoisers: tuple[Denoising, ...] = ()
    network: Network | None = None

    @property
    def functions(self) -> tuple[tuple[str, Any], ...]:
        """What there is besides unknowns and effects, by name."""
        found = {name: getattr(self, name) for name in ("loss", "penalties", "projections", "denoisers", "network")}
        return tuple((name, value) for name, value in found.items() if value not in (None, ()))


PLAIN = Extension()
"""The run as its configuration says."""


def extended(problem: Problem, extension: Extension) -> Problem:
    """A scan with the effects of its detector, and with the further unknowns, each where its representation begins.

    Args:
        problem: the scan made ready.
        extension: of the model.

    Returns:
        the scan.
    """
    estimate = problem.estimate
    many: dict[str, dict[str, Array]] = {"extra": {}, "shared": {}}
    unknowns = {name: unknown for name, unknown in extension.unknowns.items() if isinstance(unknown, Unknown)}
    for name, unknown in unknowns.items():
        params, constants = unknown.representation.init(named_key(jax.random.key(0), name), estimate)
        field = many["shared" if unknown.shared else "extra"]
        field[name] = unknown.representation.apply(params, constants, None)
    setup = dataclasses.replace(problem.setup, effects=tuple(extension.effects), beam=tuple(extension.beam))
    estimate = dataclasses.replace(estimate, **many)
    return dataclasses.replace(problem, setup=setup, estimate=estimate, unknowns=unknowns)


def check_extension(config: Config, extension: Extension) -> None:
    """Refuse what a run of this configuration cannot use.

    Args:
        config: as given.
        extension: what the user brought.

    Raises:
        ConfigError: which part, and what to do instead.
    """
    check_unknowns(config, extension.unknowns)
    if extension.beam and config.method == "pixels" and config.pixels.solver != GRADIENT:
        raise ConfigError(
            f'beam: solver "{config.pixels.solver}" knows one probe for all patterns. '
            'Use pixels.solver = "gradient", or remove it.'
        )
    _check_types(extension)
    _check_loss(config, extension)
    _check_constraints(config, extension)
    _check_network(config, extension.network)


def check_unknowns(config: Config, unknowns: Mapping[str, Unknown | Representation]) -> None:
    """Refuse further unknowns that the solver cannot find, or whose names are taken.

    Args:
        config: as given.
        unknowns: by name.

    Raises:
        ConfigError: which, and what to use instead.
    """
    pixels = config.pixels
    for name, unknown in unknowns.items():
        if pixels.solver != GRADIENT or pixels.optimiser in LINE_SEARCH:
            used = pixels.solver if pixels.solver != GRADIENT else pixels.optimiser
            raise ConfigError(
                f'unknowns: "{used}" optimises object and probe only, found {name!r}. '
                'Use pixels.solver = "gradient" with adam, or remove it.'
            )
        if name in TAKEN:
            raise ConfigError(f"unknowns: {name!r} is an unknown of every run. Choose another name.")
        if name in PARTS or name in COEFFICIENTS:
            raise ConfigError(f"unknowns: {name!r} is what a part of the probe is called. Choose another name.")
        if not name.isidentifier():
            raise ConfigError(f"unknowns: {name!r} is no name. Use letters, digits and underscores.")
        if not isinstance(unknown, Unknown) or not unknown.rate > 0:
            raise ConfigError(
                f"unknowns: {name!r} is {unknown!r}; expected an Unknown(representation, rate) of positive rate."
            )


EXPECTED: dict[str, tuple[type, str]] = {
    "penalties": (Penalty, "a Penalty(term, weight)"),
    "projections": (Projection, "a frozen dataclass with touches, instead and a call, such as LowPass(cutoff)"),
    "denoisers": (Denoising, "a Denoising(denoiser, level)"),
}


def _check_types(extension: Extension) -> None:
    for field, (kind, expected) in EXPECTED.items():
        parts = getattr(extension, field)
        if not isinstance(parts, tuple):
            raise ConfigError(f"{field}: {parts!r} is no tuple. Write ({parts!r},).")
        for part in parts:
            if isinstance(part, type) or not isinstance(part, kind):
                raise ConfigError(f"{field}: {part!r}; expected {expected}.")
    for field, value in extension.functions:
        try:
            hash(value)
        except TypeError as error:
            raise ConfigError(
                f"{field}: {value!r} cannot be hashed, so JAX would compile every call. "
                "Use a function of a module or a frozen dataclass."
            ) from error
    _check_callable(extension)


def _check_callable(extension: Extension) -> None:
    for penalty in extension.penalties:
        if not callable(penalty.term):
            raise ConfigError(f"penalties: {penalty.term!r} is no function (estimate, reference) -> number.")
        try:
            inspect.signature(penalty.term).bind(None, None)
        except TypeError as error:
            raise ConfigError(
                f"penalties: {penalty.term!r} does not take two arguments ({error}). Write it as a function "
                "(estimate, reference) -> number; estimate.object has phase and absorption, estimate.probe the modes."
            ) from None
    for denoising in extension.denoisers:
        if not callable(denoising.denoiser) or not denoising.level > 0:
            raise ConfigError(f"denoisers: {denoising!r}; expected a function (channels, level) and a positive level.")


def _check_loss(config: Config, extension: Extension) -> None:
    if extension.loss is None:
        return
    if not callable(extension.loss):
        raise ConfigError(f"loss: {extension.loss!r} is no function. Names belong to the configuration.")
    if config.loss != AUTO:
        raise ConfigError(f'loss: the extension brings one, and the configuration names "{config.loss}". Keep one.')
    if config.method == "pixels" and config.pixels.solver != GRADIENT:
        raise ConfigError(
            f'loss: solver "{config.pixels.solver}" corrects amplitudes and minimises no loss. '
            'Use pixels.solver = "gradient", or remove it.'
        )


def _check_constraints(config: Config, extension: Extension) -> None:
    """Penalties want a loss beside which they stand, projections and denoisers an object whose values can be set."""
    if extension.penalties and config.method == "pixels" and config.pixels.solver != GRADIENT:
        raise ConfigError(
            f'penalties: solver "{config.pixels.solver}" minimises no loss to which '
            f'{extension.penalties[0].term!r} could be added. Use pixels.solver = "gradient", or a projection.'
        )
    if config.method == "dgp" and extension.denoisers:
        raise ConfigError(
            f"denoisers: {extension.denoisers[0].denoiser!r}: the object is generated, and its values cannot be set. "
            'Use method = "pixels", or a penalty, such as penalties.tv_phase.'
        )
    for projection in extension.projections:
        if config.method == "dgp":
            raise ConfigError(
                f"projections: {projection!r}: the {projection.touches[0]} is generated, and its values cannot be "
                f"set. Remove it, or use instead: {projection.instead}."
            )
        if config.probe.fixed and "probe" in projection.touches:
            raise ConfigError(f"projections: {projection!r}: probe.fixed keeps the probe as it is. Remove one of them.")


def _check_network(config: Config, network: Any) -> None:
    if network is None:
        return
    if not isinstance(network, Network):
        raise ConfigError(
            f"network: {network!r}; expected a frozen dataclass with multiple, slices_are_images, "
            "init, apply and silence."
        )
    if config.method != "dgp" or config.dgp.object != "network":
        key, now = ("method", config.method) if config.method != "dgp" else ("dgp.object", config.dgp.object)
        raise ConfigError(f'network: has no effect with {key} = "{now}". Remove it, or use method = "dgp".')
    for name in SHAPE:
        if getattr(config.dgp, name) != DGPConfig.model_fields[name].default:
            raise ConfigError(f"dgp.{name}: has no effect on a network of your own. Remove it.")


def summarise_extension(extension: Extension) -> list[str]:
    """What the user brought besides unknowns and effects, for the start of a run and its report.

    Args:
        extension: of the run.

    Returns:
        a line each.

    Example:
        >>> from jptycho.objective.denoisers import TotalVariation
        >>> summarise_extension(Extension(denoisers=(Denoising(TotalVariation(), 0.02),)))
        ['own denoisers: TotalVariation(iterations=50) 0.02']
    """
    words = {
        "loss": [_name(extension.loss)] if extension.loss is not None else [],
        "penalties": [f"{_name(penalty.term)} {penalty.weight:g}" for penalty in extension.penalties],
        "projections": [_name(projection) for projection in extension.projections],
        "denoisers": [f"{_name(d.denoiser)} {d.level:g}" for d in extension.denoisers],
        "network": [_name(extension.network)] if extension.network is not None else [],
    }
    return [f"own {field}: {', '.join(parts)}" for field, parts in words.items() if parts]


def _name(function: Any) -> str:
    """A function's name, a dataclass with its constants."""
    return repr(function) if dataclasses.is_dataclass(function) else getattr(function, "__name__", repr(function))
