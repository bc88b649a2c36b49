"""The bridge from parameters to physics: object kinds, the protocol of a representation, and ``render``."""

from __future__ import annotations

import dataclasses
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp

from jptycho.forward.model import Fields
from jptycho.types import Array, Complex, Float, pytree

PHASE, POTENTIAL, COMPLEX = "phase", "potential", "complex"
OBJECT_KINDS = (PHASE, POTENTIAL, COMPLEX)
"""``phase``: real phase, no absorption. ``potential``: the same, never negative. ``complex``: phase and absorption."""


@pytree
class Guess:
    """An estimate of the unknowns, and those of them that are held fixed.

    Attributes:
        object: real channels (slices, channels, Y, X): phase in rad, then for kind ``complex`` absorption.
        probe: complex modes (modes, y, x), centre at [0, 0].
        positions: canvas pixels (scan, 2).
        thickness: Å between slices, scalar.
        tilt: mrad (2,).
        coverage: how much each canvas pixel is illuminated, (Y, X), mean one over the canvas.
    """

    object: Float[Array, "slices channels Y X"]
    probe: Complex[Array, "modes y x"]
    positions: Float[Array, "scan 2"]
    thickness: Float[Array, ""]
    tilt: Float[Array, "2"]
    coverage: Float[Array, "Y X"]


@runtime_checkable
class Representation(Protocol):
    """Two pure functions; an implementation is a frozen, hashable dataclass, so it may be a static argument."""

    def init(self, key: Array, guess: Guess) -> tuple[Any, Any]:
        """Parameters (real leaves, optimised) and constants (kept) that start from a guess."""
        ...

    def apply(self, params: Any, constants: Any, key: Array | None) -> Array:
        """The unknown; ``key`` drives any noise of the representation, None asks for the noise-free one."""
        ...


@dataclasses.dataclass(frozen=True)
class ModelSpec:
    """Which representation stands for object and probe; hashable.

    Attributes:
        object: gives real channels (slices, channels, Y, X).
        probe: gives complex modes (modes, y, x).
    """

    object: Representation
    probe: Representation


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


def initialise(spec: ModelSpec, key: Array, guess: Guess) -> tuple[Any, Any]:
    """Parameters and constants of every unknown.

    Args:
        spec: the representations.
        key: random key.
        guess: where to start.

    Returns:
        params ``{"object": ..., "probe": ...}`` and constants of the same keys plus ``"guess"``.
    """
    key_object, key_probe = jax.random.split(key)
    object_params, object_constants = spec.object.init(key_object, guess)
    probe_params, probe_constants = spec.probe.init(key_probe, guess)
    fixed = {"positions": guess.positions, "thickness": guess.thickness, "tilt": guess.tilt}
    return (
        {"object": object_params, "probe": probe_params},
        {"object": object_constants, "probe": probe_constants, "fixed": fixed},
    )


def render_channels(
    spec: ModelSpec, params: Any, constants: Any, key: Array | None = None
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
    key_object, key_probe = (None, None) if key is None else jax.random.split(key)
    channels = spec.object.apply(params["object"], constants["object"], key_object)
    probe = spec.probe.apply(params["probe"], constants["probe"], key_probe)
    return Fields(transmission(channels), probe, **constants["fixed"]), channels


def render(spec: ModelSpec, params: Any, constants: Any, key: Array | None = None) -> Fields:
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
