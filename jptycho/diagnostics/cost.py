"""What a run of pixels will take of time and memory on this machine, and whether it fits."""

from __future__ import annotations

import dataclasses
import math
import time

import jax
import jax.numpy as jnp

from jptycho.data.dataset import Dataset4D
from jptycho.preprocess.memory import HostMemory, MemoryNeed, RunShape, estimate_memory, host_memory

TRANSFORMS = 3.1  # times of a transform that an epoch takes per pattern, mode and slice: of 4,096 x 128² on a CPU
ON_GPU = 4096 * 128**2 / 0.026  # detector pixels a second, of one mode and one slice: measured on an H100
COMPILING = 8.0  # seconds, before the first epoch
REPEATS = 6
BATCH = 16  # windows that are transformed at once


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a run will take.

    Attributes:
        run: settings that decide it.
        need: bytes.
        host: memory of this machine.
        device: as JAX names it.
        device_memory: bytes of a device that has a memory of its own, else None.
        epoch_seconds: of one epoch of pixels, all half sets together.
        seconds: of all epochs, compilation included; where the device is no CPU, as measured on an H100.
        fits: whether both memories hold it.
    """

    run: RunShape
    need: MemoryNeed
    host: HostMemory
    device: str
    device_memory: int | None
    epoch_seconds: float
    seconds: float
    fits: bool


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


def estimate_cost(dataset: Dataset4D, canvas: tuple[int, int], run: RunShape) -> Cost:
    """What a run of pixels will take on the default device.

    Args:
        dataset: the scan.
        canvas: pixels of the object along (y, x).
        run: its settings.

    Returns:
        the cost; times within a factor of two or so.
    """
    device = jax.devices()[0]
    told = device.memory_stats() if device.platform != "cpu" else None
    offered = int(told["bytes_limit"]) if told and "bytes_limit" in told else None
    host, need = host_memory(), estimate_memory(dataset, canvas, run, apart=device.platform != "cpu")
    window = (int(dataset.shape[-2]), int(dataset.shape[-1]))
    waves = math.prod(dataset.shape[:-2]) * run.modes * run.slices * (2 if run.half_sets else 1)
    each = TRANSFORMS * transform_seconds(window) if device.platform == "cpu" else math.prod(window) / ON_GPU
    epoch = waves * each
    return Cost(
        run=run,
        need=need,
        host=host,
        device=device.device_kind,
        device_memory=offered,
        epoch_seconds=epoch,
        seconds=run.epochs * epoch + COMPILING,
        fits=need.host <= host.available and (offered is None or need.device <= offered),
    )
