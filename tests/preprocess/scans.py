"""Scans of atoms in a weak phase object, made by NumPy alone: whole arrays, one position at a time."""

import dataclasses

import numpy as np

from jptycho.data import Calibration, from_arrays

WAVELENGTH = 0.019687  # Å, 300 keV
SEMIANGLE = 20.0  # mrad
WINDOW, SAMPLING = 32, 0.4  # detector pixels; Å of an object pixel
STEP = 1.0 / (WINDOW * SAMPLING)  # Å⁻¹ a detector pixel


@dataclasses.dataclass(frozen=True)
class Made:
    """How a scan was made."""

    defocus: float = 0.0
    rotation: float = 0.0
    transpose: bool = False
    shape: tuple[int, int] = (24, 24)
    step: float = 0.8
    dose: float = 3e4
    strength: float = 0.3
    seed: int = 0
    C12: float = 0.0  # Å, at phi12 = 0


def turn(points: np.ndarray, rotation: float, transpose: bool) -> np.ndarray:
    """Detector (row, column) of (slow, fast)."""
    points = points[:, ::-1] if transpose else points
    angle = np.radians(rotation)
    return points @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])


def probe(defocus: float, C12: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Its Fourier transform, sharp at the border, and the frequencies along y and x."""
    k = np.fft.fftfreq(WINDOW, SAMPLING)
    ky, kx = np.meshgrid(k, k, indexing="ij")
    square = ky**2 + kx**2
    inside = np.clip((SEMIANGLE * 1e-3 / WAVELENGTH - np.sqrt(square)) / STEP + 0.5, 0, 1)
    wave = inside * np.exp(1j * np.pi * WAVELENGTH * (defocus * square - C12 * (kx**2 - ky**2)))
    return wave / np.linalg.norm(wave), ky, kx


def record(made: Made):
    """The scan as a dataset that knows energy, step and sampling and nothing else."""
    rng = np.random.default_rng(made.seed)
    slow, fast = np.meshgrid(*(np.arange(n) * made.step for n in made.shape), indexing="ij")
    places = turn(np.stack([slow.ravel(), fast.ravel()], axis=1), made.rotation, made.transpose)
    pixels = (places - places.min(axis=0)) / SAMPLING + WINDOW // 2
    canvas = np.ceil(pixels.max(axis=0)).astype(int) + WINDOW
    atoms = rng.uniform(0, 1, (max(1, canvas.prod() // 60), 2)) * canvas
    y, x = np.indices(canvas)
    phase = np.zeros(canvas)
    for row, column in atoms:
        phase += made.strength * np.exp(-((y - row) ** 2 + (x - column) ** 2) / 2)
    wave, ky, kx = probe(made.defocus, made.C12)
    patterns = np.empty((len(pixels), WINDOW, WINDOW))
    for n, pixel in enumerate(pixels):
        corner = np.floor(pixel).astype(int) - WINDOW // 2
        moved = (pixel - np.floor(pixel) + WINDOW // 2) * SAMPLING
        here = np.fft.ifft2(wave * np.exp(-2j * np.pi * (ky * moved[0] + kx * moved[1])), norm="ortho")
        seen = phase[corner[0] : corner[0] + WINDOW, corner[1] : corner[1] + WINDOW]
        patterns[n] = np.abs(np.fft.fft2(here * np.exp(1j * seen), norm="ortho")) ** 2
    counts = rng.poisson(np.fft.fftshift(patterns, axes=(1, 2)) * made.dose * made.step**2)
    known = Calibration(energy=300e3, step=(made.step, made.step), reciprocal_sampling=(STEP, STEP))
    return from_arrays(counts.astype(np.uint16).reshape(*made.shape, WINDOW, WINDOW), known)
