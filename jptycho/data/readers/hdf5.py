"""HDF5: jptycho's own self-describing scans, and any other file that holds a 3D or 4D array."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from jptycho.data.dataset import Calibration, Dataset4D, Truth
from jptycho.errors import FormatError, nearest_name

SCHEMA = "jptycho-scan"
VERSION = 1


def open_hdf5(path: Path, file_error: str) -> Any:
    """Open an HDF5 file for reading, or say why not.

    Args:
        path: of the file.
        file_error: name of the argument that gave the path.

    Returns:
        the open :class:`h5py.File`, untyped: h5py's types do not tell a group from a dataset.

    Raises:
        FormatError: missing, truncated or no HDF5.
    """
    if not path.exists():
        raise FormatError(
            f"{file_error}: no file {str(path)!r}. Check the path; a relative one starts at the TOML file."
        )
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise FormatError(
            f"{file_error}: {str(path)!r} cannot be read as HDF5; it is truncated or of another format ({error}). "
            "Copy it again from its origin."
        ) from None


def refuse_existing(path: Path, overwrite: bool) -> None:
    """Refuse a file that exists, before any work is done for it.

    Args:
        path: of the file to be written.
        overwrite: whether an existing file may be replaced.

    Raises:
        FormatError: the file exists and may not be replaced, or its folder cannot be written to.
    """
    if path.exists() and not overwrite:
        raise FormatError(f"output: {str(path)!r} exists. Choose another name, or allow it with --overwrite.")
    parent = next(p for p in path.resolve().parents if p.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise FormatError(f"output: {str(parent)!r} is no folder that can be written to. Choose another.")


def atomic_write(path: Path, write: Callable[[h5py.File], None], overwrite: bool) -> None:
    """Write an HDF5 file that appears whole or not at all.

    Args:
        path: of the file.
        write: fills the open file.
        overwrite: whether an existing file may be replaced.

    Raises:
        FormatError: the file exists and may not be replaced.
    """
    refuse_existing(path, overwrite)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    os.close(handle)
    try:
        with h5py.File(temporary, "w") as file:
            write(file)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)


def read_array(path: Path, name: str, argument: str = "data.counts") -> np.ndarray:
    """One array of a file, whole.

    Args:
        path: of the file.
        name: of the dataset in it.
        argument: that gave the name, for the message.

    Returns:
        the array.

    Raises:
        FormatError: no such dataset, or the file is damaged.
    """
    with open_hdf5(path, "data.file") as file:
        dataset = find_dataset(file, name, path, argument)
        try:
            return np.asarray(dataset[()])
        except OSError as error:
            raise FormatError(
                f"data.file: {str(path)!r} is damaged: {name!r} cannot be read ({error}). Copy it again."
            ) from None


def find_dataset(file: Any, name: str, path: Path, argument: str = "data.counts") -> Any:
    """A dataset by name.

    Args:
        file: open file.
        name: of the dataset.
        path: of the file, for the message.
        argument: that gave the name, for the message.

    Returns:
        the dataset, unread.

    Raises:
        FormatError: no such dataset; the message names the nearest.
    """
    found = file.get(name)
    if isinstance(found, h5py.Dataset):
        return found
    names: list[str] = []
    file.visititems(lambda n, item: names.append(n) if isinstance(item, h5py.Dataset) else None)
    raise FormatError(f"{argument}: {str(path)!r} holds no dataset {name!r}.{nearest_name(name, names)}")


def array_names(path: Path) -> dict[str, tuple[int, ...]]:
    """Every dataset of a file and its shape.

    Args:
        path: of the file.

    Returns:
        names to shapes.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    with open_hdf5(path, "data.file") as file:
        file.visititems(lambda n, item: shapes.update({n: item.shape}) if isinstance(item, h5py.Dataset) else None)
    return shapes


