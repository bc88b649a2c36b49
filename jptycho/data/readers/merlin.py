"""Merlin files (.mib) of Quantum Detectors: before each frame stands a header of words between commas.

Rows of the detector are turned round, as HyperSpy and pyxem show them. The scan's shape is stated by the .hdr file
beside, if that counts several frames for a trigger. Raw read-outs, whose bits are not in order, are not read.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from jptycho.data.readers.base import Contents, Index, StoredArray, guard, in_file, naming_errors
from jptycho.errors import FormatError
from jptycho.settings import Table

NAME = "a Merlin file"
SIGNATURE = b"MQ1,"
TYPES = {b"U08": "u1", b"U16": ">u2", b"U32": ">u4", b"U64": ">u8"}
RAW = b"R64"
LONGEST_HEADER = 2**14
MOST_HDR = 2**20


def open_mib(path: Path, options: Table) -> Contents:
    """Open a Merlin file.

    Args:
        path: of the .mib file.
        options: of the ``[data]`` table.

    Returns:
        its patterns, as a list.

    Raises:
        FormatError: damaged, or a raw read-out.
    """
    del options
    with naming_errors(path, NAME), path.open("rb") as file:
        words = file.read(384).split(b",")
        header, across, down, kind = int(words[2]), int(words[4]), int(words[5]), words[6].strip()
        if kind == RAW:
            raise FormatError(
                f"data.file: {str(path)!r} is a raw read-out of Merlin. Record or export it as U08 to U32."
            )
        if not 0 < header <= LONGEST_HEADER or across < 1 or down < 1:
            raise ValueError(f"its header means {down} x {across} pixels after {header} bytes")
        frame = np.dtype([("header", "u1", (header,)), ("data", TYPES[kind], (down, across))])
        count = path.stat().st_size // frame.itemsize
        if not count:
            raise ValueError("it ends before its first frame does")
        frames = in_file(path, frame, (count,))
    turned = StoredArray(frames.shape, frames.dtype, lambda index: _turned(frames, index))
    return Contents("Merlin", {"patterns": guard(turned, path, "patterns")}, "patterns", scan_shape=_scan_shape(path))


def _turned(frames: StoredArray, index: Index) -> np.ndarray:
    """A part of the frames, the rows of the detector from the last to the first."""
    first, *window = index or (slice(None),)
    return frames.get((first,))[:, ::-1][(slice(None), *window)]


def _scan_shape(path: Path) -> tuple[int, int] | None:
    """Slow and fast steps by the .hdr file: a trigger may start a line."""
    beside = path.with_suffix(".hdr")
    try:
        text = beside.read_text(encoding="latin-1") if beside.stat().st_size < MOST_HDR else ""
    except OSError:
        return None
    all_frames, fast = (
        int(found[1]) if (found := re.search(rf"Frames {words} \(Number\):\s*(\d{{1,9}})\b", text)) else 0
        for words in ("in Acquisition", "per Trigger")
    )
    if fast < 2 or fast >= all_frames or all_frames % fast:
        return None
    return all_frames // fast, fast
