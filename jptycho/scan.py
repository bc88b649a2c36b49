"""Scan positions in Å and pixels, the canvas that holds them, and the plan of an epoch's batches."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np

from jptycho.types import Array, Float, Int


def raster_positions(
    shape: tuple[int, int],
    step: tuple[float, float],
    rotation: float = 0.0,
    transpose: bool = False,
) -> Float[np.ndarray, "scan 2"]:
    """Positions of a raster as the detector's axes see them: p = R(θ) (slow · step_y, fast · step_x).

    R = [[cos θ, -sin θ], [sin θ, cos θ]] acts on (row, column); ``transpose`` swaps row and column first.

    Args:
        shape: slow and fast steps of the scan.
        step: Å along slow and fast axis.
        rotation: θ in degrees.
        transpose: whether detector rows run along the fast axis.

    Returns:
        positions in Å, (slow · fast, 2), in scan order.

    Example:
        >>> raster_positions((1, 2), (1.0, 2.0), rotation=90.0).round(6).tolist()
        [[0.0, 0.0], [-2.0, 0.0]]
    """
    slow, fast = np.meshgrid(np.arange(shape[0]) * step[0], np.arange(shape[1]) * step[1], indexing="ij")
    points = np.stack([slow.ravel(), fast.ravel()], axis=1)
    return orient(points, rotation, transpose)


def orient(points: Float[np.ndarray, "scan 2"], rotation: float, transpose: bool) -> Float[np.ndarray, "scan 2"]:
    """Turn scan coordinates into the detector's: swap the axes where asked, then rotate.

    Args:
        points: along slow and fast axis (scan, 2).
        rotation: θ in degrees.
        transpose: whether detector rows run along the fast axis.

    Returns:
        points along detector rows and columns.

    Example:
        >>> orient(np.array([[1.0, 2.0]]), 0.0, True).tolist()
        [[2.0, 1.0]]
    """
    points = points[:, ::-1] if transpose else points
    angle = math.radians(rotation)
    matrix = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return points @ matrix.T


def fast_length(length: int) -> int:
    """The next length that is a multiple of 8 and has no prime factor above 7: quick for FFTs and three poolings.

    Args:
        length: at least 1.

    Returns:
        a length that is not smaller.

    Example:
        >>> fast_length(161), fast_length(8)
        (168, 8)
    """
    candidate = 8 * math.ceil(length / 8)
    while True:
        rest = candidate // 8
        for prime in (2, 3, 5, 7):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return candidate
        candidate += 8


def place_on_canvas(
    positions: Float[np.ndarray, "scan 2"],
    sampling: tuple[float, float],
    window: tuple[int, int],
    margin: float = 0.0,
) -> tuple[Float[np.ndarray, "scan 2"], tuple[int, int]]:
    """Turn positions into pixels of a canvas that holds the window of every one, with one pixel to spare.

    Args:
        positions: of the probe's centre in Å, (scan, 2).
        sampling: Å a pixel along (y, x).
        window: rows and columns of the probe's window.
        margin: Å by which positions may turn out to lie further out.

    Returns:
        positions in pixels of the canvas (scan, 2), and the canvas shape.

    Example:
        >>> pixels, shape = place_on_canvas(np.array([[0.0, 0.0], [4.0, 2.0]]), (0.5, 0.5), (16, 16))
        >>> pixels.tolist(), shape
        ([[12.0, 10.0], [20.0, 14.0]], (32, 24))
    """
    pixels = positions / np.asarray(sampling)
    low = pixels.min(axis=0)
    extent = pixels.max(axis=0) - low
    wider = [math.ceil(margin / sampling[i]) for i in range(2)]
    need = [math.ceil(extent[i]) + window[i] + 2 + 2 * wider[i] for i in range(2)]
    shape = (fast_length(need[0]), fast_length(need[1]))
    spare = [(shape[i] - need[i]) // 2 for i in range(2)]
    origin = np.array([window[i] // 2 + 1 + wider[i] + spare[i] for i in range(2)])
    return pixels - low + origin, shape


def steps_per_epoch(patterns: int, batch: int, shards: int = 1) -> int:
    """How many optimiser steps see every pattern once.

    Args:
        patterns: in the scan.
        batch: patterns a step, all shards together.
        shards: equal parts into which the scan is divided.

    Returns:
        ⌈patterns per shard / batch per shard⌉.

    Example:
        >>> steps_per_epoch(100, 32), steps_per_epoch(100, 32, shards=2)
        (4, 4)
    """
    return math.ceil(math.ceil(patterns / shards) / max(batch // shards, 1))


def batch_plan(
    key: Array, weights: Float[Array, "shards local"], steps: int
) -> tuple[Int[Array, "steps shards batch"], Float[Array, "steps shards batch"]]:
    """Shuffle each shard's patterns into equal batches; what pads the last one has weight zero.

    Args:
        key: random key.
        weights: of each pattern; zero for padding.
        steps: batches an epoch (static).

    Returns:
        local indices and weights, both (steps, shards, batch); every pattern occurs once with its weight.

    Example:
        >>> index, weight = batch_plan(jax.random.key(0), jnp.ones((1, 10)), 3)
        >>> index.shape, float(weight.sum())
        ((3, 1, 4), 10.0)
    """
    shards, local = weights.shape
    batch = math.ceil(local / steps)
    order = jax.vmap(lambda k: jax.random.permutation(k, local))(jax.random.split(key, shards))
    weight = jnp.take_along_axis(weights, order, axis=1)
    pad = ((0, 0), (0, steps * batch - local))
    # Dealing the shuffled patterns out in turn spreads the padding over the batches.
    index = jnp.pad(order, pad).reshape(shards, batch, steps)
    weight = jnp.pad(weight, pad).reshape(shards, batch, steps)
    return index.transpose(2, 0, 1), weight.transpose(2, 0, 1)


def compact_plan(
    key: Array,
    weights: Float[Array, "shards local"],
    positions: Float[Array, "shards local 2"],
    steps: int,
) -> tuple[Int[Array, "steps shards batch"], Float[Array, "steps shards batch"]]:
    """Batches of neighbours: strips along y, each cut along x, from a random place and in random order.

    Args:
        key: random key.
        weights: of each pattern; zero for padding.
        positions: canvas pixels.
        steps: batches an epoch (static).

    Returns:
        local indices and weights, both (steps, shards, batch); every pattern occurs once with its weight.

    Example:
        >>> y, x = jnp.meshgrid(jnp.arange(4.0), jnp.arange(4.0), indexing="ij")
        >>> places = jnp.stack([y.ravel(), x.ravel()], 1)[None]
        >>> index, _ = compact_plan(jax.random.key(0), jnp.ones((1, 16)), places, 4)
        >>> index.shape
        (4, 1, 4)
    """
    shards, local = weights.shape
    # The largest divisor up to the root: as nearly square blocks as the number of steps allows.
    strips = max(n for n in range(1, math.isqrt(steps) + 1) if steps % n == 0)
    batch = math.ceil(local / steps)
    spare = steps * batch - local
    key_order, key_start = jax.random.split(key)

    def one(place: Array, weight: Array, start: Array) -> tuple[Array, Array]:
        order = jnp.roll(jnp.pad(jnp.argsort(place[:, 0]), (0, spare)), start)
        kept = jnp.roll(jnp.pad(jnp.ones(local, weight.dtype), (0, spare)), start)
        strip = order.reshape(strips, -1)
        along = jnp.argsort(place[strip, 1], axis=1)
        index = jnp.take_along_axis(strip, along, axis=1).reshape(steps, batch)
        kept = jnp.take_along_axis(kept.reshape(strips, -1), along, axis=1).reshape(steps, batch)
        return index, weight[index] * kept

    offsets = jax.random.randint(key_start, (shards,), 0, steps * batch)
    index, weight = jax.vmap(one, out_axes=1)(positions, weights, offsets)
    order = jax.random.permutation(key_order, steps)
    return index[order], weight[order]
