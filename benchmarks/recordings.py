"""What the benchmarks reconstruct: scans of six specimens that abTEM simulated, with counts at any dose.

    python benchmarks/recordings.py gold:500 apoferritin:100 ... [--seeds 3] [--size small]

packs counts into small files of the cache, for a machine that has no abTEM; where such a file is, it is read.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import os
from pathlib import Path

import h5py
import numpy as np

from jptycho.data.dataset import Calibration, Dataset4D, Truth, from_arrays
from jptycho.simulate.acquire import count_electrons

CACHE = Path(__file__).parent / "cache"
NOT_SIMULATED = ("slices", "slice_thickness", "dose")  # what a case says of later use: the patterns do not depend on it


@dataclasses.dataclass(frozen=True)
class Case:
    """A specimen, a microscope, a scan, and how finely all of it is simulated."""

    name: str  # function of specimens that makes the atoms
    energy: float  # eV
    semiangle_cutoff: float  # mrad
    defocus: float  # Å at the middle of the specimen, positive for underfocus
    step: float  # Å
    scan_shape: tuple[int, int]  # slow and fast
    detector: tuple[int, int]  # rows and columns
    sampling: float  # Å an object pixel: wavelength over the detector's full angle
    slices: int  # that a reconstruction needs
    slice_thickness: float  # Å, of a reconstruction
    oversampling: int  # simulated pixels an object pixel along each axis
    fine_thickness: float  # Å, of the simulation's slices
    truth_slices: int  # groups of simulated slices that the truth keeps apart
    dose: float  # electrons a square Å, unless another is asked for
    phonons: int = 1  # frozen configurations; 1 with no displacement for atoms at rest
    displacement: float = 0.0  # Å, root mean square thermal motion along an axis
    solvent: float = 0.0  # V, inner potential of what fills the space between the atoms
    projection: str = "infinite"  # of the atoms' potentials; "finite" is cut at the slices' faces
    tile: int = 4  # scan positions along each axis whose beams are propagated at once


_GOLD = Case("gold", 300e3, 20.0, 200.0, 1.2, (48, 48), (64, 64), 0.4, 2, 26.0, 3, 4.0, 4, 1e4, 4, 0.08)
_MOF = Case("mof", 300e3, 10.0, 885.0, 1.05, (64, 64), (64, 64), 0.6, 1, 44.0, 3, 4.0, 4, 100.0)
# In focus where the beam enters, 8 Å above the middle.
_WSE2 = Case("wse2", 80e3, 24.9, -8.0, 0.43, (48, 48), (64, 64), 0.25, 16, 1.0, 3, 1.0, 16, 1e6, projection="finite")
_APOFERRITIN = Case(
    "apoferritin", 300e3, 4.0, 15000.0, 5.5, (48, 48), (96, 96), 2.2, 1, 200.0, 3, 10.0, 1, 100.0, solvent=4.9
)
_VACANCIES = Case("vacancies", 80e3, 24.9, 100.0, 0.6, (40, 40), (64, 64), 0.25, 1, 8.0, 3, 4.0, 1, 1e4)
_DUCK = Case("duck", 80e3, 20.0, 500.0, 3.3, (48, 48), (64, 64), 0.6, 1, 32.0, 3, 3.35, 2, 5e4)


def _full(case: Case, scan: int, step: float, detector: int, sampling: float) -> Case:
    """The same case with a larger scan and a finer detector."""
    scanned = dataclasses.replace(case, scan_shape=(scan, scan), step=step)
    return dataclasses.replace(scanned, detector=(detector, detector), sampling=sampling, oversampling=2)


CASES = {(case.name, "small"): case for case in (_GOLD, _MOF, _WSE2, _APOFERRITIN, _DUCK, _VACANCIES)} | {
    ("gold", "full"): _full(_GOLD, 96, 1.2, 128, 0.3),
    ("mof", "full"): _full(_MOF, 256, 1.05, 128, 0.45),
    ("wse2", "full"): _full(_WSE2, 96, 0.43, 128, 0.2),
    ("apoferritin", "full"): _full(_APOFERRITIN, 64, 8.0, 128, 2.0),
    ("duck", "full"): _full(_DUCK, 64, 2.5, 128, 0.5),
}


@dataclasses.dataclass(frozen=True)
class Expected:
    """What a scan would record with infinite dose."""

    intensity: np.ndarray  # (scan, ky, kx), fraction of the incident electrons, zero frequency in the centre
    positions: np.ndarray  # (scan, 2) in Å, slow and fast
    truth_slices: np.ndarray  # (slices, Y, X), phase in rad, in the order in which the beam meets them
    truth_origin: tuple[float, float]  # position in Å of the truth's pixel [0, 0]
    atoms: int  # in the cell
    seconds: float  # that it took


def simulated_by(case: Case) -> str:
    """The settings on which a case's patterns depend, as JSON."""
    return json.dumps({k: v for k, v in dataclasses.asdict(case).items() if k not in NOT_SIMULATED})


