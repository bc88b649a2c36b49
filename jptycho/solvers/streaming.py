"""A scan whose patterns are read again in every epoch, a part at a time, while the part before is worked on.

Each part is several runs of patterns that follow one another in the scan, chosen at random anew in every epoch: files
are read fastest so, and yet a part is spread over the scan. One compiled program serves all parts.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jptycho.forward.fields import Setup
from jptycho.objective.reference import Reference
from jptycho.parallel import replicate, shard
from jptycho.solvers.base import Metrics, Part, ScanData, Solver, State, epoch
from jptycho.types import Constants, Int, PyTree

RUNS = 16
"""Runs of patterns of a part."""


@dataclasses.dataclass(frozen=True)
class StreamedScan:
    """What is needed to read a scan part by part.

    Attributes:
        read: gives patterns by their numbers (n, *half, ky, kx), zero frequency at [0, 0].
        patterns: in the scan.
        most: patterns of a part, about.
        mesh: devices.
        setup: constants of the run, on them.
        reference: what penalties and projections need, likewise.
        seed: of the order.
    """

    read: Callable[[Int[np.ndarray, "n"]], np.ndarray]
    patterns: int
    most: int
    mesh: Mesh
    setup: Setup
    reference: Reference | None = None
    seed: int = 0


@dataclasses.dataclass(frozen=True)
class Layout:
    """How a scan is divided into parts.

    Attributes:
        parts: of an epoch.
        run: patterns that follow one another.
        runs: of a part; later parts may have one fewer, so that the patterns of no part weigh much more than others.
    """

    parts: int
    run: int
    runs: int


def layout_of(patterns: int, most: int) -> Layout:
    """Equal parts of a scan, each of several runs.

    Args:
        patterns: in the scan.
        most: of a part, about.

    Returns:
        the layout.

    Example:
        >>> layout_of(1000, 300)
        Layout(parts=4, run=16, runs=16)
    """
    each = math.ceil(patterns / math.ceil(patterns / max(1, most)))
    run = math.ceil(each / RUNS)
    every = math.ceil(patterns / run)
    parts = math.ceil(every / math.ceil(each / run))
    return Layout(parts, run, math.ceil(every / parts))


def order_of(scan: StreamedScan, number: int | None) -> list[np.ndarray]:
    """Numbers of the patterns of every part.

    Args:
        scan: to be read.
        number: of the epoch, which decides the order; None for that of the scan.

    Returns:
        every pattern once; the same for equal seed and number.
    """
    layout = layout_of(scan.patterns, scan.most)
    starts = np.arange(0, scan.patterns, layout.run)
    if number is not None:
        starts = np.random.default_rng(np.random.SeedSequence([scan.seed, number])).permutation(starts)
    runs = [np.arange(start, min(start + layout.run, scan.patterns)) for start in starts.tolist()]
    edges = [part[0] for part in np.array_split(np.arange(len(runs)), layout.parts)]
    return [np.concatenate(runs[at:end]) for at, end in zip(edges, [*edges[1:], len(runs)], strict=True)]


def parts_in_order(scan: StreamedScan, number: int | None = None) -> Generator[ScanData, None, None]:
    """The parts of a scan on the devices, each read while the one before is worked on.

    Args:
        scan: to be read.
        number: of the epoch, see :func:`order_of`.

    Yields:
        each part; the smaller ones are filled up with patterns that weigh nothing.
    """
    rows = order_of(scan, number)
    with ThreadPoolExecutor(1, "jptycho-read") as reader:
        waiting = reader.submit(_part, scan, rows, 0)
        for following in range(1, len(rows) + 1):
            now = waiting.result()
            if following < len(rows):
                waiting = reader.submit(_part, scan, rows, following)
            yield now


def _part(scan: StreamedScan, rows: list[np.ndarray], number: int) -> ScanData:
    """One part, read and put on the devices."""
    layout, own, shards = layout_of(scan.patterns, scan.most), rows[number], scan.mesh.size
    local = math.ceil(layout.runs * layout.run / shards)
    edges = np.flatnonzero(np.diff(own) != 1) + 1
    counts = np.concatenate([scan.read(run) for run in np.split(own, edges)])
    filled = np.arange(shards * local)
    which = filled % len(own)
    if len(own) < shards * local:
        counts = counts[which]
    weight = (filled < len(own)).astype(scan.setup.mask.dtype)
    part = Part(
        shard(scan.mesh, own[which].astype(np.int32).reshape(shards, local)),
        *replicate(scan.mesh, (jnp.asarray(number, int), jnp.asarray(len(rows), int))),
    )
    return ScanData(
        shard(scan.mesh, counts.reshape(shards, local, *counts.shape[1:])),
        shard(scan.mesh, weight.reshape(shards, local)),
        scan.setup,
        scan.reference,
        part,
    )


def streamed(
    read: Callable[[Int[np.ndarray, "n"]], np.ndarray],
    patterns: int,
    most: int,
    setup: Setup,
    mesh: Mesh,
    reference: Reference | None = None,
    seed: int = 0,
) -> StreamedScan:
    """A scan to be read in every epoch: what :func:`jptycho.solvers.base.distribute` is to one in memory.

    Args:
        read: gives patterns by their numbers (n, *half, ky, kx).
        patterns: in the scan.
        most: patterns of a part, about.
        setup: constants of the run.
        mesh: devices.
        reference: what penalties and projections need.
        seed: of the order.

    Returns:
        the scan.
    """
    return StreamedScan(read, patterns, most, mesh, replicate(mesh, setup), replicate(mesh, reference), seed)


def streamed_epoch(
    solver: Solver, mesh: Mesh, state: State, constants: Constants, scan: StreamedScan
) -> tuple[State, Metrics]:
    """See every pattern once, part by part: :func:`jptycho.solvers.base.epoch` of a scan that is read meanwhile.

    Args:
        solver: the settings; its steps are those of a part.
        mesh: over scan positions.
        state: before; its arrays are donated.
        constants: of the representations.
        scan: to be read.

    Returns:
        the state after, and the epoch's metrics.

    Raises:
        FormatError: the file is no longer what it was.
    """
    found, weights = [], []
    with closing(parts_in_order(scan, int(state.epoch))) as parts:
        for data in parts:
            weights.append(jnp.sum(data.weight))
            state, metrics = epoch(solver, mesh, state, constants, data)
            found.append(metrics)
            metrics.loss.block_until_ready()  # no more than two parts are in memory
    share = jnp.stack(weights) / sum(weights)
    loss = jnp.sum(share * jnp.stack([one.loss for one in found]))
    error = jnp.sqrt(jnp.sum(share * jnp.stack([one.amplitude_error for one in found]) ** 2))
    return state, Metrics(loss, error, jnp.all(jnp.stack([one.finite for one in found])))


def sum_over_parts(scan: StreamedScan, function: Callable[[ScanData], PyTree]) -> PyTree:
    """Sum what a function gives of every part.

    Args:
        scan: to be read.
        function: of a part, to a pytree of sums.

    Returns:
        the sum over the scan.
    """
    total = None
    with closing(parts_in_order(scan)) as parts:
        for data in parts:
            found = jax.block_until_ready(function(data))
            total = found if total is None else jax.tree.map(jnp.add, total, found)
    assert total is not None
    return total
