"""Every format that can be read, each with the bytes and the endings by which it is known."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from jptycho.data.readers import (
    arrays,
    blockfile,
    empad,
    hdf5_formats,
    matlab,
    merlin,
    netcdf,
    panta_rhei,
    raw,
    rosetta,
    zarr_store,
)
from jptycho.data.readers.base import Contents
from jptycho.data.readers.files import has_signature, read_head
from jptycho.errors import FormatError
from jptycho.settings import Table

HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
HDF5_OFFSETS = (0, 512, 1024, 2048)
ZIP = b"PK\x03\x04"


@dataclasses.dataclass(frozen=True)
class Reader:
    """A format.

    Attributes:
        name: in words.
        suffixes: endings of its files.
        open: gives what is in a file, by its path and the options of the ``[data]`` table.
        recognise: whether a file of this format begins with these bytes; None where nothing but the ending tells.
    """

    name: str
    suffixes: tuple[str, ...]
    open: Callable[[Path, Table], Contents]
    recognise: Callable[[Path, bytes], bool] | None = None


def _begins(*signatures: bytes) -> Callable[[Path, bytes], bool]:
    return lambda _, head: head.startswith(signatures)


READERS = (
    Reader("NumPy array", (".npy",), arrays.open_npy, _begins(b"\x93NUMPY")),
    Reader(
        "Panta Rhei",
        (".prz",),
        panta_rhei.open_prz,
        lambda path, head: head.startswith(ZIP) and path.suffix.lower() == ".prz",
    ),
    Reader("NumPy archive", (".npz",), arrays.open_npz, _begins(ZIP)),
    Reader(
        "HDF5",
        (".h5", ".hdf5", ".hdf", ".nxs", ".emd", ".hspy", ".cxi", ".ptyd", ".nx5", ".nc4"),
        hdf5_formats.open_file,
        lambda path, head: head.startswith(HDF5_SIGNATURE) or has_signature(path, HDF5_SIGNATURE, HDF5_OFFSETS),
    ),
    Reader("MATLAB", (".mat",), matlab.open_version_5, _begins(matlab.SIGNATURE)),
    Reader("blockfile", (".blo",), blockfile.open_blockfile, _begins(blockfile.SIGNATURE)),
    Reader("Merlin", (".mib",), merlin.open_mib, _begins(merlin.SIGNATURE)),
    Reader(
        "DigitalMicrograph",
        (".dm3", ".dm4"),
        rosetta.open_digital_micrograph,
        _begins(b"\0\0\0\x03", b"\0\0\0\x04"),
    ),
    Reader("TIFF", (".tif", ".tiff"), rosetta.open_tiff, _begins(b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")),
    Reader("NetCDF", (".nc",), netcdf.open_netcdf, _begins(b"CDF\x01", b"CDF\x02")),
    Reader("EMPAD", (".xml",), empad.open_xml, lambda _, head: head.lstrip().startswith(b"<") and b"raw_file" in head),
    Reader("EMPAD frames", (".raw",), empad.open_raw),
    Reader("zarr", (".zarr", ".zspy"), zarr_store.open_zarr),
)


def open_contents(path: Path, options: Table) -> Contents:
    """Find out what a file is, by its first bytes rather than by its ending, and look into it.

    Args:
        path: of the file.
        options: of the ``[data]`` table; with ``shape`` the file is plain binary.

    Returns:
        what is in it, unread.

    Raises:
        FormatError: missing, damaged, or of no format that is known.
    """
    if options.get("shape") is not None:
        return raw.open_raw(path, options)
    if zarr_store.is_store(path):
        return zarr_store.open_zarr(path, options)
    head = read_head(path)
    for reader in READERS:
        if reader.recognise is not None and reader.recognise(path, head):
            return reader.open(path, options)
    suffix = path.suffix.lower()
    by_name = next((reader for reader in READERS if suffix in reader.suffixes), None)
    if by_name is not None and by_name.recognise is None:
        return by_name.open(path, options)
    raise FormatError(_unknown(path, head, by_name))


def _unknown(path: Path, head: bytes, by_name: Reader | None) -> str:
    """Words for a file that nothing reads."""
    tried = ", ".join(reader.name for reader in READERS if reader.recognise is not None)
    what = (
        f"cannot be read as {by_name.name}; it is truncated or of another format than its ending {path.suffix!r} says"
        if by_name is not None
        else f"is of no format that is known by its ending {path.suffix!r}"
    )
    return (
        f"data.file: {str(path)!r} {what}: it begins with {head[:8]!r}. Tried: {tried}. "
        "Copy it again from its origin; a plain binary file is read by data.shape, data.dtype and data.offset."
    )
