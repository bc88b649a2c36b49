"""Panta Rhei files (.prz): an .npz archive whose array is ``data`` and whose settings are JSON text.

Older ones keep their settings as a pickle, which is not read.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from jptycho.data.dataset import Calibration
from jptycho.data.readers import arrays
from jptycho.data.readers.base import Contents, naming_errors
from jptycho.data.readers.hyperspy import positive
from jptycho.settings import Table

NAME = "a Panta Rhei file"
METADATA = "meta_data_json"


def open_prz(path: Path, options: Table) -> Contents:
    """Open a Panta Rhei file.

    Args:
        path: of the file.
        options: of the ``[data]`` table.

    Returns:
        its array, with the electrons' energy where it is stated.

    Raises:
        FormatError: damaged, or no such file.
    """
    found = arrays.open_npz(path, options)
    with naming_errors(path, NAME):
        if "data" not in found.arrays:
            raise ValueError("it has no array 'data'")
        energy = None
        with np.load(path, allow_pickle=False) as archive:
            if METADATA in archive and archive[METADATA].dtype.kind == "U":
                listed = json.loads(str(archive[METADATA]))
                first = listed[0] if isinstance(listed, list) and listed else {}
                energy = positive(first.get("electron_gun.voltage")) if isinstance(first, dict) else None
    return Contents("Panta Rhei", {"data": found.arrays["data"]}, "data", Calibration(energy=energy))
