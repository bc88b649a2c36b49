"""From a scan to a result: what is chosen, the stages of a run, and what is kept."""

from jptycho.reconstruction.extension import Extension

__all__ = ["Extension"]
