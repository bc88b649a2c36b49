"""Soft penalties: what is known of object, probe and positions besides the patterns.

Each is a function of the rendered unknowns, so it applies to pixels and to generated objects alike, and each is
normalised so that its weight carries over: a mean over the illuminated canvas, so the size of the scan drops out, and
such a power of the number of slices that finer slices of the same object change nothing. Near a good model the data
loss is about 2 ⟨δφ²⟩ for an error δφ of the projected phase, which is the unit of every weight.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import jax.numpy as jnp

from jptycho.forward.fields import Fields
from jptycho.objective.reference import Channels, Reference, illuminated_mean
from jptycho.objective.roughness import (
    depth_tikhonov,
    depth_variation,
    magnitude,
    sparsity,
    tikhonov,
    total_variation,
)
from jptycho.optics.frequencies import spatial_frequencies
from jptycho.optics.waves import intensity
from jptycho.representations.pixels import visibility
from jptycho.types import Array, Complex, Float, Grid


@dataclasses.dataclass(frozen=True)
class Penalty:
    """A penalty and its weight; hashable.

    Attributes:
        name: one of ``PENALTIES``.
        weight: of its value, beside the data loss.
    """

    name: str
    weight: float


Term = Callable[[Fields, Channels, Reference], Float[Array, ""]]


def surface(fields: Fields, channels: Channels, reference: Reference) -> Float[Array, ""]:
    """S² ⟨|t_1 - 1|² + |t_S - 1|²⟩ to second order: first and last slice are vacuum.

    Args:
        fields: not used.
        channels: phase and absorption.
        reference: holds the coverage.

    Returns:
        the penalty.
    """
    del fields
    outer = channels[jnp.array([0, -1])] ** 2
    return len(channels) ** 2 * jnp.sum(illuminated_mean(outer, reference))


def similar_slices(fields: Fields, channels: Channels, reference: Reference) -> Float[Array, ""]:
    """S Σ_s ⟨(u_s - mean_s u)²⟩ of phase and absorption.

    Args:
        fields: not used.
        channels: phase and absorption.
        reference: holds the coverage.

    Returns:
        the penalty.
    """
    del fields
    return len(channels) * jnp.sum(illuminated_mean((channels - jnp.mean(channels, axis=0)) ** 2, reference))


def pure_phase(fields: Fields, channels: Channels, reference: Reference) -> Float[Array, ""]:
    """S Σ_s ⟨(|t_s| - 1)²⟩: a thin specimen absorbs nothing.

    Args:
        fields: not used.
        channels: absorption is the second, where there is one.
        reference: holds the coverage.

    Returns:
        the penalty.
    """
    del fields
    return len(channels) * jnp.sum(illuminated_mean(jnp.expm1(-channels[:, 1:]) ** 2, reference))


def amorphous(fields: Fields, channels: Channels, reference: Reference) -> Float[Array, ""]:
    """S Σ_s ⟨|F[φ_s]|² (1 + (k / k0)²)²⟩: negative logarithm of a Gaussian prior with the spectrum of amorphous matter.

    Random atoms scatter like one: the power spectrum is the squared scattering factor, which of a hydrogen-like charge
    cloud falls as 1 / (1 + (k / k0)²)². Noise is white and pays for all that lies beyond k0.

    Args:
        fields: not used.
        channels: phase is the first.
        reference: k0, sampling and coverage.

    Returns:
        the penalty.

    Source:
        Kirkland, Advanced Computing in Electron Microscopy (2020), ch. 5, for the scattering factor.
    """
    del fields
    phase = channels[:, 0]
    phase = phase - illuminated_mean(phase, reference)[:, None, None]
    weight = visibility(reference.coverage)
    seen = phase * jnp.sqrt(weight)
    ky, kx = spatial_frequencies(Grid((phase.shape[1], phase.shape[2]), reference.sampling))
    rise = ((1 + (ky**2 + kx**2) / reference.amorphous_corner**2) ** 2).astype(phase.dtype)
    power = intensity(jnp.fft.fft2(seen, norm="ortho"))
    return len(channels) * jnp.sum(power * rise) / jnp.sum(weight)


def charge_density(fields: Fields, channels: Channels, reference: Reference) -> Float[Array, ""]:
    """Σ_s ⟨|∇²φ_s|⟩: by Poisson's equation ρ = -ε₀ ∇²V, and charge sits at the atoms and nowhere else.

    Args:
        fields: not used.
        channels: phase, proportional to the projected potential V, is the first.
        reference: holds the coverage.

    Returns:
        the penalty; second differences a pixel.
    """
    del fields
    phase = jnp.pad(channels[:, 0], ((0, 0), (1, 1), (1, 1)), mode="edge")
    middle = phase[:, 1:-1, 1:-1]
    around = phase[:, :-2, 1:-1] + phase[:, 2:, 1:-1] + phase[:, 1:-1, :-2] + phase[:, 1:-1, 2:]
    return jnp.sum(illuminated_mean(magnitude(4 * middle - around, 1 / len(channels)), reference))


def smooth_positions(fields: Fields, channels: Channels, reference: Reference) -> Float[Array, ""]:
    """Mean of |d_i - d_j|² over neighbours i, j; d is the displacement from the nominal position in pixels.

    Args:
        fields: positions.
        channels: not used.
        reference: nominal positions and neighbours.

    Returns:
        the penalty.
    """
    del channels
    return _roughness(fields.scan.position - reference.positions, reference.neighbours)


def smooth_tilts(fields: Fields, channels: Channels, reference: Reference) -> Float[Array, ""]:
    """Mean of |θ_i - θ_j|² over neighbours i, j, in mrad².

    Args:
        fields: tilts, one for each position.
        channels: not used.
        reference: neighbours.

    Returns:
        the penalty; 0 for a tilt that all positions share.
    """
    del channels
    return jnp.zeros(()) if fields.scan.tilt is None else _roughness(fields.scan.tilt, reference.neighbours)


def _roughness(values: Array, neighbours: Array) -> Array:
    return jnp.mean(jnp.sum((values[neighbours[:, 0]] - values[neighbours[:, 1]]) ** 2, axis=-1))


def outside_share(wave: Complex[Array, "modes y x"], outside: Float[Array, "y x"]) -> Float[Array, ""]:
    """The share of a wave's power in a region.

    Args:
        wave: modes.
        outside: 1 in the region, 0 elsewhere.

    Returns:
        between 0 and 1.

    Example:
        >>> float(outside_share(jnp.ones((2, 2, 2), complex), jnp.eye(2)))
        0.5
    """
    power = jnp.sum(intensity(wave), axis=0)
    return jnp.sum(outside * power) / jnp.sum(power)


def probe_support(fields: Fields, channels: Channels, reference: Reference) -> Float[Array, ""]:
    """Share of the probe's power outside its support in real space.

    Args:
        fields: probe.
        channels: not used.
        reference: the support.

    Returns:
        the penalty, between 0 and 1.
    """
    del channels
    return outside_share(fields.probe, reference.outside_support)


def probe_aperture(fields: Fields, channels: Channels, reference: Reference) -> Float[Array, ""]:
    """Share of the probe's power outside its aperture in reciprocal space.

    Args:
        fields: probe.
        channels: not used.
        reference: the aperture.

    Returns:
        the penalty, between 0 and 1.
    """
    del channels
    return outside_share(jnp.fft.fft2(fields.probe, norm="ortho"), reference.outside_aperture)


def _of_channel(function: Callable[[Array, Reference], Array], channel: int) -> Term:
    def term(fields: Fields, channels: Channels, reference: Reference) -> Array:
        del fields
        return function(channels[:, channel], reference)

    term.__doc__ = function.__doc__
    return term


PHASE_AND_ABSORPTION = {
    "tv": total_variation,
    "tikhonov": tikhonov,
    "tv_depth": depth_variation,
    "tikhonov_depth": depth_tikhonov,
    "l1": sparsity,
}
PENALTIES: dict[str, Term] = {
    **{f"{name}_phase": _of_channel(function, 0) for name, function in PHASE_AND_ABSORPTION.items()},
    **{f"{name}_absorption": _of_channel(function, 1) for name, function in PHASE_AND_ABSORPTION.items()},
    "surface": surface,
    "similar_slices": similar_slices,
    "pure_phase": pure_phase,
    "amorphous": amorphous,
    "charge_density": charge_density,
    "smooth_positions": smooth_positions,
    "smooth_tilts": smooth_tilts,
    "probe_support": probe_support,
    "probe_aperture": probe_aperture,
}


def total_penalty(
    penalties: tuple[Penalty, ...], fields: Fields, channels: Channels, reference: Reference
) -> Float[Array, ""]:
    """Σ weight · penalty; what is not named is not evaluated.

    Args:
        penalties: names and weights (static).
        fields: the rendered unknowns.
        channels: phase and absorption.
        reference: what they are compared with.

    Returns:
        the sum.
    """
    return sum((p.weight * PENALTIES[p.name](fields, channels, reference) for p in penalties), jnp.zeros(()))
