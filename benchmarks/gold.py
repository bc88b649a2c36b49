"""Pixels against deep generative priors on the demo's specimen, over doses and noise seeds, against the truth.

    python benchmarks/gold.py [--quick]

For each dose: preconditioned pixels as they are by default and at their best stop over a range of rates; plain Adam
pixels at their best stop and rate; the DGP by default. Best stops are chosen by the truth, in favour of the pixels.
Seconds count from the start of the reconstruction, compilation and pre-training included, scoring excluded.
"""

from __future__ import annotations

import argparse
import os
from typing import Any

from jptycho.parallel import use_cpu_cores

DOSES = (200.0, 500.0, 1e4)
SEEDS = (0, 1, 2)
RATES = (5e-3, 2e-2)
PLAIN_RATES = (1e-2, 2e-2, 5e-2)
PLAIN_EPOCHS = 150


def simulate_series() -> dict[tuple[float, int], Any]:
    """One specimen and one set of positions, recorded at every dose with every seed."""
    import dataclasses

    import numpy as np

    import jptycho

    ideal = jptycho.simulate_gold(dose=float("inf"))
    expected = ideal.read().astype(np.float64)
    scans = {}
    for dose in DOSES:
        for seed in SEEDS:
            counts = np.random.default_rng([int(dose), seed]).poisson(expected * dose * 1.5**2)
            counts = counts.astype(np.min_scalar_type(int(counts.max()))).reshape(ideal.shape)
            scan = jptycho.from_arrays(counts, ideal.calibration, ideal.positions, truth=ideal.truth)
            scans[dose, seed] = dataclasses.replace(scan, source=f"gold at {dose:g} e/Å², seed {seed}")
    return scans


def run(scan: Any, seed: int, **settings: Any) -> list[dict[str, Any]]:
    """Every epoch of a reconstruction, scored."""
    import jax

    from jptycho.config import Config
    from jptycho.demo import SLICES, scored_run
    from jptycho.settings import parse

    jax.clear_caches()  # each run pays for its own compilation
    config = parse(Config, {"data": {"file": "-"}, "object": SLICES, "seed": seed, **settings})
    _, scores = scored_run(scan, config, lambda _: None, lambda _: None)
    return [
        {
            "stage": s.record.stage,
            "epoch": s.total,
            "seconds": round(s.record.seconds, 2),
            "correlation": round(s.similarity.correlation, 4),
            "high_pass": round(s.similarity.high_pass, 4),
            "ssim": round(s.similarity.ssim, 4),
        }
        for s in scores
    ]


def best(epochs: list[dict[str, Any]]) -> dict[str, Any]:
    """The epoch of the highest SSIM, with the highest high-pass correlation of any epoch."""
    top = max(epochs, key=lambda e: e["ssim"])
    return {**top, "high_pass_best": max(e["high_pass"] for e in epochs), "seconds_all": epochs[-1]["seconds"]}


def main() -> None:
    """Run the series and write ``results/gold.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one seed, no plain pixels")
    quick = parser.parse_args().quick
    use_cpu_cores(os.cpu_count() or 1)
    from record import save

    found: dict[str, Any] = {}
    for (dose, seed), scan in simulate_series().items():
        if quick and seed:
            continue
        rows: dict[str, Any] = {"pixels": run(scan, seed, method="pixels"), "dgp": run(scan, seed, method="dgp")}
        if dose == 1e4:
            rows["pixels, 4 epochs"] = run(scan, seed, method="pixels", pixels={"epochs": 4})
        for rate in RATES if dose < 1e4 else ():
            rows[f"pixels, rate {rate:g}"] = run(scan, seed, pixels={"object_rate": rate})
        if dose == 500 and not quick:
            for rate in PLAIN_RATES if seed == 0 else ():
                settings = {"object_rate": rate, "amplitude": 0.0, "epochs": PLAIN_EPOCHS}
                rows[f"plain Adam, rate {rate:g}"] = run(scan, seed, pixels=settings)
        found[f"{dose:g} e/A^2, seed {seed}"] = rows
        for name, epochs in rows.items():
            print(f"{dose:6g} {seed} {name:24}", best(epochs), "last", epochs[-1], flush=True)
    print("wrote", save("gold_quick" if quick else "gold", found))


if __name__ == "__main__":
    main()
