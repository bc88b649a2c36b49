"""Electron optics: wavelength, aberrations, aperture, probe formation, propagation."""

from jptycho.optics.aberrations import aberration_phase
from jptycho.optics.electron import interaction_parameter, wavelength
from jptycho.optics.frequencies import scattering_angles, spatial_frequencies
from jptycho.optics.probe import Beam, beam_probe, form_probe, incoherent_modes, probe_power, soft_aperture
from jptycho.optics.propagation import fresnel_kernel, propagate
from jptycho.optics.source import source_modes
from jptycho.optics.waves import intensity

__all__ = [
    "Beam",
    "aberration_phase",
    "beam_probe",
    "form_probe",
    "fresnel_kernel",
    "incoherent_modes",
    "intensity",
    "interaction_parameter",
    "probe_power",
    "propagate",
    "scattering_angles",
    "soft_aperture",
    "source_modes",
    "spatial_frequencies",
    "wavelength",
]
