"""A reconstruction in one HDF5 file, readable with plain h5py.

Schema ``jptycho-result``, version 1::

    /object/phase        (slices, Y, X) rad           attrs: sampling (Å a pixel), origin (Å of
                                                  pixel [0, 0]), kind, slice_thickness (Å)
    /object/absorption   (slices, Y, X)               only for kind ``complex``
    /object/deviation    (slices, Y, X)  rad          of the phase over an ensemble's members, where there are several
    /probe/modes         (modes, y, x) complex        centre of the window at [y // 2, x // 2]; expected counts of a
                                                      pattern sum to dose * sum |modes|²
    /positions           (scan, 2) Å                  of the probe, along the detector's (row, column)
    /tilts               (scan, 2) mrad               of the specimen at each position, where each has its own
    /extra/...           (scan, ...)                  further unknowns of a run by their names
    /history/...         (epochs,) stage, epoch, loss, amplitude_error, seconds, validation_loss (of electrons held
                                                      out), noise (loss that noise alone gives); NaN: unknown
    /field_of_view       (4,) first and last row, first and last column that the scan spans (last excluded)
    /patterns/measured, /patterns/modelled  (ky, kx)  means over the scan, zero frequency in the centre, counts

Root attributes: schema, schema_version, method, status, seed, dose (counts of an average pattern), wavelength (Å),
energy (eV), tilt (mrad, mean), centre (of the beam, Å⁻¹ along (y, x) from the zero frequency), objective (text: loss,
penalties, projections, unknowns, solver), configuration (TOML text), versions (JSON text).
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import platform
from pathlib import Path

import h5py
import numpy as np

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
    on_object = ("kind", "sampling", "origin", "slice_thickness")

    def write(file: h5py.File) -> None:
        file.attrs.update({"schema": SCHEMA, "schema_version": VERSION, "versions": versions()})
        file.attrs.update({k: v for k, v in result.attributes.items() if k not in on_object})
        group = file.create_group("object")
        group.attrs.update({k: result.attributes[k] for k in on_object})
        group.attrs["length_unit"] = result.attributes["length_unit"]
        group.create_dataset("phase", data=result.phase).attrs["unit"] = "rad"
        if result.absorption is not None:
            group.create_dataset("absorption", data=result.absorption)
        if result.deviation is not None:
            group.create_dataset("deviation", data=result.deviation)
        file.create_dataset("probe/modes", data=result.probe)
        file.create_dataset("positions", data=result.positions).attrs["unit"] = result.attributes["length_unit"]
        if result.tilts is not None:
            file.create_dataset("tilts", data=result.tilts).attrs["unit"] = "mrad"
        for name, rows in result.extra.items():
            file.create_dataset(f"extra/{name}", data=rows)
        file.create_dataset("field_of_view", data=np.asarray(result.field_of_view))
        for name, column in result.history.items():
            text = column.dtype.kind in "UO"
            file.create_dataset(
                f"history/{name}",
                data=column.astype(object) if text else column,
                dtype=h5py.string_dtype() if text else None,
            )
        file.create_dataset("patterns/measured", data=result.measured).attrs["unit"] = "counts"
        file.create_dataset("patterns/modelled", data=result.modelled).attrs["unit"] = "counts"

    atomic_write(Path(path), write, overwrite)


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
        attributes = {**dict(file.attrs), **dict(file["object"].attrs)}
        history = {
            RENAMED.get(str(name), str(name)): column.asstr()[()]
            if h5py.check_string_dtype(column.dtype)
            else column[()]
            for name, column in file["history"].items()
        }
        return Result(
            phase=file["object/phase"][()],
            absorption=file["object/absorption"][()] if "object/absorption" in file else None,
            deviation=file["object/deviation"][()] if "object/deviation" in file else None,
            probe=file["probe/modes"][()],
            positions=file["positions"][()],
            tilts=file["tilts"][()] if "tilts" in file else None,
            extra={name: rows[()] for name, rows in file["extra"].items()} if "extra" in file else {},
            history=history,
            measured=file["patterns/measured"][()],
            modelled=file["patterns/modelled"][()],
            field_of_view=_four(file["field_of_view"][()]),
            attributes={k: v.item() if isinstance(v, np.generic) else v for k, v in attributes.items()},
        )


RENAMED = {"error": "amplitude_error", "held_out": "validation_loss"}
"""Columns of the history that were called otherwise in version 1."""


def _four(values: np.ndarray) -> tuple[int, int, int, int]:
    top, bottom, left, right = (int(v) for v in values)
    return top, bottom, left, right
