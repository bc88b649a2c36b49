"""What every peer script shares: its arguments, the scan, the nominal probe, the clock and the report.

Depends on numpy and h5py only, so that it runs in the environment of each package.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import resource
import statistics
import time
from importlib.metadata import version
from pathlib import Path

import h5py
import numpy as np


@dataclasses.dataclass(frozen=True)
class Scan:
    """A recorded scan: zero frequency of the counts at the middle pixel, lengths in Å, angles in mrad, energy in eV."""

    path: Path
    counts: np.ndarray  # (position, y, x), float32
    positions: np.ndarray  # (position, 2), float32: y, x
    shape: tuple[int, int]
    energy: float
    semiangle: float
    defocus: float  # positive for underfocus
    frequency_step: float  # 1/Å a detector pixel
    step: float

    @property
    def window(self) -> int:
        """Pixels of a side of the detector and of the probe."""
        return self.counts.shape[-1]

    @property
    def sampling(self) -> float:
        """Object pixel."""
        return 1 / (self.window * self.frequency_step)

    @property
    def wavelength(self) -> float:
        """Relativistic."""
        return 12.398419843320026e3 / np.sqrt(self.energy * (2 * 510998.95 + self.energy))

    @property
    def electrons(self) -> float:
        """Mean counts of a pattern."""
        return float(self.counts.sum(axis=(1, 2)).mean())

    def corner(self, pad: int = 4) -> np.ndarray:
        """Coordinates (y, x) of the first pixel of an object that holds every window and ``pad`` pixels more."""
        return self.positions.min(0) - self.sampling * (self.window // 2 + pad)

    def object_shape(self, pad: int = 4) -> tuple[int, int]:
        """Pixels of that object."""
        extent = np.ceil(np.ptp(self.positions, axis=0) / self.sampling).astype(int)
        return tuple(int(n) + self.window + 2 * pad for n in extent)

    def probe(self) -> np.ndarray:
        """The nominal probe, centred at pixel (window // 2, window // 2), its intensity the mean counts of a pattern.

        psi = F^-1[A exp(i pi defocus wavelength k^2)], with Fourier transforms that keep the sum of intensities.
        """
        k = np.fft.fftfreq(self.window, self.sampling)
        radius = np.hypot(*np.meshgrid(k, k, indexing="ij"))
        aperture = np.clip((self.semiangle * 1e-3 / self.wavelength - radius) / self.frequency_step + 0.5, 0, 1)
        probe = np.fft.ifft2(aperture * np.exp(1j * np.pi * self.defocus * self.wavelength * radius**2))
        probe *= np.sqrt(self.electrons / np.sum(np.abs(probe) ** 2))
        return np.fft.fftshift(probe).astype(np.complex64)


def read_scan(path: Path) -> Scan:
    """Read the HDF5 file that `jptycho simulate` writes."""
    with h5py.File(path) as file:
        counts, positions = file["counts"][:], file["positions"][:]
        known = dict(file["calibration"].attrs)
    return Scan(
        path=path,
        counts=counts.reshape(-1, *counts.shape[2:]).astype(np.float32),
        positions=positions.astype(np.float32),
        shape=counts.shape[:2],
        energy=float(known["energy"]),
        semiangle=float(known["semiangle_cutoff"]),
        defocus=float(known["defocus"]),
        frequency_step=float(known["reciprocal_sampling"][0]),
        step=float(known["step"][0]),
    )


def arguments(description: str | None, solvers: tuple[str, ...]) -> argparse.Namespace:
    """The command line of every peer script; what is not given is as the package documents it."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scan", type=Path, help="HDF5 file of `jptycho simulate`")
    parser.add_argument("solver", choices=solvers)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--batch", type=int, help="patterns of a step")
    parser.add_argument("--rate", type=float, help="of the object and the probe")
    parser.add_argument("--probe-after", type=int, help="epochs before the probe is updated")
    parser.add_argument("--output", type=Path, help="NPY file of the phase")
    return parser.parse_args()


def cpu_seconds() -> float:
    """CPU time of this process, all threads."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def busy_seconds() -> float:
    """CPU time of the whole machine, where Linux tells."""
    stat = Path("/proc/stat")
    if not stat.exists():
        return float("nan")
    user, nice, system, _, _, irq, softirq = map(int, stat.read_text().split()[1:8])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


class Clock:
    """Wall and CPU seconds between calls of :meth:`tick`; data are loaded before it starts.

    It also counts the CPU seconds of other processes meanwhile: PyTorch's threads wait for each other actively, and
    one busy core of two makes them ten times slower.
    """

    def __init__(self) -> None:
        """Start."""
        self._last = time.perf_counter(), cpu_seconds()
        self._others = busy_seconds() - cpu_seconds()
        self.wall: list[float] = []
        self.cpu: list[float] = []
        self.others = 0.0

    def tick(self) -> None:
        """End an epoch."""
        now = time.perf_counter(), cpu_seconds()
        self.wall.append(now[0] - self._last[0])
        self.cpu.append(now[1] - self._last[1])
        self._last = now
        self.others = busy_seconds() - cpu_seconds() - self._others

    def summary(self) -> dict[str, float]:
        """Seconds of the first epoch, the median of the later ones and the total."""
        found = {}
        for name, times in {"wall": self.wall, "cpu": self.cpu}.items():
            found[f"first_{name}"] = round(times[0], 3)
            found[f"median_{name}"] = round(statistics.median(times[1:] or times), 3)
            found[f"total_{name}"] = round(sum(times), 3)
        found["others_cpu"] = round(self.others, 2)
        return found

    def stages(self, names: list[str]) -> dict[str, dict[str, float]]:
        """The same of each stage, with its number of epochs; ``names`` holds the stage of every tick."""
        found = {}
        for name in dict.fromkeys(names):
            ticks = [i for i, other in enumerate(names) if other == name]
            found[name] = {"epochs": len(ticks)}
            for unit, times in {"wall": self.wall, "cpu": self.cpu}.items():
                taken = [times[i] for i in ticks]
                found[name] |= {f"median_{unit}": round(statistics.median(taken[1:] or taken), 3)}
                found[name] |= {f"total_{unit}": round(sum(taken), 3)}
        return found


def report(
    package: str,
    options: argparse.Namespace,
    clock: Clock,
    phase: np.ndarray,
    origin: np.ndarray,
    **details: object,
) -> None:
    """Write the phase and print one JSON line.

    ``origin`` holds the coordinates (y, x) of its pixel [0, 0] in Å, those in which the scan positions are given.
    """
    path = options.output or Path(f"{package}_{options.solver}.npy")
    np.save(path, np.asarray(phase, np.float32))
    line = {
        "package": package,
        "version": version(package),
        "solver": options.solver,
        "epochs": len(clock.wall),
        **details,
        **clock.summary(),
        "cores": os.cpu_count(),
        "phase": str(path),
        "origin": [round(float(v), 4) for v in origin],
    }
    print(json.dumps(line), flush=True)
