"""Pty-Chi on one scan: autodiff (Adam, L-BFGS), ePIE, rPIE, LSQ-ML, difference map and RAAR, on PyTorch.

    python benchmarks/peers/run_ptychi.py SCAN.h5 adam|lbfgs|epie|rpie|lsqml|dm|raar [--epochs N] [--batch B] [--rate R]

The package documents its options and shows values for them in its tests, which its manual calls the examples; those
are taken here, with one mode and the true positions held. A batch of DM and RAAR is a chunk of memory, no step.
"""

from __future__ import annotations

import logging

import numpy as np
import torch
from common import Clock, Scan, arguments, read_scan, report
from ptychi import api
from ptychi.api.task import PtychographyTask

OPTIONS = {
    "adam": api.AutodiffPtychographyOptions,
    "lbfgs": api.AutodiffPtychographyOptions,
    "epie": api.EPIEOptions,
    "rpie": api.RPIEOptions,
    "lsqml": api.LSQMLOptions,
    "dm": api.DMOptions,
    "raar": api.RAAROptions,
}
BATCHES = {"adam": 96, "lbfgs": 96, "epie": 100, "rpie": 96, "lsqml": 96, "dm": 100, "raar": 100}
RATES = {"adam": 1e-2, "lbfgs": 0.1, "epie": 0.1, "rpie": 0.1, "lsqml": 1.0, "dm": 1.0, "raar": 0.75}


def configure(solver: str, scan: Scan, batch: int, rate: float, probe_after: int) -> api.options.task.TaskOptions:
    """Options of a solver; ``rate`` is the relaxation of DM and the beta of RAAR."""
    use = OPTIONS[solver]()
    use.data_options.wavelength_m = scan.wavelength * 1e-10
    use.object_options.pixel_size_m = scan.sampling * 1e-10
    use.probe_options.optimization_plan.start = probe_after
    use.reconstructor_options.random_seed = 0
    if solver in {"dm", "raar"}:
        use.reconstructor_options.chunk_length = batch
        if solver == "dm":
            use.reconstructor_options.exit_wave_update_relaxation = rate
        else:
            use.reconstructor_options.beta = rate
        return use
    use.reconstructor_options.batch_size = batch
    optimizer = {"adam": api.Optimizers.ADAM, "lbfgs": api.Optimizers.LBFGS}.get(solver, api.Optimizers.SGD)
    for part in (use.object_options, use.probe_options):
        part.optimizer, part.step_size = optimizer, rate
        if solver in {"epie", "rpie"}:
            part.alpha = 1.0 if solver == "epie" else 0.1
    return use


def main() -> None:
    """Run one solver."""
    options = arguments(__doc__, tuple(OPTIONS))
    logging.disable(logging.WARNING)
    scan, solver = read_scan(options.scan), options.solver
    batch = options.batch or BATCHES[solver]
    rate = RATES[solver] if options.rate is None else options.rate
    after = options.probe_after or 0
    middle = (scan.positions.min(0) + scan.positions.max(0)) / 2
    pixels = (scan.positions - middle) / scan.sampling
    shape = scan.object_shape()
    task = PtychographyTask(
        configure(solver, scan, batch, rate, after),
        diffraction_data=scan.counts,
        object_data=np.ones((1, *shape), np.complex64),
        probe_data=scan.probe()[None, None] / scan.window,  # its Fourier transform is not normalised
        probe_position_x_px=pixels[:, 1],
        probe_position_y_px=pixels[:, 0],
    )
    clock = Clock()
    for _ in range(options.epochs):
        task.run(1)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        clock.tick()
    device = str(task.get_data("object").device)
    phase = np.angle(task.get_data_to_cpu("object", as_numpy=True)[0])
    # Positions count from round(shape / 2) - 1/2, windows lie (window - 1) / 2 around them, the probe at window / 2.
    origin = middle - scan.sampling * np.round(np.array(shape) / 2)
    details = {"batch": batch, "rate": rate, "probe_after": after, "sampling": scan.sampling}
    report("ptychi", options, clock, phase, origin, device=device, **details)


if __name__ == "__main__":
    main()
