"""Zarr stores, version 2 and 3, in a folder: read by the zarr library, chunk by chunk.

A store names the codecs that undo its chunks, and one of those that the library knows runs what a pickle says. So only
codecs that compute are let in.
"""

from __future__ import annotations

import contextlib
import json
import math
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from jptycho.data.readers import hyperspy
from jptycho.data.readers.base import Contents, Index, Node, StoredArray, guard, naming_errors
from jptycho.errors import FormatError
from jptycho.settings import Table

NAME = "a zarr store"
METADATA = ("zarr.json", ".zarray", ".zgroup")
CODECS = {
    *("bytes", "transpose", "gzip", "zlib", "zstd", "blosc", "crc32c", "sharding_indexed", "bz2", "lz4", "lzma"),
    *("shuffle", "bitshuffle", "delta", "fixedscaleoffset", "packbits", "quantize", "bitround", "astype", "adler32"),
    *("crc32", "fletcher32", "pcodec", "jenkins_lookup3", "vlen-utf8"),
}
LARGEST_RATIO = 2000
MOST_METADATA = 2**22


def is_store(path: Path) -> bool:
    """Whether a folder is a zarr store.

    Args:
        path: of the folder.

    Returns:
        whether it says so.
    """
    return path.is_dir() and any((path / name).is_file() for name in METADATA)


def open_zarr(path: Path, options: Table) -> Contents:
    """Open a zarr store.

    Args:
        path: of its folder.
        options: of the ``[data]`` table.

    Returns:
        its arrays; with calibration where HyperSpy wrote it.

    Raises:
        FormatError: damaged, a codec that may run anything, or the zarr library is not installed.
    """
    with naming_errors(path, NAME):
        import zarr  # noqa: PLC0415

        _refuse_foreign_codecs(path)
        root = zarr.open(str(path), mode="r")
        if isinstance(root, zarr.Array):
            return Contents("zarr", {"array": _stored(root, path)})
        described = hyperspy.describe(root, lambda array: _stored(array, path), options.get("counts"))
        if described is not None:
            return described
        return Contents("zarr", {array.path: _stored(array, path) for array in _arrays(root)})


def _arrays(group: Node) -> Iterator[Node]:
    """Every array of numbers in a group and those within."""
    for _, array in sorted(group.arrays()):
        if np.dtype(array.dtype).kind in "uifcb":
            yield array
    for _, inner in sorted(group.groups()):
        yield from _arrays(inner)


@contextlib.contextmanager
def open_group(path: Path) -> Iterator[Node]:
    """Open the outermost group of a store, in a folder or in a zip that is not packed itself.

    Args:
        path: of the folder or the zip.

    Yields:
        the group; None where there is none.

    Raises:
        ValueError: damaged.
        FormatError: a codec that may run anything.
    """
    import zarr  # noqa: PLC0415
    from zarr.storage import ZipStore  # noqa: PLC0415

    _refuse_foreign_codecs(path)
    if path.is_dir():
        root = zarr.open(str(path), mode="r")
        yield root if isinstance(root, zarr.Group) else None
        return
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    if not set(names) & set(METADATA):
        yield None
        return
    store = ZipStore(path, mode="r")
    try:
        root = zarr.open(store, mode="r")
        yield root if isinstance(root, zarr.Group) else None
    finally:
        store.close()


def read_whole(group: Node, name: str, path: Path) -> np.ndarray | None:
    """All values of an array of a group.

    Args:
        group: of a store.
        name: of the array.
        path: of the store.

    Returns:
        the values; None where the group holds no such array.

    Raises:
        ValueError: damaged.
    """
    import zarr  # noqa: PLC0415

    array = group.get(name)
    if not isinstance(array, zarr.Array):
        return None
    there = sum(place.stat().st_size for place in path.rglob("*")) if path.is_dir() else path.stat().st_size
    _refuse_impossible(array, there)
    return np.asarray(array[...])


def inner_groups(group: Node) -> dict[str, Node]:
    """The groups that lie in a group.

    Args:
        group: of a store.

    Returns:
        names to groups.
    """
    return dict(sorted(group.groups()))


def _refuse_foreign_codecs(path: Path) -> None:
    for place, text in _metadata(path):
        foreign = set(_codecs(json.loads(text))) - CODECS
        if foreign:
            raise FormatError(
                f"data.file: {str(path)!r} is packed by {', '.join(sorted(foreign))}, which may run anything "
                f"({place}). Write it again with another codec, such as blosc."
            )


def _metadata(path: Path) -> Iterator[tuple[str, str]]:
    """Name and text of every file of a store that describes an array or a group."""
    if path.is_dir():
        sizes = {str(place): place.stat().st_size for place in sorted(path.rglob("*")) if place.is_file()}
        for name in _of_metadata(sizes):
            yield name, Path(name).read_text(encoding="utf-8")
        return
    with zipfile.ZipFile(path) as archive:
        if any(info.file_size != info.compress_size for info in archive.infolist()):
            raise ValueError("the zip is packed itself")
        for name in _of_metadata({info.filename: info.file_size for info in archive.infolist()}):
            yield name, archive.read(name).decode("utf-8")


def _of_metadata(sizes: dict[str, int]) -> list[str]:
    names = [name for name in sizes if Path(name).name in METADATA]
    for name in names:
        if sizes[name] > MOST_METADATA:
            raise ValueError(f"{name} is larger than any")
    return names


def _codecs(metadata: object) -> Iterator[str]:
    """Names of the codecs of an array, those within a shard included."""
    if not isinstance(metadata, dict):
        return
    listed = [metadata.get("compressor"), *(metadata.get("filters") or [])]
    for key in ("codecs", "index_codecs"):
        listed += metadata.get(key) or []
    for codec in listed:
        if isinstance(codec, dict):
            yield str(codec.get("id", codec.get("name"))).removeprefix("numcodecs.")
            yield from _codecs(codec.get("configuration"))


def _stored(array: Node, path: Path) -> StoredArray:
    shape, dtype = tuple(array.shape), np.dtype(array.dtype)
    if dtype.kind not in "uifcb":
        raise ValueError(f"{array.path} holds no numbers but {dtype}")
    folder = path / array.path
    _refuse_impossible(array, sum(place.stat().st_size for place in folder.rglob("*") if place.is_file()))

    def get(index: Index) -> np.ndarray:
        return np.asarray(array[index if index else ...])

    return guard(StoredArray(shape, dtype, get), path, array.path or "array")


def _refuse_impossible(array: Node, there: int) -> None:
    """Refuse an array that cannot have been packed into so few bytes."""
    largest = max(math.prod(array.shape), math.prod(array.chunks)) * np.dtype(array.dtype).itemsize
    if largest > LARGEST_RATIO * there:
        raise ValueError(f"{array.path or 'the array'} of shape {array.shape} cannot lie in {there} bytes")
