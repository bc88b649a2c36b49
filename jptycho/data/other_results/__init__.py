"""Reconstructions by other packages: object, probe and positions, in the conventions of this one."""

from jptycho.data.other_results.base import OtherResult
from jptycho.data.other_results.open import read_start

__all__ = ["OtherResult", "read_start"]
