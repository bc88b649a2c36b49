"""Print tables of ``benchmarks/README.md`` from ``results``: pixels against priors, judges, choices of the DGP.

    python benchmarks/tables.py [priors] [judges] [ablation] [--since 2026-11-26]

A row of the first is the mean over the noise seeds that there are, of the ring the median; rows made before a day are
left out. CPU seconds are those of a CPU, for scores of a GPU those of an earlier run of the same scan by half sets.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Sequence
from statistics import median
from typing import Any

NAMES = {
    "mof": "framework UiO-66",
    "gold": "gold on carbon, 2 slices",
    "apoferritin": "protein shells in ice",
    "duck": "duck of graphene",
    "wse2": "twisted WSe2, 16 slices",
}
METHODS = {
    "pixels": "pixels",
    "unfiltered": "unfiltered",
    "dgp": "DGP",
    "dgp, 1 network": "1 network",
    "dgp, no polish": "1 network, no polish",
    "dgp, 2 networks, no polish": "2 networks, no polish",
    "dgp, 2 networks, probe of pixels": "2 networks, probe of pixels",
    "tv": "total variation",
    "plain": "plain Adam",
}
FILTERED, FILTERED_SINCE = {name for name in METHODS if name == "pixels" or name.startswith("dgp")}, "2026-11-25"
"""Methods that filter half sets, and the day since which they do: seconds measured earlier are those of other ones."""
HEAD = ("specimen, e/Å²", "", "seeds", "correlation", "fine", "SSIM", "bulk", "best epoch", "ring 1/2 (Å)", "CPU s")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="*", default=[], help="priors, judges, ablation; none: all")
    parser.add_argument("--since", default="", help="day, as 2026-11-26")
    options = parser.parse_args()
    for name in options.tables or ("priors", "judges", "ablation"):
        head, rows = {"priors": lambda: priors(options.since), "judges": judges, "ablation": ablation}[name]()
        print("| " + " | ".join(head) + " |\n" + "|---" * len(head) + "|")
        print("\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n")


Table = tuple[Sequence[str], list[list[str]]]


def priors(since: str) -> Table:
    """Pixels against priors, means over seeds."""
    rows = []
    for case, title in NAMES.items():
        for dose, methods in sorted(groups(case, since).items()):
            for number, method in enumerate(name for name in METHODS if name in methods):
                first = f"{title}, {dose:,.0f}" if number == 0 else ""
                cells = mean_row(methods[method], FILTERED_SINCE if method in FILTERED else "")
                rows.append([first, METHODS[method], *cells])
    return HEAD, rows


def judges() -> Table:
    """What each judge misses of the best epoch."""
    from record import load

    found = load("judges")
    names = list(next(iter(found.values()))["missed"]) if found else []
    rows = []
    for judge in names:
        missed = [row["missed"][judge] for row in found.values()]
        rows.append([judge, *(f"{m:.3f}" for m in missed), f"{sum(missed) / len(missed):.4f}", f"{max(missed):.3f}"])
    return ["judge", *(key.replace(" e/A^2, seed 0", "") for key in found), "mean", "most"], rows


def ablation() -> Table:
    """Correlation and SSIM of each choice, CPU seconds of all scans together."""
    from record import load

    found = load("ablation")
    scans = list(dict.fromkeys(key.split(": ", 1)[0] for key in found))
    rows = []
    for label in dict.fromkeys(key.split(": ", 1)[1] for key in found):
        here = [found.get(f"{scan}: {label}") for scan in scans]
        cells = [f"{row['correlation']:.3f} / {row['ssim']:.3f}" if row else "" for row in here]
        done = [row for row in here if row]
        mean = f"{sum(row['ssim'] for row in done) / len(done):.3f}" if len(done) == len(scans) else ""
        seconds = [row["cpu"] for row in done if compiled(row)]
        rows.append([label, *cells, mean, f"{sum(seconds) / len(seconds):.0f}" if seconds else ""])
    return ["", *scans, "mean SSIM", "CPU s"], rows


def groups(case: str, since: str) -> dict[float, dict[str, list[dict[str, Any]]]]:
    """Rows of a case by dose and method, those scored alike."""
    from record import load

    found: dict[float, dict[str, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for key, row in load(f"priors_{case}").items():
        if "defocus" in key:
            continue
        dose, rest = key.split(" e/A^2, seed ")
        if row.get("truth moved by") == "Fourier series" and row.get("date", "") >= since:
            found[float(dose)][rest.split(": ", 1)[1]].append(row)
    return found


def compiled(row: dict[str, Any]) -> bool:
    """Whether the seconds of a row hold its compilation."""
    return row.get("compilation") != "cached"


def mean_row(rows: list[dict[str, Any]], timed_since: str) -> list[str]:
    """Cells of a method: means over its seeds; of the seconds over those that were measured since a day."""

    def mean(values: list[float], digits: int) -> str:
        return f"{sum(values) / len(values):.{digits}f}"

    scores = [mean([row[name] for row in rows], 3) for name in ("correlation", "high_pass", "ssim")]
    bulk = mean([row["bulk"] for row in rows], 2)
    best = [mean([row["best by truth"][name] for row in rows], 3) for name in ("correlation", "ssim")]
    ring = median([row["frc 1/2"] or float("inf") for row in rows])
    timed = [row.get("timed", row) for row in rows if "timed" in row or "device" not in row]
    seconds = [row["cpu"] for row in timed if row.get("date", "") >= timed_since and compiled(row)]
    cpu = mean(seconds, 0) if seconds else ""
    return [str(len(rows)), *scores, bulk, " / ".join(best), f"{ring:.2f}", cpu]


if __name__ == "__main__":
    main()
