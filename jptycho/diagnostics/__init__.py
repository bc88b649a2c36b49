"""Is it right? Arrays in, arrays out."""

from jptycho.diagnostics.gauge import remove_plane, same_gauge
from jptycho.diagnostics.half_set_filter import HalfSets
from jptycho.diagnostics.resolution import RingCorrelation, fourier_ring_correlation, information_limit, resolution_at
from jptycho.diagnostics.similarity import Similarity, compare
from jptycho.diagnostics.truth import align_with_truth, compare_with_truth
from jptycho.diagnostics.uncertainty import ensemble_resolution

__all__ = [
    "HalfSets",
    "RingCorrelation",
    "Similarity",
    "align_with_truth",
    "compare",
    "compare_with_truth",
    "ensemble_resolution",
    "fourier_ring_correlation",
    "information_limit",
    "remove_plane",
    "resolution_at",
    "same_gauge",
]
