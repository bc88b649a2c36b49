"""The bridge from parameters to an estimate: object kinds, the protocol of a representation, and ``render``."""

from __future__ import annotations

import dataclasses
from typing import Protocol, runtime_checkable

import jax

from jptycho.randomness import named_key
from jptycho.representations.estimate import Estimate
from jptycho.types import Array, Constants, Params, PyTree

PHASE, POTENTIAL, COMPLEX = "phase", "potential", "complex"
OBJECT_KINDS = (PHASE, POTENTIAL, COMPLEX)
"""``phase``: real phase, no absorption. ``potential``: the same, never negative. ``complex``: phase and absorption."""
KNOWN = ("positions", "thickness", "tilt", "coverage")
"""What an estimate keeps where nothing represents it."""
MANY = ("extra", "shared")
"""Unknowns whose number is open."""


@runtime_checkable
class Representation(Protocol):
    """Two pure functions; an implementation is a frozen, hashable dataclass, so it may be a static argument."""

    def init(self, key: Array, estimate: Estimate) -> tuple[Params, Constants]:
        """Parameters (real leaves, optimised) and constants (kept) that start from a guess."""
        ...

    def apply(self, params: Params, constants: Constants, key: Array | None) -> Array:
        """The unknown; ``key`` drives any noise of the representation, None asks for the noise-free one."""
        ...


@runtime_checkable
class Assignable(Representation, Protocol):
    """A representation whose value can be set, so that projections apply to it."""

    def assign(self, params: Params, constants: Constants, value: Array) -> Params:
        """Parameters that give a value."""
        ...


@runtime_checkable
class Composed(Representation, Protocol):
    """A representation made of quantities that are worth knowing, such as the defocus of a probe."""

    def parts(self, params: Params, constants: Constants) -> dict[str, Array]:
        """These by name, as ``estimate.shared`` keeps them; ``init`` starts from there."""
        ...


@runtime_checkable
class Halved(Representation, Protocol):
    """A representation whose input holds electrons, so that a half of them must not validate what it contributed to."""

    def select_half(self, constants: Constants, half: Array) -> Constants:
        """Constants of what a half of the electrons, 0 or 1, may validate."""
        ...


@dataclasses.dataclass(frozen=True)
class ModelSpec:
    """Which representation stands for each unknown; hashable.

    Attributes:
        object: gives real channels (slices, channels, Y, X).
        probe: gives complex modes (modes, y, x).
        positions: gives canvas pixels (scan, 2); None keeps the guess.
        tilt: gives mrad, (2,) or (scan, 2); None keeps the guess.
        extra: pairs of a name and what gives a row for each pattern (scan, ...), for the detector's effects to read.
        thickness: gives Å between slices; None keeps the guess.
        shared: pairs of a name and what gives an array that all patterns share, likewise for the detector's effects.
    """

    object: Representation
    probe: Representation
    positions: Representation | None = None
    tilt: Representation | None = None
    extra: tuple[tuple[str, Representation], ...] = ()
    thickness: Representation | None = None
    shared: tuple[tuple[str, Representation], ...] = ()


@dataclasses.dataclass(frozen=True)
class Unknown:
    """A further unknown of a run, which the detector's effects find in ``row.extra`` by its name.

    Attributes:
        representation: gives a row for each pattern (scan, ...) and starts from ``estimate.extra`` where that has its
            name; or, where it is shared, one array for all patterns, and ``estimate.shared``.
        rate: learning rate of its parameters.
        unit: of what it gives, for the result and its report; none by default.
        shared: whether all patterns share it.
        in_electrons: whether it is a share of an average pattern, which the result gives in electrons.
        by_refine: whether the table ``[refine]`` turned it on, which may hold it in another stage.
    """

    representation: Representation
    rate: float
    unit: str = dataclasses.field(default="", repr=False)  # what it is called makes no other run
    shared: bool = False
    in_electrons: bool = dataclasses.field(default=False, repr=False)
    by_refine: bool = dataclasses.field(default=False, repr=False)


def unknowns_of(spec: ModelSpec) -> dict[str, Representation]:
    """The representations that have parameters, by the name of their unknown.

    Args:
        spec: the representations.

    Returns:
        ``object``, ``probe`` and whatever else is refined.
    """
    named = {f.name: getattr(spec, f.name) for f in dataclasses.fields(spec) if f.name not in MANY}
    return {name: r for name, r in named.items() if r is not None} | dict(spec.extra) | dict(spec.shared)


def initialise(spec: ModelSpec, key: Array, estimate: Estimate) -> tuple[Params, Constants]:
    """Parameters and constants of every unknown.

    Args:
        spec: the representations.
        key: random key.
        estimate: where to start.

    Returns:
        params and constants by the name of the unknown; the constants also hold what is ``"fixed"``.
    """
    started = {name: r.init(named_key(key, name), estimate) for name, r in unknowns_of(spec).items()}
    fixed: dict[str, PyTree] = {name: getattr(estimate, name) for name in KNOWN if name not in started}
    for many in MANY:
        fixed[many] = {name: value for name, value in getattr(estimate, many).items() if name not in started}
    params = {name: pair[0] for name, pair in started.items()}
    return params, {**{name: pair[1] for name, pair in started.items()}, "fixed": fixed}


def select_half(spec: ModelSpec, constants: Constants, half: Array) -> Constants:
    """Constants with which every unknown is free of the electrons of a half.

    Args:
        spec: the representations (static).
        constants: of :func:`initialise`.
        half: 0 or 1.

    Returns:
        constants of the same structure.
    """
    halved = {
        name: r.select_half(constants[name], half) for name, r in unknowns_of(spec).items() if isinstance(r, Halved)
    }
    return {**constants, **halved}


def render(spec: ModelSpec, params: Params, constants: Constants, key: Array | None = None) -> Estimate:
    """The unknowns from parameters, and what is held fixed beside them: the one bridge between them.

    Args:
        spec: the representations (static).
        params: of :func:`initialise`.
        constants: of :func:`initialise`.
        key: for representations that add noise while they are optimised; None renders without.

    Returns:
        the estimate; :func:`jptycho.representations.estimate.fields_of` gives what the physics sees of it.
    """
    values = {
        name: r.apply(params[name], constants[name], None if key is None else named_key(key, name))
        for name, r in unknowns_of(spec).items()
    }
    fixed = constants["fixed"]
    many = {field: fixed[field] | {name: values.pop(name) for name, _ in getattr(spec, field)} for field in MANY}
    for name, r in unknowns_of(spec).items():
        if isinstance(r, Composed):
            # What is said of a probe goes into no pattern: an azimuth of no astigmatism has no slope.
            many["shared"] |= jax.lax.stop_gradient(r.parts(params[name], constants[name]))
    return Estimate(**(fixed | values | many))
