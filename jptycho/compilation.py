"""Compiled programs that outlive the process: a folder of the user's that JAX reads instead of compiling again."""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import stat
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
from jax.experimental.compilation_cache import compilation_cache as programs

CHOICE = "JPTYCHO_COMPILATION_CACHE"
"""Environment variable: a folder, or ``off``."""
OFF = frozenset({"off", "0", "false", "no", "none"})
WORTH, USUAL = 0.1, 1.0
"""Seconds of compilation from which on a program is kept, and what JAX has for that by itself."""
LARGEST = 2**30
"""Bytes of all folders together, for every version of JAX and every processor."""
FOLDER, SHORTEST, LEADING = "jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs", b"\x78"
CHECKED = ".checked"
"""File whose time says up to when the programs are known to be whole."""


def user_cache() -> Path:
    """The user's cache folder of this package.

    Returns:
        the folder, which need not exist.

    Raises:
        RuntimeError: the user has no home.
    """
    base = os.environ.get("XDG_CACHE_HOME") or (os.environ.get("LOCALAPPDATA") if sys.platform == "win32" else None)
    return Path(base or Path.home() / ".cache") / "jptycho"


def use_compilation_cache(wanted: bool, log: Callable[[str], None], folder: Path | None = None) -> Path | None:
    """Let JAX keep what this process compiles, so that a second run of equal shapes starts at once.

    A folder of JAX's own setting (``JAX_COMPILATION_CACHE_DIR``) is left as it is. A cache is code that will be
    executed, so one that others may write is not used. The folder may be deleted at any time.

    Args:
        wanted: whether; where not, a folder that this function chose before is no longer used.
        log: told why there is none, where one is wanted.
        folder: in which a folder for this processor and version of JAX is made; by default that of
            ``JPTYCHO_COMPILATION_CACHE``, which may say ``off``, else the user's cache folder.

    Returns:
        the folder in use; None for none.
    """
    now = jax.config.values[FOLDER]
    if now and Path(now).name != _machine():
        return Path(now)
    asked = os.environ.get(CHOICE, "").strip()
    if not wanted or (folder is None and asked.lower() in OFF):
        if now:
            jax.config.update(FOLDER, None)
            programs.reset_cache()
        return None
    if now:
        return Path(now)
    try:
        root = folder or (Path(asked).expanduser().absolute() if asked else user_cache() / "compiled")
        chosen = _made(root.resolve() / _machine())
        _shorten(chosen.parent, LARGEST)
        _mend(chosen)
    except (OSError, RuntimeError, ValueError) as error:
        log(
            f"programs are compiled anew in every run: {error}. Set {CHOICE} to a folder of your own or to 'off', or "
            "compilation_cache = false"
        )
        return None
    jax.config.update(FOLDER, str(chosen))
    if jax.config.values[SHORTEST] == USUAL:
        jax.config.update(SHORTEST, WORTH)
    return chosen


def _machine() -> str:
    """A name for whom compiled code is valid."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    features = next((line for line in lines if line.startswith(("flags", "Features"))), platform.processor())
    digest = hashlib.sha256(f"{platform.machine()} {features}".encode()).hexdigest()[:12]
    return f"jptycho-jax-{jax.__version__}-{digest}"


def _made(folder: Path) -> Path:
    """A folder that only the user can write or replace, made where it is not; PermissionError where others can."""
    for path in reversed([folder, *folder.parents]):
        if not path.is_dir():
            path.mkdir(mode=0o700, exist_ok=True)
        if hasattr(os, "getuid"):
            found = path.stat()
            theirs = found.st_uid not in (os.getuid(), 0) or (path == folder and found.st_uid != os.getuid())
            # A group whose number is the user's holds the user alone; in a sticky folder only owners rename.
            shared = found.st_mode & stat.S_IWOTH or (found.st_mode & stat.S_IWGRP and found.st_gid != found.st_uid)
            if theirs or (shared and (path == folder or not found.st_mode & stat.S_ISVTX)):
                raise PermissionError(f"the folder {str(path)!r} is another user's, or others may write it")
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise PermissionError(f"the folder {str(folder)!r} cannot be written")
    return folder


def _files(folder: Path) -> Iterator[tuple[float, int, Path]]:
    """Time, size and path of the programs of a folder."""
    for path in folder.glob("*-cache"):
        with contextlib.suppress(OSError):  # another run may be at it
            found = path.stat()
            yield found.st_mtime, found.st_size, path


def _shorten(root: Path, largest: int) -> None:
    """Remove the oldest programs of folders that have grown too large, down to half of what they may be."""
    files = [file for folder in root.glob("jptycho-jax-*") for file in _files(folder)]
    total = sum(size for _, size, _ in files)
    if total <= largest:
        return
    for _, size, path in sorted(files):
        if total <= largest // 2:
            break
        with contextlib.suppress(OSError):
            path.unlink()
            total -= size


def _mend(folder: Path) -> None:
    """Remove programs that a full disk or a kill cut off: JAX warns of each in every run and never replaces it."""
    mark = folder / CHECKED
    since = mark.stat().st_mtime if mark.exists() else 0.0
    for written, size, path in _files(folder):
        if written < since:
            continue
        with contextlib.suppress(OSError):
            held = path.read_bytes()
            if not size or (held.startswith(LEADING) and not _whole(held)):
                path.unlink()
    mark.touch()


def _whole(compressed: bytes) -> bool:
    try:
        zlib.decompress(compressed)
    except zlib.error:
        return False
    return True
