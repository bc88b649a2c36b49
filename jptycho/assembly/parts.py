"""The parts in which a scan is seen that is read in every epoch."""

from __future__ import annotations

from jptycho.config.run import Config
from jptycho.data.lazy_counts import CHUNK, Counts, LazyCounts
from jptycho.solvers.streaming import layout_of


def chunk_bytes(config: Config) -> int:
    """Bytes of patterns that are read at once where they are streamed.

    Args:
        config: of the run.

    Returns:
        what the settings say, or a quarter of a gigabyte.
    """
    return CHUNK if config.memory.chunk is None else int(1e6 * config.memory.chunk)


def most_patterns(counts: LazyCounts) -> int:
    """Patterns of a part, about: the same however their electrons are divided.

    Args:
        counts: (scan, *half, ky, kx).

    Returns:
        at least one.
    """
    window = counts.shape[-2] * counts.shape[-1] * counts.dtype.itemsize
    return max(1, counts.chunk // window)


def parts_of_scan(counts: Counts) -> tuple[int, int]:
    """In how many parts an epoch sees a scan, and of how many patterns.

    Args:
        counts: of the scan.

    Returns:
        one part of all patterns where they are in memory.
    """
    if not isinstance(counts, LazyCounts):
        return 1, len(counts)
    layout = layout_of(len(counts), most_patterns(counts))
    return layout.parts, layout.runs * layout.run
