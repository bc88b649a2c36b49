"""Every solver of the pixels on the gold particle at 1e4 e/Å²: what it costs to arrive.

    python benchmarks/solvers.py [--only NAME ...]

For each solver, with one slice and, where it knows them, two: epochs, CPU seconds and wall seconds (compilation
included) until 95 % of the bulk phase has arrived and until SSIM 0.9; the best SSIM of any epoch; the cost of an epoch.
Rates of plain Adam and steps of the classical engines are the best of the few that are listed, by the truth.
"""

from __future__ import annotations

import argparse
from typing import Any

from jptycho.parallel import use_cpu_cores
from jptycho.preprocess.cpu_devices import choose_cpu_devices

EPOCHS = 80
PLAIN = {"preconditioner": {"gain": 0.0}, "schedule": "constant"}
CASES: dict[str, list[dict[str, Any]]] = {
    "gradient, preconditioned": [{"pixels": {"epochs": 20}}],
    "gradient, preconditioned, L-BFGS": [{"pixels": {"epochs": 40, "optimiser": "lbfgs"}}],
    "Adam, plain": [{"pixels": {**PLAIN, "object_rate": r}} for r in (1e-2, 3e-2, 1e-1)],
    "L-BFGS, plain": [{"pixels": {"preconditioner": {"gain": 0.0}, "optimiser": "lbfgs"}}],
    "ePIE, a pattern a step": [{"pixels": {"solver": "epie", "batch": 1, "epochs": 30}}],
    "rPIE, a pattern a step": [{"pixels": {"solver": "rpie", "batch": 1, "epochs": 30}, "pie": {"object_step": 0.5}}],
    "mPIE, a pattern a step": [{"pixels": {"solver": "mpie", "batch": 1, "epochs": 30}, "pie": {"object_step": 0.2}}],
    "ePIE, batch 64": [{"pixels": {"solver": "epie", "batch": 64}}],
    "rPIE, batch 64": [{"pixels": {"solver": "rpie", "batch": 64}, "pie": {"alpha": a}} for a in (0.2, 0.05)],
    "LSQ-ML, random batches": [
        {"pixels": {"solver": "lsqml", "batch": 64}, "lsqml": {"damping": d}} for d in (0.1, 0.02)
    ],
    "LSQ-ML, compact batches": [{"pixels": {"solver": "lsqml", "batch": 64}, "lsqml": {"compact": True}}],
    "difference map": [{"pixels": {"solver": "dm"}}],
    "RAAR": [{"pixels": {"solver": "raar"}}],
}
ONE_SLICE = ("difference map", "RAAR", *(name for name in CASES if "a pattern a step" in name))


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """What the table says of a run."""
    from cases import first, per_epoch

    best = max(rows, key=lambda row: row["ssim"])
    return {
        "bulk_95": first(rows, "bulk", 0.95),
        "ssim_90": first(rows, "ssim", 0.9),
        "best": best,
        "epoch_cpu": per_epoch(rows, "cpu"),
        "epoch_seconds": per_epoch(rows, "seconds"),
        "start_seconds": rows[0]["seconds"],
    }


def main() -> None:
    """Run all and write ``results/solvers.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", help="names of solvers; the others keep their results")
    only = parser.parse_args().only
    use_cpu_cores(choose_cpu_devices(print))
    from cases import SLICES, recordings, scored
    from record import load, save

    scan = recordings((1e4,), (0,))[1e4, 0]
    found: dict[str, Any] = load("solvers") if only else {}
    for name, variants in CASES.items():
        if only and name not in only:
            continue
        for slices in ({}, SLICES)[: 1 if name in ONE_SLICE else 2]:
            runs = []
            for settings in variants:
                pixels = {"epochs": EPOCHS, **settings.get("pixels", {})}
                rows = scored(scan, **{**settings, "pixels": pixels, "object": slices})
                runs.append({"settings": settings, **summary(rows), "epochs": rows[:: max(1, len(rows) // 25)]})
            top = min(runs, key=lambda run: ((run["bulk_95"] or {"epoch": 1e9})["epoch"], -run["best"]["ssim"]))
            key = f"{name}, {slices.get('slices', 1)} slices"
            found[key] = {"chosen": top, "others": [run for run in runs if run is not top]}
            show = {k: v for k, v in top.items() if k not in ("epochs", "best")}
            print(f"{key:45}", show, "best SSIM", top["best"]["ssim"], "at", top["best"]["epoch"], flush=True)
    print("wrote", save("solvers", found))


if __name__ == "__main__":
    main()
