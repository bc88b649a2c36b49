"""Blockfiles of NanoMEGAS: a header, a virtual bright field, then frames of one byte a pixel, each after six others.

The header states the scan's shape, its step in nm and the beam's voltage. Its size of a detector pixel is a length on
the screen, so no reciprocal sampling follows from it.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from jptycho.data.dataset import Calibration
from jptycho.data.readers.base import Contents, guard, in_file, naming_errors
from jptycho.data.readers.hyperspy import positive
from jptycho.settings import Table

NAME = "a blockfile"
SIGNATURE = b"IMGBLO"
HEADER = struct.Struct("<6sHIIIHHHHHddI")
FRAME_HEADER = 6
NM = 10.0
"""Å."""


def open_blockfile(path: Path, options: Table) -> Contents:
    """Open a blockfile.

    Args:
        path: of the file.
        options: of the ``[data]`` table.

    Returns:
        what is in it.

    Raises:
        FormatError: damaged.
    """
    del options
    with naming_errors(path, NAME), path.open("rb") as file:
        header = HEADER.unpack(file.read(HEADER.size))
        offset, side, fast, slow = header[3], header[5], header[7], header[8]
        if not side or not fast or not slow or offset < HEADER.size:
            raise ValueError(f"its header means {slow} x {fast} patterns of {side} pixels a side at byte {offset}")
        frame = np.dtype([("header", "u1", (FRAME_HEADER,)), ("data", "u1", (side, side))])
        patterns = guard(in_file(path, frame, (slow, fast), offset), path, "patterns")
    across, down, energy = (positive(value) for value in header[10:13])
    step = None if across is None or down is None else (down * NM, across * NM)
    calibration = Calibration(energy=energy, step=step)
    return Contents("blockfile", {"patterns": patterns}, "patterns", calibration)
