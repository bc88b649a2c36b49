"""A reconstruction in one HDF5 file, readable with plain h5py.

Schema ``jptycho-result``, version 2::

    /object/phase        (slices, Y, X) rad           attrs: sampling (Å a pixel), origin (Å of
                                                  pixel [0, 0]), kind, slice_thickness (Å)
    /object/absorption   (slices, Y, X)               only for kind ``complex``
    /object/deviation    (slices, Y, X)  rad          of the phase over an ensemble's members, where there are several
    /probe/modes         (modes, y, x) complex        centre of the window at [y // 2, x // 2]; expected counts of a
                                                      pattern sum to dose * sum |modes|²
    /positions           (scan, 2) Å                  of the probe, along the detector's (row, column)
    /tilts               (scan, 2) mrad               of the specimen at each position, where each has its own
    /extra/...           (scan, ...)                  further unknowns of a run by their names, in their own units
    /shared/...                                       those that all patterns share, likewise; on the detector with zero
                                                      frequency in the centre
    /history/...         (epochs,) stage, epoch, loss, amplitude_error, seconds, validation_loss (of electrons held
                                                      out), noise (loss that noise alone gives); NaN: unknown
    /field_of_view       (4,) first and last row, first and last column that the scan spans (last excluded)
    /patterns/measured, /patterns/modelled  (ky, kx)  means over the scan, zero frequency in the centre, counts

Arrays with a unit say it in their attribute ``unit``. Root attributes: schema, schema_version, method, status, seed,
dose (counts of an average pattern), wavelength (Å), energy (eV), tilt (mrad, mean), centre (of the beam, Å⁻¹ along
(y, x) from the zero frequency), objective (text: loss, penalties, projections, unknowns, solver), choices (text: of an
automatic run), configuration (TOML text), versions (JSON text).
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import platform
from pathlib import Path

import h5py
import numpy as np

from jptycho.data.display import result_as_html, result_in_words
from jptycho.data.readers.hdf5 import atomic_write, open_hdf5
from jptycho.errors import FormatError
from jptycho.settings import Table
from jptycho.types import Complex, Float

SCHEMA = "jptycho-result"
VERSION = 2
PACKAGES = ("jptycho", "jax", "jaxlib", "flax", "optax", "numpy", "h5py")


@dataclasses.dataclass(frozen=True)
class Result:
    """A reconstruction.

    Attributes:
        phase: (slices, Y, X) in rad.
        absorption: (slices, Y, X), or None.
        deviation: standard deviation of the phase over an ensemble's members in rad, or None.
        tilts: of the specimen at each position in mrad (scan, 2); None where all share that of the attributes.
        extra: further unknowns of the run by name (scan, ...).
        shared: those that all patterns share.
        units: of those that have one.
        probe: modes (modes, y, x), centred.
        positions: (scan, 2) in Å.
        history: column names to one value an epoch: stage, epoch, loss, amplitude_error, seconds, validation_loss,
            noise.
        measured: mean measured pattern (ky, kx) in counts, zero frequency in the centre.
        modelled: mean modelled pattern, likewise.
        field_of_view: first and last row, first and last column that the scan spans (last excluded).
        attributes: method, status, seed, kind, sampling, origin, slice_thickness, dose, wavelength, energy,
            tilt, centre (of the beam, Å⁻¹), objective, configuration; of an ensemble: members,
            ensemble_resolution (Å on which they agree).
    """

    phase: Float[np.ndarray, "slices Y X"]
    absorption: Float[np.ndarray, "slices Y X"] | None
    probe: Complex[np.ndarray, "modes y x"]
    positions: Float[np.ndarray, "scan 2"]
    history: dict[str, np.ndarray]
    measured: Float[np.ndarray, "ky kx"]
    modelled: Float[np.ndarray, "ky kx"]
    field_of_view: tuple[int, int, int, int]
    attributes: Table
    deviation: Float[np.ndarray, "slices Y X"] | None = None
    tilts: Float[np.ndarray, "scan 2"] | None = None
    extra: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    shared: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    units: dict[str, str] = dataclasses.field(default_factory=dict)

    def __repr__(self) -> str:
        """One line: the arrays would fill pages."""
        return result_in_words(self)

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return result_as_html(self)


LENGTH = "length"
"""Unit of an array that is in Å, or in pixels where those have no known size."""
OPTIONAL = {"absorption", "deviation", "tilts"}
ARRAYS = {
    "phase": ("object/phase", "rad"),
    "absorption": ("object/absorption", ""),
    "deviation": ("object/deviation", "rad"),
    "probe": ("probe/modes", ""),
    "positions": ("positions", LENGTH),
    "tilts": ("tilts", "mrad"),
    "measured": ("patterns/measured", "counts"),
    "modelled": ("patterns/modelled", "counts"),
}
"""Where each array of a result lies in its file, and its unit; what a run does not have is left out."""
FURTHER = ("extra", "shared")
"""Groups of unknowns whose number is open."""
REQUIRED = ("history", "field_of_view", *(ARRAYS[field][0] for field in ARRAYS if field not in OPTIONAL))
"""What every result has."""
ON_OBJECT = ("kind", "sampling", "origin", "slice_thickness")
"""Attributes of the group ``object``; the others are of the file."""


def versions() -> str:
    """The versions that made a result.

    Returns:
        JSON text: packages, Python, platform.

    Example:
        >>> "jax" in json.loads(versions())
        True
    """
    found = {name: importlib.metadata.version(name) for name in PACKAGES}
    return json.dumps({**found, "python": platform.python_version(), "platform": platform.platform()})


def projected_phase(result: Result) -> Float[np.ndarray, "y x"]:
    """Phase summed over slices, within the field of view.

    Args:
        result: of a reconstruction.

    Returns:
        rad.
    """
    top, bottom, left, right = result.field_of_view
    return result.phase.sum(axis=0)[top:bottom, left:right]


def write_result(path: str | Path, result: Result, overwrite: bool = False) -> None:
    """Write a result; the file appears whole or not at all.

    Args:
        path: of the file.
        result: what to write.
        overwrite: whether an existing file may be replaced.

    Raises:
        FormatError: the file exists and may not be replaced.
    """

    def write(file: h5py.File) -> None:
        file.attrs.update({"schema": SCHEMA, "schema_version": VERSION, "versions": versions()})
        file.attrs.update({k: v for k, v in result.attributes.items() if k not in ON_OBJECT})
        length = result.attributes["length_unit"]
        for field, (place, unit) in ARRAYS.items():
            _write_array(file, place, getattr(result, field), length if unit == LENGTH else unit)
        for group in FURTHER:
            for name, values in getattr(result, group).items():
                _write_array(file, f"{group}/{name}", values, result.units.get(name, ""))
        file["object"].attrs.update({**{k: result.attributes[k] for k in ON_OBJECT}, "length_unit": length})
        file.create_dataset("field_of_view", data=np.asarray(result.field_of_view))
        for name, column in result.history.items():
            text = column.dtype.kind in "UO"
            file.create_dataset(
                f"history/{name}",
                data=column.astype(object) if text else column,
                dtype=h5py.string_dtype() if text else None,
            )

    atomic_write(Path(path), write, overwrite)


def _write_array(file: h5py.File, place: str, array: np.ndarray | None, unit: str) -> None:
    if array is None:
        return
    written = file.create_dataset(place, data=array)
    if unit:
        written.attrs["unit"] = unit


def read_result(path: str | Path, name: str = "result") -> Result:
    """Read a result.

    Args:
        path: of the file.
        name: of the argument that gave the path, for messages.

    Returns:
        the reconstruction.

    Raises:
        FormatError: missing, damaged, or not a result.
    """
    path = Path(path)
    with open_hdf5(path, name) as file:
        if (
            file.attrs.get("schema") != SCHEMA
            or "object" not in file
            or int(file.attrs.get("schema_version", 0)) > VERSION
        ):
            raise FormatError(f"{name}: {str(path)!r} is no {SCHEMA} file of version {VERSION} or older.")
        missing = [place for place in REQUIRED if place not in file]
        if missing:
            raise FormatError(f"{name}: {str(path)!r} lacks {', '.join(missing)}: it is damaged. Copy it again.")
        attributes = {**dict(file.attrs), **dict(file["object"].attrs)}
        history = {
            RENAMED.get(str(name), str(name)): column.asstr()[()]
            if h5py.check_string_dtype(column.dtype)
            else column[()]
            for name, column in file["history"].items()
        }
        arrays: Table = {field: file[place][()] if place in file else None for field, (place, _) in ARRAYS.items()}
        _check(arrays, attributes)
        further: Table = {group: dict(file[group].items()) if group in file else {} for group in FURTHER}
        found = {name: values for group in FURTHER for name, values in further[group].items()}
        return Result(
            **arrays,
            extra={name: np.asarray(rows[()]) for name, rows in further["extra"].items()},
            shared={name: np.asarray(value[()]) for name, value in further["shared"].items()},
            units={name: str(values.attrs["unit"]) for name, values in found.items() if "unit" in values.attrs},
            history=history,
            field_of_view=_four(file["field_of_view"][()]),
            attributes={k: v.item() if isinstance(v, np.generic) else v for k, v in attributes.items()},
        )


def _check(arrays: Table, attributes: Table) -> None:
    """Refuse arrays and attributes that are not those of a result; what is wrong is named by whoever opened it."""
    for field, axes in AXES.items():
        array, kinds = arrays[field], "c" if field == "probe" else "fiu"
        if array is not None and (np.ndim(array) != axes or array.dtype.kind not in kinds):
            raise ValueError(f"{field} has shape {np.shape(array)} and type {array.dtype}; expected {axes} axes")
    for name in ("sampling", "origin"):
        value = np.asarray(attributes.get(name, np.nan), float)
        if value.shape != (2,) or not np.isfinite(value).all():
            raise ValueError(f"its {name} is {value}")


AXES = {
    **dict.fromkeys(("phase", "absorption", "deviation", "probe"), 3),
    **dict.fromkeys(("positions", "tilts", "measured", "modelled"), 2),
}
"""Number of axes of each array."""
RENAMED = {"error": "amplitude_error", "held_out": "validation_loss"}
"""Columns of the history that were called otherwise in version 1."""


def _four(values: np.ndarray) -> tuple[int, int, int, int]:
    top, bottom, left, right = (int(v) for v in values)
    return top, bottom, left, right
