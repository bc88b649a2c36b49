"""What a run may take of memory."""

from __future__ import annotations

import dataclasses

import jax

from jptycho.config.run import Config
from jptycho.parallel import memory_of_device
from jptycho.preprocess.memory import host_memory, resident_memory

SHARE = 0.75
"""Of the machine's memory, that a run may take in any case: what is free at one moment refuses none."""


@dataclasses.dataclass(frozen=True)
class Budget:
    """Bytes that a run may take.

    Attributes:
        host: of the machine, what the process has already included.
        device: of each device; None where it has no memory of its own.
    """

    host: int
    device: int | None


def budget_of(config: Config) -> Budget:
    """What a run may take: the settings' limit, or what is free.

    Args:
        config: of the run.

    Returns:
        bytes.
    """
    apart = jax.default_backend() != "cpu"
    if config.memory.limit is not None:
        limit = int(1e9 * config.memory.limit)
        return Budget(limit, min(limit, memory_of_device()) if apart else None)
    memory = host_memory()
    free = max(memory.available + resident_memory(), int(SHARE * memory.total))
    return Budget(free, memory_of_device() if apart else None)
