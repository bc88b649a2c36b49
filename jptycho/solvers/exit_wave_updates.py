"""What the classical solvers share: exit waves corrected by the patterns, and their way back to object and probe.

Multislice and mixed states are those of the one forward model: a correction χ of the exit waves is carried back by the
adjoint of its derivative, which for a single slice is χ times the conjugate probe or object.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp

from jptycho.errors import ConfigError
from jptycho.forward.detector import NOTHING, detect
from jptycho.forward.exit_waves import Window, window_at
from jptycho.forward.fields import Fields, ScanFields, Setup
from jptycho.forward.multislice import incident_waves
from jptycho.objective.data_term import noise_of
from jptycho.objective.losses import amplitude_loss, squared_error
from jptycho.optics.waves import cis, to_complex
from jptycho.representations.base import COMPLEX, POTENTIAL, Assignable, ModelSpec
from jptycho.representations.pixels import ChannelObject
from jptycho.types import Array, Complex, Constants, Float, Int, Params, PyTree, Shaped, pytree

LEAST_AMPLITUDE = 1e-6
"""Transmission below which an absorption is not followed further."""


@pytree
class ExitWaves:
    """The exit waves at one position, and the way back from them.

    Attributes:
        window: what meets there.
        before: waves that meet each slice (slices, modes, y, x).
        exit: exit waves (modes, y, x).
        adjoint: carries a change of the exit waves to (incident waves, patches), by the adjoint derivative.
    """

    window: Window
    before: Complex[Array, "slices modes y x"]
    exit: Complex[Array, "modes y x"]
    adjoint: Callable[[Array], tuple[Array, Array]]


def propagate_exit_waves(fields: Fields, setup: Setup, row: ScanFields) -> ExitWaves:
    """Propagate the probe through the object at one position.

    Args:
        fields: the unknowns.
        setup: constants of the run.
        row: of the scan.

    Returns:
        the exit waves, equal to those of :func:`jptycho.forward.exit_waves.exit_waves`.
    """
    window = window_at(fields, setup, row)
    leave, back, before = jax.vjp(
        lambda w, o: incident_waves(w, o, window.kernel), window.waves, window.patches, has_aux=True
    )

    def adjoint(change: Array) -> tuple[Array, Array]:
        # The transpose that JAX gives is made the adjoint by conjugating before and after.
        to_waves, to_patches = back(jnp.conj(change))
        return jnp.conj(to_waves), jnp.conj(to_patches)

    return ExitWaves(window, before, leave, adjoint)


def pattern_loss(
    waves: Complex[Array, "modes y x"],
    measured: Float[Array, "ky kx"],
    setup: Setup,
    row: ScanFields,
    shared: Mapping[str, Array] = NOTHING,
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Amplitude loss, and the squared amplitude error, of one pattern.

    Args:
        waves: exit waves of its position.
        measured: as a fraction of the average pattern.
        setup: constants of the run.
        row: of the scan.
        shared: what all patterns share.

    Returns:
        both, summed over the detector.
    """
    predicted = detect(waves, setup, row, shared)
    loss = amplitude_loss(predicted, measured, noise_of(setup))
    return jnp.sum(setup.mask * loss), jnp.sum(setup.mask * squared_error(predicted, measured))


def add_windows(
    canvas: Shaped[Array, "slices Y X"], windows: Shaped[Array, "batch slices y x"], corners: Int[Array, "batch 2"]
) -> Shaped[Array, "slices Y X"]:
    """Add windows to a canvas, the adjoint of cropping them.

    Args:
        canvas: to which they are added.
        windows: one a position.
        corners: their first rows and columns.

    Returns:
        the sum.

    Example:
        >>> add_windows(jnp.zeros((1, 3, 3)), jnp.ones((2, 1, 2, 2)), jnp.array([[0, 0], [1, 1]]))[0].tolist()
        [[1.0, 1.0, 0.0], [1.0, 2.0, 1.0], [0.0, 1.0, 1.0]]
    """

    def add(total: Array, one: tuple[Array, Array]) -> tuple[Array, None]:
        window, corner = one
        start = (0, corner[0], corner[1])
        old = jax.lax.dynamic_slice(total, start, window.shape)
        return jax.lax.dynamic_update_slice(total, old + window, start), None

    return jax.lax.scan(add, canvas, (windows, corners))[0]