def expected(name: str, size: str) -> Expected:
    """A case, from the cache where its settings are still the same."""
    case, path = CASES[name, size], CACHE / f"{name}_{size}.h5"
    settings = simulated_by(case)
    if path.exists():
        with h5py.File(path) as file:
            if file.attrs["case"] == settings:
                arrays = [file[key][()] for key in ("intensity", "positions", "truth_slices")]
                origin = file.attrs["truth_origin"]
                facts = int(file.attrs["atoms"]), float(file.attrs["seconds"])
                return Expected(*arrays, (float(origin[0]), float(origin[1])), *facts)
    from acquire import simulate

    made = simulate(case)
    CACHE.mkdir(exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    with h5py.File(part, "w") as file:
        for key, value in vars(made).items():
            if isinstance(value, np.ndarray):
                file[key] = value
            else:
                file.attrs[key] = value
        file.attrs["case"] = settings
    part.replace(path)
    return made


def recording(name: str, size: str, dose: float, seed: int) -> Dataset4D:
    """A scan with Poisson counts at a dose in electrons a square Å, with its truth; ``seed`` is the noise's."""
    case, packed = CASES[name, size], packed_file(name, size, dose, seed)
    counts = np.load(packed)["counts"] if packed.exists() else record(name, size, dose, seed)
    positions, slices, origin = surroundings(name, size)
    calibration = Calibration(
        energy=case.energy,
        semiangle_cutoff=case.semiangle_cutoff,
        defocus=case.defocus,
        step=(case.step, case.step),
        reciprocal_sampling=(1 / (case.detector[0] * case.sampling), 1 / (case.detector[1] * case.sampling)),
    )
    truth = Truth(slices.sum(axis=0), (case.sampling, case.sampling), (float(origin[0]), float(origin[1])))
    scan = from_arrays(counts.reshape(*case.scan_shape, *case.detector), calibration, positions, truth=truth)
    return dataclasses.replace(scan, source=f"{name} ({size}) at {dose:g} e/Å², seed {seed}")


def record(name: str, size: str, dose: float, seed: int) -> np.ndarray:
    """Counts (scan, ky, kx) at a dose."""
    case, ideal = CASES[name, size], expected(name, size)
    rng = np.random.default_rng([int(dose), seed])
    parts = np.array_split(ideal.intensity, max(len(ideal.intensity) // 1024, 1))  # Poisson numbers take 8 bytes each
    return np.concatenate([count_electrons(part, dose * case.step**2, rng) for part in parts])


def surroundings(name: str, size: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions (scan, 2) in Å, the truth (slices, Y, X) in rad and the position of its pixel [0, 0]."""
    packed = packed_file(name, size)
    if packed.exists():
        with np.load(packed) as file:
            return file["positions"], file["truth_slices"], file["truth_origin"]
    ideal = expected(name, size)
    return ideal.positions, ideal.truth_slices, np.asarray(ideal.truth_origin)


def packed_file(name: str, size: str, *of: float) -> Path:
    """Where counts of a dose and seed are packed, or what surrounds them, if they are: of the case as it is now."""
    digest = hashlib.sha256(simulated_by(CASES[name, size]).encode()).hexdigest()[:8]
    return CACHE / "recordings" / ("_".join([name, size, digest, *(f"{value:g}" for value in of)]) + ".npz")


def pack(path: Path, **arrays: np.ndarray) -> None:
    """Write arrays, compressed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **arrays)
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB", flush=True)


def truth_slices(name: str, size: str) -> np.ndarray:
    """Phase (slices, Y, X) in rad on the grid of the recording's truth."""
    return surroundings(name, size)[1]


def main() -> None:
    """Pack what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="+", help="case:dose, the dose in e/Å²")
    parser.add_argument("--size", choices=("small", "full"), default="small")
    parser.add_argument("--first", type=int, default=0, help="number of the first noise realisation")
    parser.add_argument("--seeds", type=int, default=3, help="noise realisations")
    options = parser.parse_args()
    for case in options.cases:
        name, dose = case.split(":")
        positions, slices, origin = surroundings(name, options.size)
        pack(packed_file(name, options.size), positions=positions, truth_slices=slices, truth_origin=origin)
        for seed in range(options.first, options.first + options.seeds):
            counts = record(name, options.size, float(dose), seed)
            pack(packed_file(name, options.size, float(dose), seed), counts=counts)


if __name__ == "__main__":
    main()
