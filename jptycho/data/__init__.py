"""Files in and out."""

from jptycho.data.dataset import Calibration, Dataset4D, Truth, from_arrays
from jptycho.data.results import Result, projected_phase, read_result, write_result

__all__ = [
    "Calibration",
    "Dataset4D",
    "Result",
    "Truth",
    "from_arrays",
    "projected_phase",
    "read_result",
    "write_result",
]
