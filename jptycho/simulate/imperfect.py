"""A scan as a real microscope records it: descan, background, flux, source and aberrations, by plain NumPy.

Nothing of the forward model is used, so that what a reconstruction finds of these is compared with something else.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from jptycho.data.dataset import Calibration, Dataset4D, Truth, from_arrays
from jptycho.optics import electron
from jptycho.optics.frequencies import host_frequencies
from jptycho.scan import place_on_canvas, raster_positions
from jptycho.simulate.acquire import BAND_LIMIT, OVERSAMPLING, count_electrons, fourier_crop, phase_slices
from jptycho.simulate.scan import GoldSettings
from jptycho.simulate.specimens import gold_on_carbon
from jptycho.types import Complex, Float, Grid

STATES = 6
"""Of a specimen whose atoms vibrate."""
NODES = 5
"""Of the quadrature over a source, along each axis; two more along a line."""
FOCUS = np.linspace(-4.0, 4.0, 17)
"""Standard deviations of defocus at which patterns are summed, by equal steps: a Gaussian's sum, to 1e-4."""


@dataclasses.dataclass(frozen=True)
class Imperfections:
    """What differs from an ideal microscope; nothing by default.

    Attributes:
        descan: detector pixels (y, x) by which the pattern is shifted at the end of the scan's (slow, fast) axis from
            its middle: ((dy/dslow, dx/dslow), (dy/dfast, dx/dfast)).
        background: electrons that fall on each detector pixel beside an average pattern, at the detector's middle.
        background_slope: relative change of it from the middle of the detector to its last row.
        flux: root mean square variation of the electrons of a pattern, relative, slow in time.
        source_size: standard deviation of a Gaussian source in Å along each axis.
        astigmatism: C12 in Å.
        azimuth: phi12 in rad.
        defocus_drift: Å by which the defocus rises from the first pattern to the last; its mean is the settings'.
        focal_spread: standard deviation of the defocus that electrons of different energy have, Å.
        fly: Å along (slow, fast) by which the beam moves while a pattern is exposed.
        phonons: root mean square displacement of the atoms along an axis, Å; a pattern is the mean of ``STATES`` ones.
        layers: equal ones, ``slice_thickness`` apart, that together make the specimen's projection, as columns of a
            crystal do; 0 for the specimen as it is.
        gaps: Å between these, one fewer than there are, where they are not equal.
    """

    descan: tuple[tuple[float, float], tuple[float, float]] = ((0.0, 0.0), (0.0, 0.0))
    background: float = 0.0
    background_slope: float = 0.0
    flux: float = 0.0
    source_size: float = 0.0
    astigmatism: float = 0.0
    azimuth: float = 0.0
    defocus_drift: float = 0.0
    focal_spread: float = 0.0
    fly: tuple[float, float] = (0.0, 0.0)
    phonons: float = 0.0
    layers: int = 0
    gaps: tuple[float, ...] = ()


@dataclasses.dataclass(frozen=True)
class ImperfectScan:
    """A scan and what it was made with.

    Attributes:
        dataset: as a file would give it, its calibration that of the settings.
        descan: of each pattern, detector pixels (scan, 2).
        background: electrons on each detector pixel (ky, kx), zero frequency in the centre.
        flux: electrons of each pattern in those of an average one (scan,).
    """

    dataset: Dataset4D
    descan: Float[np.ndarray, "scan 2"]
    background: Float[np.ndarray, "ky kx"]
    flux: Float[np.ndarray, "scan"]


