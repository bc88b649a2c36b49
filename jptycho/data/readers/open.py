"""From the ``[data]`` table to a scan: choose the reader, find the arrays, let the table override the file."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from jptycho.data.dataset import Calibration, Dataset4D, check_arrays, wavelength_of
from jptycho.data.readers import arrays, hdf5, jptycho_scan
from jptycho.data.readers.options import DataSettings
from jptycho.errors import ConfigError, FormatError
from jptycho.settings import Table, parse

READERS: dict[str, ModuleType] = {
    **dict.fromkeys((".npy", ".npz"), arrays),
    **dict.fromkeys((".h5", ".hdf5", ".hdf", ".nxs", ".mat", ".emd"), hdf5),
}
OVERRIDES = (
    "energy",
    "semiangle_cutoff",
    "defocus",
    "step",
    "reciprocal_sampling",
    "rotation",
    "transpose",
    "counts_per_electron",
    "read_noise",
)


def open_dataset(path: str | Path, **options: Any) -> Dataset4D:
    """Open a scan lazily: shapes and calibration are read, no pattern is.

    Args:
        path: HDF5, .npy or .npz file.
        **options: any key of the ``[data]`` table, such as ``energy`` in eV; they override what the file says.

    Returns:
        the scan.

    Raises:
        FormatError: the file is missing, damaged, or holds no such array.
        ConfigError: an unknown option, or options that contradict the file.
    """
    path, options = Path(path), _checked(path, options)
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise FormatError(f"data.file: cannot read {path.suffix!r} files; known: {', '.join(sorted(READERS))}.")
    if reader is hdf5 and options.get("counts") is None and jptycho_scan.is_scan(path):
        dataset = jptycho_scan.read_scan(path)
        without_effect = [name for name in ("positions", "probe") if options.get(name) is not None]
        without_effect += ["step"] if dataset.positions is not None and options.get("step") is not None else []
        if without_effect:
            raise ConfigError(
                f"data.{without_effect[0]}: has no effect: {str(path)!r} is a scan that describes itself. Remove it."
            )
    else:
        dataset = _open_array(reader, path, options)
    dataset = _with_scan_shape(_override(dataset, options), options.get("scan_shape"))
    if options.get("mask"):
        mask = np.asarray(reader.read_array(path, options["mask"], "data.mask"), float)
        dataset = dataclasses.replace(dataset, mask=mask)
    check_arrays(dataset)
    return dataset


def _checked(path: str | Path, options: Table) -> Table:
    """Options that are given, as the ``[data]`` table takes them."""
    plain = {
        key: value.tolist() if isinstance(value, np.ndarray | np.generic) else value for key, value in options.items()
    }
    try:
        settings = parse(DataSettings, {**plain, "file": str(path)})
    except ConfigError as error:
        raise ConfigError(f"data.{error}") from None
    return settings.model_dump(exclude={"file"}, exclude_none=True)


def _open_array(reader: ModuleType, path: Path, options: Table) -> Dataset4D:
    name = options.get("counts") or _only_scan(reader.array_names(path), path)
    shape, dtype = reader.shape_and_type(path, name)
    if len(shape) not in (3, 4) or np.dtype(dtype).kind not in "uif":
        raise FormatError(
            f"data.counts: {name!r} has shape {shape} and type {dtype}; "
            "expected real numbers (slow, fast, y, x) or (scan, y, x)."
        )
    positions, unit = None, options.get("positions_unit") or "A"
    if options.get("positions"):
        positions = reader.read_array(path, options["positions"], "data.positions").astype(float)
        if positions.shape[-1] != 2 or not np.isfinite(positions).all():
            raise FormatError(
                f"data.positions: has shape {positions.shape}; expected (scan, 2) finite rows and columns. "
                "Transpose or repair the array."
            )
        positions = positions.reshape(-1, 2)
    probe = None
    if options.get("probe"):
        probe = reader.read_array(path, options["probe"], "data.probe")
        probe = probe[None] if probe.ndim == 2 else probe
        if probe.ndim != 3 or probe.shape[-2:] != tuple(shape[-2:]):
            raise FormatError(f"data.probe: has shape {probe.shape}; expected (modes, {shape[-2]}, {shape[-1]}).")
    return Dataset4D(
        tuple(shape),
        np.dtype(dtype),
        lambda: reader.read_array(path, name).reshape(-1, *shape[-2:]),
        Calibration(length_unit=unit if positions is not None else "A"),
        positions,
        probe,
        None,
        str(path),
    )


def _only_scan(shapes: dict[str, tuple[int, ...]], path: Path) -> str:
    """The name of the one array that can be a scan: four axes, or, failing that, three."""
    for axes in (4, 3):
        names = [name for name, shape in shapes.items() if len(shape) == axes]
        if len(names) == 1:
            return names[0]
        if names:
            raise ConfigError(f"data.counts: missing; {str(path)!r} holds {', '.join(names)}. Name one of them.")
    raise FormatError(f"data.file: {str(path)!r} holds no array of three or four axes; it holds {shapes}.")


def _override(dataset: Dataset4D, options: Table) -> Dataset4D:
    given = {name: options[name] for name in OVERRIDES if options.get(name) is not None}
    for name in ("step", "reciprocal_sampling"):
        if isinstance(given.get(name), int | float):
            given[name] = (given[name], given[name])
    if options.get("aberrations"):
        given["aberrations"] = tuple(options["aberrations"].items())
    calibration = dataclasses.replace(dataset.calibration, **given)
    angular = options.get("angular_sampling")
    if angular is not None and options.get("reciprocal_sampling") is not None:
        raise ConfigError("data.angular_sampling: given together with reciprocal_sampling. Keep one of them.")
    if angular is not None:
        if calibration.energy is None:
            raise ConfigError("data.energy: missing; angular_sampling needs it. Add it in eV to [data].")
        pair = (angular, angular) if isinstance(angular, int | float) else angular
        wavelength = wavelength_of(calibration)
        reciprocal = (pair[0] * 1e-3 / wavelength, pair[1] * 1e-3 / wavelength)
        calibration = dataclasses.replace(calibration, reciprocal_sampling=reciprocal)
    return dataclasses.replace(dataset, calibration=calibration)


def _with_scan_shape(dataset: Dataset4D, scan_shape: tuple[int, int] | None) -> Dataset4D:
    found = dataset.shape[:-2]
    count = int(np.prod(found))
    if scan_shape is not None:
        if int(np.prod(scan_shape)) != count or (len(found) == 2 and tuple(scan_shape) != tuple(found)):
            raise ConfigError(
                f"data.scan_shape: {tuple(scan_shape)} means {int(np.prod(scan_shape))} patterns, but the file holds "
                f"{count} as {found}. Correct scan_shape or leave it out."
            )
        dataset = dataclasses.replace(dataset, shape=(*scan_shape, *dataset.shape[-2:]))
    return dataset
