"""Hard constraints: maps of object channels and probe onto what obeys them, applied after every epoch.

A representation whose arrays can be assigned honours them; a generator cannot, and its run is refused when it is built,
with the penalty that does the same softly.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import jax.numpy as jnp

from jptycho.objective.depth import depth_blur, identical_slices, missing_wedge, missing_wedge_ptychoshelves
from jptycho.objective.reference import Channels, Modes, Reference
from jptycho.optics.frequencies import spatial_frequencies
from jptycho.optics.waves import intensity
from jptycho.types import Array, Grid


@dataclasses.dataclass(frozen=True)
class Projection:
    """A projection and its constants; hashable.

    Attributes:
        name: one of ``PROJECTIONS``.
        values: its constants, as each of them says.
    """

    name: str
    values: tuple[float, ...] = ()


Map = Callable[[Channels, Modes, Reference, tuple[float, ...]], tuple[Channels, Modes]]


def positivity(
    channels: Channels, probe: Modes, reference: Reference, values: tuple[float, ...]
) -> tuple[Channels, Modes]:
    """Phase and absorption are not negative.

    Args:
        channels: phase and absorption.
        probe: left alone.
        reference: not used.
        values: none.

    Returns:
        both.
    """
    del reference, values
    return jnp.maximum(channels, 0.0), probe


def phase_only(
    channels: Channels, probe: Modes, reference: Reference, values: tuple[float, ...]
) -> tuple[Channels, Modes]:
    """No absorption: |t| = 1.

    Args:
        channels: phase and absorption.
        probe: left alone.
        reference: not used.
        values: none.

    Returns:
        both.
    """
    del reference, values
    return channels.at[:, 1:].set(0.0), probe


def _filtered(channels: Array, reference: Reference, response: Callable[[Array], Array]) -> Array:
    """Multiply the spectrum of each channel by a function of |k|² in Å⁻²."""
    ky, kx = spatial_frequencies(Grid((channels.shape[-2], channels.shape[-1]), reference.sampling), half=True)
    weight = response(ky**2 + kx**2).astype(channels.dtype)
    return jnp.fft.irfft2(jnp.fft.rfft2(channels) * weight, s=channels.shape[-2:])


def low_pass(
    channels: Channels, probe: Modes, reference: Reference, values: tuple[float, ...]
) -> tuple[Channels, Modes]:
    """No detail beyond a frequency.

    Args:
        channels: phase and absorption.
        probe: left alone.
        reference: sampling.
        values: (cutoff in Å⁻¹,).

    Returns:
        both.
    """
    return _filtered(channels, reference, lambda square: square <= values[0] ** 2), probe


def butterworth(
    channels: Channels, probe: Modes, reference: Reference, values: tuple[float, ...]
) -> tuple[Channels, Modes]:
    """Multiply frequencies by 1 / (1 + (k / cutoff)^(2 order)).

    Args:
        channels: phase and absorption.
        probe: left alone.
        reference: sampling.
        values: (cutoff in Å⁻¹, order).

    Returns:
        both.
    """
    return _filtered(channels, reference, lambda square: 1 / (1 + (square / values[0] ** 2) ** values[1])), probe


def probe_centring(
    channels: Channels, probe: Modes, reference: Reference, values: tuple[float, ...]
) -> tuple[Channels, Modes]:
    """Move probe and object together by whole pixels until the probe's centre of mass is at its window's centre.

    Only their relative position is determined; whole pixels need no interpolation, and no pattern changes.

    Args:
        channels: phase and absorption.
        probe: modes.
        reference: not used.
        values: none.

    Returns:
        both.
    """
    del reference, values
    power = jnp.sum(intensity(probe), axis=0)
    # The centre of mass on a torus: the phase of the first Fourier coefficient.
    total = jnp.fft.fft2(power)
    turns = jnp.stack([-jnp.angle(total[1, 0]), -jnp.angle(total[0, 1])]) / (2 * math.pi)
    shift = -jnp.round(turns * jnp.array(probe.shape[1:])).astype(int)
    return jnp.roll(channels, shift, axis=(2, 3)), jnp.roll(probe, shift, axis=(1, 2))


def probe_power(
    channels: Channels, probe: Modes, reference: Reference, values: tuple[float, ...]
) -> tuple[Channels, Modes]:
    """The modes' intensities sum to one, the electrons of an average pattern.

    Without absorption, and where the detector sees every electron, that is the incident beam.

    Args:
        channels: left alone.
        probe: modes.
        reference: not used.
        values: none.

    Returns:
        both.
    """
    del reference, values
    return channels, probe / jnp.sqrt(jnp.sum(intensity(probe)))


def vacuum_amplitude(
    channels: Channels, probe: Modes, reference: Reference, values: tuple[float, ...]
) -> tuple[Channels, Modes]:
    """The most transparent illuminated place, the 1 % quantile of the summed absorption, absorbs nothing.

    The probe makes up for it: a constant absorption and the probe's power cannot be told apart.

    Args:
        channels: phase and absorption.
        probe: modes.
        reference: coverage.
        values: none.

    Returns:
        both.
    """
    del values
    if channels.shape[1] == 1:
        return channels, probe
    total = jnp.where(reference.coverage > 0.5, jnp.sum(channels[:, 1], axis=0), jnp.nan)
    least = jnp.nanquantile(total, 0.01)
    return channels.at[:, 1].add(-least / len(channels)), probe * jnp.exp(-least)


def field_of_view(
    channels: Channels, probe: Modes, reference: Reference, values: tuple[float, ...]
) -> tuple[Channels, Modes]:
    """What is illuminated less than a share of the mean is vacuum.

    Args:
        channels: phase and absorption.
        probe: left alone.
        reference: coverage.
        values: (share,).

    Returns:
        both.
    """
    return channels * (reference.coverage >= values[0]), probe


PROJECTIONS: dict[str, Map] = {
    "phase_only": phase_only,
    "low_pass": low_pass,
    "butterworth": butterworth,
    "missing_wedge": missing_wedge,
    "missing_wedge_ptychoshelves": missing_wedge_ptychoshelves,
    "identical_slices": identical_slices,
    "depth_blur": depth_blur,
    "vacuum_amplitude": vacuum_amplitude,
    "positivity": positivity,
    "field_of_view": field_of_view,
    "probe_centring": probe_centring,
    "probe_power": probe_power,
}
"""In the order in which they are applied; positivity after every filter that could undo it."""
SOFT_EQUIVALENT = {
    "positivity": 'object.kind = "potential"',
    "phase_only": 'object.kind = "phase", or penalties.pure_phase',
    "low_pass": "penalties.tikhonov_phase or penalties.amorphous",
    "butterworth": "penalties.tikhonov_phase or penalties.amorphous",
    "missing_wedge": "penalties.tikhonov_depth_phase",
    "missing_wedge_ptychoshelves": "penalties.tikhonov_depth_phase",
    "identical_slices": "penalties.similar_slices",
    "depth_blur": "penalties.tikhonov_depth_phase",
    "vacuum_amplitude": "penalties.pure_phase",
    "field_of_view": "penalties.l1_phase",
    "probe_centring": "penalties.probe_support",
    "probe_power": "none: a generated probe's power is one learned number",
}
"""What a generator, which cannot be projected, can be asked for instead."""


def touched_by(name: str) -> tuple[str, ...]:
    """Which unknowns a projection changes.

    Args:
        name: one of ``PROJECTIONS``.

    Returns:
        ``object``, ``probe`` or both.

    Example:
        >>> touched_by("probe_power"), touched_by("low_pass")
        (('probe',), ('object',))
    """
    if name == "probe_power":
        return ("probe",)
    return ("object", "probe") if name in ("probe_centring", "vacuum_amplitude") else ("object",)


def project(
    projections: tuple[Projection, ...], channels: Channels, probe: Modes, reference: Reference
) -> tuple[Channels, Modes]:
    """Apply projections in order.

    Args:
        projections: which (static).
        channels: phase and absorption.
        probe: modes.
        reference: coverage, sampling, thickness.

    Returns:
        object and probe.
    """
    for projection in projections:
        channels, probe = PROJECTIONS[projection.name](channels, probe, reference, projection.values)
    return channels, probe
