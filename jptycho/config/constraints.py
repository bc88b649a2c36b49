"""The tables of penalties and projections: from a configuration to what a solver takes, and what contradicts what."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

from jptycho.config.objective import PENALTIES, PROJECTIONS
from jptycho.errors import ConfigError
from jptycho.objective.penalties import Amorphous, Penalty
from jptycho.objective.projections import Projection
from jptycho.settings import AUTO, Field, NotNegative, Positive, Section

WEIGHT = "weight; 0 for none"


class PenaltiesConfig(Section):
    """``[penalties]``: weights, dimensionless and independent of scan size and slice count. Needs solver gradient."""

    tv_phase: NotNegative = Field(0.0, description=f"total variation of the phase in the plane: {WEIGHT}")
    tv_absorption: NotNegative = Field(0.0, description=f"of the absorption: {WEIGHT}")
    tikhonov_phase: NotNegative = Field(0.0, description=f"squared slope of the phase in the plane: {WEIGHT}")
    tikhonov_absorption: NotNegative = Field(0.0, description=f"of the absorption: {WEIGHT}")
    tv_depth_phase: NotNegative = Field(0.0, description=f"total variation of the phase along depth: {WEIGHT}")
    tv_depth_absorption: NotNegative = Field(0.0, description=f"of the absorption: {WEIGHT}")
    tikhonov_depth_phase: NotNegative = Field(0.0, description=f"squared slope of the phase along depth: {WEIGHT}")
    tikhonov_depth_absorption: NotNegative = Field(0.0, description=f"of the absorption: {WEIGHT}")
    l1_phase: NotNegative = Field(0.0, description=f"mean magnitude of the phase: {WEIGHT}")
    l1_absorption: NotNegative = Field(0.0, description=f"of the absorption: {WEIGHT}")
    surface: NotNegative = Field(0.0, description=f"first and last slice are vacuum: {WEIGHT}")
    similar_slices: NotNegative = Field(0.0, description=f"slices are alike: {WEIGHT}")
    pure_phase: NotNegative = Field(0.0, description=f"|t| = 1: {WEIGHT}")
    amorphous: NotNegative = Field(0.0, description=f"spectrum of amorphous matter: {WEIGHT}")
    charge_density: NotNegative = Field(0.0, description=f"charge, by Poisson's equation, is sparse: {WEIGHT}")
    smooth_positions: NotNegative = Field(0.0, description=f"neighbours are displaced alike: {WEIGHT}")
    smooth_tilts: NotNegative = Field(0.0, description=f"neighbours are tilted alike: {WEIGHT}")
    probe_support: NotNegative = Field(0.0, description=f"the probe is small: {WEIGHT}")
    probe_aperture: NotNegative = Field(0.0, description=f"the probe's aperture is known: {WEIGHT}")
    support_radius: Positive | Literal["auto"] = Field(
        AUTO, description="Å of probe_support; auto: 1.5 times the circle that holds 99 % of the nominal probe"
    )
    amorphous_corner: Positive = Field(0.35, description="Å⁻¹ at which the spectrum of amorphous matter falls")


class ProjectionsConfig(Section):
    """``[projections]``: hard constraints after every epoch. Pixels honour them; a generator cannot."""

    positivity: bool = Field(False, description="phase and absorption are not negative; classical solvers")
    phase_only: bool = Field(False, description="no absorption; classical solvers")
    low_pass: Positive | None = Field(None, description="Å⁻¹ beyond which there is nothing")
    butterworth: tuple[Positive, Positive] | None = Field(None, description="cutoff in Å⁻¹ and order")
    missing_wedge: Positive | None = Field(None, description="β of 1 - 2/π atan(β² kz² / kr²), physical units")
    missing_wedge_ptychoshelves: tuple[Positive, NotNegative] | None = Field(
        None, description="β and α of the same in cycles a voxel, with kr² + 1e-3 and exp(-α kr²)"
    )
    identical_slices: bool = Field(False, description="every slice is the mean of all")
    depth_blur: Positive | None = Field(None, description="Å, standard deviation of a Gaussian along depth")
    vacuum_amplitude: bool = Field(False, description="the most transparent place absorbs nothing; classical solvers")
    field_of_view: float | None = Field(
        None, gt=0, lt=1, description="what is illuminated less than this share of the mean is vacuum"
    )
    probe_centring: bool = Field(False, description="probe and object move until the probe is at its window's centre")
    probe_power: bool = Field(False, description="the modes' intensities sum to the average pattern")


def penalties_of(config: PenaltiesConfig) -> dict[str, Penalty]:
    """The penalties that are on.

    Args:
        config: their table.

    Returns:
        with their weights, by name.

    Example:
        >>> penalties_of(PenaltiesConfig(amorphous=0.1))
        {'amorphous': Penalty(term=Amorphous(corner=0.35), weight=0.1)}
    """
    terms = PENALTIES | {"amorphous": Amorphous(config.amorphous_corner)}
    return {name: Penalty(term, w) for name, term in terms.items() if (w := getattr(config, name))}


def projections_of(config: ProjectionsConfig) -> dict[str, Projection]:
    """The projections that are on, in the order in which they are applied.

    Args:
        config: their table.

    Returns:
        with their constants, by name.

    Example:
        >>> projections_of(ProjectionsConfig(low_pass=1.2, positivity=True))
        {'low_pass': LowPass(cutoff=1.2), 'positivity': Positivity()}
    """
    found = {}
    for name, make in PROJECTIONS.items():
        value: Any = getattr(config, name)
        if value is not None and value is not False:
            values = () if value is True else value if isinstance(value, tuple) else (value,)
            found[name] = make(*(float(v) for v in values))
    return found


CONTRADICTIONS = (
    ("low_pass", "butterworth", "both limit the frequencies"),
    ("missing_wedge", "missing_wedge_ptychoshelves", "they are two definitions of one filter"),
    ("identical_slices", "depth_blur", "equal slices cannot be blurred along depth"),
    ("identical_slices", "missing_wedge", "equal slices have no detail along depth"),
    ("identical_slices", "missing_wedge_ptychoshelves", "equal slices have no detail along depth"),
    ("phase_only", "vacuum_amplitude", "without absorption there is no amplitude to set"),
    ("vacuum_amplitude", "probe_power", "both fix what absorption and probe power share"),
)
NEED_SLICES = frozenset({"missing_wedge", "missing_wedge_ptychoshelves", "identical_slices", "depth_blur"})
NEED_ABSORPTION = frozenset({"phase_only", "vacuum_amplitude"})


NOT_FOR_GRADIENT = {
    "positivity": 'a phase has no zero of its own there; use object.kind = "potential"',
    "phase_only": 'its absorption is never exactly zero; use object.kind = "phase"',
    "vacuum_amplitude": "its absorption is never negative anyway; use penalties.pure_phase",
}


def check_constraints(config: Any) -> None:
    """Refuse penalties and projections that contradict each other or the object.

    Args:
        config: a :class:`jptycho.config.run.Config`.

    Raises:
        ConfigError: what contradicts what.
    """
    _check_projections(config, projections_of(config.projections))
    _check_penalties(config, set(penalties_of(config.penalties)))


def _check_projections(config: Any, on: dict[str, Projection]) -> None:
    for one, other, why in CONTRADICTIONS:
        if {one, other} <= on.keys():
            raise ConfigError(f"projections.{one}: contradicts projections.{other}: {why}. Keep one of them.")
    for name in sorted(on):
        _check_unknowns(config, name, on[name])
        _check_solver(config, name)


def _check_unknowns(config: Any, name: str, projection: Projection) -> None:
    """Whether object and probe are such that a projection has a meaning."""
    kind, touched = config.object.kind, projection.touches
    if name in NEED_SLICES and config.object.slices == 1:
        raise ConfigError(f"projections.{name}: has no meaning for one slice. Remove it, or raise object.slices.")
    if name in NEED_ABSORPTION and kind != "complex":
        raise ConfigError(f'projections.{name}: an object of kind "{kind}" has no absorption. Remove it.')
    if config.probe.fixed and "probe" in touched:
        raise ConfigError(f"projections.{name}: probe.fixed keeps the probe as it is. Remove one of them.")
    if config.method == "dgp":
        raise ConfigError(
            f"projections.{name}: the {touched[0]} is generated, and its values cannot be set. "
            f"Remove it, or use the soft equivalent: {projection.instead}."
        )


def _check_solver(config: Any, name: str) -> None:
    """Whether the solver can honour a projection."""
    solver = config.pixels.solver
    if solver == "gradient" and name in NOT_FOR_GRADIENT and (name, config.object.kind) != ("positivity", "potential"):
        raise ConfigError(
            f"projections.{name}: not with solver gradient: {NOT_FOR_GRADIENT[name]}, or a classical solver."
        )
    if solver in ("mpie", "dm", "raar") and name == "probe_centring":
        raise ConfigError(
            f'projections.probe_centring: solver "{solver}" remembers waves that would not move along. '
            "Remove it, or use another solver."
        )


def _check_penalties(config: Any, on: set[str]) -> None:
    kind, refine = config.object.kind, config.refine
    if on and config.method == "pixels" and config.pixels.solver != "gradient":
        raise ConfigError(
            f'penalties.{min(on)}: solver "{config.pixels.solver}" minimises no loss to which it could be added. '
            'Use pixels.solver = "gradient", or a projection.'
        )
    for name in sorted(on):
        if (name.endswith("_absorption") or name == "pure_phase") and kind != "complex":
            raise ConfigError(f'penalties.{name}: an object of kind "{kind}" has no absorption. Remove it.')
        if ("depth" in name or name in ("surface", "similar_slices")) and config.object.slices == 1:
            raise ConfigError(f"penalties.{name}: has no meaning for one slice. Remove it, or raise object.slices.")
        if name.startswith("probe_") and config.probe.fixed:
            raise ConfigError(f"penalties.{name}: probe.fixed keeps the probe as it is. Remove one of them.")
    if "smooth_positions" in on and not refine.position_rate:
        raise ConfigError("penalties.smooth_positions: positions are not refined. Set refine.position_rate.")
    if "smooth_tilts" in on and refine.tilt != "local":
        raise ConfigError('penalties.smooth_tilts: positions share one tilt. Set refine.tilt = "local".')


def summarise(penalties: dict[str, Penalty], projections: dict[str, Projection]) -> tuple[str, str]:
    """What is active, for the start of a run and its report.

    Args:
        penalties: with weights, by name.
        projections: with constants, by name.

    Returns:
        a line each.

    Example:
        >>> summarise(penalties_of(PenaltiesConfig(tv_phase=0.1)), projections_of(ProjectionsConfig(low_pass=1.2)))
        ('penalties: tv_phase 0.1', 'projections: low_pass 1.2')
    """
    soft = ", ".join(f"{name} {penalty.weight:g}" for name, penalty in penalties.items()) or "none"
    hard = ", ".join(" ".join([name, *_constants(p)]) for name, p in projections.items()) or "none"
    return f"penalties: {soft}", f"projections: {hard}"


def _constants(projection: Any) -> list[str]:
    """The fields of a projection in their order, as text."""
    values = (getattr(projection, field.name) for field in dataclasses.fields(projection))
    return [f"{value:g}" if isinstance(value, float) else str(value) for value in values]
