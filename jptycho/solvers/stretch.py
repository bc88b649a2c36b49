"""What a pattern tells of its place, and of how far the object there was stretched when it was formed."""

from __future__ import annotations

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp

from jptycho.forward.exit_waves import window_of
from jptycho.forward.fields import Fields, ScanFields, Setup
from jptycho.forward.model import predict
from jptycho.forward.patches import crop
from jptycho.objective.data_term import as_fractions, noise_of
from jptycho.objective.losses import Loss
from jptycho.solvers.locate import information_on, linearised
from jptycho.types import Array, Complex, Float, Shaped


def gradients_of(transmission: Complex[Array, "slices Y X"]) -> Complex[Array, "2 slices Y X"]:
    """Derivatives of an object along (y, x) a pixel, by Fourier transform.

    Args:
        transmission: of each slice.

    Returns:
        of each.

    Example:
        >>> wave = jnp.exp(2j * jnp.pi * jnp.arange(8) / 8)[None, None] * jnp.ones((1, 4, 1))
        >>> bool(jnp.allclose(gradients_of(wave)[1], 2j * jnp.pi / 8 * wave, atol=1e-5))
        True
    """
    spectrum, (rows, columns) = jnp.fft.fft2(transmission), transmission.shape[-2:]
    along = (jnp.fft.fftfreq(rows)[:, None], jnp.fft.fftfreq(columns)[None])
    multipliers = [(2 * jnp.pi * jnp.broadcast_to(k, (rows, columns))).astype(transmission.dtype) * 1j for k in along]
    return jnp.stack([jnp.fft.ifft2(spectrum * by[None]) for by in multipliers])


def likelihood_of(
    loss: Loss,
    fields: Fields,
    setup: Setup,
    counts: Shaped[Array, "ky kx"],
    row: ScanFields,
    gradients: Complex[Array, "2 slices Y X"],
) -> tuple[Float[Array, "6"], Float[Array, "6 6"]]:
    """The log-likelihood of a pattern about a place, by its place d and the stretch E of the object about it.

    What the object has at r from the place belongs to (1 + E) r, because the patterns that formed it were displaced by
    E r there. The pattern knows: its own scale is the detector's.

    Args:
        loss: of one pattern; times the electrons it is the negative log-likelihood (static).
        fields: the unknowns.
        setup: constants of the run.
        counts: as stored.
        row: of the scan, with the place.
        gradients: of the object, by :func:`gradients_of`.

    Returns:
        derivatives by (dy, dx, Eyy, Eyx, Exy, Exx), pixels⁻¹ and 1, and Fisher's information on them.
    """
    measured, noise = as_fractions(counts, setup), noise_of(setup)
    predicted = lambda position: predict(fields, setup, dataclasses.replace(row, position=position))  # noqa: E731
    intensity, moved = linearised(predicted, row.position)
    slopes = jnp.concatenate([moved, _stretched(fields, setup, row, gradients)])
    force = jax.grad(lambda i: jnp.sum(setup.mask * loss(i, measured, noise)))(intensity)
    return -noise.electrons * jnp.einsum("ayx,yx->a", slopes, force), information_on(loss, intensity, slopes, setup)


def _stretched(
    fields: Fields, setup: Setup, row: ScanFields, gradients: Complex[Array, "2 slices Y X"]
) -> Float[Array, "4 ky kx"]:
    """Derivatives of the pattern where the object is stretched about its position: δt = -(E r) · ∇t."""
    corner, shift = window_of(setup, row.position, fields.object.shape)
    cut = partial(crop, corner=corner, shape=setup.grid.shape)
    inside = dataclasses.replace(row, position=shift)
    _, along = jax.linearize(
        lambda seen: predict(dataclasses.replace(fields, object=seen), setup, inside), cut(fields.object)
    )
    axes = [jnp.arange(n).astype(at.dtype) - at for n, at in zip(setup.grid.shape, shift, strict=True)]
    away = [by.astype(fields.object.dtype) for by in jnp.meshgrid(*axes, indexing="ij")]
    return jnp.stack([along(-side * by[None]) for side in cut(gradients) for by in away])
