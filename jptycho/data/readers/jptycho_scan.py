"""jptycho's own self-describing scans, in HDF5."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from jptycho.data.dataset import Calibration, Dataset4D, Truth
from jptycho.data.readers.hdf5 import atomic_write, find_dataset, open_hdf5, read_array
from jptycho.errors import FormatError
from jptycho.settings import Table

SCHEMA = "jptycho-scan"
VERSION = 1


def is_scan(path: Path) -> bool:
    """Whether a file is one of jptycho's own scans.

    Args:
        path: of the file.

    Returns:
        whether its schema says so.
    """
    with open_hdf5(path, "data.file") as file:
        return file.attrs.get("schema") == SCHEMA


def write_scan(path: str | Path, dataset: Dataset4D, overwrite: bool = False, extra: Table | None = None) -> None:
    """Write a self-describing scan: counts, positions in Å, calibration with its units, probe, mask and truth.

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
        if dataset.mask is not None:
            file.create_dataset("mask", data=dataset.mask)
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
        probe, mask = (np.asarray(file[name][()]) if name in file else None for name in ("probe", "mask"))
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
        mask,
    )


def _plain(value: Any) -> Any:
    """An attribute as the Python number, text, or tuple of numbers that it stands for."""
    if isinstance(value, str):
        return value
    return tuple(value.tolist()) if np.ndim(value) else value.item()
