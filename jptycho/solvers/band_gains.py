"""How much of each band of an estimate the electrons that it was not made from confirm.

A filter by the cross-spectrum of two halves takes for signal what both have in common, and that may be an error: fine
structure that few epochs did not yet reach, slow structure that an imperfect probe exaggerates. The likelihood of the
other half sees both, and a few numbers, one gain for each band of spatial frequency, mend them.
"""

from __future__ import annotations

import dataclasses
import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jptycho.forward.fields import Fields, ScanFields
from jptycho.forward.model import predict
from jptycho.objective.data_term import as_fractions, noise_of
from jptycho.objective.losses import Loss
from jptycho.optics.frequencies import host_frequencies
from jptycho.optics.waves import to_complex
from jptycho.parallel import sum_over_shards
from jptycho.representations.estimate import transmission
from jptycho.solvers.base import ScanData, rows_of
from jptycho.solvers.exit_wave_updates import in_parts
from jptycho.solvers.streaming import StreamedScan, sum_over_parts
from jptycho.types import Array, Float, Number, PyTree, pytree

BANDS = 12
PARTS = 16  # patterns that are worked on together
SPREAD = 0.5
"""Standard deviation by which a gain is expected to differ from one."""
RAMP = 0.5
"""The same of a ramp, in rad over the canvas: it is left free."""
SLOWEST = 3
"""Bands, of about one to three periods on the canvas's shorter side: there an imperfect probe asks for more than there
is."""
LARGEST = 1.2
"""Gain; noise imitates what the model lacks, such as thermal diffuse scattering, and likelihood would ask for more."""


@pytree
class Quadratic:
    """The loss about gains of one: g · (gains - 1) + (gains - 1) · H (gains - 1) / 2, in nats.

    Attributes:
        slope: g of each band.
        curvature: H, the expected (Fisher) information.
    """

    slope: Float[Array, "bands"]
    curvature: Float[Array, "bands bands"]


def frequency_bands(
    shape: tuple[int, int], sampling: tuple[float, float], count: int = BANDS
) -> Float[np.ndarray, "bands Y X"]:
    """Overlapping triangles in the logarithm of the frequency, from one period of the canvas to Nyquist.

    Zero frequency belongs to none: no electron determines a constant phase.

    Args:
        shape: of the canvas.
        sampling: Å a pixel.
        count: bands.

    Returns:
        weights that add up to one at every other frequency, zero frequency at [0, 0].

    Example:
        >>> frequency_bands((4, 4), (0.3, 0.3), 4).sum(axis=0).round(6).min(axis=1).tolist()
        [0.0, 1.0, 1.0, 1.0]
    """
    lowest, highest = 1 / min(n * s for n, s in zip(shape, sampling, strict=True)), 0.5 / max(sampling)
    frequency = np.clip(np.hypot(*host_frequencies(shape, sampling)), lowest, highest)
    place = np.log(frequency / lowest) / math.log(highest / lowest) * (count - 1)
    bands = np.clip(1 - np.abs(place - np.arange(count)[:, None, None]), 0, 1)
    bands[:, 0, 0] = 0
    return bands


def in_bands(image: Float[Array, "slices Y X"], bands: Float[Array, "bands Y X"]) -> Float[Array, "bands slices Y X"]:
    """The parts of an image that lie in each band; they add up to the image without its mean.

    Args:
        image: of each slice.
        bands: of :func:`frequency_bands`.

    Returns:
        the parts.
    """
    return jnp.real(jnp.fft.ifft2(jnp.fft.fft2(image)[None] * to_complex(bands)[:, None])).astype(image.dtype)


def loss_by_band(
    mesh: Mesh,
    loss: Loss,
    channels: Float[Array, "slices channels Y X"],
    fields: Fields,
    bands: Float[Array, "bands Y X"],
    validate: ScanData | StreamedScan,
) -> Quadratic:
    """How the loss of electrons changes with the gain of each band of the phase: Gauss-Newton about one.

    No pattern tells a ramp of the object from one of the probe. So two ramps are fitted with the gains and left out:
    otherwise the slowest bands would be strengthened by the ramp that they contain.

    Args:
        mesh: over scan positions (static).
        loss: of one pattern (static).
        channels: phase in rad and absorption of the estimate.
        fields: probe, positions and all else that is not the object.
        bands: of :func:`frequency_bands`.
        validate: electrons that the estimate was not made from.

    Returns:
        slope and curvature in nats, all patterns together.
    """
    if isinstance(validate, StreamedScan):
        sums = sum_over_parts(validate, lambda part: _band_sums(mesh, loss, channels, fields, bands, part))
        return _without_ramps(sums)
    return _in_memory(mesh, loss, channels, fields, bands, validate)


@partial(jax.jit, static_argnames=("mesh", "loss"))
def _in_memory(mesh: Mesh, loss: Loss, channels: Array, fields: Fields, bands: Array, validate: ScanData) -> Quadratic:
    return _without_ramps(_band_sums(mesh, loss, channels, fields, bands, validate))


