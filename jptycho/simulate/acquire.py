"""Record the scan that a microscope would: multislice on a fine grid, a coarser detector, Poisson counts.

The fine grid and the many slices are the simulation's own; a reconstruction samples the object more coarsely, so its
forward model is not the one that made the data.
"""

from __future__ import annotations

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np

from jptycho.forward.fields import Fields, ScanFields, Setup
from jptycho.forward.model import predict_batch
from jptycho.optics import electron
from jptycho.optics.probe import Beam, beam_probe
from jptycho.optics.waves import cis
from jptycho.scan import place_on_canvas, raster_positions
from jptycho.simulate.scattering import projected_potential
from jptycho.simulate.specimens import THERMAL_DISPLACEMENT, gold_on_carbon
from jptycho.types import Array, Float, Grid

OVERSAMPLING = 2  # of the simulation over the detector's object pixel
BAND_LIMIT = 2 / 3
BATCH = 32


@dataclasses.dataclass(frozen=True)
class Acquisition:
    """A scan as it is recorded.

    Attributes:
        beam: energy, semiangle, aberrations.
        scan_shape: slow and fast steps.
        step: Å between positions.
        detector: rows and columns.
        sampling: Å of an object pixel, λ over the detector's full angle.
        jitter: root mean square displacement of each position in Å along each axis (known positions).
        dose: electrons a square Å; infinite for the expectation itself.
        seed: of jitter and counts.
    """

    beam: Beam
    scan_shape: tuple[int, int]
    step: float
    detector: tuple[int, int]
    sampling: tuple[float, float]
    jitter: float
    dose: float
    seed: int


@dataclasses.dataclass(frozen=True)
class Recording:
    """What a simulated scan holds.

    Attributes:
        counts: (slow, fast, ky, kx), zero frequency in the centre, smallest unsigned integer type that holds them.
        positions: of the probe (slow, fast, 2) in Å.
        truth: projected phase (Y, X) in rad at the detector's object pixel.
        truth_origin: position in Å of the truth's pixel [0, 0].
        pattern_dose: electrons that an average pattern is hit by.
    """

    counts: np.ndarray
    positions: np.ndarray
    truth: np.ndarray
    truth_origin: np.ndarray
    pattern_dose: float


