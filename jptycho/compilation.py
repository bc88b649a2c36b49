"""Compiled programs that outlive the process: a folder of the user's that JAX reads instead of compiling again."""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import sys
from collections.abc import Callable
from pathlib import Path

import jax

CHOICE = "JPTYCHO_COMPILATION_CACHE"
"""Environment variable: a folder, or ``off``."""
OFF = "off"
WORTH = 0.1  # seconds of compilation from which on a program is kept
LARGEST = 2**30  # bytes
OTHERS_MAY_WRITE = 0o022


def user_cache() -> Path:
    """The user's cache folder of this package.

    Returns:
        the folder, which need not exist.
    """
    base = os.environ.get("XDG_CACHE_HOME") or (os.environ.get("LOCALAPPDATA") if sys.platform == "win32" else None)
    return Path(base or Path.home() / ".cache") / "jptycho"


def use_compilation_cache(log: Callable[[str], None], folder: Path | None = None) -> Path | None:
    """Let JAX keep what it compiles, so that a second run of equal shapes starts at once.

    A folder of JAX's own setting (``JAX_COMPILATION_CACHE_DIR``) is left as it is. A cache is code that will be
    executed, so one that others may write is not used.

    Args:
        log: told why there is none, where one is wanted.
        folder: where; by default that of ``JPTYCHO_COMPILATION_CACHE``, which may say ``off``, else one in the user's
            cache folder for this processor and version of JAX.

    Returns:
        the folder in use; None for none.
    """
    chosen = jax.config.values["jax_compilation_cache_dir"]
    if chosen:
        return Path(chosen)
    asked = os.environ.get(CHOICE, "")
    if folder is None and asked.lower() == OFF:
        return None
    folder = folder or Path(asked or user_cache() / "compiled") / _machine()
    reason = _refused(folder)
    if reason:
        log(
            f"programs are compiled anew in every run: {reason}. Set {CHOICE} to a folder of your own, or to {OFF!r}, "
            "or compilation_cache = false"
        )
        return None
    _shorten(folder, LARGEST)
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", WORTH)
    return folder


def _machine() -> str:
    """A name for whom compiled code is valid."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    features = next((line for line in lines if line.startswith(("flags", "Features"))), platform.processor())
    digest = hashlib.sha256(f"{platform.machine()} {features}".encode()).hexdigest()[:12]
    return f"jax-{jax.__version__}-{digest}"


def _refused(folder: Path) -> str:
    """Why a folder cannot be a cache; nothing where it can, and then it exists."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = folder.stat()
    except OSError as error:
        return f"the folder {str(folder)!r} cannot be made ({error.strerror or error})"
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"the folder {str(folder)!r} cannot be written"
    if hasattr(os, "getuid") and (found.st_uid != os.getuid() or found.st_mode & OTHERS_MAY_WRITE):
        return f"the folder {str(folder)!r} is another user's, or others may write it"
    return ""


def _shorten(folder: Path, largest: int) -> None:
    """Remove the oldest programs of a folder that has grown too large, down to half of what it may be."""
    sizes = []
    for path in folder.iterdir():
        with contextlib.suppress(OSError):  # another run may be at it
            found = path.stat()
            sizes.append((found.st_mtime, found.st_size, path))
    total = sum(size for _, size, _ in sizes)
    if total <= largest:
        return
    for _, size, path in sorted(sizes):
        if total <= largest // 2:
            break
        with contextlib.suppress(OSError):
            path.unlink()
            total -= size
