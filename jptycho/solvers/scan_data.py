"""Patterns on their devices: all of a scan, or a part of it."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jptycho.forward.fields import ScanFields, Setup
from jptycho.objective.reference import Reference
from jptycho.parallel import replicate, shard
from jptycho.solvers.constraints import require_reference
from jptycho.types import Array, Float, Int, Shaped, pytree


@pytree
class Part:
    """Which part of a scan some data are, where an epoch sees the scan in parts, one after another.

    Attributes:
        rows: numbers of the patterns in the scan (shards, local).
        number: of the part, from 0.
        parts: of an epoch.
    """

    rows: Int[Array, "shards local"]
    number: Int[Array, ""]
    parts: Int[Array, ""]


@pytree
class ScanData:
    """Patterns on their devices.

    Attributes:
        counts: as stored (shards, local, ky, kx), zero frequency at [0, 0]; with an axis of two before the detector's
            where the electrons of each pattern are divided into halves.
        weight: of each pattern (shards, local); zero for what pads the scan.
        setup: constants of the run.
        reference: what penalties and projections compare the unknowns with; None where there are none.
        part: which they are of the scan; None for all of it.
    """

    counts: Shaped[Array, "shards local *half ky kx"]
    weight: Float[Array, "shards local"]
    setup: Setup
    reference: Reference | None = None
    part: Part | None = None


def rows_of(rows: ScanFields, data: ScanData) -> ScanFields:
    """Rows of the scan laid out as the patterns of some data.

    Args:
        rows: one for each pattern of the scan (scan, ...).
        data: the scan, or a part of it.

    Returns:
        (shards, local, ...).
    """
    part = data.part
    return split_scan(rows, *data.weight.shape) if part is None else jax.tree.map(lambda leaf: leaf[part.rows], rows)


def in_halves(data: ScanData) -> bool:
    """Whether the electrons of each pattern are divided into halves.

    Args:
        data: the scan.

    Returns:
        whether.
    """
    return data.counts.ndim == 5


def reference_in(data: ScanData) -> Reference:
    """What penalties and projections compare the unknowns with.

    Args:
        data: the scan.

    Returns:
        the arrays.

    Raises:
        ConfigError: the scan was distributed without them.
    """
    return require_reference(data.reference)


def distribute(
    counts: Shaped[np.ndarray, "scan *half ky kx"], setup: Setup, mesh: Mesh, reference: Reference | None = None
) -> ScanData:
    """Share a scan out over devices, padding with patterns of weight zero.

    Args:
        counts: as stored, zero frequency at [0, 0]; (scan, 2, ky, kx) for halves of the electrons.
        setup: constants of the run.
        mesh: of :func:`jptycho.parallel.make_mesh`.
        reference: what penalties and projections need.

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
        replicate(mesh, reference),
    )


def split_scan(rows: ScanFields, shards: int, local: int) -> ScanFields:
    """Rows of the scan laid out as :func:`distribute` lays out the patterns.

    Args:
        rows: one for each pattern (scan, ...).
        shards: parts of the scan.
        local: patterns of a part.

    Returns:
        (shards, local, ...); what pads repeats them in turn.

    Example:
        >>> split_scan(ScanFields(jnp.arange(6.0).reshape(3, 2)), 2, 2).position.shape
        (2, 2, 2)
    """
    padded = rows[jnp.arange(shards * local) % len(rows)]
    return jax.tree.map(lambda leaf: leaf.reshape(shards, local, *leaf.shape[1:]), padded)
