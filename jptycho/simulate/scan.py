"""A simulated scan as a dataset, from the settings of ``[simulate]``."""

from __future__ import annotations

from jptycho.data.dataset import Calibration, Dataset4D, Truth, from_arrays
from jptycho.errors import ConfigError
from jptycho.optics.probe import Beam
from jptycho.simulate.acquire import Acquisition, record_gold


def simulate_gold(
    *,
    dose: float = 500.0,
    seed: int = 0,
    specimen_seed: int = 6,
    diameter: float = 52.0,
    carbon_thickness: float = 10.0,
    slice_thickness: float = 4.0,
    energy: float = 300e3,
    semiangle_cutoff: float = 20.0,
    defocus: float = 200.0,
    scan_shape: tuple[int, int] = (40, 40),
    step: float = 1.5,
    jitter: float = 0.1,
    detector: tuple[int, int] = (64, 64),
    sampling: tuple[float, float] = (0.4, 0.4),
) -> Dataset4D:
    """A scan over a gold nanoparticle on amorphous carbon, with its truth.

    The simulation samples the object twice as finely as the detector allows and propagates through slices of
    ``slice_thickness``; see :mod:`jptycho.simulate.acquire`.

    Args:
        dose: electrons a square Å; infinite for the expectation itself.
        seed: of counts and position jitter.
        specimen_seed: of the film and the particle's orientation.
        diameter: of the particle in Å.
        carbon_thickness: Å.
        slice_thickness: of the simulation in Å.
        energy: eV.
        semiangle_cutoff: mrad.
        defocus: Å at the middle of the specimen, positive for underfocus.
        scan_shape: slow and fast steps.
        step: Å.
        jitter: root mean square displacement of the (known) positions in Å.
        detector: rows and columns.
        sampling: Å an object pixel.

    Returns:
        the scan in memory.

    Raises:
        ConfigError: a step so large that the canvas would be enormous.
    """
    if max(scan_shape) * step > 2000:
        raise ConfigError(f"step: a scan of {max(scan_shape) * step:g} Å; expected below 2000 Å. Check its unit (Å).")
    # The probe is formed where the beam meets the specimen; defocus is quoted at its middle.
    thickness = diameter + carbon_thickness
    beam = Beam(energy, semiangle_cutoff, (("C10", -(defocus + thickness / 2)),))
    acquisition = Acquisition(beam, scan_shape, step, detector, sampling, jitter, dose, seed)
    recording = record_gold(acquisition, diameter, carbon_thickness, slice_thickness, specimen_seed)
    calibration = Calibration(
        energy=energy,
        semiangle_cutoff=semiangle_cutoff,
        defocus=defocus,
        step=(step, step),
        reciprocal_sampling=(1 / (detector[0] * sampling[0]), 1 / (detector[1] * sampling[1])),
    )
    origin = (float(recording.truth_origin[0]), float(recording.truth_origin[1]))
    truth = Truth(recording.truth, sampling, origin)
    return from_arrays(recording.counts, calibration, recording.positions.reshape(-1, 2), truth=truth)
