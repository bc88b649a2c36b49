"""The strongest pixels: what each ingredient brings, alone and together, judged by held-out electrons.

    python benchmarks/baseline.py [--doses 200 500] [--only NAME ...]

Every run holds a tenth of the electrons out, stops on them and keeps their best epoch; the weight of the total
variation is the one that they prefer, too. No choice uses the truth. ``best`` is the epoch that the truth would prefer.
"""

from __future__ import annotations

import argparse
from typing import Any

from jptycho.parallel import use_cpu_cores
from jptycho.preprocess.cpu_devices import choose_cpu_devices

DOSES = (200.0, 500.0, 1e4)
PLAIN = {"preconditioner": {"gain": 0.0}, "epochs": 60, "schedule": "constant"}
SPECTRAL = {"epochs": 40}
TV = (0.02, 0.05, 0.1)
ROWS: dict[str, tuple[dict[str, Any], bool]] = {
    "plain Adam": ({**PLAIN, "coverage_weighting": False}, False),
    "even steps": (PLAIN, False),
    "spectral": ({**SPECTRAL, "coverage_weighting": False}, False),
    "spectral, even": (SPECTRAL, False),
    "spectral, even, L-BFGS": ({**SPECTRAL, "optimiser": "lbfgs"}, False),
    "even steps, total variation": (PLAIN, True),
    "spectral, even, total variation": (SPECTRAL, True),
    "spectral, even, L-BFGS, total variation": ({**SPECTRAL, "optimiser": "lbfgs"}, True),
}


KEPT = ("epoch", "correlation", "high_pass", "ssim", "bulk", "fraction")


def main() -> None:
    """Run all and write ``results/baseline.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--doses", nargs="*", type=float, default=DOSES, help="e/Å²")
    parser.add_argument("--only", nargs="*", default=list(ROWS), help="names of rows; others keep their results")
    options = parser.parse_args()
    use_cpu_cores(choose_cpu_devices(print))
    from cases import SLICES, recordings, scored
    from record import load, save

    found: dict[str, Any] = load("baseline")
    for (dose, _), scan in recordings(tuple(options.doses), (0,)).items():
        for name in options.only:
            pixels, total_variation = ROWS[name]
            runs = []
            for weight in TV if total_variation else (0.0,):
                rows = scored(
                    scan,
                    pixels=pixels,
                    object=SLICES,
                    validation={
                        "fraction": 0.1,
                        "patience": 12 if "plain" in name or name.startswith("coverage_weighting") else 6,
                    },
                    penalties={"tv_phase": weight},
                )
                kept = min((row for row in rows if row["fraction"]), key=lambda row: row["fraction"])
                best = max(row["ssim"] for row in rows)
                cost = {"seconds": rows[-1]["seconds"], "cpu": rows[-1]["cpu"]}
                runs.append({"tv_phase": weight, "kept": {k: kept[k] for k in KEPT}, "best_ssim": best, **cost})
            chosen = min(runs, key=lambda run: run["kept"]["fraction"])
            found[f"{dose:g} e/A^2: {name}"] = chosen
            print(f"{dose:6g} {name:40}", chosen, flush=True)
            save("baseline", found)


if __name__ == "__main__":
    main()
