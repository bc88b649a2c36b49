"""The automatic run: what unused electrons support, in the time allowed."""

from jptycho.automatic.checks import check_memory, check_settings, settings_of_file
from jptycho.automatic.judge import Comparison, compare, losses_by_pattern
from jptycho.automatic.reconstruct import reconstruct
from jptycho.automatic.trials import first_settings

__all__ = [
    "Comparison",
    "check_memory",
    "check_settings",
    "compare",
    "first_settings",
    "losses_by_pattern",
    "reconstruct",
    "settings_of_file",
]
