"""Tolerances with their reasons."""

DOUBLE = 1e-10
"""Relative error of two double-precision evaluations of one formula with different orders of summation."""
ENERGY = 1e-12
"""Parseval in double precision."""
SINGLE = 2e-5
"""Relative error of single-precision FFTs of a few thousand points, forth and back."""
ABTEM = 1e-4
"""abTEM computes in single precision; the patterns span several orders of magnitude."""
EQUAL_RUNS = 1e-5
"""jit may reassociate sums in single precision."""
SCALED_RUNS = 2e-3
"""Two runs whose inputs differ by rounding in the last bit drift apart over some optimiser steps, in rad."""
ORTHOGONAL = 1e-5
"""Inner products of unit vectors of a few thousand numbers in single precision."""
