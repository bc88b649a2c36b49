"""PtyRAD on one scan: Adam and L-BFGS, on PyTorch.

    python benchmarks/peers/run_ptyrad.py SCAN.h5 adam|lbfgs [--epochs N] [--batch B] [--rate R]

Settings are those of the package's ``standard.yaml`` (amplitude loss, batch 32, rates 5e-4 for the object and a fifth
of it for the probe, amplitude held to 0.96-1.04), with one mode, one slice and the true positions held.
"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import torch
from common import Clock, Scan, arguments, read_scan, report
from ptyrad.core import PtychoModel
from ptyrad.params.ptyrad_params import PtyRADParams
from ptyrad.solver import PtyRADSolver
from ptyrad.solver.reconstruction import create_optimizer, prepare_recon, recon_loop

BATCHES = {"adam": 32, "lbfgs": 1024}  # L-BFGS is meant for full batches
RATES = {"adam": 5e-4, "lbfgs": 0.1}  # the package shows none for L-BFGS; PyTorch's 1 diverges here


class TickAfter:
    """Ticks after the constraints, the last thing an iteration does."""

    def __init__(self, constraint: torch.nn.Module, clock: Clock) -> None:
        """Wrap the constraints."""
        self.constraint, self.clock = constraint, clock

    def __call__(self, model: PtychoModel, iteration: int) -> None:
        """Apply them and tick."""
        self.constraint(model, iteration)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.clock.tick()


def parameters(scan: Scan, solver: str, options: dict[str, Any]) -> dict[str, Any]:
    """The parameter file, validated and completed by the package."""
    rate, after = options["rate"], options["probe_after"]
    held = {"start_iter": None, "lr": 0.0}
    wide = {
        "init_params": {
            "probe_kv": scan.energy / 1e3,
            "probe_conv_angle": scan.semiangle,
            "probe_aberrations": {"C10": -scan.defocus},
            "meas_Npix": scan.window,
            "pos_N_scan_slow": scan.shape[0],
            "pos_N_scan_fast": scan.shape[1],
            "pos_N_scans": len(scan.counts),
            "pos_scan_step_size": scan.step,
            "meas_calibration": {"mode": "dx", "value": scan.sampling},
            "probe_pmode_max": 1,
            "obj_Nlayer": 1,
            "obj_slice_thickness": 1.0,
            "pos_scan_rand_std": None,
            "meas_source": "custom",
            "meas_params": scan.counts.copy(),
            "probe_source": "custom",
            "probe_params": scan.probe()[None],
            "pos_source": "custom",
            "pos_params": options["pixels"],
            "random_seed": 0,
        },
        "model_params": {
            "optimizer_params": {"name": {"adam": "Adam", "lbfgs": "LBFGS"}[solver]},
            "update_params": {
                "obja": {"start_iter": 1, "lr": rate},
                "objp": {"start_iter": 1, "lr": rate},
                "probe": {"start_iter": 1 + after, "lr": rate / 5 if solver == "adam" else rate},
                "probe_pos_shifts": held,
            },
        },
        "constraint_params": {
            "obj_rblur": {"start_iter": None},
            "obja_thresh": {"start_iter": 1, "relax": 0, "thresh": [0.96, 1.04]},
            "pos_recenter": {"start_iter": None},
        },
        "recon_params": {
            "NITER": options["epochs"],
            "BATCH_SIZE": {"size": options["batch"]},
            "SAVE_ITERS": None,
        },
    }
    return PtyRADParams(**wide).model_dump()


def main() -> None:
    """Run one solver."""
    options = arguments(__doc__, tuple(RATES))
    logging.disable(logging.WARNING)
    scan, solver = read_scan(options.scan), options.solver
    batch = options.batch or min(BATCHES[solver], len(scan.counts))
    rate = RATES[solver] if options.rate is None else options.rate
    after = options.probe_after or 0
    # Positions are those of the corners of the windows in an object a fifth wider than need be, as the package has it.
    shape = (1.2 * np.ceil(np.ptp(scan.positions, axis=0) / scan.sampling + scan.window)).astype(int)
    middle = (scan.positions.min(0) + scan.positions.max(0)) / 2
    origin = middle - scan.sampling * (shape // 2)
    pixels = (scan.positions - origin) / scan.sampling - scan.window // 2
    settings = {"epochs": options.epochs, "batch": batch, "rate": rate, "probe_after": after}
    params = parameters(scan, solver, {**settings, "pixels": pixels})
    device = "cuda" if torch.cuda.is_available() else "cpu"
    recon = PtyRADSolver(params, device=device, seed=0)
    model = PtychoModel(recon.init.init_variables, params["model_params"], device=device)
    optimizer = create_optimizer(model.optimizer_params, model.optimizable_params)
    indices, groups, path = prepare_recon(model, recon.init, params)
    groups = [torch.from_numpy(group).to(device) for group in groups]
    clock = Clock()
    constraint = TickAfter(recon.constraint_fn, clock)
    recon_loop(model, recon.init, params, optimizer, None, recon.loss_fn, constraint, indices, groups, path)
    phase = model.opt_objp.detach().cpu().numpy()[0, 0]
    details = {"batch": batch, "rate": rate, "probe_after": after, "sampling": scan.sampling}
    report("ptyrad", options, clock, phase, origin, device=device, **details)


if __name__ == "__main__":
    main()
