"""jptycho's own self-describing scans, in HDF5."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from jptycho.data.counts import chunks
from jptycho.data.dataset import Calibration, Dataset4D, Truth
from jptycho.data.readers.base import Contents, Node, read_rows
from jptycho.data.readers.hdf5 import atomic_write, find_dataset, open_hdf5, stored
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
        _write_counts(file, dataset)
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


def _write_counts(file: h5py.File, dataset: Dataset4D) -> None:
    """Write the patterns, some at a time and each a chunk of its own."""
    chunk = (1,) * (len(dataset.shape) - 2) + dataset.shape[-2:]
    written = file.create_dataset(
        "counts", dataset.shape, dataset.dtype, chunks=chunk, compression="gzip", compression_opts=1
    )
    lines = 1 if len(dataset.shape) == 3 else dataset.shape[1]
    for rows in chunks(dataset):
        for number, pattern in enumerate(dataset.read(rows), rows.start):
            written[number if len(dataset.shape) == 3 else divmod(number, lines)] = pattern


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
        found = describe(file, path)
    counts = found.arrays["counts"]
    if counts.complete is not None:
        raise FormatError(
            f"data.file: {str(path)!r} holds {counts.complete} whole patterns of {counts.shape[:-2]}; it was cut off. "
            "Copy it again, or name counts."
        )
    return Dataset4D(
        counts.shape,
        counts.dtype,
        lambda rows=slice(None): read_rows(counts, rows),
        found.calibration,
        found.positions,
        found.probe,
        found.truth,
        str(path),
        found.mask,
    )


def describe(file: Node, path: Path) -> Contents:
    """What one of jptycho's own scans holds.

    Args:
        file: open.
        path: of the file.

    Returns:
        its patterns and everything that it states.

    Raises:
        FormatError: a newer schema, or parts are missing.
    """
    version = int(file.attrs.get("schema_version", 0))
    if version > VERSION:
        raise FormatError(
            f"data.file: {str(path)!r} has schema {version}; this version reads {VERSION}. Update jptycho."
        )
    if "calibration" not in file:
        raise FormatError(f"data.file: {str(path)!r} holds no calibration; it is damaged. Copy it again.")
    counts = stored(find_dataset(file, "counts", path), path)
    values = {k: _plain(file["calibration"].attrs[k]) for k in CALIBRATION_UNITS if k in file["calibration"].attrs}
    aberrations = file.get("calibration/aberrations")
    residual = () if aberrations is None else tuple((k, float(v)) for k, v in aberrations.attrs.items())
    positions = np.asarray(file["positions"][()]).reshape(-1, 2) if "positions" in file else None
    probe, mask = (np.asarray(file[name][()]) if name in file else None for name in ("probe", "mask"))
    truth = None
    if "truth/phase" in file:
        image = file["truth/phase"]
        truth = Truth(np.asarray(image[()]), _plain(image.attrs["sampling"]), _plain(image.attrs["origin"]))
    return Contents(
        "jptycho scan",
        {"counts": counts},
        "counts",
        Calibration(aberrations=residual, **values),
        positions=positions,
        probe=probe,
        truth=truth,
        mask=mask,
        complete=True,
    )


def _plain(value: Node) -> Node:
    """An attribute as the Python number, text, or tuple of numbers that it stands for."""
    if isinstance(value, str):
        return value
    return tuple(value.tolist()) if np.ndim(value) else value.item()