def shape_and_type(path: Path, name: str) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and type of a dataset, without reading it.

    Args:
        path: of the file.
        name: of the dataset.

    Returns:
        both.
    """
    with open_hdf5(path, "data.file") as file:
        dataset = find_dataset(file, name, path)
        return dataset.shape, dataset.dtype


def is_scan(path: Path) -> bool:
    """Whether a file is one of jptycho's own scans.

    Args:
        path: of the file.

    Returns:
        whether its schema says so.
    """
    with open_hdf5(path, "data.file") as file:
        return file.attrs.get("schema") == SCHEMA


def read_attributes(path: Path) -> dict[str, Any]:
    """The root attributes of a file.

    Args:
        path: of the file.

    Returns:
        names to values.

    Raises:
        FormatError: no HDF5.
    """
    with open_hdf5(path, "file") as file:
        return dict(file.attrs)


def write_scan(
    path: str | Path, dataset: Dataset4D, overwrite: bool = False, extra: dict[str, Any] | None = None
) -> None:
    """Write a self-describing scan: counts, positions in Å, calibration with units in the names, and the truth.

    Args:
        path: of the file.
        dataset: the scan.
        overwrite: whether an existing file may be replaced.
        extra: further attributes, such as the settings of a simulation.

    Raises:
        FormatError: the file exists and may not be replaced.
    """

    def write(file: h5py.File) -> None:
        file.attrs.update({"schema": SCHEMA, "schema_version": VERSION, **(extra or {})})
        counts = dataset.read().reshape(dataset.shape)
        chunk = (1,) * (counts.ndim - 2) + counts.shape[-2:]
        file.create_dataset("counts", data=counts, chunks=chunk, compression="gzip", compression_opts=1)
        unit = dataset.calibration.length_unit.replace("A", "Å")
        if dataset.positions is not None:
            file.create_dataset("positions", data=dataset.positions).attrs["unit"] = unit
        if dataset.probe is not None:
            file.create_dataset("probe", data=dataset.probe)
        calibration = file.create_group("calibration")
        for name, unit in CALIBRATION_UNITS.items():
            value = getattr(dataset.calibration, name)
            if value is not None:
                calibration.attrs[name] = value
                calibration.attrs[f"{name}_unit"] = unit
        for name, value in dataset.calibration.aberrations:
            calibration.create_group("aberrations") if "aberrations" not in calibration else None
            calibration["aberrations"].attrs[name] = value
        if dataset.truth is not None:
            truth = file.create_dataset("truth/phase", data=dataset.truth.phase)
            truth.attrs.update(
                {"unit": "rad", "sampling": dataset.truth.sampling, "origin": dataset.truth.origin, "length_unit": "Å"}
            )

    atomic_write(Path(path), write, overwrite)


CALIBRATION_UNITS = {
    "energy": "eV",
    "semiangle_cutoff": "mrad",
    "defocus": "Å",
    "step": "Å",
    "reciprocal_sampling": "1/Å",
    "rotation": "degree",
    "transpose": "",
    "counts_per_electron": "",
    "read_noise": "electrons",
    "length_unit": "",
}


def read_scan(path: Path) -> Dataset4D:
    """Open one of jptycho's own scans; no pattern is read.

    Args:
        path: of the file.

    Returns:
        the scan.

    Raises:
        FormatError: a newer schema, or parts are missing.
    """
    with open_hdf5(path, "data.file") as file:
        version = int(file.attrs.get("schema_version", 0))
        if version > VERSION:
            raise FormatError(
                f"data.file: {str(path)!r} has schema {version}; this version reads {VERSION}. Update jptycho."
            )
        if "calibration" not in file:
            raise FormatError(f"data.file: {str(path)!r} holds no calibration; it is damaged. Copy it again.")
        counts = find_dataset(file, "counts", path)
        shape, dtype = counts.shape, counts.dtype
        values = {k: _plain(file["calibration"].attrs[k]) for k in CALIBRATION_UNITS if k in file["calibration"].attrs}
        aberrations = file.get("calibration/aberrations")
        residual = () if aberrations is None else tuple((k, float(v)) for k, v in aberrations.attrs.items())
        positions = np.asarray(file["positions"][()]).reshape(-1, 2) if "positions" in file else None
        probe = np.asarray(file["probe"][()]) if "probe" in file else None
        truth = None
        if "truth/phase" in file:
            image = file["truth/phase"]
            truth = Truth(np.asarray(image[()]), _plain(image.attrs["sampling"]), _plain(image.attrs["origin"]))
    return Dataset4D(
        shape,
        dtype,
        lambda: read_array(path, "counts").reshape(-1, *shape[-2:]),
        Calibration(aberrations=residual, **values),
        positions,
        probe,
        truth,
        str(path),
    )


def _plain(value: Any) -> Any:
    """An attribute as the Python number, text, or tuple of numbers that it stands for."""
    if isinstance(value, str):
        return value
    return tuple(value.tolist()) if np.ndim(value) else value.item()
