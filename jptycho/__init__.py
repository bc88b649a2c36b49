"""Electron ptychography in JAX, with pixels or deep generative priors.

From a scan to a result: :func:`open_dataset` or :func:`simulate_gold`, then :func:`reconstruct`.
The physics: :class:`Fields`, :class:`Setup`, :func:`predict`. A compiled loop of your own: :func:`initialise`,
:func:`init_state`, :func:`epoch`. What these are made of, and all else, is in the sub-packages ``optics``, ``forward``,
``representations``, ``objective``, ``solvers``, ``data``, ``preprocess``, ``diagnostics`` and ``simulate``. Everything
is a pure function of arrays and frozen settings except the readers, writers and ``reconstruct``.
"""

import importlib
import warnings

from jptycho.assembly import Extension
from jptycho.automatic import reconstruct
from jptycho.cli import interruption  # noqa: F401
from jptycho.config import Config, load_config
from jptycho.data import Calibration, Dataset4D, Result, from_arrays, projected_phase, read_result, write_result
from jptycho.data.readers import open_dataset, write_scan
from jptycho.diagnostics import compare_with_truth, fourier_ring_correlation
from jptycho.diagnostics.half_set_filter import half_set_filter
from jptycho.errors import CheckpointError, ConfigError, DivergenceError, FormatError
from jptycho.forward import Fields, ScanFields, Setup, detect, predict
from jptycho.forward.exit_waves import exit_waves
from jptycho.parallel import make_mesh, use_cpu_cores
from jptycho.preprocess import ObjectSpec, Problem, choose_cpu_devices, make_half_sets
from jptycho.preprocess.prepare import prepare
from jptycho.representations import Estimate, ModelSpec, Unknown, initialise, render
from jptycho.simulate import simulate_gold
from jptycho.solvers import GradientSolver, distribute, epoch, init_state, raar
from jptycho.solvers.difference_map import difference_map

__all__ = [
    "Calibration",
    "CheckpointError",
    "Config",
    "ConfigError",
    "Dataset4D",
    "DivergenceError",
    "Estimate",
    "Extension",
    "Fields",
    "FormatError",
    "GradientSolver",
    "ModelSpec",
    "ObjectSpec",
    "Problem",
    "Result",
    "ScanFields",
    "Setup",
    "Unknown",
    "choose_cpu_devices",
    "compare_with_truth",
    "detect",
    "difference_map",
    "distribute",
    "epoch",
    "exit_waves",
    "fourier_ring_correlation",
    "from_arrays",
    "half_set_filter",
    "init_state",
    "initialise",
    "load_config",
    "make_half_sets",
    "make_mesh",
    "open_dataset",
    "predict",
    "prepare",
    "projected_phase",
    "raar",
    "read_result",
    "reconstruct",
    "render",
    "simulate_gold",
    "use_cpu_cores",
    "write_result",
    "write_scan",
]
__version__ = "0.1.0"

_MOVED = {
    "diagnostics": "HalfSets information_limit resolution_at",
    "forward": "Noise predict_batch",
    "objective": "Denoiser Denoising Loss Penalty Projection Reference TotalVariation amplitude_loss anscombe_loss "
    "intensity_loss mixed_loss poisson_loss",
    "parallel": "replicate",
    "preprocess": "choose_preconditioner make_reference",
    "representations": "ChannelObject GeneratedObject GeneratedProbe PixelObject PixelProbe Preconditioner",
    "representations.networks": "Network PARITY Pretraining UNetSpec pretrain",
    "solvers": "DifferenceMapSolver EnsembleSolver LSQMLSolver Optimiser PIESolver Solver State",
}
"""Names that stood here before, by the sub-package that has them."""


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])


def __getattr__(name: str) -> object:
    for package, names in _MOVED.items():
        if name in names.split():
            message = f"jptycho.{name} moved: use jptycho.{package}.{name}."
            warnings.warn(message, DeprecationWarning, stacklevel=2)
            return getattr(importlib.import_module(f"jptycho.{package}"), name)
    raise AttributeError(f"module 'jptycho' has no attribute {name!r}")
