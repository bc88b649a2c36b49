"""The automatic run: what unused electrons support, in the time allowed."""

from jptycho.automatic.checks import check_settings, settings_of_file
from jptycho.automatic.judge import Comparison, compare, losses_by_pattern
from jptycho.automatic.reconstruct import reconstruct

__all__ = ["Comparison", "check_settings", "compare", "losses_by_pattern", "reconstruct", "settings_of_file"]
