"""Reconstructions of PtychoShelves and its forks, in MATLAB files of version 5 (6, 7) and 7.3.

``object`` (Y, X[, slices]) and ``probe`` (y, x[, modes[, variable modes]]), both complex and centred;
``outputs.probe_positions`` (scan, 2) along (x, y) in pixels from the object's middle: the window's first row is
``y + ceil(Y / 2 - y' / 2)``, counted from one; ``p.dx_spec`` along (y, x), ``p.lambda`` and
``p.multi_slice_param.z_distance`` in one unit, metres for X-rays and Å for electrons.
"""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np

from jptycho.data.other_results.base import OtherResult, make_other, number_of, pair_of, whole
from jptycho.data.readers.base import StoredArray
from jptycho.data.readers.hdf5 import open_hdf5, stored_arrays
from jptycho.data.readers.matlab_sizes import LARGEST_RATIO, check_sizes
from jptycho.settings import Table

PTYCHOSHELVES = "PtychoShelves"
POSITIONS, PIXEL, WAVELENGTH = "outputs/probe_positions", "p/dx_spec", "p/lambda"
DISTANCES = "p/multi_slice_param/z_distance"
WANTED = ("object", "probe", "outputs", "p")


def read_version_5(path: Path) -> OtherResult | None:
    """The reconstruction of a MATLAB file of version 5.

    Args:
        path: of the file.

    Returns:
        the reconstruction; None where it holds no object and probe.

    Raises:
        ValueError: it is one, but damaged.
    """
    from scipy.io import loadmat, whosmat  # noqa: PLC0415

    check_sizes(path)
    size = path.stat().st_size
    shapes = {name: shape for name, shape, _ in whosmat(str(path))}
    if not {"object", "probe"} <= shapes.keys():
        return None
    wanted = [name for name in WANTED if name in shapes]
    for name in wanted:
        if any(n < 0 for n in shapes[name]) or math.prod(shapes[name]) > LARGEST_RATIO * size:
            raise ValueError(f"{name} cannot have shape {shapes[name]}")
    arrays: dict[str, np.ndarray] = {}
    _flatten("", dict(loadmat(str(path), variable_names=wanted, squeeze_me=False)), arrays)
    return _describe(arrays)


def read_version_7_3(path: Path, argument: str) -> OtherResult | None:
    """The reconstruction of a MATLAB file of version 7.3, which is HDF5.

    Args:
        path: of the file.
        argument: that gave the path.

    Returns:
        the reconstruction; None where it holds no object and probe.

    Raises:
        FormatError: damaged.
        ValueError: likewise.
    """
    with open_hdf5(path, argument) as file:
        found: dict[str, StoredArray] = stored_arrays(file, path)
    if not {"object", "probe"} <= found.keys():
        return None
    names = ("object", "probe", POSITIONS, PIXEL, WAVELENGTH, DISTANCES)
    return _describe({name: whole(found[name], name) for name in names if name in found})


def _flatten(prefix: str, values: Table, arrays: dict[str, np.ndarray]) -> None:
    """Arrays of numbers in nested structures, by their path."""
    for name, value in values.items():
        if not isinstance(value, np.ndarray):
            continue
        if value.dtype.names and value.size == 1:
            one = value.ravel()[0]
            _flatten(f"{prefix}{name}/", {field: one[field] for field in value.dtype.names}, arrays)
        elif value.dtype.kind in "fciu":
            arrays[prefix + name] = value


def _describe(arrays: dict[str, np.ndarray]) -> OtherResult:
    if not {"object", "probe"} <= arrays.keys():
        raise ValueError("its object and probe are no arrays of numbers")
    transmission, probe = arrays["object"], arrays["probe"]
    if transmission.ndim not in (2, 3) or probe.ndim not in (2, 3, 4):
        raise ValueError(f"its object has shape {transmission.shape} and its probe {probe.shape}")
    probe = probe[..., 0] if probe.ndim == 4 else probe
    positions, sampling = arrays.get(POSITIONS), pair_of(arrays.get(PIXEL))
    centres = None
    if positions is not None:
        if positions.ndim != 2 or positions.shape[1] != 2:
            raise ValueError(f"its positions have shape {positions.shape}")
        window = np.asarray(probe.shape[:2])
        first = positions[:, ::-1] + np.ceil(np.asarray(transmission.shape[:2]) / 2 - window / 2) - 1
        centres = first + window // 2
    stack, modes = (np.moveaxis(np.atleast_3d(one), -1, 0) for one in (transmission, probe))
    distances = arrays.get(DISTANCES)
    if (
        distances is not None
        and len(stack) > 2
        and np.ptp(distances.ravel()[: len(stack) - 1]) > 1e-3 * distances.max()
    ):
        raise ValueError("its slices differ in thickness; expected equal ones")
    thickness = number_of(distances) if len(stack) > 1 else None
    found = make_other(PTYCHOSHELVES, stack, modes, centres, sampling, thickness)
    return dataclasses.replace(found, wavelength=number_of(arrays.get(WAVELENGTH)))
