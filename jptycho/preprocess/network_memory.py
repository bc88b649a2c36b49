"""What a run of networks takes of memory, by the shapes alone: no pattern is read and nothing is prepared."""

from __future__ import annotations

import dataclasses
import math

from jptycho.data.dataset import Dataset4D
from jptycho.data.lazy_counts import CHUNK
from jptycho.preprocess.memory import PROGRAM, MemoryNeed, RunShape, counts_bytes

FEATURES = 46.0  # images of a network's first level, per channel, that its gradient keeps
IMAGES = 10.0  # further images of the canvas: estimates, output, moments of what is optimised
MOMENTS = 7.0  # copies of the weights: themselves, two moments, the running mean, and those of the best epoch
COMPILED = 0.2e9  # bytes of the machine that compilation takes at its peak


@dataclasses.dataclass(frozen=True)
class NetworkShape:
    """What of the settings of networks decides what they take.

    Attributes:
        base_channels: of the first level.
        levels: poolings.
        stacks: images of features: one, or one a slice.
        members: of the ensemble.
        half_sets: whether the electrons are divided.
        micro_batch: patterns whose gradients are computed at once.
        epochs: of the networks.
        start_epochs: of the pixels before.
        polish_epochs: of the pixels after.
    """

    base_channels: int = 16
    levels: int = 3
    stacks: int = 1
    members: int = 1
    half_sets: bool = True
    micro_batch: int = 128
    epochs: int = 24
    start_epochs: int = 12
    polish_epochs: int = 5


def estimate_network_memory(
    dataset: Dataset4D, canvas: tuple[int, int], run: RunShape, networks: NetworkShape, apart: bool, streamed: bool
) -> MemoryNeed:
    """What a run of networks will take.

    Args:
        dataset: the scan.
        canvas: pixels of the object along (y, x).
        run: settings that it shares with a run of pixels.
        networks: its own.
        apart: whether the device has a memory of its own.
        streamed: whether patterns are read in every epoch.

    Returns:
        bytes, within about a third.
    """
    counts, sets = counts_bytes(dataset), 2 * networks.members if networks.half_sets else 1
    image = 4 * run.slices * run.channels * math.prod(canvas)
    weights = weight_bytes(networks.base_channels, networks.levels)
    features = FEATURES * networks.base_channels * networks.stacks * 4 * math.prod(canvas)
    waves = networks.micro_batch * wave_bytes(math.prod(dataset.shape[-2:]), run.slices, run.modes)
    work = networks.members * (MOMENTS * weights + IMAGES * image + features + waves)
    kept, there = (1 + sets) * counts, sets * counts
    if streamed:
        kept, there = 2 * min(sets * CHUNK, sets * counts), 0
    host = PROGRAM + COMPILED + kept + (0 if apart else there + work)
    return MemoryNeed(counts, int(host), int(there + work))


def wave_bytes(window: int, slices: int, modes: int) -> float:
    """Complex waves of one pattern that a step computes and its gradient keeps.

    Measured by XLA's own analysis of one to eight slices S and one to four modes M: 1.1 + 3.1 S + 1.25 M + 1.75 S M.

    Args:
        window: detector pixels.
        slices: of the object.
        modes: of the probe.

    Returns:
        bytes.

    Example:
        >>> wave_bytes(100, 1, 1)
        5760.0
    """
    return 8 * window * (1.1 + 3.1 * slices + 1.25 * modes + 1.75 * slices * modes)


def weight_bytes(base_channels: int, levels: int) -> int:
    """Weights of a network, about.

    Args:
        base_channels: of its first level.
        levels: below that.

    Returns:
        bytes.

    Example:
        >>> weight_bytes(4, 1)
        17280
    """
    return 4 * 2 * 9 * sum(3 * (base_channels * 2**level) ** 2 for level in range(levels + 1))
