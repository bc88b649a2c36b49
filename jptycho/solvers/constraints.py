"""What changes the unknowns between two epochs: denoisers of the object, then projections."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from jptycho.errors import ConfigError
from jptycho.objective.denoisers import Denoising, denoise
from jptycho.objective.projections import Projection, project
from jptycho.objective.reference import Reference
from jptycho.representations.base import Assignable, ModelSpec, render
from jptycho.types import Constants, Params


@runtime_checkable
class Constrained(Protocol):
    """The part of a solver that says what is so changed."""

    @property
    def model(self) -> ModelSpec:
        """Representations of the unknowns."""
        ...

    @property
    def projections(self) -> tuple[Projection, ...]:
        """Applied after each epoch."""
        ...

    @property
    def denoisers(self) -> tuple[Denoising, ...]:
        """Applied before them."""
        ...


def check_projections(model: ModelSpec, projections: tuple[Projection, ...]) -> None:
    """Refuse projections that a representation cannot honour.

    Args:
        model: representations of object and probe.
        projections: that are wanted.

    Raises:
        ConfigError: the projection, and the penalty or setting that does the same softly.
    """
    for projection in projections:
        for name in projection.touches:
            representation = getattr(model, name)
            if not isinstance(representation, Assignable):
                raise ConfigError(
                    f"projections: {projection}: the {name} is a {type(representation).__name__}, whose values "
                    f"cannot be set. Remove it, or use the soft equivalent: {projection.instead}."
                )


def check_denoisers(model: ModelSpec, denoisers: tuple[Denoising, ...]) -> None:
    """Refuse denoisers of an object whose values cannot be set.

    Args:
        model: representations of object and probe.
        denoisers: that are wanted.

    Raises:
        ConfigError: the denoiser, and what to use instead.
    """
    if denoisers and not isinstance(model.object, Assignable):
        raise ConfigError(
            f"denoisers: {denoisers[0].denoiser}: the object is a {type(model.object).__name__}, whose values cannot "
            "be set. Remove it, or use a penalty, such as penalties.tv_phase."
        )


def constrained(solver: Constrained) -> bool:
    """Whether anything changes the unknowns between two epochs.

    Args:
        solver: the settings.

    Returns:
        whether it has projections or denoisers.
    """
    return bool(solver.projections or solver.denoisers)


def constrain_params(solver: Constrained, params: Params, constants: Constants, reference: Reference | None) -> Params:
    """Parameters of the denoised object and of the nearest object and probe that obey the solver's projections.

    Args:
        solver: the settings.
        params: of its representations.
        constants: likewise.
        reference: what projections compare the unknowns with.

    Returns:
        parameters; as they are where the solver has neither.
    """
    if not constrained(solver):
        return params
    model = solver.model
    estimate = render(model, params, constants)
    channels, probe = denoise(solver.denoisers, estimate.object), estimate.probe
    if solver.projections:
        channels, probe = project(solver.projections, channels, probe, require_reference(reference))
    values = {"object": channels, "probe": probe}
    touched = {name for p in solver.projections for name in p.touches} | ({"object"} if solver.denoisers else set())
    found = dict(params)
    for name in sorted(touched):
        representation = getattr(model, name)
        if isinstance(representation, Assignable):
            found[name] = representation.assign(params[name], constants[name], values[name])
    return found


def require_reference(reference: Reference | None) -> Reference:
    """What penalties and projections compare the unknowns with.

    Args:
        reference: of the scan, if it was distributed with it.

    Returns:
        the same.

    Raises:
        ConfigError: there is none.
    """
    if reference is None:
        raise ConfigError(
            "reference: missing; penalties and projections need it. Give distribute make_reference(problem) as "
            "its last argument."
        )
    return reference
