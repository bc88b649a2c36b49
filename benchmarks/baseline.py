"""The strongest pixels: what each ingredient brings, alone and together, judged by held-out electrons.

    python benchmarks/baseline.py [--quick]

Every run holds a tenth of the electrons out, stops on them and keeps their best epoch; the weight of the total
variation is the one that they prefer, too. No choice uses the truth. ``best`` is the epoch that the truth would prefer.
"""

from __future__ import annotations

import argparse
import os
from typing import Any

from jptycho.parallel import use_cpu_cores

DOSES = (200.0, 500.0, 1e4)
PLAIN = {"amplitude": 0.0, "epochs": 60, "schedule": "constant"}
SPECTRAL = {"epochs": 40}
TV = (0.02, 0.05, 0.1)
ROWS: dict[str, tuple[dict[str, Any], bool]] = {
    "plain Adam": ({**PLAIN, "even": False}, False),
    "even steps": (PLAIN, False),
    "spectral": ({**SPECTRAL, "even": False}, False),
    "spectral, even": (SPECTRAL, False),
    "spectral, even, L-BFGS": ({**SPECTRAL, "optimiser": "lbfgs"}, False),
    "even steps, total variation": (PLAIN, True),
    "spectral, even, total variation": (SPECTRAL, True),
    "spectral, even, L-BFGS, total variation": ({**SPECTRAL, "optimiser": "lbfgs"}, True),
}


def main() -> None:
    """Run all and write ``results/baseline.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one dose")
    doses = DOSES[1:2] if parser.parse_args().quick else DOSES
    use_cpu_cores(os.cpu_count() or 1)
    from cases import recordings, scored
    from record import save

    from jptycho.demo import SLICES

    found: dict[str, Any] = {}
    for (dose, _), scan in recordings(doses, (0,)).items():
        for name, (pixels, total_variation) in ROWS.items():
            runs = []
            for weight in TV if total_variation else (0.0,):
                rows = scored(
                    scan,
                    pixels=pixels,
                    object=SLICES,
                    stop={"held_out": 0.1, "patience": 12 if "plain" in name or name.startswith("even") else 6},
                    penalties={"tv_phase": weight},
                )
                kept = min(rows, key=lambda row: row["held_out"])
                best = max(rows, key=lambda row: row["ssim"])
                runs.append({"tv_phase": weight, "kept": kept, "best": best, "last": rows[-1]})
            chosen = min(runs, key=lambda run: run["kept"]["held_out"])
            found[f"{dose:g} e/A^2: {name}"] = {"chosen": chosen, "others": [r for r in runs if r is not chosen]}
            kept = {k: chosen["kept"][k] for k in ("epoch", "correlation", "high_pass", "ssim", "bulk", "held_out")}
            print(f"{dose:6g} {name:40} tv {chosen['tv_phase']:g}", kept, f"best {chosen['best']['ssim']}",
                  f"all {chosen['last']['seconds']} s {chosen['last']['cpu']} cpu", flush=True)  # fmt: skip
    print("wrote", save("baseline", found))


if __name__ == "__main__":
    main()
