"""Print a table of the README from ``results``: pixels against priors.

    python benchmarks/tables.py [--since 2026-11-26]

A row is the mean over the noise seeds that there are, of the ring the median; rows made before a day are left out.
Below: by how much the epoch that held-out electrons chose misses the best one, both before what is done to the image
afterwards.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from statistics import median
from typing import Any

NAMES = {
    "mof": "framework UiO-66",
    "gold": "gold on carbon, 2 slices",
    "apoferritin": "protein shells in ice",
    "duck": "duck of graphene",
    "wse2": "twisted WSe2, 16 slices",
}
METHODS = {"pixels": "pixels", "unfiltered": "unfiltered", "dgp": "DGP", "tv": "total variation", "plain": "plain Adam"}
HEAD = ("specimen, e/Å²", "", "seeds", "correlation", "fine", "SSIM", "bulk", "best epoch", "ring 1/2 (Å)", "CPU s")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--since", default="", help="day, as 2026-11-26")
    options = parser.parse_args()
    print("| " + " | ".join(HEAD) + " |\n" + "|---" * len(HEAD) + "|")
    for case, title in NAMES.items():
        for dose, methods in sorted(groups(case, options.since).items()):
            for number, method in enumerate(name for name in METHODS if name in methods):
                cells = [f"{title}, {dose:,.0f}" if number == 0 else "", METHODS[method], *mean_row(methods[method])]
                print("| " + " | ".join(cells) + " |")
    losses = [
        row["best by truth"]["ssim"] - row["epochs"][row["epoch"] - 1]["ssim"]
        for case in NAMES
        for methods in groups(case, options.since).values()
        for row in methods.get("dgp", [])
    ]
    if losses:
        mean, worst = sum(losses) / len(losses), max(losses)
        print(f"\nThe DGP's chosen epoch below its best, SSIM: {mean:.4f}, at most {worst:.4f} ({len(losses)} runs)")


def groups(case: str, since: str) -> dict[float, dict[str, list[dict[str, Any]]]]:
    """Rows of a case by dose and method, those scored alike."""
    from record import load

    found: dict[float, dict[str, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for key, row in load(f"priors_{case}").items():
        dose, rest = key.split(" e/A^2, seed ")
        if row.get("truth moved by") == "Fourier series" and row.get("date", "") >= since:
            found[float(dose)][rest.split(": ", 1)[1]].append(row)
    return found


def mean_row(rows: list[dict[str, Any]]) -> list[str]:
    """Cells of a method: means over its seeds."""

    def mean(values: list[float], digits: int) -> str:
        return f"{sum(values) / len(values):.{digits}f}"

    scores = [mean([row[name] for row in rows], 3) for name in ("correlation", "high_pass", "ssim")]
    bulk = mean([row["bulk"] for row in rows], 2)
    best = [mean([row["best by truth"][name] for row in rows], 3) for name in ("correlation", "ssim")]
    ring = median([row["frc 1/2"] or float("inf") for row in rows])
    cpu = mean([row["cpu"] for row in rows], 0)
    return [str(len(rows)), *scores, bulk, " / ".join(best), f"{ring:.2f}", cpu]


if __name__ == "__main__":
    main()
