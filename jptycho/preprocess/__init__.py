"""From a scan as recorded to the constants and the start of a run."""

from jptycho.preprocess.automatic import choose_loss, choose_object_rate, choose_preconditioner, choose_probe_rate
from jptycho.preprocess.cpu_devices import choose_cpu_devices
from jptycho.preprocess.direct_phase import centres_of_mass, differential_phase, parallax_phase
from jptycho.preprocess.object_spec import ObjectSpec
from jptycho.preprocess.prepare import Problem
from jptycho.preprocess.reference import make_reference
from jptycho.preprocess.shot_noise import ShotNoise, measure_shot_noise
from jptycho.preprocess.thinning import hold_out, make_half_sets, thin

__all__ = [
    "ObjectSpec",
    "Problem",
    "ShotNoise",
    "centres_of_mass",
    "choose_cpu_devices",
    "choose_loss",
    "choose_object_rate",
    "choose_preconditioner",
    "choose_probe_rate",
    "differential_phase",
    "hold_out",
    "make_half_sets",
    "make_reference",
    "measure_shot_noise",
    "parallax_phase",
    "thin",
]
