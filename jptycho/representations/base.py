"""The bridge from parameters to physics: object kinds, the protocol of a representation, and ``render``."""

from __future__ import annotations

import dataclasses
from typing import Protocol, runtime_checkable

import jax.numpy as jnp

from jptycho.forward.fields import Fields, ScanFields
from jptycho.randomness import named_key
from jptycho.types import Array, Complex, Constants, Float, Params, PyTree, Shaped, pytree

PHASE, POTENTIAL, COMPLEX = "phase", "potential", "complex"
OBJECT_KINDS = (PHASE, POTENTIAL, COMPLEX)
"""``phase``: real phase, no absorption. ``potential``: the same, never negative. ``complex``: phase and absorption."""


@pytree
class Estimate:
    """An estimate of the unknowns, and those of them that are held fixed.

    Attributes:
        object: real channels (slices, channels, Y, X): phase in rad, then for kind ``complex`` absorption.
        probe: complex modes (modes, y, x), centre at [0, 0].
        positions: canvas pixels (scan, 2).
        thickness: Å between slices, scalar.
        tilt: mrad (2,), or (scan, 2) where each position has its own.
        coverage: how much each canvas pixel is illuminated, (Y, X), mean one over the canvas.
        half_sets: the object as each half of the electrons alone gives it; None where they were not divided.
        members: the object as each member of an ensemble has it; None where there is one estimate.
        member_probes: the probe likewise.
        extra: further unknowns by name, a row for each pattern (scan, ...).
    """

    object: Float[Array, "slices channels Y X"]
    probe: Complex[Array, "modes y x"]
    positions: Float[Array, "scan 2"]
    thickness: Float[Array, ""]
    tilt: Float[Array, "2"] | Float[Array, "scan 2"]
    coverage: Float[Array, "Y X"]
    half_sets: Float[Array, "2 slices channels Y X"] | None = None
    members: Float[Array, "members slices channels Y X"] | None = None
    member_probes: Complex[Array, "members modes y x"] | None = None
    extra: dict[str, Shaped[Array, "scan ..."]] = dataclasses.field(default_factory=dict)


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
class Halved(Representation, Protocol):
    """A representation whose input holds electrons, so that a half of them must not judge what it contributed to."""

    def select_half(self, constants: Constants, half: Array) -> Constants:
        """Constants of what a half of the electrons, 0 or 1, may judge."""
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
    """

    object: Representation
    probe: Representation
    positions: Representation | None = None
    tilt: Representation | None = None
    extra: tuple[tuple[str, Representation], ...] = ()


@dataclasses.dataclass(frozen=True)
class Unknown:
    """A further unknown of a run, which the detector's effects read from the rows of the scan by its name.

    Attributes:
        representation: gives a row for each pattern (scan, ...); starts from ``estimate.extra`` where that has its
            name.
        rate: learning rate of its parameters.
    """

    representation: Representation
    rate: float


def unknowns_of(spec: ModelSpec) -> dict[str, Representation]:
    """The representations that have parameters, by the name of their unknown.

    Args:
        spec: the representations.

    Returns:
        ``object``, ``probe`` and whatever else is refined.
    """
    named = {f.name: getattr(spec, f.name) for f in dataclasses.fields(spec) if f.name != "extra"}
    return {name: r for name, r in named.items() if r is not None} | dict(spec.extra)


def transmission(channels: Float[Array, "slices channels Y X"]) -> Complex[Array, "slices Y X"]:
    """t = exp(i phase - absorption).

    Args:
        channels: phase, and absorption where there is a second channel.

    Returns:
        complex transmission of each slice.

    Example:
        >>> transmission(jnp.zeros((1, 1, 2, 2)))[0, 0, 0].item()
        (1+0j)
    """
    wave = jnp.exp(1j * channels[:, 0])
    return wave * jnp.exp(-channels[:, 1]) if channels.shape[1] == 2 else wave


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
    fixed: dict[str, PyTree] = {n: getattr(estimate, n) for n in ("positions", "thickness", "tilt") if n not in started}
    fixed["extra"] = {name: rows for name, rows in estimate.extra.items() if name not in started}
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


def render_channels(
    spec: ModelSpec, params: Params, constants: Constants, key: Array | None = None
) -> tuple[Fields, Float[Array, "slices channels Y X"]]:
    """Everything the physics sees, and the object's real channels from which its transmission was made.

    Args:
        spec: the representations (static).
        params: of :func:`initialise`.
        constants: of :func:`initialise`.
        key: for representations that add noise while they are optimised; None renders without.

    Returns:
        the fields; phase in rad and absorption.
    """
    values = {
        name: r.apply(params[name], constants[name], None if key is None else named_key(key, name))
        for name, r in unknowns_of(spec).items()
    }
    channels, fixed = values.pop("object"), constants["fixed"]
    extra = fixed["extra"] | {name: values.pop(name) for name, _ in spec.extra}
    return _fields(channels, **(fixed | values | {"extra": extra})), channels


def _fields(
    channels: Array, probe: Array, positions: Array, thickness: Array, tilt: Array, extra: dict[str, Array]
) -> Fields:
    """Everything the physics sees; a tilt of every position lies in its row."""
    shared, own = (tilt, None) if tilt.ndim == 1 else (jnp.zeros_like(tilt[0]), tilt)
    return Fields(transmission(channels), probe, ScanFields(positions, own, extra), thickness, shared)


def fields_of(estimate: Estimate) -> Fields:
    """Everything the physics sees of an estimate.

    Args:
        estimate: the estimate.

    Returns:
        the fields.
    """
    return _fields(
        estimate.object, estimate.probe, estimate.positions, estimate.thickness, estimate.tilt, estimate.extra
    )


def render(spec: ModelSpec, params: Params, constants: Constants, key: Array | None = None) -> Fields:
    """Everything the physics sees, from parameters: the one bridge between them.

    Args:
        spec: the representations (static).
        params: of :func:`initialise`.
        constants: of :func:`initialise`.
        key: for representations that add noise while they are optimised; None renders without.

    Returns:
        the fields.
    """
    return render_channels(spec, params, constants, key)[0]
