"""Pixels against deep generative priors on gold particles, over doses and noise seeds, against the truth.

    python benchmarks/gold.py [--specimen 6] [--seeds 3] [--plain]

For each dose: preconditioned pixels as they are by default and at their best stop over a range of rates; the DGP by
default; with ``--plain`` plain Adam at 500 e/Å², at its best stop and rate. Best stops are chosen by the truth, in
favour of the pixels. Seconds count from the start of the reconstruction, compilation and pre-training included, scoring
excluded. Specimen 6 is the demo's, on which defaults were chosen; any other is a test of them.
"""

from __future__ import annotations

import argparse
import os
from typing import Any

from jptycho.parallel import use_cpu_cores

DOSES = (200.0, 500.0, 1e4)
RATES = (5e-3, 2e-2)
PLAIN_RATES = (1e-2, 2e-2, 5e-2)
PLAIN_EPOCHS = 150


def best(epochs: list[dict[str, Any]]) -> dict[str, Any]:
    """The epoch of the highest SSIM, with the highest high-pass correlation of any epoch."""
    top = max(epochs, key=lambda e: e["ssim"])
    return {**top, "high_pass_best": max(e["high_pass"] for e in epochs), "seconds_all": epochs[-1]["seconds"]}


def main() -> None:
    """Run the series and write ``results/gold.json``, or ``gold_N.json`` for another specimen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--specimen", type=int, default=6, help="seed of film and orientation")
    parser.add_argument("--seeds", type=int, default=3, help="noise realisations")
    parser.add_argument("--plain", action="store_true", help="plain Adam as well")
    options = parser.parse_args()
    use_cpu_cores(os.cpu_count() or 1)
    from cases import recordings, scored
    from record import save

    from jptycho.demo import SLICES

    found: dict[str, Any] = {}
    scans = recordings(DOSES, tuple(range(options.seeds)), specimen_seed=options.specimen)
    for (dose, seed), scan in scans.items():
        shared = {"seed": seed, "object": SLICES}
        rows = {name: scored(scan, method=name, **shared) for name in ("pixels", "dgp")}
        if dose == 1e4:
            rows["pixels, 4 epochs"] = scored(scan, pixels={"epochs": 4}, **shared)
        for rate in RATES if dose < 1e4 else ():
            rows[f"pixels, rate {rate:g}"] = scored(scan, pixels={"object_rate": rate}, **shared)
        for rate in PLAIN_RATES if options.plain and dose == 500 and seed == 0 else ():
            settings = {"object_rate": rate, "amplitude": 0.0, "epochs": PLAIN_EPOCHS}
            rows[f"plain Adam, rate {rate:g}"] = scored(scan, pixels=settings, **shared)
        found[f"{dose:g} e/A^2, seed {seed}"] = rows
        for name, epochs in rows.items():
            print(f"{dose:6g} {seed} {name:24}", best(epochs), "last", epochs[-1], flush=True)
        save("gold" if options.specimen == 6 else f"gold_{options.specimen}", found)


if __name__ == "__main__":
    main()
