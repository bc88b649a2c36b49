"""A result in formats that other programs open with the right scale: OME-TIFF stacks, and zarr as OME-NGFF has it.

OME-TIFF: an image each for phase, absorption and deviation (slices as Z), and amplitude and phase of the probe's modes
(modes as channels); sizes of a pixel in nm, and as resolution tags for programs that know no OME. Zarr (version 2): a
group for each of these images with axes, scales and translations in Å after OME-NGFF 0.4; the root names the phase as
its own image, so that a viewer shows it when it opens the folder.

Source: OME-NGFF 0.4 (ngff.openmicroscopy.org/0.4); OME-TIFF (docs.openmicroscopy.org/ome-model).
"""

from __future__ import annotations

import dataclasses
import importlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np

from jptycho.data.readers.hdf5 import refuse_existing
from jptycho.data.results import Result
from jptycho.errors import ConfigError, FormatError
from jptycho.settings import Table
from jptycho.types import Float

NGFF = "0.4"
ANGSTROM_IN_CM = 1e8
MOST_RATIONAL = 2**32 - 1  # of a TIFF tag's numerator


@dataclasses.dataclass(frozen=True)
class Image:
    """A stack of images with the sizes of its pixels.

    Attributes:
        name: of what it shows.
        values: (slices or modes, y, x).
        along: ``"z"`` for slices, ``"c"`` for modes.
        scale: Å, or pixels where those have no known size, along the stack, y and x; 1 for modes.
        origin: position of pixel [0, 0, 0], likewise.
    """

    name: str
    values: Float[np.ndarray, "stack y x"]
    along: str
    scale: tuple[float, float, float]
    origin: tuple[float, float, float]


