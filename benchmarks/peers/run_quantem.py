"""Quantem on one scan: AdamW, its analytic gradient with the step of ePIE, and its deep image priors, on PyTorch.

    python benchmarks/peers/run_quantem.py SCAN.h5 adam|epie|dip [--epochs N] [--batch B] [--rate R]

Settings of Adam are those of the package's ``PtychoLite`` (AdamW, 5e-3 for the object and a fifth of it for the probe,
the whole scan a batch); of ePIE those of its tests (gradient descent at 0.5 with ``autograd=False``).

The deep image priors are those of its tutorials: a pure phase object; Adam on pixels at 5e-3; U-Nets of three levels
and 16 filters for object and probe, trained for 50 steps at 1e-3 to return that estimate; then both at once for
``--epochs`` epochs with Adam, batches of 128, rates halved on plateaus. Shown for it are rates from 1e-4, in the
tutorials, to 1e-3, the default of ``PtychoLiteDIP``; 5e-4 is taken here.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import torch
from common import Clock, Scan, arguments, read_scan, report
from quantem.core.datastructures import Dataset4dstem
from quantem.core.ml.cnn import CNN2d
from quantem.diffractive_imaging.dataset_models import PtychographyDatasetRaster
from quantem.diffractive_imaging.detector_models import DetectorPixelated
from quantem.diffractive_imaging.object_models import ObjectDIP, ObjectPixelated
from quantem.diffractive_imaging.probe_models import ProbeDIP, ProbePixelated
from quantem.diffractive_imaging.ptychography import Ptychography

RATES = {"adam": 5e-3, "epie": 0.5, "dip": 5e-4}
PROBE_SHARE = {"adam": 0.2, "epie": 1.0, "dip": 1.0}  # of the rate
OPTIMISERS = {"adam": "adamw", "epie": "sgd", "dip": "adam"}
DIP_BATCH = 128
DIP_PIXELS = {"epochs": 15, "rate": 5e-3}
DIP_PRETRAINING = {"steps": 50, "rate": 1e-3}
PADDING = 40  # object pixels on every side


class Timed(Ptychography):
    """Ticks after every iteration: a call for each would prepare the data again."""

    clock: Clock

    def _record_iter(self, iter_loss: float, autograd: bool) -> None:
        super()._record_iter(iter_loss, autograd)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.clock.tick()


def build(scan: Scan, device: str, kind: str) -> Timed:
    """The models of the package for a kind of object, with the true positions and the nominal probe."""
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
    obj = ObjectPixelated.from_uniform(num_slices=1, obj_type=kind, rng=0)
    probe = ProbePixelated.from_params(probe_params=known, num_probes=1, rng=0)
    return assemble(scan, device, data, obj, probe)


def assemble(scan: Scan, device: str, data: Any, obj: Any, probe: Any) -> Timed:
    """The models joined; positions are set last, for the package's preparation puts them on a raster."""
    models = {"dset": data, "obj_model": obj, "probe_model": probe, "detector_model": DetectorPixelated()}
    solver = Timed.from_models(**models, device=device, verbose=0, rng=0)
    solver.preprocess(obj_padding_px=(PADDING, PADDING))
    solver.dset.scan_positions_px = torch.tensor(scan.positions / scan.sampling + PADDING)
    return solver


def optimiser(solver: str, rate: float) -> dict[str, dict[str, Any]]:
    """Of object and probe."""
    name = OPTIMISERS[solver]
    return {"object": {"name": name, "lr": rate}, "probe": {"name": name, "lr": rate * PROBE_SHARE[solver]}}


def run_pixels(scan: Scan, device: str, options: argparse.Namespace, batch: int, rate: float) -> Timed:
    """The object alone first, where asked for, then both."""
    recon, both = build(scan, device, "complex"), optimiser(options.solver, rate)
    after = options.probe_after or 0
    recon.clock = Clock()
    parts = [({"object": both["object"]}, min(after, options.epochs)), (both, max(options.epochs - after, 0))]
    for wanted, epochs in parts:
        if epochs:
            recon.reconstruct(epochs, optimizer_params=wanted, batch_size=batch, autograd=options.solver == "adam")
    return recon


def run_dip(scan: Scan, device: str, epochs: int, batch: int, rate: float) -> Timed:
    """Pixels, networks that return them, then the networks' weights; the pre-training is a tick of its own."""
    torch.manual_seed(0)
    start = build(scan, device, "pure_phase")
    start.clock = Clock()
    both = optimiser("dip", DIP_PIXELS["rate"])
    start.reconstruct(int(DIP_PIXELS["epochs"]), optimizer_params=both, batch_size=batch)
    networks = CNN2d(in_channels=1, dtype=torch.float32), CNN2d(in_channels=1, dtype=torch.complex64)
    obj = ObjectDIP.from_pixelated(model=networks[0], pixelated=start.obj_model, device=device)
    probe = ProbeDIP.from_pixelated(model=networks[1], pixelated=start.probe_model, device=device)
    plateau = {"name": "plateau", "factor": 0.5}
    for model in (obj, probe):
        model.pretrain(
            num_iters=int(DIP_PRETRAINING["steps"]),
            optimizer_params={"name": "adam", "lr": DIP_PRETRAINING["rate"]},
            scheduler_params=plateau,
            show=False,
        )
    recon = assemble(scan, device, start.dset, obj, probe)
    recon.clock = start.clock
    recon.clock.tick()
    schedule = {"object": plateau, "probe": plateau}
    recon.reconstruct(epochs, optimizer_params=optimiser("dip", rate), scheduler_params=schedule, batch_size=batch)
    return recon


def main() -> None:
    """Run one solver."""
    options = arguments(__doc__, tuple(RATES))
    scan, solver = read_scan(options.scan), options.solver
    batch = options.batch or (DIP_BATCH if solver == "dip" else len(scan.counts))
    rate = RATES[solver] if options.rate is None else options.rate
    device = "cuda:0" if torch.cuda.is_available() else "cpu"
    details: dict[str, Any] = {"batch": batch, "rate": rate, "probe_after": options.probe_after or 0}
    if solver == "dip":
        recon = run_dip(scan, device, options.epochs, batch, rate)
        first = int(DIP_PIXELS["epochs"])
        stages = recon.clock.stages(["pixels"] * first + ["pretraining"] + ["dip"] * options.epochs)
        details |= {"epochs": first + options.epochs, "stages": stages}
    else:
        recon = run_pixels(scan, device, options, batch, rate)
    obj = recon.obj_model.obj.detach().cpu().numpy()[0]
    phase = np.angle(obj) if np.iscomplexobj(obj) else obj
    origin = np.full(2, -PADDING * scan.sampling)
    report("quantem", options, recon.clock, phase, origin, device=device, sampling=scan.sampling, **details)


if __name__ == "__main__":
    main()
