"""A result to start from, whatever package made it."""

from __future__ import annotations

import zipfile
from pathlib import Path

from jptycho.data.other_results import hdf5_layouts, ptychoshelves, quantem
from jptycho.data.other_results.base import OtherResult
from jptycho.data.readers.base import naming_errors
from jptycho.data.readers.files import has_signature, read_head
from jptycho.data.readers.hdf5 import MATLAB, open_hdf5
from jptycho.data.readers.matlab import SIGNATURE
from jptycho.data.readers.registry import HDF5_OFFSETS, HDF5_SIGNATURE, ZIP
from jptycho.data.readers.zarr_store import METADATA, is_store
from jptycho.data.results import SCHEMA, Result, read_result
from jptycho.errors import FormatError

KNOWN = "jptycho, PtyRAD, phaser, py4DSTEM, quantem or PtychoShelves"


def read_start(path: str | Path, name: str = "start_file") -> Result | OtherResult:
    """Read a reconstruction to start from: one of this package's, or of another.

    Args:
        path: of the file, or of the folder of a zarr store.
        name: of the argument that gave the path, for messages.

    Returns:
        the reconstruction.

    Raises:
        FormatError: missing, damaged, or by no package that is known.
    """
    path = Path(path)
    with naming_errors(path, f"a result of {KNOWN}", name):
        found = _read(path, name)
    if found is None:
        raise FormatError(f"{name}: {str(path)!r} is no result of {KNOWN}. Name one, as the package itself saves it.")
    return found


def _read(path: Path, name: str) -> Result | OtherResult | None:
    if is_store(path):
        return quantem.read_store(path)
    head = read_head(path, name)
    if head.startswith(ZIP):
        _check_zip(path, name)
        return quantem.read_store(path)
    if head.startswith(SIGNATURE):
        return ptychoshelves.read_version_5(path)
    if not (head.startswith(HDF5_SIGNATURE) or has_signature(path, HDF5_SIGNATURE, HDF5_OFFSETS)):
        return None
    if path.suffix.lower() == MATLAB:
        return ptychoshelves.read_version_7_3(path, name)
    with open_hdf5(path, name) as file:
        own = file.attrs.get("schema") == SCHEMA
        other = None if own else hdf5_layouts.describe_hdf5(file, path)
    return read_result(path, name) if own else other


def _check_zip(path: Path, name: str) -> None:
    """Refuse a zip that is no store as quantem writes it: its metadata outermost, nothing packed."""
    with zipfile.ZipFile(path) as archive:
        parts = archive.infolist()
    names = [part.filename for part in parts]
    outermost = set(names) & set(METADATA)
    if outermost and all(part.file_size == part.compress_size for part in parts):
        return
    stores = [place for place in names if Path(place).name in METADATA]
    if stores:
        raise FormatError(
            f"{name}: {str(path)!r} is a zip that was made of a folder; expected one as quantem itself saves it, or "
            f"the folder. Unpack it, and name the folder that holds {min(stores, key=len)[:100]!r}."
        )
    held = ", ".join(repr(place[:60]) for place in names[:3]) + (", ..." if len(names) > 3 else "")
    raise FormatError(
        f"{name}: {str(path)!r} is a zip of {held or 'nothing'}, and no result of {KNOWN}. Name one, as the package "
        "itself saves it."
    )
