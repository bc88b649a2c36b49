"""Score the phases that ``priors.py`` keeps in its cache again, after a change of the ruler.

    python benchmarks/rescore.py

Correlation, fine, SSIM, bulk, ring and reflections of each result; the best epoch by truth, whose phases are not kept,
stays as it was.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np


def main() -> None:
    """Every phase in the cache, its row brought up to date."""
    from priors import file_of
    from record import load, save
    from recordings import CACHE

    for path in sorted((CACHE / "phases").glob("*.npy")):
        name, size, dose, seed, method = path.stem.split("_", 4)
        key = f"{float(dose):g} e/A^2, seed {seed}: {method}"
        rows = load(file_of(name, size))
        if key in rows:
            rows[key] |= scores(name, size, float(dose), int(seed), np.load(path))
            save(file_of(name, size), rows)
            print(name, key, {k: rows[key][k] for k in ("correlation", "high_pass", "ssim")}, flush=True)


def scores(name: str, size: str, dose: float, seed: int, phase: np.ndarray) -> dict[str, Any]:
    """What the truth says of a phase on the canvas of its scan."""
    from cases import numbers
    from priors import resolution
    from recordings import recording

    from jptycho.cli.demo import score
    from jptycho.preprocess.prepare import field_of_view, prepare

    scan = recording(name, size, dose, seed)
    problem = prepare(scan)
    view = field_of_view(problem)
    result: Any = SimpleNamespace(
        phase=phase,
        attributes={"sampling": problem.setup.grid.sampling, "origin": problem.origin},
        field_of_view=(view[0].start, view[0].stop, view[1].start, view[1].stop),
    )
    return {**numbers(score(result, phase, scan.truth)), **resolution(result, scan)}


if __name__ == "__main__":
    main()
