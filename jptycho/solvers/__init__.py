"""Solvers: compiled epochs, and the loop that runs them."""

from jptycho.solvers.base import Metrics, ScanData, Solver, State, distribute, epoch, init_state
from jptycho.solvers.difference_map import DifferenceMapSolver, raar
from jptycho.solvers.ensemble import EnsembleSolver
from jptycho.solvers.epochs import EpochLoop, Record, run_epochs
from jptycho.solvers.gradient import GradientSolver
from jptycho.solvers.half_sets import HalfSetSolver
from jptycho.solvers.lsqml import LSQMLSolver
from jptycho.solvers.optimisers import Optimiser
from jptycho.solvers.pie import PIESolver
from jptycho.solvers.validation import render_estimate, validate_state

__all__ = [
    "DifferenceMapSolver",
    "EnsembleSolver",
    "EpochLoop",
    "GradientSolver",
    "HalfSetSolver",
    "LSQMLSolver",
    "Metrics",
    "Optimiser",
    "PIESolver",
    "Record",
    "ScanData",
    "Solver",
    "State",
    "distribute",
    "epoch",
    "init_state",
    "raar",
    "render_estimate",
    "run_epochs",
    "validate_state",
]
