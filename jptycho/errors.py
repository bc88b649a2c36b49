"""The exceptions that a caller may want to catch.

Each message names the argument, what was expected, what was found and what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class JptychoError(Exception):
    """Base of every error that a wrong input or a failed run raises on purpose."""


class ConfigError(JptychoError, ValueError):
    """A setting is missing, unknown, of the wrong unit or contradicts another one."""


class FormatError(JptychoError, ValueError):
    """A file is missing, unreadable or does not hold what it should."""


class CheckpointError(JptychoError, OSError):
    """A checkpoint cannot be written; the run itself is not affected."""


class DivergenceError(JptychoError, ArithmeticError):
    """A run produced numbers that are not finite."""


class OutOfMemoryError(JptychoError, MemoryError):
    """A run needs more memory than there is."""


def nearest_name(name: str, known: Iterable[str]) -> str:
    """Words that point from an unknown name to the nearest known one.

    Args:
        name: what was given.
        known: every name that would have been accepted.

    Returns:
        ``" Did you mean 'x'?"`` or, where nothing is near, the list of known names.

    Example:
        >>> nearest_name("defocsu", ["defocus", "energy"])
        " Did you mean 'defocus'?"
    """
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f" Did you mean {close[0]!r}?" if close else f" Known: {', '.join(known)}."