def in_parts(
    gather: Callable[[PyTree, PyTree], PyTree], start: PyTree, items: PyTree, weight: Float[Array, "batch"], parts: int
) -> PyTree:
    """Fold a batch part by part, so that a part stays in the cache.

    Args:
        gather: (total, (items, weight) of a part) -> total.
        start: what it begins with.
        items: arrays whose first axis is the batch.
        weight: of each pattern; what pads the last part has none.
        parts: how many.

    Returns:
        the last total.
    """
    size = -(-len(weight) // parts)
    spare = parts * size - len(weight)

    def split(array: Array) -> Array:
        # The last item fills up: what is no item at all, such as a row of zeros, need have no finite value.
        return jnp.concatenate([array, jnp.repeat(array[-1:], spare, axis=0)]).reshape(parts, size, *array.shape[1:])

    folded = (jax.tree.map(split, items), jnp.pad(weight, (0, spare)).reshape(parts, size))
    # On several devices the totals differ from the start: add a zero that does, so that the types agree.
    own = 0 * jnp.sum(weight)
    start = jax.tree.map(lambda x: x + own.astype(x.dtype), start)
    return jax.lax.scan(lambda total, part: (gather(total, part), None), start, folded)[0]


def of_kind(kind: str, transmission: Complex[Array, "slices Y X"]) -> Complex[Array, "slices Y X"]:
    """A transmission as its kind allows it: of modulus one unless it may absorb.

    Args:
        kind: one of ``OBJECT_KINDS`` (static).
        transmission: of each slice.

    Returns:
        the same, or its phase alone.

    Example:
        >>> of_kind("phase", jnp.array([[[2j]]])).tolist()
        [[[1j]]]
    """
    if kind == COMPLEX:
        return transmission
    return transmission / to_complex(jnp.maximum(jnp.abs(transmission), LEAST_AMPLITUDE))


def lifted(
    kind: str, channels: Float[Array, "slices channels Y X"], after: Complex[Array, "slices Y X"]
) -> Float[Array, "slices channels Y X"]:
    """Channels of a transmission, its phase continued from where it was, so that it does not wrap.

    Args:
        kind: one of ``OBJECT_KINDS`` (static).
        channels: before.
        after: the transmission now, less than half a turn away.

    Returns:
        phase in rad and absorption.

    Example:
        >>> lifted("phase", jnp.full((1, 1, 1, 1), 3.0), jnp.exp(4j) * jnp.ones((1, 1, 1))).item()
        4.0
    """
    phase = channels[:, 0] + jnp.angle(after * cis(-channels[:, 0]))
    if kind == POTENTIAL:
        phase = jnp.maximum(phase, 0.0)
    if kind != COMPLEX:
        return phase[:, None]
    return jnp.stack([phase, -jnp.log(jnp.maximum(jnp.abs(after), LEAST_AMPLITUDE))], axis=1)


def kind_of(model: ModelSpec) -> str:
    """The object's kind, of the one representation that the classical solvers can change.

    Args:
        model: representations.

    Returns:
        one of ``OBJECT_KINDS``.

    Raises:
        ConfigError: another representation.
    """
    if not isinstance(model.object, ChannelObject) or not isinstance(model.probe, Assignable):
        raise ConfigError(
            f"model: a classical solver changes a ChannelObject and a PixelProbe, found {type(model.object).__name__} "
            f"and {type(model.probe).__name__}. Use those, or GradientSolver."
        )
    return model.object.kind


def changed(model: ModelSpec, params: Params, constants: Constants, transmission: Array, probe: Array) -> Params:
    """Parameters of another object and probe.

    Args:
        model: representations.
        params: before.
        constants: of the representations.
        transmission: (slices, Y, X).
        probe: (modes, y, x).

    Returns:
        the parameters.
    """
    kind = kind_of(model)
    assert isinstance(model.probe, Assignable)
    return params | {
        "object": lifted(kind, params["object"], transmission),
        "probe": model.probe.assign(params["probe"], constants["probe"], probe),
    }


def with_probe(fields: Fields, transmission: Array, probe: Array) -> Fields:
    """Fields of another object and probe.

    Args:
        fields: positions, thickness and tilt.
        transmission: (slices, Y, X).
        probe: (modes, y, x).

    Returns:
        the fields.
    """
    return dataclasses.replace(fields, object=transmission, probe=probe)
