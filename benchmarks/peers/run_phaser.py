"""Phaser on one scan: the gradient engine (Adam) and the conventional ones (ePIE, LSQ-ML), on JAX.

    python benchmarks/peers/run_phaser.py SCAN.h5 adam|epie|lsqml [--epochs N] [--batch B] [--rate R]

Settings are those of the package's examples: ``mos2_grad.yaml``, ``mos2_epie.yaml`` and the first engine of
``mos2_lsqml.yaml``, with one mode, the true positions held and no resampling of the detector.
"""

from __future__ import annotations

import logging
from typing import Any

import jax
import numpy as np
from common import Clock, Scan, arguments, read_scan, report
from phaser.execute import execute_engine, initialize_reconstruction
from phaser.observer import Observer
from phaser.plan import ReconsPlan
from phaser.state import PartialReconsState, PixelatedProbeState, ReconsState, ScanState
from phaser.utils.num import Sampling, to_numpy

BATCHES = {"adam": 128, "epie": 16, "lsqml": 256}
RATES = {"adam": 1e-2, "epie": 0.5, "lsqml": 1.0}
PROBE_AFTER = {"adam": 2, "epie": 5, "lsqml": 5}


class Timer(Observer):
    """Ticks after every iteration."""

    def __init__(self) -> None:
        """Not started."""
        self.clock: Clock | None = None

    def update_iteration(self, state: ReconsState, i: int, n: int, errors: dict[str, float]) -> None:
        """Wait for the object, then tick."""
        jax.block_until_ready(state.object.data)
        assert self.clock is not None
        self.clock.tick()


def engine(solver: str, rate: float, semiangle: float) -> dict[str, Any]:
    """The part of the plan that differs between solvers."""
    if solver == "adam":
        adam = {"type": "adam", "learning_rate": rate, "nesterov": True}
        return {
            "type": "gradient",
            "noise_model": {"type": "poisson", "eps": 0.1},
            "solvers": {"object": adam, "probe": dict(adam)},
            "regularizers": [{"type": "obj_l2", "cost": 1.0}, {"type": "obj_tikh", "cost": 5.0}],
            "iter_constraints": [{"type": "limit_probe_support", "max_angle": 1.04 * semiangle}],
            "group_constraints": [],
        }
    betas = {"beta_object": rate, "beta_probe": rate}
    if solver == "epie":
        return {
            "type": "conventional",
            "noise_model": {"type": "amplitude", "eps": 0.1},
            "solver": {"type": "epie", **betas},
            "iter_constraints": [],
            "group_constraints": [],
        }
    regular = {"gamma": 1e-4, "illum_reg_object": 1e-2, "illum_reg_probe": 1e-2}
    return {
        "type": "conventional",
        "noise_model": {"type": "anscombe", "eps": 0.1},
        "solver": {"type": "lsqml", **betas, **regular},
        "iter_constraints": [],
        "group_constraints": [{"type": "clamp_object_amplitude", "amplitude": 1.1}],
    }


def start(scan: Scan) -> PartialReconsState:
    """The true positions and the nominal probe."""
    extent = scan.wavelength / (scan.wavelength * scan.frequency_step * 1e3 * 1e-3)
    sampling = Sampling((scan.window, scan.window), extent=(extent, extent))
    positions = scan.positions.reshape(*scan.shape, 2)
    return PartialReconsState(
        wavelength=scan.wavelength,
        probe=PixelatedProbeState(sampling, scan.probe()[None]),
        scan=ScanState(positions, positions.copy()),
    )


def main() -> None:
    """Run one solver."""
    options = arguments(__doc__, tuple(BATCHES))
    logging.disable(logging.INFO)
    scan, solver = read_scan(options.scan), options.solver
    batch = options.batch or BATCHES[solver]
    rate = RATES[solver] if options.rate is None else options.rate
    after = PROBE_AFTER[solver] if options.probe_after is None else options.probe_after
    common = {"niter": options.epochs, "grouping": batch, "update_probe": {"after": after}}
    plan: Any = {
        "name": "peer",
        "backend": "jax",
        "wavelength": scan.wavelength,
        "raw_data": {
            "type": "manual",
            "path": str(scan.path),
            "key": "counts",
            "diff_step": scan.wavelength * scan.frequency_step * 1e3,
            "wavelength": scan.wavelength,
            "adu": 1.0,
        },
        "engines": [{**engine(solver, rate, scan.semiangle), **common}],
    }
    plan, timer = ReconsPlan.from_data(plan), Timer()
    recons = initialize_reconstruction(plan, seed=0, init_state=start(scan), override_observers=timer)
    timer.clock = Clock()
    state = execute_engine(recons, plan.engines[0]).state
    sampling = state.object.sampling
    # A window starts (window - 1) / 2 pixels before its position, the probe is centred at window / 2.
    origin = sampling.corner - sampling.sampling / 2
    phase = np.angle(to_numpy(state.object.data)[0])
    details = {"batch": batch, "rate": rate, "probe_after": after, "sampling": scan.sampling}
    report("phaserEM", options, timer.clock, phase, origin, device=jax.devices()[0].device_kind, **details)


if __name__ == "__main__":
    main()
