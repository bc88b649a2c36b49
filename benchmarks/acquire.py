"""Simulated 4D-STEM scans of six specimens, whose potentials and multislice are abTEM's, made once and kept.

    python benchmarks/acquire.py [--cases gold mof ...] [--size small]

The forward model of a reconstruction is never the one that makes the data. A scan is computed in tiles of neighbouring
positions; the beam of a tile passes through a cell cut from the potential, wide enough for the detector's window about
each position and a guard. The window is cut from each exit wave and transformed; the detector keeps the centre.

On one core a small case takes 1 to 5 minutes and below 2 GB. A full one, estimated: gold 30 min, 2 GB; mof 70 min,
6 GB; the others 10 min, 2 GB. After a change of ``specimens`` delete what the cache holds of it.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import specimens
from ase import Atoms
from recordings import CACHE, CASES, Case, Expected, expected, recording

from jptycho.scan import fast_length, raster_positions
from jptycho.simulate.acquire import fourier_crop

JITTER = 0.1  # root mean square displacement of a position along each axis, in steps
GUARD = 2.0  # Å about a tile's windows


def positions_on_grid(case: Case) -> np.ndarray:
    """Raster with random displacements, rounded to simulated pixels: (scan, 2) integers, slow and fast."""
    rng = np.random.default_rng(0)
    raster = raster_positions(case.scan_shape, (case.step, case.step))
    raster = raster + rng.normal(0.0, JITTER * case.step, raster.shape)
    return np.rint(raster * case.oversampling / case.sampling).astype(int)


def cell_and_origin(case: Case, pixels: np.ndarray) -> tuple[tuple[int, int], np.ndarray]:
    """Object pixels (Y, X) of a cell that holds every window and guard, and of the cell's pixel [0, 0] (2,)."""
    low = pixels.min(axis=0) // case.oversampling
    high = -(-pixels.max(axis=0) // case.oversampling)
    margin = np.asarray(case.detector) // 2 + int(np.ceil(2 * GUARD / case.sampling)) + 8
    extent = high - low + 2 * margin
    shape = fast_length(int(extent[0])), fast_length(int(extent[1]))
    return shape, low - margin


def potential_slices(atoms: Atoms, case: Case, shape: tuple[int, int]) -> np.ndarray:
    """Projected potential (slices, x, y) in V·Å from abTEM, solvent that atoms displace included."""
    import abtem

    gpts = (shape[1] * case.oversampling, shape[0] * case.oversampling)
    count = round(atoms.cell[2, 2] / case.fine_thickness)
    potential = abtem.Potential(atoms, gpts=gpts, slice_thickness=atoms.cell[2, 2] / count, projection=case.projection)
    array = potential.build(lazy=False).array
    if case.solvent:
        array -= case.solvent * specimens.displaced(atoms, gpts, count)
    return array


def tiles(case: Case) -> list[np.ndarray]:
    """Indices of the scan positions of each tile."""
    index = np.arange(np.prod(case.scan_shape)).reshape(case.scan_shape)
    rows = range(0, case.scan_shape[0], case.tile)
    columns = range(0, case.scan_shape[1], case.tile)
    return [index[r : r + case.tile, c : c + case.tile].ravel() for r in rows for c in columns]


def detect(waves: np.ndarray, centres: np.ndarray, case: Case) -> np.ndarray:
    """Patterns (scan, ky, kx), share of the incident electrons, of the windows about centres in waves (scan, y, x)."""
    window = [n * case.oversampling for n in case.detector]
    start = centres - np.asarray(window) // 2
    cut = np.stack([w[y : y + window[0], x : x + window[1]] for w, (y, x) in zip(waves, start, strict=True)])
    spectrum = np.fft.fftshift(np.fft.fft2(cut), axes=(-2, -1))
    first = [window[i] // 2 - case.detector[i] // 2 for i in range(2)]
    seen = spectrum[:, first[0] : first[0] + case.detector[0], first[1] : first[1] + case.detector[1]]
    return np.abs(seen) ** 2 * (waves[0].size / np.prod(window))  # abTEM's incident wave adds up to 1 / pixels


def diffract(potential: np.ndarray, thickness: float, case: Case, pixels: np.ndarray) -> np.ndarray:
    """Patterns (scan, ky, kx) of every position, given in pixels of the potential (slices, x, y)."""
    import abtem

    abtem.config.set({"diagnostics.progress_bar": False})
    fine = case.sampling / case.oversampling
    parts = [pixels[index] for index in tiles(case)]
    spread = np.max([np.ptp(p, axis=0) for p in parts], axis=0)
    around = 2 * int(GUARD / fine) + np.asarray(case.detector) * case.oversampling
    size = [fast_length(int(n)) for n in spread + around]
    slice_thickness = thickness / len(potential)
    # abTEM's first slice acts where the probe is formed; the atoms lie half a slice below.
    entrance = case.defocus + (thickness - slice_thickness) / 2
    optics = {"energy": case.energy, "semiangle_cutoff": case.semiangle_cutoff, "defocus": entrance}
    probe = abtem.Probe(**optics, gpts=(size[1], size[0]), sampling=fine)
    patterns = np.empty((len(pixels), *case.detector), np.float32)
    for index, part in zip(tiles(case), parts, strict=True):
        corner = (part.min(axis=0) + part.max(axis=0)) // 2 - np.asarray(size) // 2
        local = part - corner
        cut = potential[:, corner[1] : corner[1] + size[1], corner[0] : corner[0] + size[0]]
        cell = abtem.PotentialArray(cut, slice_thickness=slice_thickness, sampling=fine)
        waves = probe.multislice(cell, scan=abtem.CustomScan(local[:, ::-1] * fine), lazy=False)
        patterns[index] = detect(waves.array.transpose(0, 2, 1), local, case)
    return patterns


def simulate(case: Case) -> Expected:
    """Make a case; the mean over its frozen configurations."""
    from abtem.core.energy import energy2sigma

    start = time.perf_counter()
    grid = positions_on_grid(case)
    shape, origin = cell_and_origin(case, grid)
    atoms = getattr(specimens, case.name)((shape[1] * case.sampling, shape[0] * case.sampling))
    patterns = np.zeros((len(grid), *case.detector), np.float32)
    truth = np.zeros((case.truth_slices, *shape))
    for seed in range(case.phonons):
        moved = atoms.copy()
        moved.rattle(case.displacement, seed=seed)
        potential = potential_slices(moved, case, shape)
        patterns += diffract(potential, atoms.cell[2, 2], case, grid - origin * case.oversampling)
        groups = np.array_split(potential.transpose(0, 2, 1), case.truth_slices)
        truth += np.stack([fourier_crop(g.sum(axis=0), shape) for g in groups])
    patterns /= case.phonons
    phase = (truth * (energy2sigma(case.energy) / case.phonons)).astype(np.float32)
    corner = float(origin[0] * case.sampling), float(origin[1] * case.sampling)
    positions = grid * (case.sampling / case.oversampling)
    return Expected(patterns, positions, phase, corner, len(atoms), time.perf_counter() - start)


def overview(name: str, size: str) -> Path:
    """Picture of a case: projected truth with the scan, a pattern at the default dose, the mean pattern, the atoms."""
    from matplotlib.figure import Figure

    case, ideal = CASES[name, size], expected(name, size)
    truth = ideal.truth_slices.sum(axis=0)
    top, left = ideal.truth_origin
    bottom, right = top + truth.shape[0] * case.sampling, left + truth.shape[1] * case.sampling
    atoms = getattr(specimens, case.name)((right - left, bottom - top))
    figure = Figure(figsize=(16, 9), layout="constrained")
    axes = figure.subplots(2, 2)
    axes[0, 0].imshow(truth, extent=(left, right, bottom, top), cmap="magma")
    (y0, x0), (y1, x1) = ideal.positions.min(axis=0), ideal.positions.max(axis=0)
    axes[0, 0].plot([x0, x1, x1, x0, x0], [y0, y0, y1, y1, y0], "c-")
    axes[0, 0].set_title("projected phase and scan, Å")
    middle = recording(name, size, case.dose, 0).read()[len(ideal.positions) // 2 + case.scan_shape[1] // 2]
    images = {f"log(1 + counts), {case.dose:g} e/Å²": np.log1p(middle), "mean pattern": ideal.intensity.mean(axis=0)}
    for axis, (title, image) in zip((axes[0, 1], axes[1, 0]), images.items(), strict=True):
        axis.imshow(image)
        axis.set_title(title)
    x, z = atoms.positions[:, 0] + left, atoms.positions[:, 2]
    axes[1, 1].scatter(x, z, c=atoms.numbers, s=0.5, cmap="viridis")
    axes[1, 1].set(title="atoms from the side (x, z), Å: the beam comes from above", aspect="equal")
    axes[1, 1].invert_yaxis()
    path = CACHE / f"{name}_{size}.png"
    figure.savefig(path, dpi=80)
    return path


def main() -> None:
    """Make what is missing and say what is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", default=[n for n, s in CASES if s == "small"])
    parser.add_argument("--size", choices=("small", "full"), default="small")
    options = parser.parse_args()
    for name in options.cases:
        case, ideal = CASES[name, options.size], expected(name, options.size)
        inside = ideal.intensity.sum(axis=(1, 2), dtype=np.float64).mean()
        phase = ideal.truth_slices.sum(axis=0)
        print(
            f"{name} {options.size}: {ideal.seconds:.0f} s, {ideal.atoms} atoms, "
            f"{inside * case.dose * case.step**2:.4g} electrons a pattern at {case.dose:g} e/Å², "
            f"{100 * inside:.1f} % inside the detector, phase {phase.min():.2f} to {phase.max():.2f} rad, "
            f"{overview(name, options.size)}",
            flush=True,
        )


if __name__ == "__main__":
    main()