@partial(jax.jit, static_argnames=("mesh", "loss"))
def _band_sums(mesh: Mesh, loss: Loss, channels: Array, fields: Fields, bands: Array, validate: ScanData) -> Quadratic:
    """Slope and curvature with the ramps, summed over patterns."""
    local = validate.weight.shape[1]
    parts = jnp.concatenate([in_bands(channels[:, 0], bands), _ramps(channels[:, 0])])

    def local_sums(shared: PyTree, rows: ScanFields, counts: Array, weight: Array) -> Quadratic:
        def add(total: Quadratic, part: PyTree) -> Quadratic:
            (patterns, own), weights = part
            found = jax.vmap(partial(_of_pattern, loss, shared))(patterns, own, weights)
            return jax.tree.map(lambda t, f: t + jnp.sum(f, axis=0), total, found)

        start = Quadratic(jnp.zeros(len(parts), parts.dtype), jnp.zeros((len(parts), len(parts)), parts.dtype))
        return in_parts(add, start, (counts, rows), weight, -(-local // PARTS))

    rows = rows_of(fields.scan, validate)
    shared = (channels, parts, fields, validate.setup)
    return sum_over_shards(mesh, local_sums)(shared, rows, validate.counts, validate.weight)


def _without_ramps(losses: Quadratic) -> Quadratic:
    """The least loss over the last two terms, the ramps, as a function of the others."""
    ramps = losses.curvature[-2:, -2:] + jnp.eye(2) / RAMP**2
    mixed = jnp.linalg.solve(ramps, jnp.column_stack([losses.slope[-2:], losses.curvature[-2:, :-2]]))
    coupling = losses.curvature[:-2, -2:]
    return Quadratic(losses.slope[:-2] - coupling @ mixed[:, 0], losses.curvature[:-2, :-2] - coupling @ mixed[:, 1:])


def _of_pattern(loss: Loss, shared: PyTree, pattern: Array, row: ScanFields, weight: Array) -> Quadratic:
    """Slope and curvature by one pattern: Jᵀ l' and Jᵀ l'' J, with l'' where the pattern is as predicted."""
    channels, parts, fields, setup = shared
    noise, measured = noise_of(setup), as_fractions(pattern, setup)

    def predicted(added: Array) -> tuple[Array, Array]:
        scaled = transmission(channels.at[:, 0].add(jnp.tensordot(added, parts, 1)))
        intensity = predict(dataclasses.replace(fields, object=scaled), setup, row)
        return intensity, intensity

    def slope_at(intensity: Array, seen: Array) -> Array:
        return jax.grad(lambda i: jnp.sum(setup.mask * loss(i, seen, noise)))(intensity)

    jacobian, intensity = jax.jacfwd(predicted, has_aux=True)(jnp.zeros(len(parts), parts.dtype))  # (ky, kx, terms)
    expected = jax.lax.stop_gradient(intensity)
    information = jax.jvp(lambda i: slope_at(i, expected), (intensity,), (jnp.ones_like(intensity),))[1]
    slope = jnp.einsum("yxb,yx->b", jacobian, slope_at(intensity, measured))
    curvature = jnp.einsum("yxb,yx,yxc->bc", jacobian, information, jacobian)
    scale = weight * noise.electrons
    return Quadratic(scale * slope, scale * curvature)


def _ramps(phase: Float[Array, "slices Y X"]) -> Float[Array, "2 slices Y X"]:
    """A ramp along each axis, of one rad over the canvas and all slices."""
    slices, rows, columns = phase.shape
    y = jnp.broadcast_to(jnp.linspace(-0.5, 0.5, rows)[:, None], phase.shape)
    x = jnp.broadcast_to(jnp.linspace(-0.5, 0.5, columns), phase.shape)
    return jnp.stack([y, x]).astype(phase.dtype) / slices


@jax.jit
def best_gains(losses: Quadratic, largest_slow: Number = LARGEST) -> Float[Array, "bands"]:
    """The gains that electrons prefer, expected to be one within ``SPREAD``.

    What a band asks for beyond its bound is an error of the model, and is not passed on to its neighbours.

    Args:
        losses: of one scan, or the sum of several.
        largest_slow: gain of the ``SLOWEST`` bands.

    Returns:
        between 0 and ``LARGEST``.

    Example:
        >>> best_gains(Quadratic(jnp.array([400.0, 0.0]), jnp.diag(jnp.array([800.0, 0.0])))).round(2).tolist()
        [0.5, 1.0]
        >>> wanted = Quadratic(jnp.full(5, -40.0), 800.0 * jnp.eye(5))
        >>> (best_gains(wanted, largest_slow=1.0) > 1).tolist()
        [False, False, False, True, True]
    """
    count = len(losses.slope)
    largest = jnp.where(np.arange(count) < SLOWEST, largest_slow, LARGEST).astype(losses.slope.dtype)
    prior = jnp.eye(count) / SPREAD**2
    return jnp.clip(1 - jnp.linalg.solve(losses.curvature + prior, losses.slope), 0.0, largest)


@jax.jit
def with_gains(
    channels: Float[Array, "slices channels Y X"], bands: Float[Array, "bands Y X"], gains: Float[Array, "bands"]
) -> Float[Array, "slices channels Y X"]:
    """An estimate whose phase is multiplied by the gain of each band.

    Args:
        channels: phase in rad and absorption.
        bands: of :func:`frequency_bands`.
        gains: of each.

    Returns:
        the channels; the mean of the phase stays.

    Example:
        >>> bands, image = jnp.asarray(frequency_bands((4, 4), (0.5, 0.5), 3)), jnp.ones((1, 1, 4, 4))
        >>> with_gains(image, bands, jnp.zeros(3))[0, 0, 0, 0].item()
        1.0
    """
    multiplier = 1 + jnp.tensordot(gains - 1, bands, 1)
    phase = jnp.real(jnp.fft.ifft2(jnp.fft.fft2(channels[:, 0]) * to_complex(multiplier)[None]))
    return channels.at[:, 0].set(phase.astype(channels.dtype))
