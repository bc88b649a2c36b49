"""Patterns where a stage wants them: all on its devices, or read in every epoch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jax.sharding import Mesh

from jptycho.assembly.memory_plan import StageShape
from jptycho.assembly.parts import most_patterns
from jptycho.assembly.solver_checks import takes_whole_scan
from jptycho.config.stages import NETWORKS, POSITIONS
from jptycho.data.lazy_counts import Counts, LazyCounts
from jptycho.errors import ConfigError
from jptycho.forward.fields import Setup
from jptycho.objective.reference import Reference
from jptycho.solvers.base import ScanData, distribute
from jptycho.solvers.streaming import StreamedScan, streamed
from jptycho.types import Shaped


def place(
    counts: Counts, setup: Setup, mesh: Mesh, reference: Reference | None = None, seed: int = 0
) -> ScanData | StreamedScan:
    """Patterns on the devices of a stage, or what is needed to read them in every epoch.

    Args:
        counts: (scan, *half, ky, kx).
        setup: constants of the run.
        mesh: devices.
        reference: what penalties and projections need.
        seed: of the order of parts.

    Returns:
        either.
    """
    if isinstance(counts, LazyCounts):
        return streamed(counts.read, len(counts), most_patterns(counts), setup, mesh, reference, seed)
    return distribute(counts, setup, mesh, reference)


def side_by_side(every: Sequence[Counts]) -> Shaped[np.ndarray, "scan divisions ..."] | LazyCounts:
    """Several divisions of a scan's electrons as one array, their number after that of the pattern.

    Args:
        every: (scan, *half, ky, kx) each.

    Returns:
        (scan, divisions, *half, ky, kx).

    Example:
        >>> side_by_side([np.zeros((5, 2, 2)), np.ones((5, 2, 2))]).shape
        (5, 2, 2, 2)
    """
    lazy = [one for one in every if isinstance(one, LazyCounts)]
    if not lazy:
        arrays = [np.asarray(one) for one in every]
        whole = arrays[0][:, None] if len(arrays) == 1 else _whole_of(arrays)
        return np.stack(arrays, axis=1) if whole is None else whole
    first = lazy[0]
    return LazyCounts(
        shape=(len(first), len(lazy), *first.shape[1:]),
        dtype=first.dtype,
        read=lambda rows: np.stack([one.read(rows) for one in lazy], axis=1),
        total=np.stack([one.total for one in lazy]),
        least=min(one.least for one in lazy),
        most=max(one.most for one in lazy),
        source=first.source,
        chunk=first.chunk,
    )


def _whole_of(parts: Sequence[Shaped[np.ndarray, "..."]]) -> Shaped[np.ndarray, "..."] | None:
    """The array in which these lie side by side already, in their order; None where there is none."""
    whole = parts[0].base
    if not isinstance(whole, np.ndarray) or whole.shape[1:2] != (len(parts),):
        return None
    address = "__array_interface__"
    same = (getattr(whole[:, n], address) == getattr(part, address) for n, part in enumerate(parts))
    return whole if all(same) else None


def unstreamable(shapes: Sequence[StageShape]) -> str:
    """Why the patterns of a run must all be in memory.

    Args:
        shapes: of its stages.

    Returns:
        the setting and what to do, or nothing.
    """
    for shape in shapes:
        config, name = shape.config, shape.name
        networks = name.startswith(NETWORKS)
        if name.startswith(POSITIONS):
            return "refine.position_error: positions are searched for in memory only. Remove it."
        if not networks and takes_whole_scan(config):
            return f'pixels.solver: "{config.pixels.solver}" sees all patterns in one step. Use "gradient".'
        if networks and config.dgp.start not in ("pixels", "random"):
            return f'dgp.start: "{config.dgp.start}" sees all patterns at once. Use "pixels".'
        if shape.window is not None:
            return "stages: a window changes patterns in memory only. Leave it out."
    return ""


def check_streamed(shapes: Sequence[StageShape]) -> None:
    """Refuse to read patterns in every epoch where a stage needs all of them at once.

    Args:
        shapes: of the run's stages.

    Raises:
        ConfigError: the setting and what to do.
    """
    why = unstreamable(shapes)
    if why:
        raise ConfigError(f"{why} Or hold all patterns, where memory is large enough: memory.stream = false.")
