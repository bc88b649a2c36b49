"""Electron ptychography in JAX, with pixels or deep generative priors.

From a scan to a result: :func:`open_dataset` or :func:`simulate_gold`, then :func:`reconstruct`.
The physics: :class:`Fields`, :class:`Setup`, :func:`predict`. Everything below is a pure function of arrays and frozen
settings except the readers, writers and ``reconstruct``.
"""

from jptycho.cli import interruption  # noqa: F401
from jptycho.config.run import Config, load_config
from jptycho.data.dataset import Calibration, Dataset4D, from_arrays
from jptycho.data.readers.jptycho_scan import write_scan
from jptycho.data.readers.open import open_dataset
from jptycho.data.results import Result, projected_phase, read_result, write_result
from jptycho.diagnostics.half_set_filter import HalfSets, half_set_filter
from jptycho.diagnostics.resolution import fourier_ring_correlation, information_limit, resolution_at
from jptycho.diagnostics.truth import compare_with_truth
from jptycho.errors import CheckpointError, ConfigError, DivergenceError, FormatError
from jptycho.forward.detector import detect
from jptycho.forward.exit_waves import exit_waves
from jptycho.forward.fields import Fields, Noise, ScanFields, Setup
from jptycho.forward.model import predict, predict_batch
from jptycho.objective.denoisers import Denoiser, Denoising, TotalVariation
from jptycho.objective.losses import (
    Loss,
    amplitude_loss,
    anscombe_loss,
    intensity_loss,
    mixed_loss,
    poisson_loss,
)
from jptycho.objective.penalties import Penalty
from jptycho.objective.projections import Projection
from jptycho.objective.reference import Reference
from jptycho.parallel import make_mesh, replicate, use_cpu_cores
from jptycho.preprocess.automatic import choose_preconditioner
from jptycho.preprocess.cpu_devices import choose_cpu_devices
from jptycho.preprocess.prepare import ObjectSpec, Problem, prepare
from jptycho.preprocess.reference import make_reference
from jptycho.preprocess.thinning import make_half_sets
from jptycho.reconstruction.extension import Extension
from jptycho.reconstruction.reconstruct import reconstruct
from jptycho.representations.base import Estimate, ModelSpec, Unknown, initialise, render
from jptycho.representations.generated import GeneratedObject, GeneratedProbe
from jptycho.representations.networks.base import Network
from jptycho.representations.networks.pretraining import Pretraining, pretrain
from jptycho.representations.networks.unet import PARITY, UNetSpec
from jptycho.representations.pixels import ChannelObject, PixelObject, PixelProbe, Preconditioner
from jptycho.simulate.scan import simulate_gold
from jptycho.solvers.base import Solver, State, distribute, epoch, init_state
from jptycho.solvers.difference_map import DifferenceMapSolver, difference_map, raar
from jptycho.solvers.ensemble import EnsembleSolver
from jptycho.solvers.gradient import GradientSolver
from jptycho.solvers.lsqml import LSQMLSolver
from jptycho.solvers.optimisers import Optimiser
from jptycho.solvers.pie import PIESolver

__all__ = [
    "PARITY",
    "Calibration",
    "ChannelObject",
    "CheckpointError",
    "Config",
    "ConfigError",
    "Dataset4D",
    "Denoiser",
    "Denoising",
    "DifferenceMapSolver",
    "DivergenceError",
    "EnsembleSolver",
    "Estimate",
    "Extension",
    "Fields",
    "FormatError",
    "GeneratedObject",
    "GeneratedProbe",
    "GradientSolver",
    "HalfSets",
    "LSQMLSolver",
    "Loss",
    "ModelSpec",
    "Network",
    "Noise",
    "ObjectSpec",
    "Optimiser",
    "PIESolver",
    "Penalty",
    "PixelObject",
    "PixelProbe",
    "Preconditioner",
    "Pretraining",
    "Problem",
    "Projection",
    "Reference",
    "Result",
    "ScanFields",
    "Setup",
    "Solver",
    "State",
    "TotalVariation",
    "UNetSpec",
    "Unknown",
    "amplitude_loss",
    "anscombe_loss",
    "choose_cpu_devices",
    "choose_preconditioner",
    "compare_with_truth",
    "detect",
    "difference_map",
    "distribute",
    "epoch",
    "exit_waves",
    "fourier_ring_correlation",
    "from_arrays",
    "half_set_filter",
    "information_limit",
    "init_state",
    "initialise",
    "intensity_loss",
    "load_config",
    "make_half_sets",
    "make_mesh",
    "make_reference",
    "mixed_loss",
    "open_dataset",
    "poisson_loss",
    "predict",
    "predict_batch",
    "prepare",
    "pretrain",
    "projected_phase",
    "raar",
    "read_result",
    "reconstruct",
    "render",
    "replicate",
    "resolution_at",
    "simulate_gold",
    "use_cpu_cores",
    "write_result",
    "write_scan",
]
__version__ = "0.1.0"
