"""Positions that a scan states wrongly: what a search for them recovers, with the true positions beside it.

    python benchmarks/positions.py 1e4:0.4 1e3:0.4 1e4:0.0 [--seed 0] [--rounds 4]

Each case is a dose in e/Å² and the root mean square error of positions along an axis in Å. A gold particle of 22 Å on
amorphous carbon, 20 x 20 patterns of 48 x 48 in steps of 1.5 Å; the file states the raster, the patterns were made
elsewhere. Rows: true positions; those stated; those that are searched for (`refine.position_error` 0.5 Å). Columns:
root mean square error along an axis and median distance in Å, a common shift aside; correlation, fine and SSIM.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np

from jptycho.parallel import use_cpu_cores
from jptycho.preprocess.cpu_devices import choose_cpu_devices

SIDE, WINDOW = 20, 48
EXPECTED = 0.5  # Å, as a user would state it


def main() -> None:
    """Measure what is asked for and add it to ``results/positions.json``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="+", help="dose:error")
    parser.add_argument("--seed", type=int, default=0, help="of displacements and noise")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--method", default="pixels")
    options = parser.parse_args()
    use_cpu_cores(choose_cpu_devices(print))
    from record import add

    for case in options.cases:
        dose, error = map(float, case.split(":"))
        row = compared(dose, error, options.seed, options.rounds, options.method)
        name = f"{options.method}, {dose:g} e/A^2, {error:g} A, seed {options.seed}, {options.rounds} rounds"
        add("positions", name, row)
        print(name, row, flush=True)


def compared(dose: float, error: float, seed: int, rounds: int, method: str) -> dict[str, Any]:
    """Errors of positions and scores of images."""
    from cases import numbers

    import jptycho
    from jptycho.cli.demo import score
    from jptycho.data.dataset import from_arrays

    scan = jptycho.simulate_gold(
        dose=dose, diameter=22.0, carbon_thickness=4.0, scan_shape=(SIDE, SIDE), step=1.5, detector=(WINDOW, WINDOW),
        defocus=150.0, jitter=error, seed=seed,
    )  # fmt: skip
    counts, true = scan.read().reshape(SIDE, SIDE, WINDOW, WINDOW), scan.positions
    if true is None:
        raise ValueError("a simulated scan has positions")
    made = from_arrays(counts, scan.calibration, true, truth=scan.truth)
    stated = from_arrays(counts, scan.calibration, truth=scan.truth)
    search = {"refine": {"position_error": EXPECTED, "position_rounds": rounds}}
    found: dict[str, Any] = {}
    for label, data, settings in (("true", made, {}), ("stated", stated, {}), ("searched", stated, search)):
        started, used = time.perf_counter(), time.process_time()
        result = jptycho.reconstruct(data, method=method, seed=seed, **settings)
        wrong = np.asarray(result.positions) - true
        wrong = wrong - wrong.mean(axis=0)
        assert scan.truth is not None
        found[label] = numbers(score(result, result.phase, scan.truth)) | {
            "rms": float(np.sqrt(np.mean(wrong**2))),
            "median": float(np.median(np.hypot(*wrong.T))),
            "seconds": time.perf_counter() - started,
            "cpu_seconds": time.process_time() - used,
        }
    return found


if __name__ == "__main__":
    main()
