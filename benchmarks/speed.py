"""Time of a pixel epoch: one slice, one mode, sub-pixel probe shifts, the probe optimised.

    python benchmarks/speed.py [--devices N] [--losses poisson ...]

Wall and CPU seconds of the first epoch (compilation included) and the median of the later ones, with the loss that was
reached, so that nothing is fast because it does not work.
"""

from __future__ import annotations

import argparse
import os
import statistics

from jptycho.parallel import use_cpu_cores

CASES = {"1024 x 64^2": (32, 64), "4096 x 128^2": (64, 128)}
EPOCHS = 9
BATCH = 64


def scan(side: int, window: int):
    """A weak random phase object, recorded by the forward model itself: this measures time, not quality."""
    import jax.numpy as jnp
    import numpy as np
    from scipy import ndimage

    import jptycho
    from jptycho.optics.probe import Beam, beam_probe
    from jptycho.types import Grid

    rng = np.random.default_rng(0)
    sampling, step = (0.25, 0.25), 0.8
    calibration = jptycho.Calibration(
        energy=300e3, semiangle_cutoff=21.4, defocus=100.0, step=(step, step), reciprocal_sampling=(4 / window,) * 2
    )
    raster = np.stack(np.meshgrid(*[np.arange(side) * step] * 2, indexing="ij"), -1).reshape(-1, 2)
    positions = raster + rng.normal(0, 0.1, raster.shape)
    blank = jptycho.from_arrays(np.ones((side, side, window, window), np.uint8), calibration, positions)
    problem = jptycho.prepare(blank)
    phase = ndimage.gaussian_filter(rng.normal(size=problem.estimate.object.shape[2:]), 1.5)
    grid = Grid((window, window), sampling)
    fields = jptycho.Fields(
        jnp.exp(1j * jnp.asarray(phase, jnp.float32))[None],
        beam_probe(grid, Beam(300e3, 21.4, (("C10", -100.0),)))[None],
        jptycho.ScanFields(problem.estimate.positions),
        problem.estimate.thickness,
        problem.estimate.tilt,
    )
    from jptycho.simulate.acquire import diffraction_patterns

    expected = diffraction_patterns(fields, problem.setup, (window, window))
    counts = rng.poisson(expected * 5000).astype(np.uint16).reshape(side, side, window, window)
    return jptycho.from_arrays(counts, calibration, positions)


def measure(side: int, window: int, loss: str, amplitude: float | str) -> dict:
    """Seconds of the epochs of one case."""
    import jax
    from record import Clock

    import jptycho
    from jptycho.config.objective import LOSSES
    from jptycho.preprocess.automatic import choose_micro_batches
    from jptycho.representations import PixelObject, PixelProbe, Preconditioner
    from jptycho.scan import steps_per_epoch

    problem = jptycho.prepare(scan(side, window))
    mesh = jptycho.make_mesh()
    weight = jptycho.preprocess.choose_preconditioner(problem)
    if amplitude != "auto":
        weight = Preconditioner(float(amplitude), weight.cutoff, weight.sampling)
    model = jptycho.ModelSpec(PixelObject("phase", weight), PixelProbe())
    steps = steps_per_epoch(side * side, BATCH, mesh.size)
    micro = choose_micro_batches(BATCH, mesh.size, jax.default_backend())
    solver = jptycho.GradientSolver(model, LOSSES[loss], 2e-2, 3e-2, steps, micro)
    params, constants = jptycho.initialise(model, jax.random.key(0), problem.estimate)
    constants = jptycho.parallel.replicate(mesh, constants)
    data = jptycho.distribute(problem.counts, problem.setup, mesh)
    state = jptycho.init_state(solver, mesh, params, constants, jax.random.key(1))
    times, losses = [], []
    for _ in range(EPOCHS):
        clock = Clock()
        state, metrics = jptycho.epoch(solver, mesh, state, constants, data)
        losses.append(float(metrics.loss))
        times.append(clock.read())
    later = times[1:]
    return {
        "first": times[0],
        "wall": statistics.median(t["wall"] for t in later),
        "cpu": statistics.median(t["cpu"] for t in later),
        "loss": [round(losses[0], 5), round(losses[-1], 5)],
    }


def main() -> None:
    """Measure every case and write ``results/speed_*.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", type=int, default=os.cpu_count(), help="CPU devices that share the scan")
    parser.add_argument("--losses", nargs="*", default=["poisson", "amplitude"])
    options = parser.parse_args()
    use_cpu_cores(options.devices)
    import jax
    from record import save

    found = {}
    for name, (side, window) in CASES.items():
        for loss in options.losses:
            for amplitude in ("auto", 0):
                kind = "preconditioned" if amplitude else "plain"
                values = measure(side, window, loss, amplitude)
                found[f"{name}, {loss}, {kind}"] = values
                print(f"{name:14} {loss:10} {kind:15}", values, flush=True)
    kind = "gpu" if jax.default_backend() != "cpu" else f"cpu{jax.device_count()}"
    print("wrote", save(f"speed_{kind}", found))


if __name__ == "__main__":
    main()
