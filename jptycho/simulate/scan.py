"""A simulated scan as a dataset."""

from __future__ import annotations

from typing import Any

from jptycho.data.dataset import Calibration, Dataset4D, Truth, from_arrays
from jptycho.errors import ConfigError
from jptycho.optics.probe import Beam
from jptycho.settings import Count, Field, NotNegative, Positive, PositivePair, Section, parse
from jptycho.simulate.acquire import Acquisition, record_gold

LARGEST_SCAN = 2000.0  # Å: its slices would fill the memory


class GoldSettings(Section):
    """A simulated scan over a gold nanoparticle on amorphous carbon."""

    dose: float = Field(
        500.0, gt=0, allow_inf_nan=True, description="electrons a square Å; inf for the expectation itself"
    )
    seed: int = Field(0, ge=0, description="of the counts and the position jitter")
    specimen_seed: int = Field(6, ge=0, description="of the film and the particle's orientation")
    diameter: Positive = Field(52.0, description="of the particle in Å")
    carbon_thickness: Positive = Field(10.0, description="Å")
    slice_thickness: Positive = Field(4.0, description="of the simulation in Å")
    energy: Positive = Field(300e3, description="eV")
    semiangle_cutoff: Positive = Field(20.0, description="mrad")
    defocus: float = Field(200.0, description="Å at the middle of the specimen, positive for underfocus")
    scan_shape: tuple[Count, Count] = Field((40, 40), description="slow and fast steps")
    step: Positive = Field(1.5, description="Å")
    jitter: NotNegative = Field(0.1, description="root mean square displacement of the positions, Å")
    detector: tuple[Count, Count] = Field((64, 64), description="rows and columns")
    sampling: PositivePair = Field(
        (0.4, 0.4), description="Å an object pixel: wavelength over the detector's full angle"
    )


def simulate_gold(settings: GoldSettings | None = None, **changes: Any) -> Dataset4D:
    """A scan over a gold nanoparticle on amorphous carbon, with its truth.

    The simulation samples the object twice as finely as the detector allows and propagates through slices of
    ``slice_thickness``; see :mod:`jptycho.simulate.acquire`.

    Args:
        settings: of specimen, microscope and scan.
        **changes: keys of :class:`GoldSettings` that replace them, such as ``dose=200``.

    Returns:
        the scan in memory.

    Raises:
        ConfigError: a setting that is unknown or impossible.
    """
    given = {} if settings is None else settings.model_dump()
    use = parse(GoldSettings, {**given, **changes})
    if max(use.scan_shape) * use.step > LARGEST_SCAN:
        extent = max(use.scan_shape) * use.step
        raise ConfigError(f"step: a scan of {extent:g} Å; expected below {LARGEST_SCAN:g} Å. Check its unit (Å).")
    # The probe is formed where the beam meets the specimen; defocus is quoted at its middle.
    thickness = use.diameter + use.carbon_thickness
    beam = Beam(use.energy, use.semiangle_cutoff, (("C10", -(use.defocus + thickness / 2)),))
    acquisition = Acquisition(
        beam, use.scan_shape, use.step, use.detector, use.sampling, use.jitter, use.dose, use.seed
    )
    recording = record_gold(acquisition, use.diameter, use.carbon_thickness, use.slice_thickness, use.specimen_seed)
    calibration = Calibration(
        energy=use.energy,
        semiangle_cutoff=use.semiangle_cutoff,
        defocus=use.defocus,
        step=(use.step, use.step),
        reciprocal_sampling=(1 / (use.detector[0] * use.sampling[0]), 1 / (use.detector[1] * use.sampling[1])),
    )
    origin = (float(recording.truth_origin[0]), float(recording.truth_origin[1]))
    truth = Truth(recording.truth, use.sampling, origin)
    return from_arrays(recording.counts, calibration, recording.positions.reshape(-1, 2), truth=truth)
