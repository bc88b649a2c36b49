"""What is known of a scan besides its patterns: the arrays that penalties and projections compare the unknowns with."""

from __future__ import annotations

import jax.numpy as jnp

from jptycho.representations.pixels import visibility
from jptycho.types import Array, Complex, Float, Int, Number, pytree

Channels = Float[Array, "slices channels Y X"]
Modes = Complex[Array, "modes y x"]


@pytree
class Reference:
    """What penalties and projections compare the unknowns with; all of it is traced.

    Attributes:
        coverage: illumination of each canvas pixel, of mean one.
        positions: nominal, canvas pixels (scan, 2).
        neighbours: pairs of patterns that were recorded side by side (pairs, 2).
        outside_support: of the probe in real space: 1 where it should be dark, centre at [0, 0].
        outside_aperture: likewise on the detector.
        sampling: Å a canvas pixel.
        thickness: Å between slices.
    """

    coverage: Float[Array, "Y X"]
    positions: Float[Array, "scan 2"]
    neighbours: Int[Array, "pairs 2"]
    outside_support: Float[Array, "y x"]
    outside_aperture: Float[Array, "ky kx"]
    sampling: tuple[Number, Number]
    thickness: Number = 0.0


def illuminated_mean(image: Float[Array, "*slices Y X"], reference: Reference) -> Float[Array, "*slices"]:
    """Mean over the canvas, weighted by the visibility: what no electron saw does not count.

    Args:
        image: (..., Y, X).
        reference: holds the coverage c.

    Returns:
        the means (...).
    """
    weight = visibility(reference.coverage)
    return jnp.sum(jnp.broadcast_to(weight, image.shape) * image, axis=(-2, -1)) / jnp.sum(weight)
