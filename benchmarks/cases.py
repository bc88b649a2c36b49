"""What the benchmarks share: recordings of one specimen at several doses, and runs scored epoch by epoch."""

from __future__ import annotations

import dataclasses
import itertools
import math
import os
from typing import Any

SLICES = {"slices": 2, "slice_thickness": 26.0}
"""Of the package's own gold particle, 52 Å thick."""


def recordings(doses: tuple[float, ...], seeds: tuple[int, ...], **settings: Any) -> dict[tuple[float, int], Any]:
    """One specimen and one set of positions, recorded at every dose with every seed."""
    import numpy as np

    import jptycho

    ideal = jptycho.simulate_gold(dose=float("inf"), **settings)
    expected = ideal.read().astype(np.float64)
    step = settings.get("step", 1.5)
    scans = {}
    for dose in doses:
        for seed in seeds:
            counts = np.random.default_rng([int(dose), seed]).poisson(expected * dose * step**2)
            counts = counts.astype(np.min_scalar_type(int(counts.max()))).reshape(ideal.shape)
            scan = jptycho.from_arrays(counts, ideal.calibration, ideal.positions, truth=ideal.truth)
            scans[dose, seed] = dataclasses.replace(scan, source=f"gold at {dose:g} e/Å², seed {seed}")
    return scans


def scored(scan: Any, **settings: Any) -> list[dict[str, Any]]:
    """Every epoch of a reconstruction against the truth; see :func:`scored_run`."""
    return scored_run(scan, **settings)[0]


def scored_run(
    scan: Any, snapshots: list[Any] | None = None, every: int = 1, **settings: Any
) -> tuple[list[dict[str, Any]], Any]:
    """Every epoch of a reconstruction against the truth, and its result; scoring is outside wall and CPU seconds.

    Earlier compilations are thrown away, so that the run pays for its own, unless JAX keeps them in files;
    ``snapshots`` receives the phase of every epoch (slices, Y, X). One of ``every`` epochs is scored, and the last.
    """
    import jax
    import numpy as np
    from record import cpu_seconds

    import jptycho
    from jptycho.cli.demo import score
    from jptycho.config.run import parse_config

    if not os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        jax.clear_caches()
    config = parse_config({"data": {"file": "-"}, **settings})
    seen: list[tuple[Any, float, np.ndarray]] = []
    start, aside = cpu_seconds(), 0.0

    def callback(record: Any, channels: Any) -> None:
        nonlocal aside
        cpu = cpu_seconds() - start - aside
        seen.append((record, cpu, np.asarray(channels())[:, 0]))
        aside += cpu_seconds() - start - aside - cpu

    result = jptycho.reconstruct(scan, config, callback=callback)
    if snapshots is not None:
        snapshots += [phase for _, _, phase in seen]
    rows = []
    for total, (record, cpu, phase) in enumerate(seen, start=1):
        if total % every and total < len(seen):
            continue
        q = score(result, phase, scan.truth)
        rows.append(
            {
                "stage": record.stage,
                "epoch": total,
                "seconds": round(record.seconds, 2),
                "cpu": round(cpu, 2),
                "loss": round(record.loss, 6),
                "validation_loss": None if math.isnan(record.validation_loss) else round(record.validation_loss, 7),
                **numbers(q),
            }
        )
    return rows, result


def numbers(similarity: Any) -> dict[str, float]:
    """Correlation, fine, SSIM and bulk of a similarity, rounded."""
    return {name: round(getattr(similarity, name), 4) for name in ("correlation", "high_pass", "ssim", "bulk")}


def first(rows: list[dict[str, Any]], key: str, level: float) -> dict[str, Any] | None:
    """The first epoch whose score reaches a level, and reaches it at the next epoch as well."""
    for row, following in zip(rows, [*rows[1:], rows[-1]], strict=True):
        if min(row[key], following[key]) >= level:
            return {name: row[name] for name in ("epoch", "cpu", "seconds")}
    return None


def per_epoch(rows: list[dict[str, Any]], key: str) -> float:
    """Median cost of an epoch after the first."""
    steps = sorted(b[key] - a[key] for a, b in itertools.pairwise(rows))
    return round(steps[len(steps) // 2], 3) if steps else 0.0
