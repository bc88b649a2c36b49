"""From a scan as recorded to the constants and the start of a run."""

from jptycho.preprocess.aberration_fit import AberrationFit, refine_aberrations
from jptycho.preprocess.automatic import choose_loss, choose_object_rate, choose_preconditioner, choose_probe_rate
from jptycho.preprocess.bad_pixels import find_bad_pixels
from jptycho.preprocess.cpu_devices import choose_cpu_devices
from jptycho.preprocess.direct_phase import centres_of_mass, differential_phase, parallax_phase
from jptycho.preprocess.disk import Disk, fit_disk
from jptycho.preprocess.interference import Interference, measure_interference
from jptycho.preprocess.lattice import scan_step_scale, step_scale
from jptycho.preprocess.object_spec import ObjectSpec
from jptycho.preprocess.orientation import CentreOrientation, orient_centres
from jptycho.preprocess.prepare import Problem
from jptycho.preprocess.reference import make_reference
from jptycho.preprocess.scan_calibration import ScanCalibration, calibrate_scan
from jptycho.preprocess.shot_noise import ShotNoise, measure_shot_noise
from jptycho.preprocess.side_bands import (
    single_side_band,
    single_side_band_phase,
    wigner_deconvolution,
    wigner_phase,
)
from jptycho.preprocess.thinning import hold_out, make_half_sets, thin
from jptycho.preprocess.weak_phase import Lens

__all__ = [
    "AberrationFit",
    "CentreOrientation",
    "Disk",
    "Interference",
    "Lens",
    "ObjectSpec",
    "Problem",
    "ScanCalibration",
    "ShotNoise",
    "calibrate_scan",
    "centres_of_mass",
    "choose_cpu_devices",
    "choose_loss",
    "choose_object_rate",
    "choose_preconditioner",
    "choose_probe_rate",
    "differential_phase",
    "find_bad_pixels",
    "fit_disk",
    "hold_out",
    "make_half_sets",
    "make_reference",
    "measure_interference",
    "measure_shot_noise",
    "orient_centres",
    "parallax_phase",
    "refine_aberrations",
    "scan_step_scale",
    "single_side_band",
    "single_side_band_phase",
    "step_scale",
    "thin",
    "wigner_deconvolution",
    "wigner_phase",
]
