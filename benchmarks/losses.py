"""Which likelihood, at which dose: preconditioned pixels with every loss.

    python benchmarks/losses.py [--doses 1e4]

Two noise seeds a dose. ``best`` is the epoch that the truth prefers, ``last`` the twentieth.
"""

from __future__ import annotations

import argparse
from typing import Any

from jptycho.parallel import use_cpu_cores
from jptycho.preprocess.cpu_devices import choose_cpu_devices

DOSES = (1e2, 1e3, 1e4)
SEEDS = (0, 1)
LOSSES = ("poisson", "amplitude", "anscombe", "intensity")


def main() -> None:
    """Run all and write ``results/losses.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--doses", nargs="*", type=float, default=DOSES, help="e/Å²; others keep their results")
    doses = parser.parse_args().doses
    use_cpu_cores(choose_cpu_devices(print))
    from cases import SLICES, recordings, scored
    from record import load, save

    scans = recordings(tuple(doses), SEEDS)
    found: dict[str, Any] = load("losses")
    for dose in doses:
        for loss in LOSSES:
            runs = [scored(scans[dose, seed], seed=seed, loss=loss, object=SLICES) for seed in SEEDS]
            best = [max(rows, key=lambda row: row["ssim"]) for rows in runs]
            entry = {
                kind: {
                    k: round(sum(r[k] for r in picked) / len(picked), 4) for k in ("correlation", "high_pass", "ssim")
                }
                for kind, picked in (("best", best), ("last", [rows[-1] for rows in runs]))
            }
            found[f"{dose:g} e/A^2: {loss}"] = {**entry, "best_epochs": [row["epoch"] for row in best]}
            print(f"{dose:6g} {loss:10}", found[f"{dose:g} e/A^2: {loss}"], flush=True)
            save("losses", found)


if __name__ == "__main__":
    main()
