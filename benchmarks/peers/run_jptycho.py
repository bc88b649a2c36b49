"""This library on one scan, by the same clock and for the same report as its peers.

    python benchmarks/peers/run_jptycho.py SCAN.h5 adam|lbfgs|epie|rpie|lsqml|dm|raar|dgp [--epochs N] [--batch B]

Adam is the default, spectrally preconditioned. The DGP keeps all its defaults, the number of its epochs and the early
stop on held-out electrons included. One device, for a pinned process has one core.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from common import Clock, arguments, read_scan, report

import jptycho

SETTINGS: dict[str, dict[str, Any]] = {
    "adam": {"pixels": {}},
    "lbfgs": {"pixels": {"optimiser": "lbfgs"}},
    "epie": {"pixels": {"solver": "epie"}},
    "rpie": {"pixels": {"solver": "rpie"}},
    "lsqml": {"pixels": {"solver": "lsqml"}},
    "dm": {"pixels": {"solver": "dm"}},
    "raar": {"pixels": {"solver": "raar"}},
    "dgp": {"method": "dgp"},
}


def pixel_settings(options: argparse.Namespace) -> dict[str, Any]:
    """The table ``pixels`` of the configuration."""
    if options.solver == "dgp":
        return {}
    pixels = {"epochs": options.epochs, **SETTINGS[options.solver]["pixels"]}
    if options.batch and options.solver not in ("dm", "raar", "lbfgs"):
        pixels["batch"] = options.batch
    if options.rate and options.solver == "adam":
        pixels["object_rate"] = options.rate
    return pixels


def main() -> None:
    """Run one solver."""
    options = arguments(__doc__, tuple(SETTINGS))
    scan = read_scan(options.scan)
    jptycho.use_cpu_cores(1)
    clock: Clock | None = None
    stages: list[str] = []

    def started(_: str) -> None:
        nonlocal clock
        clock = clock or Clock()

    def observe(record: Any, channels: Any) -> None:
        assert clock is not None
        clock.tick()
        stages.append(record.stage)

    settings, pixels = SETTINGS[options.solver], pixel_settings(options)
    result = jptycho.reconstruct(
        jptycho.open_dataset(scan.path), callback=observe, log=started, **{**settings, "pixels": pixels}
    )
    details = {"batch": pixels.get("batch", 0), "rate": options.rate, "sampling": result.attributes["sampling"][0]}
    assert clock is not None
    if len(set(stages)) > 1:
        details["stages"] = clock.stages(stages)
    phase, origin = result.phase.sum(axis=0), np.array(result.attributes["origin"])
    report("jptycho", options, clock, phase, origin, device="cpu", **details)


if __name__ == "__main__":
    main()
