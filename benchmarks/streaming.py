"""Rate of epochs whose patterns are read meanwhile, against patterns in memory: side by side in one process.

``python benchmarks/streaming.py [--scan 64] [--detector 64] [--parts 4] [--rounds 5]`` prints JSON: seconds
of an epoch, the shortest of some that took turns, for patterns in memory, in an ``.npy`` file and in HDF5.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import jax
import numpy as np

import jptycho
from jptycho.data.dataset import Dataset4D
from jptycho.data.lazy_counts import lazy_counts
from jptycho.objective import poisson_loss
from jptycho.parallel import replicate
from jptycho.preprocess import choose_preconditioner
from jptycho.preprocess.prepare import Problem
from jptycho.representations import PixelObject, PixelProbe
from jptycho.solvers.base import distribute, epoch, init_state
from jptycho.solvers.streaming import layout_of, streamed, streamed_epoch

BATCH = 64  # patterns a step


def files_of(scan: Dataset4D, folder: Path) -> dict[str, Dataset4D]:
    """The scan in two files, compressed in neither."""
    counts = scan.read(slice(None)).reshape(scan.shape)
    np.save(folder / "scan.npy", counts)
    with h5py.File(folder / "scan.h5", "w") as file:
        file.create_dataset("counts", data=counts, chunks=(1, *counts.shape[1:]))
    found = {"npy": jptycho.open_dataset(folder / "scan.npy", **options(scan))}
    return found | {"hdf5": jptycho.open_dataset(folder / "scan.h5", counts="counts", **options(scan))}


def options(scan: Dataset4D) -> dict[str, object]:
    """What the files do not say."""
    names = ("energy", "semiangle_cutoff", "defocus", "step", "reciprocal_sampling")
    return {name: getattr(scan.calibration, name) for name in names}


def epoch_of(problem: Problem, most: int | None) -> Callable[[], float]:
    """A function that runs an epoch, of patterns in memory or in parts of so many, and gives its seconds."""
    mesh, count = jptycho.make_mesh(), len(problem.counts)
    layout = layout_of(count, most or count)
    model = jptycho.ModelSpec(PixelObject("phase", choose_preconditioner(problem)), PixelProbe())
    steps = max(1, layout.run * layout.runs // BATCH)
    solver = jptycho.GradientSolver(model, poisson_loss, object_rate=1e-2, probe_rate=1e-2, steps=steps)
    params, constants = jptycho.initialise(model, jax.random.key(0), problem.estimate)
    constants = replicate(mesh, constants)
    held = [init_state(solver, mesh, params, constants, jax.random.key(1))]
    if most is None:
        data = distribute(problem.counts, problem.setup, mesh)
        advance = lambda state: epoch(solver, mesh, state, constants, data)  # noqa: E731
    else:
        scan = streamed(lambda rows: problem.counts[rows], count, most, problem.setup, mesh)
        advance = lambda state: streamed_epoch(solver, mesh, state, constants, scan)  # noqa: E731

    def run() -> float:
        begun = time.perf_counter()
        held[0], metrics = advance(held[0])
        metrics.loss.block_until_ready()
        return time.perf_counter() - begun

    return run


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, value in (("scan", 64), ("detector", 64), ("parts", 4), ("rounds", 5)):
        parser.add_argument(f"--{name}", type=int, default=value)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        scan = jptycho.simulate_gold(scan_shape=(asked.scan, asked.scan), detector=(asked.detector, asked.detector))
        files = files_of(scan, Path(place))
        most = -(-(asked.scan**2) // asked.parts)
        runs = {"memory": epoch_of(jptycho.prepare(files["npy"]), None)}
        runs |= {name: epoch_of(jptycho.prepare(one, load=lazy_counts), most) for name, one in files.items()}
        for run in runs.values():
            run()  # compiles
        found = {name: [] for name in runs}
        for _ in range(asked.rounds):
            for name, run in runs.items():
                found[name].append(run())
    best = {name: min(seconds) for name, seconds in found.items()}
    rates = {name: best["memory"] / seconds for name, seconds in best.items()}
    print(json.dumps({**vars(asked), "device": jax.devices()[0].device_kind, "seconds": best, "rate": rates}, indent=1))


if __name__ == "__main__":
    main()
