"""Positions that a scan states wrongly: what a search for them recovers, with the true positions beside it.

    python benchmarks/positions.py 1e4:free=0.4 1e4:affine=1 1e4:lines=0.5 1e4:walk=1 1e4:affine=1,free=0.4
        [--seed 0] [--rounds 4] [--slices 1] [--method pixels]

Each case is a dose in e/Å² and how positions are off: ``free`` Å, root mean square along an axis, each by itself;
``affine`` times 2 % and 1°; each line by ``lines`` Å; lines by a random ``walk`` of that many Å. A gold particle of 22
Å on amorphous carbon, 20 x 20 patterns of 48 x 48 in steps of 1.5 Å. Rows: true positions; those stated; those searched
for, expected to be off by 0.5 Å, by 0.02, or by 1 Å a line, whichever kind there is. Columns: root mean square error
along an axis and median distance in Å, a common shift aside; what is left of scale (%), rotation (°) and shear (%);
correlation, fine and SSIM.
"""

from __future__ import annotations

import argparse
import math
import time
from typing import Any

import numpy as np

from jptycho.parallel import use_cpu_cores
from jptycho.preprocess.cpu_devices import choose_cpu_devices

SIDE, WINDOW = 20, 48
EXPECTED = {
    "free": {"position_error": 0.5},
    "affine": {"position_affine": 0.02},
    "lines": {"position_lines": 1.0},
    "walk": {"position_lines": 1.0},
}
"""As a user would state it."""


def main() -> None:
    """Measure what is asked for and add it to ``results/positions.json``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="+", help="dose:kind=size,kind=size")
    parser.add_argument("--seed", type=int, default=0, help="of displacements and noise")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--slices", type=int, default=1)
    parser.add_argument("--method", default="pixels")
    parser.add_argument("--only", default="true,stated,searched", help="rows")
    options = parser.parse_args()
    use_cpu_cores(choose_cpu_devices(print))
    from record import add

    for case in options.cases:
        dose, given = case.split(":")
        kinds = {name: float(size) for name, size in (part.split("=") for part in given.split(","))}
        row = compared(float(dose), kinds, options)
        name = f"{options.method}, {dose} e/A^2, {given}, seed {options.seed}, {options.rounds} rounds"
        add("positions", name + (f", {options.slices} slices" if options.slices > 1 else ""), row)
        print(name, row, flush=True)


def compared(dose: float, kinds: dict[str, float], options: argparse.Namespace) -> dict[str, Any]:
    """Errors of positions and scores of images."""
    from cases import numbers

    import jptycho
    from jptycho.cli.demo import score
    from jptycho.data.dataset import from_arrays

    scan = jptycho.simulate_gold(
        dose=dose, diameter=22.0, carbon_thickness=4.0, scan_shape=(SIDE, SIDE), step=1.5, detector=(WINDOW, WINDOW),
        defocus=150.0, jitter=kinds.get("free", 0.0), seed=options.seed,
    )  # fmt: skip
    counts, true = scan.read().reshape(SIDE, SIDE, WINDOW, WINDOW), scan.positions
    if true is None:
        raise ValueError("a simulated scan has positions")
    made = from_arrays(counts, scan.calibration, true, truth=scan.truth)
    listed = None if set(kinds) == {"free"} else misstated(kinds, options.seed)
    stated = from_arrays(counts, scan.calibration, listed, truth=scan.truth)
    search: dict[str, Any] = {"position_rounds": options.rounds}
    for kind in kinds:
        search |= EXPECTED[kind]
    specimen = {"object": {"slices": options.slices, "slice_thickness": 26.0 / options.slices}}
    found: dict[str, Any] = {}
    for label, data, settings in (("true", made, {}), ("stated", stated, {}), ("searched", stated, {"refine": search})):
        if label not in options.only.split(","):
            continue
        started, used = time.perf_counter(), time.process_time()
        changes = settings | (specimen if options.slices > 1 else {})
        result = jptycho.reconstruct(data, method=options.method, seed=options.seed, log=print, **changes)
        assert scan.truth is not None
        found[label] = numbers(score(result, result.phase, scan.truth)) | errors(np.asarray(result.positions), true) | {
            "seconds": time.perf_counter() - started,
            "cpu_seconds": time.process_time() - used,
        }  # fmt: skip
    return found


def misstated(kinds: dict[str, float], seed: int) -> np.ndarray:
    """The raster as the file states it, where the true one is on a raster of 1.5 Å."""
    axes = (np.arange(SIDE) * 1.5,) * 2
    positions = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
    rng, line = np.random.default_rng(seed + 100), np.repeat(np.arange(SIDE), SIDE)
    if size := kinds.get("affine", 0.0):
        scale, turn = 1 + 0.02 * size, math.radians(size)
        matrix = scale * np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
        centre = positions.mean(axis=0)
        positions = centre + (positions - centre) @ np.linalg.inv(matrix).T
    shifts = rng.normal(size=(2, SIDE, 2))
    walk = np.cumsum(shifts[1], axis=0)
    walk = (walk - walk.mean(axis=0)) / walk.std()
    return positions - (kinds.get("lines", 0.0) * shifts[0] + kinds.get("walk", 0.0) * walk)[line]


def errors(positions: np.ndarray, true: np.ndarray) -> dict[str, float]:
    """What is wrong with positions, a common shift aside."""
    wrong, places = positions - true, true - true.mean(axis=0)
    wrong = wrong - wrong.mean(axis=0)
    (a, b), (c, d) = np.linalg.lstsq(places, wrong, rcond=None)[0].T
    return {
        "rms": float(np.sqrt(np.mean(wrong**2))),
        "median": float(np.median(np.hypot(*wrong.T))),
        "scale": 50 * float(a + d),
        "rotation": math.degrees((c - b) / 2),
        "shear": 50 * float(b + c),
    }


if __name__ == "__main__":
    main()
