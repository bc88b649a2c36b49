"""What a run will take of time and memory on this machine, and whether it fits."""

from __future__ import annotations

import dataclasses
import math
import time

import jax
import jax.numpy as jnp

from jptycho.data.dataset import Dataset4D
from jptycho.preprocess.memory import HostMemory, MemoryNeed, RunShape, estimate_memory, host_memory
from jptycho.preprocess.network_memory import NetworkShape, estimate_network_memory

TRANSFORMS = 3.1  # times of a transform that an epoch takes per pattern, mode and slice: of 4,096 x 128² on a CPU
ON_GPU = 4096 * 128**2 / 0.026  # detector pixels a second, of one mode and one slice: measured on an H100
COMPILING = 8.0  # seconds, before the first epoch
NETWORK_EPOCH = 2.5
"""Epochs of half sets of one slice that an epoch of one network takes besides the physics."""
NETWORK_COMPILING = 3.0
"""Times of what half sets take besides their epochs, that networks take besides theirs, pre-training included."""
REPEATS = 6
BATCH = 16  # windows that are transformed at once


@dataclasses.dataclass(frozen=True)
class NetworkCost:
    """What a run of networks will take, the pixels before and after included.

    Attributes:
        shape: settings that decide it.
        need: bytes where all patterns are held.
        streamed: bytes where they are read in every epoch.
        seconds: of all epochs, compilation included.
        fits: whether both memories hold it, in either way.
        held: whether they hold all patterns.
    """

    shape: NetworkShape
    need: MemoryNeed
    streamed: MemoryNeed
    seconds: float
    fits: bool
    held: bool


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a run will take.

    Attributes:
        run: settings that decide it.
        need: bytes where all patterns are held.
        streamed: bytes where they are read in every epoch.
        host: memory of this machine.
        device: as JAX names it.
        device_memory: bytes of a device that has a memory of its own, else None.
        epoch_seconds: of one epoch of pixels, all half sets together.
        seconds: of all epochs, compilation included; where the device is no CPU, as measured on an H100.
        fits: whether both memories hold it, in either way.
        held: whether they hold all patterns.
        networks: what a run of ``method = "dgp"`` will take.
    """

    run: RunShape
    need: MemoryNeed
    streamed: MemoryNeed
    host: HostMemory
    device: str
    device_memory: int | None
    epoch_seconds: float
    seconds: float
    fits: bool
    held: bool
    networks: NetworkCost


def transform_seconds(window: tuple[int, int]) -> float:
    """Time of the Fourier transform of one window on the default device.

    Args:
        window: pixels along (y, x).

    Returns:
        seconds, the shortest of some tries.

    Example:
        >>> 0 < transform_seconds((32, 32)) < 1
        True
    """
    waves = jnp.ones((BATCH, *window), jnp.complex64)
    transform = jax.jit(jnp.fft.fft2)
    transform(waves).block_until_ready()
    found = []
    for _ in range(REPEATS):
        begun = time.perf_counter()
        transform(waves).block_until_ready()
        found.append(time.perf_counter() - begun)
    return min(found) / BATCH


def estimate_cost(
    dataset: Dataset4D, canvas: tuple[int, int], run: RunShape, networks: NetworkShape | None = None
) -> Cost:
    """What a run of pixels will take on the default device, and one of networks.

    Args:
        dataset: the scan.
        canvas: pixels of the object along (y, x).
        run: its settings.
        networks: those of networks.

    Returns:
        the cost; times within a factor of two or so.
    """
    device = jax.devices()[0]
    apart = device.platform != "cpu"
    told = device.memory_stats() if apart else None
    offered = int(told["bytes_limit"]) if told and "bytes_limit" in told else None
    host = host_memory()
    need, streamed = (estimate_memory(dataset, canvas, run, apart, parts) for parts in (False, True))
    window = (int(dataset.shape[-2]), int(dataset.shape[-1]))
    waves = math.prod(dataset.shape[:-2]) * run.modes * run.slices * (2 if run.half_sets else 1)
    each = math.prod(window) / ON_GPU if apart else TRANSFORMS * transform_seconds(window)
    epoch, held = waves * each, _holds(host, offered, need)
    shape = NetworkShape(half_sets=bool(run.half_sets)) if networks is None else networks
    both = [estimate_network_memory(dataset, canvas, run, shape, apart, parts) for parts in (False, True)]
    all_held = _holds(host, offered, both[0])
    return Cost(
        run=run,
        need=need,
        streamed=streamed,
        host=host,
        device=device.device_kind,
        device_memory=offered,
        epoch_seconds=epoch,
        seconds=run.epochs * epoch + COMPILING,
        fits=held or _holds(host, offered, streamed),
        held=held,
        networks=NetworkCost(
            shape,
            both[0],
            both[1],
            _network_seconds(epoch, run, shape),
            all_held or _holds(host, offered, both[1]),
            all_held,
        ),
    )


def _holds(host: HostMemory, device: int | None, need: MemoryNeed) -> bool:
    return need.host <= host.available and (device is None or need.device <= device)


def _network_seconds(epoch: float, run: RunShape, shape: NetworkShape) -> float:
    """Pixels that give the estimate, networks, and their polish: by the time of an epoch of pixels."""
    waves = run.slices * run.modes
    pixels = (shape.start_epochs + 2 * shape.polish_epochs) * epoch
    networks = shape.epochs * shape.members * (1 + NETWORK_EPOCH / waves) * epoch
    return (1 + NETWORK_COMPILING) * COMPILING + pixels + networks
