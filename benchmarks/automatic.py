"""The automatic run against the best of what is chosen by hand, with slices and modes known.

    python benchmarks/automatic.py [tiny:200 tiny:1e4 gold:500 ...] [--seed 0]

By hand: filtered pixels, and the DGP, each with the right slices. The automatic run knows the thickness, and holds a
tenth of the electrons out to choose slices, modes and method. ``tiny`` is the package's own particle (24 x 24 patterns
of 48 x 48); the other specimens abTEM simulated. Correlation / fine / SSIM with the truth and CPU seconds, which
contain the compilation unless JAX_COMPILATION_CACHE_DIR names where it is kept.
"""

from __future__ import annotations

import argparse
import os
from typing import Any

from jptycho.parallel import use_cpu_cores
from jptycho.preprocess.cpu_devices import choose_cpu_devices

TEN = [
    *("gold:100", "gold:500", "gold:1e4", "gold:1e5", "mof:100", "mof:500"),
    *("apoferritin:100", "apoferritin:500", "duck:500", "wse2:1e4"),
]
TINY = {"scan_shape": (24, 24), "detector": (48, 48), "diameter": 30.0, "defocus": 120.0}


def main() -> None:
    """Measure what is asked for and add it to ``results/automatic.json``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", default=TEN, help="case:dose")
    parser.add_argument("--seed", type=int, default=0, help="of the noise, and of the run")
    options = parser.parse_args()
    use_cpu_cores(choose_cpu_devices(print))
    from record import add

    for case in options.cases:
        row = compared(case, options.seed)
        add("automatic", f"{case}, seed {options.seed}", row)
        print(summary(case, row), flush=True)


def compared(case: str, seed: int) -> dict[str, Any]:
    """Scores and CPU seconds of each configuration on one scan."""
    scan, thick = scan_of(case, seed)
    most = max(4, thick.get("slices", 1))
    by_hand = {method: {"method": method, "object": thick} for method in ("pixels", "dgp")}
    runs = by_hand | {"auto": {"method": "auto", "object": thick, "automatic": {"max_slices": most}}}
    return {name: one(scan, seed=seed, **settings) for name, settings in runs.items()}


def scan_of(case: str, seed: int) -> tuple[Any, dict[str, Any]]:
    """A recording, and the object's table that is right for it."""
    from recordings import CASES, recording

    import jptycho

    name, dose = case.split(":")
    if name == "tiny":
        scan = jptycho.simulate_gold(dose=float(dose), seed=seed, **TINY)
        return scan, {"slices": 2, "slice_thickness": 15.0}
    known = CASES[name, "small"]
    thick = {"slices": known.slices, "slice_thickness": known.slice_thickness}
    return recording(name, "small", float(dose), seed), thick


def one(scan: Any, **settings: Any) -> dict[str, Any]:
    """A run, its score, and what it chose."""
    import jax
    from cases import numbers
    from record import Clock

    import jptycho
    from jptycho.cli.demo import score

    if not os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        jax.clear_caches()
    clock = Clock()
    result = jptycho.reconstruct(scan, **settings)
    found = {
        **numbers(score(result, result.phase, scan.truth)),
        **clock.read(),
        "method": str(result.attributes["method"]),
        "slices": len(result.phase),
        "modes": len(result.probe),
    }
    choices = str(result.attributes.get("choices", ""))
    print(settings["method"], found, choices, sep="\n", flush=True)
    return found | ({"choices": choices.splitlines()} if choices else {})


def summary(case: str, row: dict[str, Any]) -> str:
    """A line of the table: the automatic run less the best by hand, and its time in that one's."""
    best = max(("pixels", "dgp"), key=lambda name: row[name]["ssim"])
    auto, hand = row["auto"], row[best]
    scores = " | ".join("{correlation:.3f} / {high_pass:.3f} / {ssim:.3f}".format(**row[name]) for name in row)
    chosen = f"{auto['method']}, slices {auto['slices']}, modes {auto['modes']}"
    ssim, time = auto["ssim"] - hand["ssim"], auto["cpu"] / hand["cpu"]
    return f"| {case} | {scores} | {chosen} | {ssim:+.3f} | {time:.1f} |"


if __name__ == "__main__":
    main()
