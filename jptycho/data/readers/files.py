"""What a path leads to, before any library looks at it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from jptycho.errors import FormatError

HEAD = 4096
"""Bytes by which a format is recognised."""


def read_head(path: Path, argument: str = "data.file") -> bytes:
    """The first bytes of a file, or what is wrong with it.

    Args:
        path: of the file.
        argument: that gave the path.

    Returns:
        at most 4096 bytes.

    Raises:
        FormatError: no file, a folder, a device, an empty file, one that may not be read.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise FormatError(f"{argument}: {str(path)!r} is a folder; expected a file. Name one of its files.")
        if not stat.S_ISREG(mode):
            raise FormatError(f"{argument}: {str(path)!r} is no regular file. Copy what it gives to a file.")
        with path.open("rb") as file:
            head = file.read(HEAD)
    except FormatError:
        raise
    except PermissionError:
        raise FormatError(f"{argument}: {str(path)!r} may not be read. Ask for permission, or copy it.") from None
    except (OSError, ValueError) as error:
        reason = "" if isinstance(error, FileNotFoundError) else f" ({getattr(error, 'strerror', None) or error})"
        raise FormatError(
            f"{argument}: no file {str(path)!r}{reason}. Check the path; in a TOML file it starts there."
        ) from None
    if not head:
        raise FormatError(f"{argument}: {str(path)!r} is empty: truncated to nothing. Copy it again from its origin.")
    return head


def has_signature(path: Path, signature: bytes, offsets: tuple[int, ...]) -> bool:
    """Whether a file has some bytes at one of several places.

    Args:
        path: of the file.
        signature: the bytes.
        offsets: where they may be.

    Returns:
        whether they are there.
    """
    with path.open("rb") as file:
        for offset in offsets:
            file.seek(offset)
            if file.read(len(signature)) == signature:
                return True
    return False


def is_readable(path: Path) -> bool:
    """Whether a file beside the one that is read can be read too.

    Args:
        path: of the file.

    Returns:
        whether it is there.
    """
    return path.is_file() and os.access(path, os.R_OK)