def export_result(path: str | Path, result: Result, whole: bool = False, overwrite: bool = False) -> None:
    """Write a result in the format that a name's ending says.

    Args:
        path: ends in ``.tif`` or ``.tiff`` (OME-TIFF) or ``.zarr``.
        result: what to write.
        whole: the whole canvas instead of the part that the scan spans.
        overwrite: whether an existing file or zarr folder may be replaced.

    Raises:
        ConfigError: an unknown ending, or the format's library is not installed.
        FormatError: the file exists and may not be replaced.
    """
    path = Path(path)
    write = WRITERS.get(path.suffix.lower())
    if write is None:
        raise ConfigError(
            f"output: cannot write {path.suffix or path.name!r}; known: {', '.join(sorted(WRITERS))}. Rename it."
        )
    refuse_existing(path, overwrite)
    if path.is_dir() and not _is_zarr(path):
        raise FormatError(f"output: {str(path)!r} is a folder that is no zarr. Choose another name.")
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    try:
        made = folder / path.name
        write(made, result, images_of(result, whole))
        if path.is_dir():
            shutil.rmtree(path)
        os.replace(made, path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def images_of(result: Result, whole: bool = False) -> tuple[Image, ...]:
    """The images of a result with the sizes of their pixels.

    Args:
        result: of a reconstruction.
        whole: the whole canvas instead of the part that the scan spans.

    Returns:
        phase, what else there is of the object, amplitude and phase of the probe.
    """
    top, bottom, left, right = result.field_of_view
    rows, columns = (slice(None), slice(None)) if whole else (slice(top, bottom), slice(left, right))
    along_y, along_x = (float(s) for s in result.attributes["sampling"])
    first = (0, 0) if whole else (top, left)
    origin = [float(o) + n * s for o, n, s in zip(_origin(result), first, (along_y, along_x), strict=True)]
    depth = float(result.attributes.get("slice_thickness", 0.0)) or 1.0
    place = ("z", (depth, along_y, along_x), (0.0, origin[0], origin[1]))
    stacks = {"phase": result.phase, "absorption": result.absorption, "deviation": result.deviation}
    found = [
        Image(name, np.ascontiguousarray(stack[:, rows, columns], np.float32), *place)
        for name, stack in stacks.items()
        if stack is not None
    ]
    middle = [-(n // 2) * s for n, s in zip(result.probe.shape[1:], (along_y, along_x), strict=True)]
    beam = ("c", (1.0, along_y, along_x), (0.0, middle[0], middle[1]))
    found.append(Image("probe amplitude", np.abs(result.probe).astype(np.float32), *beam))
    found.append(Image("probe phase", np.angle(result.probe).astype(np.float32), *beam))
    return tuple(found)


def _origin(result: Result) -> tuple[float, float]:
    along_y, along_x = result.attributes.get("origin", (0.0, 0.0))
    return float(along_y), float(along_x)


def _in_angstrom(result: Result) -> bool:
    return str(result.attributes["length_unit"]) == "Å"


def _write_tiff(path: Path, result: Result, images: tuple[Image, ...]) -> None:
    tifffile = _library("tifffile")
    with tifffile.TiffWriter(path, ome=True, bigtiff=sum(one.values.nbytes for one in images) > 2**31) as file:
        for one in images:
            sizes = _ome_sizes(one) if _in_angstrom(result) else {}
            metadata = {"axes": f"{one.along.upper()}YX", "Name": one.name, **sizes}
            if one.name == "phase":
                metadata["Description"] = "phase in rad; " + str(result.attributes.get("objective", ""))
            file.write(one.values, photometric="minisblack", metadata=metadata, **_resolution(one, result))


def _ome_sizes(image: Image) -> Table:
    """Sizes of a pixel and the place of the first, in nm."""
    depth, along_y, along_x = image.scale
    planes = len(image.values)
    slow = {"PhysicalSizeZ": 0.1 * depth, "PhysicalSizeZUnit": "nm"} if image.along == "z" and planes > 1 else {}
    place = {
        "PositionX": [0.1 * image.origin[2]] * planes,
        "PositionXUnit": ["nm"] * planes,
        "PositionY": [0.1 * image.origin[1]] * planes,
        "PositionYUnit": ["nm"] * planes,
    }
    return {
        "PhysicalSizeX": 0.1 * along_x,
        "PhysicalSizeXUnit": "nm",
        "PhysicalSizeY": 0.1 * along_y,
        "PhysicalSizeYUnit": "nm",
        "Plane": place,
        **slow,
    }


def _resolution(image: Image, result: Result) -> Table:
    """Pixels per centimetre as plain TIFF tags, where their numbers can hold that."""
    pixels = [ANGSTROM_IN_CM / s for s in image.scale[:0:-1]]
    if not _in_angstrom(result) or max(pixels) > MOST_RATIONAL:
        return {}
    return {"resolution": tuple(pixels), "resolutionunit": "CENTIMETER"}


def _write_zarr(path: Path, result: Result, images: tuple[Image, ...]) -> None:
    zarr = _library("zarr")
    root = zarr.open_group(str(path), mode="w", zarr_format=2)
    for one in images:
        name, unit = one.name.replace(" ", "_"), "angstrom" if _in_angstrom(result) else None
        group = root.create_group(name)
        chunk = (1, *(min(n, 512) for n in one.values.shape[1:]))
        array = group.create_array("0", shape=one.values.shape, dtype=one.values.dtype, chunks=chunk)
        array[...] = one.values
        group.attrs["multiscales"] = [_multiscale(one, "0", unit)]
        if one.name == "phase":
            root.attrs["multiscales"] = [_multiscale(one, f"{name}/0", unit)]
    plain = {key: np.asarray(value).tolist() for key, value in result.attributes.items()}
    root.attrs["jptycho"] = {key: value for key, value in plain.items() if key != "configuration"}
    root.attrs["configuration"] = str(result.attributes.get("configuration", ""))


def _multiscale(image: Image, path: str, unit: str | None) -> Table:
    """An image's axes, scale and place after OME-NGFF."""
    size = {} if unit is None else {"unit": unit}
    along = {"name": "z", "type": "space", **size} if image.along == "z" else {"name": "c", "type": "channel"}
    transforms = [
        {"type": "scale", "scale": list(image.scale)},
        {"type": "translation", "translation": list(image.origin)},
    ]
    return {
        "version": NGFF,
        "name": image.name,
        "axes": [along, *({"name": name, "type": "space", **size} for name in "yx")],
        "datasets": [{"path": path, "coordinateTransformations": transforms}],
    }


def _is_zarr(path: Path) -> bool:
    return any((path / name).is_file() for name in (".zgroup", ".zarray", "zarr.json"))


def _library(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise ConfigError(f"output: {name} is not installed. Install it: pip install 'jptycho[formats]'.") from None


WRITERS: dict[str, Callable[[Path, Result, tuple[Image, ...]], None]] = {
    ".tif": _write_tiff,
    ".tiff": _write_tiff,
    ".zarr": _write_zarr,
}
"""What writes a format, by the ending of a file's name."""
