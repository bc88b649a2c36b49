"""An estimate at other slices, modes and window: what is known stays."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from jptycho.forward.fields import Setup
from jptycho.optics.probe import incoherent_modes
from jptycho.optics.propagation import fresnel_kernel, propagate
from jptycho.preprocess.prepare import Problem
from jptycho.preprocess.window import canvas_of, change_window, resample, with_wave
from jptycho.representations.estimate import Estimate
from jptycho.types import Array, Float


def change_slices(estimate: Estimate, slices: int, setup: Setup) -> Estimate:
    """Merge or split the slices of an object; its thickness and its projection stay.

    A merged slice lies in the middle of those that it stands for, so the wave where the beam meets the first slice is
    propagated to there, or back from there.

    Args:
        estimate: of S slices.
        slices: that it shall have: a divisor or a multiple of S.
        setup: grid, wavelength and centre of the beam.

    Returns:
        the estimate; half sets and members of an ensemble likewise.

    Example:
        >>> from jptycho.preprocess.object_spec import ObjectSpec
        >>> from jptycho.preprocess.prepare import prepare
        >>> from jptycho.simulate.scan import simulate_gold
        >>> problem = prepare(simulate_gold(scan_shape=(4, 4), detector=(32, 32)), ObjectSpec("phase", 2, 20.0))
        >>> thin = change_slices(problem.estimate, 4, problem.setup)
        >>> thin.object.shape[0], float(thin.thickness)
        (4, 10.0)
    """
    before = estimate.object.shape[0]
    if slices == before:
        return estimate
    thickness = estimate.thickness * before / slices
    # The middle of the object stays where it is: the first slice moves by half of what the others span less.
    deeper = 0.5 * ((before - 1) * estimate.thickness - (slices - 1) * thickness)
    kernel = fresnel_kernel(
        setup.grid, setup.wavelength, deeper, jnp.mean(jnp.reshape(estimate.tilt, (-1, 2)), axis=0), None, setup.centre
    )
    regroup = jax.vmap(lambda object_: _regrouped(object_, slices))
    many = {name: getattr(estimate, name) for name in ("half_sets", "members")}
    return dataclasses.replace(
        estimate,
        object=_regrouped(estimate.object, slices),
        probe=propagate(estimate.probe, kernel),
        thickness=thickness,
        member_probes=None if estimate.member_probes is None else propagate(estimate.member_probes, kernel),
        shared=with_wave(estimate.shared, lambda wave: propagate(wave, kernel)),
        **{name: None if value is None else regroup(value) for name, value in many.items()},
    )


def _regrouped(object_: Float[Array, "slices channels Y X"], slices: int) -> Float[Array, "others channels Y X"]:
    """Phase and absorption of each slice in equal shares, or of neighbours together."""
    before = object_.shape[0]
    if slices % before == 0:
        return jnp.repeat(object_, slices // before, axis=0) * (before / slices)
    return jnp.sum(object_.reshape(slices, before // slices, *object_.shape[1:]), axis=1)


def carried(estimate: Estimate, problem: Problem, other: Problem) -> Estimate:
    """An estimate with the window, the slices and the modes of another stage.

    Args:
        estimate: on the canvas of a problem.
        problem: the scan as the stage before saw it.
        other: as this one does.

    Returns:
        the estimate.
    """
    if other.setup.grid != problem.setup.grid:
        estimate = resample(estimate, canvas_of(problem), canvas_of(other))
    estimate = change_slices(estimate, other.estimate.object.shape[0], other.setup)
    return add_modes(estimate, other.estimate.probe.shape[0])


def reshaped(problem: Problem, slices: int, modes: int, window: tuple[int, int] | None) -> Problem:
    """A scan as a stage sees it.

    Args:
        problem: the scan.
        slices: of the object.
        modes: of the probe, no fewer than it has.
        window: detector pixels along (y, x); None for all.

    Returns:
        the scan, its estimate of those shapes.
    """
    problem = problem if window is None else change_window(problem, window)
    estimate = add_modes(change_slices(problem.estimate, slices, problem.setup), modes)
    return dataclasses.replace(problem, estimate=estimate)


def add_modes(estimate: Estimate, modes: int) -> Estimate:
    """More modes of the probe, of which the new ones are weak.

    Args:
        estimate: so far.
        modes: of the probe, no fewer than it has.

    Returns:
        the estimate; that of an ensemble's members has no probes of its own any more.
    """
    if modes == estimate.probe.shape[0]:
        return estimate
    return dataclasses.replace(estimate, probe=incoherent_modes(estimate.probe, modes), member_probes=None)
