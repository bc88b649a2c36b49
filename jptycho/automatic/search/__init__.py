"""The search over a few settings, judged by electrons that no run has seen."""

from jptycho.automatic.search.found import Found, at_an_end, in_words
from jptycho.automatic.search.journal import Trial, remove_trials
from jptycho.automatic.search.ranges import KEYS, Range, check_ranges, parse_ranges
from jptycho.automatic.search.run import Size, check_size, search

__all__ = [
    "KEYS",
    "Found",
    "Range",
    "Size",
    "Trial",
    "at_an_end",
    "check_ranges",
    "check_size",
    "in_words",
    "parse_ranges",
    "remove_trials",
    "search",
]