def simulate_imperfect(settings: GoldSettings, imperfect: Imperfections) -> ImperfectScan:
    """A scan over a gold nanoparticle on amorphous carbon by an imperfect microscope.

    Args:
        settings: of specimen, microscope and scan.
        imperfect: what is wrong with it; a reconstruction is not told.

    Returns:
        the scan.

    Example:
        >>> made = simulate_imperfect(
        ...     GoldSettings(diameter=8.0, carbon_thickness=3.0, scan_shape=(4, 4), detector=(16, 16)),
        ...     Imperfections(background=0.5),
        ... )
        >>> made.dataset.shape, float(made.background[0, 0])
        ((4, 4, 16, 16), 0.5)
    """
    rng = np.random.default_rng(settings.seed)
    positions = raster_positions(settings.scan_shape, (settings.step, settings.step))
    positions = positions + rng.normal(0, settings.jitter, positions.shape)
    fine = (settings.sampling[0] / OVERSAMPLING, settings.sampling[1] / OVERSAMPLING)
    window = Grid((OVERSAMPLING * settings.detector[0], OVERSAMPLING * settings.detector[1]), fine)
    pixels, canvas = place_on_canvas(positions, fine, window.shape)
    extent = (canvas[0] * fine[0], canvas[1] * fine[1])
    atoms = gold_on_carbon(extent, settings.diameter, settings.carbon_thickness, settings.specimen_seed)
    slices = _slices(settings, imperfect, atoms, Grid(canvas, fine))
    descan = _planes(settings.scan_shape) @ np.asarray(imperfect.descan)
    states = [slices]
    if imperfect.phonons:
        moved = [_displaced(atoms, imperfect.phonons, seed) for seed in range(STATES)]
        states = [_slices(settings, imperfect, state, Grid(canvas, fine)) for state in moved]
    seen = [_patterns(settings, imperfect, window, np.exp(1j * state), pixels, descan) for state in states]
    patterns = np.mean(seen, axis=0)
    time = np.arange(len(patterns)) / len(patterns)
    flux = np.exp(imperfect.flux * math.sqrt(2) * np.sin(2 * math.pi * (1.3 * time + 0.2)))
    flux = flux / flux.mean()
    rows = (np.arange(settings.detector[0]) - settings.detector[0] // 2) / (settings.detector[0] / 2)
    columns = np.ones(settings.detector[1])
    background = imperfect.background * (1 + imperfect.background_slope * rows[:, None]) * columns[None, :]
    dose = settings.dose * settings.step**2
    share = background / dose if math.isfinite(dose) else background
    counts = count_electrons(patterns * flux[:, None, None] + share, dose, rng)
    return ImperfectScan(_dataset(settings, counts, positions, pixels, slices), descan, background, flux)


def _slices(
    settings: GoldSettings, imperfect: Imperfections, atoms: dict[str, Float[np.ndarray, "atoms 3"]], cell: Grid
) -> Float[np.ndarray, "slices Y X"]:
    """Phase of each slice in rad."""
    slices = phase_slices(atoms, cell, settings.slice_thickness, settings.energy)
    if not imperfect.layers:
        return slices
    return np.repeat(slices.sum(axis=0, keepdims=True) / imperfect.layers, imperfect.layers, axis=0)


def _displaced(
    atoms: dict[str, Float[np.ndarray, "atoms 3"]], size: float, seed: int
) -> dict[str, Float[np.ndarray, "atoms 3"]]:
    """Atoms where they are at one moment, across the beam."""
    rng = np.random.default_rng(seed)
    return {element: places + rng.normal(0, size, places.shape) * [0, 1, 1] for element, places in atoms.items()}


def _planes(shape: tuple[int, int]) -> Float[np.ndarray, "scan 2"]:
    """Coordinates of each pattern from -1 to 1 along the slow and the fast axis."""
    axes = np.meshgrid(np.linspace(-1, 1, shape[0]), np.linspace(-1, 1, shape[1]), indexing="ij")
    return np.stack([axis.ravel() for axis in axes], axis=1)


def _probe(settings: GoldSettings, imperfect: Imperfections, grid: Grid) -> Complex[np.ndarray, "y x"]:
    """The spectrum of the probe of a point source where the beam meets the specimen."""
    ky, kx = host_frequencies(grid.shape, grid.sampling)
    wavelength = electron.wavelength(settings.energy)
    alpha, phi = wavelength * np.hypot(ky, kx), np.arctan2(ky, kx + 0 * ky)
    sides = [n * s for n, s in zip(grid.shape, grid.sampling, strict=True)]
    width = wavelength * np.hypot(np.sin(phi) / sides[0], np.cos(phi) / sides[1])
    aperture = np.clip((settings.semiangle_cutoff * 1e-3 - alpha) / width + 0.5, 0, 1)
    depth = settings.diameter + settings.carbon_thickness
    depth = sum(_gaps(settings, imperfect, imperfect.layers)) if imperfect.layers else depth
    C10 = -(settings.defocus + depth / 2)
    chi = 0.5 * alpha**2 * (C10 + imperfect.astigmatism * np.cos(2 * (phi - imperfect.azimuth)))
    wave = aperture * np.exp(-2j * math.pi / wavelength * chi)
    return wave / np.linalg.norm(wave)


def _patterns(
    settings: GoldSettings,
    imperfect: Imperfections,
    grid: Grid,
    transmission: Complex[np.ndarray, "slices Y X"],
    pixels: Float[np.ndarray, "scan 2"],
    descan: Float[np.ndarray, "scan 2"],
) -> Float[np.ndarray, "scan ky kx"]:
    """Share of a pattern's electrons on each pixel: the sum over points of the source, of the line and of defocus."""
    spectrum, found = _probe(settings, imperfect, grid), []
    ky, kx = host_frequencies(grid.shape, grid.sampling)
    square = ky**2 + kx**2
    lens = 1j * math.pi * electron.wavelength(settings.energy) * square
    kept = square <= (BAND_LIMIT / (2 * max(grid.sampling))) ** 2
    kernels = [np.exp(-lens * gap) * kept for gap in _gaps(settings, imperfect, len(transmission))]
    offsets, focus, weights = _points(imperfect)
    drift = imperfect.defocus_drift * np.linspace(-0.5, 0.5, len(pixels))
    start = [(n - d) // 2 for n, d in zip(grid.shape, settings.detector, strict=True)]
    for place, shift, defocus in zip(pixels, descan, drift, strict=True):
        corner = np.round(place).astype(int) - np.array(grid.shape) // 2
        patch = transmission[:, corner[0] : corner[0] + grid.shape[0], corner[1] : corner[1] + grid.shape[1]]
        away = (place - corner) * grid.sampling + offsets
        ramps = np.exp(-2j * math.pi * (ky * away[:, 0, None, None] + kx * away[:, 1, None, None]))
        lenses = np.exp(lens * (defocus + focus)[:, None, None])
        waves = np.fft.ifft2(spectrum * lenses * ramps, norm="ortho") * patch[0]
        for kernel, one in zip(kernels, patch[1:], strict=True):
            waves = np.fft.ifft2(kernel * np.fft.fft2(waves)) * one
        y, x = ((np.arange(n) - n // 2) / n for n in grid.shape)
        waves = waves * np.exp(2j * math.pi * (shift[0] * y[:, None] + shift[1] * x[None, :]))
        intensity = np.abs(np.fft.fftshift(np.fft.fft2(waves, norm="ortho"), axes=(-2, -1))) ** 2
        intensity = np.tensordot(weights, intensity, 1)
        found.append(intensity[start[0] : start[0] + settings.detector[0], start[1] : start[1] + settings.detector[1]])
    return np.stack(found)


def _gaps(settings: GoldSettings, imperfect: Imperfections, slices: int) -> tuple[float, ...]:
    """Å between slices."""
    return imperfect.gaps or (settings.slice_thickness,) * (slices - 1)


def _points(
    imperfect: Imperfections,
) -> tuple[Float[np.ndarray, "points 2"], Float[np.ndarray, "points"], Float[np.ndarray, "points"]]:
    """Where the beam is in Å beside its place, its defocus in Å beside that of the lens, and weights."""
    gauss, along = np.polynomial.hermite_e.hermegauss, np.polynomial.legendre.leggauss
    still = (np.zeros(1), np.ones(1))
    source = gauss(NODES) if imperfect.source_size else still
    line = along(NODES + 2) if any(imperfect.fly) else still
    spread = (FOCUS, np.exp(-0.5 * FOCUS**2)) if imperfect.focal_spread else still
    sums = (source, source, line, spread)
    y, x, t, z = (grid.ravel() for grid in np.meshgrid(*(nodes for nodes, _ in sums), indexing="ij"))
    weights = np.prod([grid.ravel() for grid in np.meshgrid(*(weight for _, weight in sums), indexing="ij")], axis=0)
    places = imperfect.source_size * np.stack([y, x], axis=1) + 0.5 * t[:, None] * np.asarray(imperfect.fly)
    return places, imperfect.focal_spread * z, weights / weights.sum()


def _dataset(
    settings: GoldSettings, counts: np.ndarray, positions: np.ndarray, pixels: np.ndarray, slices: np.ndarray
) -> Dataset4D:
    coarse = (slices.shape[1] // OVERSAMPLING, slices.shape[2] // OVERSAMPLING)
    origin = positions[0] - pixels[0] * np.asarray(settings.sampling) / OVERSAMPLING
    phase = fourier_crop(slices.sum(axis=0), coarse).astype(np.float32)
    sides = [n * s for n, s in zip(settings.detector, settings.sampling, strict=True)]
    calibration = Calibration(
        energy=settings.energy,
        semiangle_cutoff=settings.semiangle_cutoff,
        defocus=settings.defocus,
        step=(settings.step, settings.step),
        reciprocal_sampling=(1 / sides[0], 1 / sides[1]),
    )
    truth = Truth(phase, settings.sampling, (float(origin[0]), float(origin[1])))
    return from_arrays(counts.reshape(*settings.scan_shape, *settings.detector), calibration, positions, truth=truth)
