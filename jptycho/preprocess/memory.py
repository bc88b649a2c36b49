"""Memory: what the machine has, and what a run will take."""

from __future__ import annotations

import dataclasses
import math
import os
from pathlib import Path

from jptycho.data.dataset import Dataset4D
from jptycho.data.lazy_counts import CHUNK
from jptycho.errors import ConfigError

# Peaks of 4,096 patterns of 128² (134 MB) on a CPU: 0.95 GB plain, 2.05 GB by half sets; these give 1.0 and 1.8.
LOADED = 2.5  # copies of the counts on the host: as read, turned to FFT order, on the CPU device
LOADED_APART = 2.0  # the same where the device has a memory of its own
HALVES = 4.0  # more of them where the electrons are divided: two parts, and both again side by side
ON_DEVICE = 1.0  # copies of the counts that a device holds; twice that of half sets
CANVASES = 12.0  # arrays of the object's size in single precision: itself, gradient, moments, best epoch, transforms
WAVES = 6.0  # complex waves of a pattern, a mode and a slice that a gradient keeps
LIMITS = (
    ("memory.max", "memory.current"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
)
"""Files of a control group, version 2 and 1: the most that it may use, and what it does."""
PROGRAM = 0.45e9  # bytes of Python, JAX and compiled programs


@dataclasses.dataclass(frozen=True)
class HostMemory:
    """Bytes of the machine, or of the control group where that has less.

    Attributes:
        total: that there are.
        available: that are free, or can be made free.
    """

    total: int
    available: int


@dataclasses.dataclass(frozen=True)
class MemoryNeed:
    """Bytes that a run will take, roughly.

    Attributes:
        counts: of all patterns as they are stored.
        host: of the machine.
        device: of a device that has a memory of its own.
    """

    counts: int
    host: int
    device: int


@dataclasses.dataclass(frozen=True)
class RunShape:
    """What of a run's settings decides what it takes.

    Attributes:
        slices: of the object.
        channels: of a slice: phase, or phase and absorption.
        modes: of the probe.
        batch: patterns a step.
        half_sets: whether the electrons are divided; None for wherever they can be.
        epochs: times that every pattern is seen.
    """

    slices: int = 1
    channels: int = 1
    modes: int = 1
    batch: int = 64
    half_sets: bool | None = None
    epochs: int = 20


def host_memory(root: Path = Path("/")) -> HostMemory:
    """Memory of this machine: by the system, and by the control group's limit.

    Args:
        root: of the file system that tells.

    Returns:
        bytes.

    Example:
        >>> host_memory().total >= host_memory().available > 0
        True
    """
    table = _meminfo(root / "proc" / "meminfo")
    total = table.get("MemTotal") or os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    available = table.get("MemAvailable", total)
    group = root / "sys" / "fs" / "cgroup"
    for limit, used in LIMITS:
        most = _number(group / limit)
        if most is not None and most < total:
            cached = _statistics((group / used).parent / "memory.stat").get("inactive_file", 0)
            return HostMemory(most, max(0, min(available, most - (_number(group / used) or 0) + cached)))
    return HostMemory(total, min(available, total))


def resident_memory() -> int:
    """Bytes of the machine that this process holds now.

    Returns:
        bytes; 0 where the system does not say.

    Example:
        >>> resident_memory() >= 0
        True
    """
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _statistics(path: Path) -> dict[str, int]:
    """Names and numbers of a control group; nothing where it does not say."""
    try:
        pairs = (line.split() for line in path.read_text().splitlines())
        return {words[0]: int(words[1]) for words in pairs if len(words) == 2 and words[1].isdigit()}
    except OSError:
        return {}


def _meminfo(path: Path) -> dict[str, int]:
    """Names and bytes; nothing where the system has no such file."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return {}
    pairs = (line.split() for line in lines)
    return {words[0].rstrip(":"): int(words[1]) * 1024 for words in pairs if len(words) > 1 and words[1].isdigit()}


def _number(path: Path) -> int | None:
    try:
        text = path.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def counts_bytes(dataset: Dataset4D) -> int:
    """Bytes of all patterns as a run keeps them: floats in single precision, integers as stored.

    Args:
        dataset: the scan.

    Returns:
        bytes.

    Example:
        >>> import numpy as np
        >>> from jptycho.data.dataset import Calibration, from_arrays
        >>> counts_bytes(from_arrays(np.ones((2, 3, 8, 8)), Calibration()))
        1536
    """
    size = min(dataset.dtype.itemsize, 4) if dataset.dtype.kind == "f" else dataset.dtype.itemsize
    return math.prod(dataset.shape) * size


def estimate_memory(
    dataset: Dataset4D, canvas: tuple[int, int], run: RunShape, apart: bool, streamed: bool = False
) -> MemoryNeed:
    """What a run of pixels will take.

    Args:
        dataset: the scan.
        canvas: pixels of the object along (y, x).
        run: its settings.
        apart: whether the device has a memory of its own.
        streamed: whether patterns are read in every epoch.

    Returns:
        bytes, within about a third.
    """
    counts, sets = counts_bytes(dataset), 2 if run.half_sets else 1
    image = 4 * sets * run.slices * run.channels * canvas[0] * canvas[1]
    window = dataset.shape[-2] * dataset.shape[-1]
    waves = 8 * sets * run.batch * run.modes * (run.slices + 1) * window
    work = CANVASES * image + WAVES * waves
    kept = (LOADED_APART if apart else LOADED) * counts + (HALVES * counts if run.half_sets else 0.0)
    device = sets * ON_DEVICE * counts + work
    if streamed:
        kept = 4 * sets * min(CHUNK, counts)
        device = 2 * sets * min(CHUNK, counts) + work
    return MemoryNeed(counts, int(kept + PROGRAM + (CANVASES * image if apart else work)), int(device))


def check_memory(dataset: Dataset4D, memory: HostMemory | None = None) -> None:
    """Refuse a scan that cannot be held, before a pattern is read.

    Args:
        dataset: the scan.
        memory: of the machine; what it says of itself by default.

    Raises:
        ConfigError: the counts alone are more than there is.
    """
    memory = host_memory() if memory is None else memory
    counts = counts_bytes(dataset)
    if counts > memory.total:
        raise ConfigError(
            f"data.file: {dataset.source} holds {in_bytes(counts)} of counts, and this machine has "
            f"{in_bytes(memory.total)}. Crop the scan, bin the detector's pixels, or use a larger machine."
        )


def in_bytes(count: int) -> str:
    """A number of bytes in words.

    Args:
        count: of bytes.

    Returns:
        with a unit of which there are fewer than a thousand.

    Example:
        >>> in_bytes(17_200_000_000), in_bytes(512)
        ('17.2 GB', '512 B')
    """
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"