def fourier_crop(image: Float[np.ndarray, "Y X"], shape: tuple[int, int]) -> Float[np.ndarray, "y x"]:
    """Resample a periodic real image to fewer pixels by keeping its low frequencies.

    Args:
        image: (Y, X).
        shape: of the result, no larger.

    Returns:
        image (y, x) of the same mean.

    Example:
        >>> fourier_crop(np.ones((6, 6)), (4, 2)).shape
        (4, 2)
    """
    spectrum = np.fft.fftshift(np.fft.fft2(image, norm="forward"))
    start = [image.shape[i] // 2 - shape[i] // 2 for i in range(2)]
    window = spectrum[start[0] : start[0] + shape[0], start[1] : start[1] + shape[1]]
    return np.fft.ifft2(np.fft.ifftshift(window), norm="forward").real


def diffraction_patterns(fields: Fields, setup: Setup, detector: tuple[int, int]) -> Float[np.ndarray, "scan ky kx"]:
    """Expected pattern at every position, cropped to the detector, as a fraction of the incident electrons.

    Args:
        fields: unknowns on the fine grid.
        setup: constants on the fine grid.
        detector: rows and columns that the detector covers.

    Returns:
        intensities (scan, ky, kx) with zero frequency in the centre.
    """
    fine = setup.grid.shape
    start = [fine[i] // 2 - detector[i] // 2 for i in range(2)]

    @jax.jit
    def record(rows: ScanFields) -> Array:
        patterns = jnp.fft.fftshift(predict_batch(fields, setup, rows), axes=(-2, -1))
        return patterns[:, start[0] : start[0] + detector[0], start[1] : start[1] + detector[1]]

    scan = len(fields.scan)
    padded = np.arange(BATCH * math.ceil(scan / BATCH)) % scan
    chunks = [np.asarray(record(fields.scan[which])) for which in padded.reshape(-1, BATCH)]
    return np.concatenate(chunks)[:scan]


def count_electrons(expected: Float[np.ndarray, "..."], pattern_dose: float, rng: np.random.Generator) -> np.ndarray:
    """Poisson counts in the smallest unsigned integer type that holds them; the expectation at infinite dose.

    Args:
        expected: fraction of the electrons in each pixel.
        pattern_dose: electrons a pattern.
        rng: source of randomness.

    Returns:
        counts, of the shape of ``expected``; float32 where the dose is infinite.

    Example:
        >>> count_electrons(np.full((2, 2), 0.25), 400.0, np.random.default_rng(0)).dtype
        dtype('uint8')
    """
    if math.isinf(pattern_dose):
        return expected.astype(np.float32)
    counts = rng.poisson(np.maximum(expected, 0.0) * pattern_dose)
    return counts.astype(np.min_scalar_type(int(counts.max())))


def record_gold(
    acquisition: Acquisition, diameter: float, carbon_thickness: float, slice_thickness: float, specimen_seed: int
) -> Recording:
    """Simulate a scan over a gold nanoparticle on amorphous carbon.

    Args:
        acquisition: microscope, scan and dose.
        diameter: of the particle in Å.
        carbon_thickness: of the film in Å.
        slice_thickness: of the simulation in Å.
        specimen_seed: of film and orientation.

    Returns:
        the scan and its truth.
    """
    rng = np.random.default_rng(acquisition.seed)
    positions = raster_positions(acquisition.scan_shape, (acquisition.step, acquisition.step))
    positions = positions + rng.normal(0, acquisition.jitter, positions.shape)
    sampling = (acquisition.sampling[0] / OVERSAMPLING, acquisition.sampling[1] / OVERSAMPLING)
    fine = (OVERSAMPLING * acquisition.detector[0], OVERSAMPLING * acquisition.detector[1])
    window = Grid(fine, sampling)
    pixels, canvas = place_on_canvas(positions, sampling, window.shape)
    cell = Grid(canvas, sampling)
    extent = (canvas[0] * sampling[0], canvas[1] * sampling[1])
    atoms = gold_on_carbon(extent, diameter, carbon_thickness, specimen_seed)
    slices = phase_slices(atoms, cell, slice_thickness, acquisition.beam.energy)
    fields = Fields(
        object=cis(jnp.asarray(slices)),
        probe=beam_probe(window, acquisition.beam)[None],
        scan=ScanFields(jnp.asarray(pixels, jnp.float32)),
        thickness=jnp.asarray(slice_thickness, jnp.float32),
        tilt=jnp.zeros(2),
    )
    setup = Setup(
        jnp.ones(window.shape), jnp.ones(()), window, electron.wavelength(acquisition.beam.energy), BAND_LIMIT
    )
    pattern_dose = acquisition.dose * acquisition.step**2
    expected = diffraction_patterns(fields, setup, acquisition.detector)
    shape = acquisition.scan_shape
    coarse = (canvas[0] // OVERSAMPLING, canvas[1] // OVERSAMPLING)
    return Recording(
        counts=count_electrons(expected, pattern_dose, rng).reshape(*shape, *acquisition.detector),
        positions=positions.reshape(*shape, 2),
        truth=fourier_crop(slices.sum(axis=0), coarse).astype(np.float32),
        truth_origin=positions[0] - pixels[0] * np.asarray(sampling),
        pattern_dose=pattern_dose,
    )


def phase_slices(
    atoms: dict[str, Float[np.ndarray, "atoms 3"]], cell: Grid, thickness: float, energy: float
) -> Float[np.ndarray, "slices Y X"]:
    """Cut atoms into slices along the beam and project each: phase = σ V.

    Args:
        atoms: element symbol to positions (z, y, x) in Å.
        cell: periodic cell of a slice.
        thickness: of a slice in Å.
        energy: eV.

    Returns:
        phase of each slice in rad, the first the one that the beam meets first.

    Example:
        >>> phase_slices({"Au": np.array([[0.5, 2, 2], [3.5, 2, 2]])}, Grid((16, 16), (0.25, 0.25)), 2.0, 3e5).shape
        (2, 16, 16)
    """
    depth = max(float(points[:, 0].max()) for points in atoms.values())
    count = math.floor(depth / thickness) + 1
    cutoff = BAND_LIMIT / (2 * max(cell.sampling))
    out = np.zeros((count, *cell.shape), np.float32)
    for i in range(count):
        inside = {e: p[(p[:, 0] // thickness).astype(int) == i] for e, p in atoms.items()}
        out[i] = projected_potential(inside, cell, THERMAL_DISPLACEMENT, cutoff)
    return out * electron.interaction_parameter(energy)
