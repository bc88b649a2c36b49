"""Quantem on one scan: AdamW, and its analytic gradient with the step of ePIE, on PyTorch.

    python benchmarks/peers/run_quantem.py SCAN.h5 adam|epie [--epochs N] [--batch B] [--rate R]

Settings of Adam are those of the package's ``PtychoLite`` (AdamW, 5e-3 for the object and a fifth of it for the probe,
the whole scan a batch); of ePIE those of its tests (gradient descent at 0.5 with ``autograd=False``).
"""

from __future__ import annotations

import numpy as np
import torch
from common import Clock, Scan, arguments, read_scan, report
from quantem.core.datastructures import Dataset4dstem
from quantem.diffractive_imaging.dataset_models import PtychographyDatasetRaster
from quantem.diffractive_imaging.detector_models import DetectorPixelated
from quantem.diffractive_imaging.object_models import ObjectPixelated
from quantem.diffractive_imaging.probe_models import ProbePixelated
from quantem.diffractive_imaging.ptychography import Ptychography

RATES = {"adam": 5e-3, "epie": 0.5}
PROBE_SHARE = {"adam": 0.2, "epie": 1.0}  # of the rate
PADDING = 40  # object pixels on every side


class Timed(Ptychography):
    """Ticks after every iteration: a call for each would prepare the data again."""

    clock: Clock

    def _record_iter(self, iter_loss: float, autograd: bool) -> None:
        super()._record_iter(iter_loss, autograd)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.clock.tick()


def build(scan: Scan, device: str) -> Timed:
    """The models of the package, with the true positions and the nominal probe."""
    frequency = scan.frequency_step
    raw = Dataset4dstem.from_array(
        array=scan.counts.reshape(*scan.shape, scan.window, scan.window),
        sampling=(scan.step, scan.step, frequency, frequency),
        units=("A", "A", "A^-1", "A^-1"),
    )
    data = PtychographyDatasetRaster.from_dataset4dstem(raw, verbose=0, learn_descan=False, learn_scan_positions=False)
    data.preprocess(
        com_fit_function="no_shift",
        force_com_rotation=0,
        force_com_transpose=False,
        plot_rotation=False,
        plot_com=False,
        probe_energy=scan.energy,
        obj_padding_px=(PADDING, PADDING),
    )
    known = {"energy": scan.energy, "defocus": scan.defocus, "semiangle_cutoff": scan.semiangle}
    solver = Timed.from_models(
        dset=data,
        obj_model=ObjectPixelated.from_uniform(num_slices=1, obj_type="complex", rng=0),
        probe_model=ProbePixelated.from_params(probe_params=known, num_probes=1, rng=0),
        detector_model=DetectorPixelated(),
        device=device,
        verbose=0,
        rng=0,
    )
    solver.preprocess(obj_padding_px=(PADDING, PADDING))
    solver.dset.scan_positions_px = torch.tensor(scan.positions / scan.sampling + PADDING)
    return solver


def main() -> None:
    """Run one solver."""
    options = arguments(__doc__, tuple(RATES))
    scan, solver = read_scan(options.scan), options.solver
    batch = options.batch or len(scan.counts)
    rate = RATES[solver] if options.rate is None else options.rate
    after = options.probe_after or 0
    device = "cuda:0" if torch.cuda.is_available() else "cpu"
    recon = build(scan, device)
    name = {"adam": "adamw", "epie": "sgd"}[solver]
    both = {"object": {"name": name, "lr": rate}, "probe": {"name": name, "lr": rate * PROBE_SHARE[solver]}}
    # The object alone first, where asked for, then both.
    parts = [({"object": both["object"]}, min(after, options.epochs)), (both, max(options.epochs - after, 0))]
    recon.clock = Clock()
    for wanted, epochs in parts:
        if epochs:
            recon.reconstruct(epochs, optimizer_params=wanted, batch_size=batch, autograd=solver == "adam")
    phase = np.angle(recon.obj_model.obj.detach().cpu().numpy()[0])
    origin = np.full(2, -PADDING * scan.sampling)
    details = {"batch": batch, "rate": rate, "probe_after": after, "sampling": scan.sampling}
    report("quantem", options, recon.clock, phase, origin, device=device, **details)


if __name__ == "__main__":
    main()
