"""From a configuration, and what the user brings, to what a run is made of: checks, what is chosen, solvers, start."""

from jptycho.assembly.extension import Extension

__all__ = ["Extension"]
