"""Adam and LSQ-ML on an object of eight slices: correlation of every slice with the truth, and time.

    python benchmarks/depth.py

The slices, 20 Å apart, hold different random atoms; 300 kV, 30 mrad, 80 Å underfocus, 24 x 24 positions 1 Å apart,
1e6 e/Å². Patterns come from the same forward model, so this measures solvers, not the model.
"""

from __future__ import annotations

from typing import Any

from jptycho.parallel import use_cpu_cores
from jptycho.preprocess.cpu_devices import choose_cpu_devices

SLICES, THICKNESS, SAMPLING, DOSE = 8, 20.0, 0.3, 1e6
RUNS: dict[str, dict[str, Any]] = {
    "gradient, preconditioned": {"epochs": 100},
    "Adam, plain": {"epochs": 100, "preconditioner": {"gain": 0.0}},
    "LSQ-ML, random batches": {"epochs": 100, "solver": "lsqml"},
    "LSQ-ML, compact batches": {"epochs": 100, "solver": "lsqml"},
    "rPIE": {"epochs": 100, "solver": "rpie"},
}


def specimen(shape: tuple[int, int]) -> Any:
    """Phase of each slice in rad: Gaussian atoms at random places that differ from slice to slice."""
    import numpy as np

    rng = np.random.default_rng(0)
    y, x = np.meshgrid(*[np.arange(n) * SAMPLING for n in shape], indexing="ij")
    phase = np.zeros((SLICES, *shape), np.float32)
    for index in range(SLICES):
        for _ in range(60):
            place = rng.uniform(0, [n * SAMPLING for n in shape])
            phase[index] += 0.25 * np.exp(-((y - place[0]) ** 2 + (x - place[1]) ** 2) / (2 * 0.45**2))
    return phase


def record() -> tuple[Any, Any]:
    """The scan and its true slices, on the reconstruction's canvas."""
    import jax.numpy as jnp
    import numpy as np

    import jptycho
    from jptycho.preprocess.object_spec import ObjectSpec

    window, scan = 64, (24, 24)
    calibration = jptycho.Calibration(
        energy=300e3,
        semiangle_cutoff=30.0,
        defocus=80.0,
        step=(1.0, 1.0),
        reciprocal_sampling=(1 / (window * SAMPLING), 1 / (window * SAMPLING)),
    )
    rng = np.random.default_rng(1)
    positions = np.stack(np.meshgrid(np.arange(24.0), np.arange(24.0), indexing="ij"), -1).reshape(-1, 2)
    positions = positions + rng.uniform(-0.2, 0.2, positions.shape)
    blank = jptycho.from_arrays(np.ones((*scan, window, window), np.uint8), calibration, positions)
    problem = jptycho.prepare(blank, ObjectSpec("phase", SLICES, THICKNESS))
    truth = specimen(problem.estimate.object.shape[-2:])
    g = problem.estimate
    fields = jptycho.Fields(jnp.exp(1j * truth), g.probe, jptycho.ScanFields(g.positions), g.thickness, g.tilt)
    clean = np.asarray(jptycho.forward.predict_batch(fields, problem.setup, fields.scan))
    counts = rng.poisson(np.fft.fftshift(clean, axes=(-2, -1)) * DOSE).astype(np.uint32)
    return jptycho.from_arrays(counts.reshape(*scan, window, window), calibration, positions), truth


def main() -> None:
    """Run all and write ``results/depth.json``."""
    use_cpu_cores(choose_cpu_devices(print))
    import jax
    import numpy as np
    from record import Clock, save

    import jptycho
    from jptycho.diagnostics.gauge import remove_plane
    from jptycho.diagnostics.similarity import correlation

    scan, truth = record()
    found: dict[str, Any] = {}
    for name, pixels in RUNS.items():
        jax.clear_caches()
        clock = Clock()
        result = jptycho.reconstruct(
            scan,
            object={"slices": SLICES, "slice_thickness": THICKNESS},
            pixels={"batch": 32, **pixels},
            lsqml={"compact": "compact" in name},
        )
        top, bottom, left, right = result.field_of_view
        shown = (slice(top, bottom), slice(left, right))
        each = [
            round(correlation(remove_plane(a[shown]), remove_plane(b[shown])), 3)
            for a, b in zip(result.phase, truth, strict=True)
        ]
        found[name] = {"slices": each, "mean": round(float(np.mean(each)), 3), **clock.read()}
        print(f"{name:28}", found[name], flush=True)
    print("wrote", save("depth", found))


if __name__ == "__main__":
    main()
