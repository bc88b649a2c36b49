"""What a solver is given, what it carries from epoch to epoch and what it reports."""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jptycho.forward.model import Setup
from jptycho.parallel import replicate, shard
from jptycho.types import Array, Float, Shaped, pytree


@pytree
class State:
    """All that changes during a run; saved whole, so a run goes on exactly where it stopped.

    Attributes:
        params: of the representations, real leaves.
        optimiser: Optax state.
        average: running mean of the rendered object channels, or None.
        key: random key.
        epoch: epochs done, scalar.
    """

    params: Any
    optimiser: Any
    average: Any
    key: Array
    epoch: Array


@pytree
class ScanData:
    """Patterns on their devices.

    Attributes:
        counts: as stored (shards, local, ky, kx), zero frequency at [0, 0].
        weight: of each pattern (shards, local); zero for what pads the scan.
        setup: constants of the run.
    """

    counts: Shaped[Array, "shards local ky kx"]
    weight: Float[Array, "shards local"]
    setup: Setup


@pytree
class Metrics:
    """One epoch in numbers.

    Attributes:
        loss: mean over patterns, as seen while the epoch ran.
        error: amplitude error √(Σ(√I - √y)² / Σy), likewise.
        finite: whether every number stayed finite.
    """

    loss: Float[Array, ""]
    error: Float[Array, ""]
    finite: Array


def distribute(counts: Shaped[np.ndarray, "scan ky kx"], setup: Setup, mesh: Mesh) -> ScanData:
    """Share a scan out over devices, padding with patterns of weight zero.

    Args:
        counts: as stored, zero frequency at [0, 0].
        setup: constants of the run.
        mesh: of :func:`jptycho.parallel.make_mesh`.

    Returns:
        the scan; pattern i is on shard i // local.
    """
    shards = mesh.size
    local = math.ceil(len(counts) / shards)
    # Patterns repeated in turn fill the last shards; they weigh nothing.
    padded = counts[np.arange(shards * local) % len(counts)] if shards * local > len(counts) else counts
    weight = (np.arange(shards * local) < len(counts)).astype(setup.mask.dtype)
    return ScanData(
        shard(mesh, padded.reshape(shards, local, *counts.shape[1:])),
        shard(mesh, weight.reshape(shards, local)),
        replicate(mesh, setup),
    )


def split_positions(positions: Float[Array, "scan 2"], shards: int, local: int) -> Float[Array, "shards local 2"]:
    """Positions laid out as :func:`distribute` lays out the patterns.

    Args:
        positions: (scan, 2).
        shards: parts of the scan.
        local: patterns of a part.

    Returns:
        positions (shards, local, 2); what pads repeats them in turn.

    Example:
        >>> split_positions(jnp.arange(6.0).reshape(3, 2), 2, 2).shape
        (2, 2, 2)
    """
    return positions[jnp.arange(shards * local) % positions.shape[0]].reshape(shards, local, 2)
