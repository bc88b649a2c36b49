"""Where a probe should be dark: outside its support, and outside its aperture."""

from __future__ import annotations

import jax.numpy as jnp

from jptycho.objective.reference import Reference
from jptycho.optics.waves import intensity
from jptycho.representations.estimate import Estimate
from jptycho.types import Array, Complex, Float


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


def probe_support(estimate: Estimate, reference: Reference) -> Float[Array, ""]:
    """Share of the probe's power outside its support in real space.

    Args:
        estimate: probe.
        reference: the support.

    Returns:
        the penalty, between 0 and 1.
    """
    return outside_share(estimate.probe, reference.outside_support)


def probe_aperture(estimate: Estimate, reference: Reference) -> Float[Array, ""]:
    """Share of the probe's power outside its aperture in reciprocal space.

    Args:
        estimate: probe.
        reference: the aperture.

    Returns:
        the penalty, between 0 and 1.
    """
    return outside_share(jnp.fft.fft2(estimate.probe, norm="ortho"), reference.outside_aperture)
