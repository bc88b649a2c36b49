"""What a search finds where settings are stated wrong, against what the scan was simulated with.

    python benchmarks/search.py [orientation thickness] [--seeds 0 1 2] [--trials 30] [--epochs 8]

``orientation``: the package's own particle, 16 x 16 patterns of 32 x 32 at 2e4 e/Å², its defocus stated 60 Å and its
rotation 3 degrees off. ``thickness``: the same scan of a particle on its film of 40 Å together, as two slices, stated
as 80 Å thick and its defocus 40 Å off; modes are searched too, though the beam has one. Each seed is that of the noise
and of the search.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
from typing import Any

from jptycho.parallel import use_cpu_cores
from jptycho.preprocess.cpu_devices import choose_cpu_devices

SMALL = {"carbon_thickness": 4.0, "scan_shape": (16, 16), "step": 1.2, "detector": (32, 32), "dose": 2e4}
CASES: dict[str, dict[str, Any]] = {
    "orientation": {
        "scan": SMALL | {"diameter": 14.0, "defocus": 100.0},
        "stated": {"defocus": 160.0, "rotation": 3.0},
        "settings": {},
        "over": {"defocus": (40.0, 220.0), "rotation": (-6.0, 6.0)},
        "true": {"defocus": 100.0, "rotation": 0.0},
    },
    "thickness": {
        "scan": SMALL | {"diameter": 36.0, "defocus": 100.0},
        "stated": {"defocus": 140.0},
        "settings": {"object": {"slices": 2, "slice_thickness": 40.0}},
        "over": {"defocus": None, "thickness": (10.0, 160.0), "modes": (1.0, 3.0)},
        "true": {"defocus": 100.0, "thickness": 40.0, "modes": 1.0},
    },
}


def main() -> None:
    """Measure what is asked for and add it to ``results/search.json``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", default=list(CASES), help="cases")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], help="of the noise and of the search")
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--epochs", type=int, default=8)
    options = parser.parse_args()
    use_cpu_cores(choose_cpu_devices(print))
    from record import add

    for name in options.cases:
        for seed in options.seeds:
            row = one(name, seed, options.trials, options.epochs)
            add("search", f"{name}, seed {seed}, {options.trials} trials of {options.epochs} epochs", row)
            print(row, flush=True)


def one(name: str, seed: int, trials: int, epochs: int) -> dict[str, Any]:
    """What one search found, with seconds that contain the compilation."""
    import jax
    from record import Clock

    import jptycho
    from jptycho.automatic.search import Size, search
    from jptycho.config.run import with_changes

    case = CASES[name]
    scan = jptycho.simulate_gold(**case["scan"], seed=seed)
    scan = dataclasses.replace(scan, calibration=dataclasses.replace(scan.calibration, **case["stated"]))
    if not os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        jax.clear_caches()
    clock = Clock()
    config = with_changes(None, {"seed": seed, **case["settings"]})
    found = search(
        scan, config, case["over"], size=Size(trials, None, epochs), log=lambda line: print(line, flush=True)
    )
    over_given, over_second = found.over_given, found.over_second
    return {
        "true": case["true"],
        "given": found.given,
        "found": {key: round(value, 3) for key, value in found.values.items()},
        "errors": {key: round(value, 3) for key, value in found.errors.items()},
        "significance over given": None if over_given is None else round(over_given.significance, 1),
        "significance over second": None if over_second is None else round(over_second.significance, 1),
        "failed": sum(not trial.ended for trial in found.trials),
        **clock.read(),
    }


if __name__ == "__main__":
    main()
