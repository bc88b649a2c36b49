"""Reconstructions in HDF5: PtyRAD, phaser, py4DSTEM.

==========  ==========================================================================================================
PtyRAD      ``optimizable_tensors/obja``, ``objp`` (states, slices, Y, X), ``probe`` (modes, y, x) centred,
            ``slice_thickness`` Å; ``model_attributes/crop_pos`` (scan, 2): the window's first pixel, to which
            ``probe_pos_shifts`` is added; ``model_attributes/dx`` Å
phaser      ``object/data`` (slices, Y, X), ``sampling`` and ``corner`` Å, ``thicknesses`` Å; ``probe/data`` centred;
            ``scan`` (..., 2) Å: of the middle between the window's first and last pixel
py4DSTEM    ``_object_emd/data`` ([slices,] Y, X), real where it is a potential; ``_probe_emd/data`` ([modes,] y, x),
            centre at [0, 0]; ``positions_px`` (scan, 2): of the probe's centre; ``sampling`` Å
==========  ==========================================================================================================
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from jptycho.data.other_results.base import (
    LEAST_AMPLITUDE,
    OtherResult,
    check_other,
    make_other,
    number_of,
    pair_of,
    whole,
)
from jptycho.data.readers.base import Node, StoredArray
from jptycho.data.readers.hdf5 import is_dataset, is_group, stored_arrays, text_of

PTYRAD, PHASER, PY4DSTEM = "PtyRAD", "phaser", "py4DSTEM"
PHASER_VERSION = (0, 1)


def describe_hdf5(file: Node, path: Path) -> OtherResult | None:
    """The reconstruction that an HDF5 file holds.

    Args:
        file: open.
        path: of it.

    Returns:
        the reconstruction; None where no package is known to write such a file.

    Raises:
        ValueError: it is one, but damaged.
    """
    if is_group(file.get("optimizable_tensors")):
        return _ptyrad(file, path)
    kind = file.get("type")
    if is_dataset(kind) and kind.shape == () and text_of(kind[()]) == "phaser_state":
        return _phaser(file, path)
    place = _emd_group(file)
    return None if place is None else _py4dstem(file, path, place)


def _ptyrad(file: Node, path: Path) -> OtherResult:
    arrays = stored_arrays(file, path)
    phase, amplitude = (whole(arrays.get(f"optimizable_tensors/{name}"), name) for name in ("objp", "obja"))
    probe = whole(arrays.get("optimizable_tensors/probe"), "probe")
    if phase.ndim != 4 or phase.shape != amplitude.shape or probe.ndim != 3:
        raise ValueError(f"its object has shape {phase.shape} and its probe {probe.shape}")
    if len(phase) > 1:
        raise ValueError(f"its object has {len(phase)} states; expected one")
    corner = _optional(arrays, "model_attributes/crop_pos")
    shift = _optional(arrays, "optimizable_tensors/probe_pos_shifts")
    if corner is not None and shift is not None and corner.shape != shift.shape:
        raise ValueError(f"crop_pos has shape {corner.shape} and probe_pos_shifts {shift.shape}")
    first = None if corner is None else corner.astype(float) + (0.0 if shift is None else shift)
    thickness = number_of(_optional(arrays, "optimizable_tensors/slice_thickness"))
    return check_other(
        OtherResult(
            PTYRAD,
            phase[0].astype(float),
            -np.log(np.maximum(amplitude[0].astype(float), LEAST_AMPLITUDE)),
            probe,
            None if first is None else first + _half(probe),
            pair_of(_optional(arrays, "model_attributes/dx")),
            thickness if phase.shape[1] > 1 else None,
        )
    )


def _phaser(file: Node, path: Path) -> OtherResult:
    version = text_of(file["version"][()]) if is_dataset(file.get("version")) else ""
    if not version.replace(".", "").isdigit() or tuple(map(int, version.split("."))) > PHASER_VERSION:
        raise ValueError(f"its version is {version!r}; known up to {'.'.join(map(str, PHASER_VERSION))}")
    arrays = stored_arrays(file, path)
    transmission, probe = (whole(arrays.get(f"{name}/data"), name) for name in ("object", "probe"))
    sampling = pair_of(_optional(arrays, "object/sampling"))
    corner, scan = _optional(arrays, "object/corner"), _optional(arrays, "scan")
    centres = None
    if scan is not None and corner is not None and sampling is not None:
        if scan.shape[-1:] != (2,) or corner.shape != (2,):
            raise ValueError(f"its scan has shape {scan.shape} and corner {corner.shape}")
        middle = (scan.reshape(-1, 2) - corner) / np.asarray(sampling)
        # The window's pixels n // 2 and (n - 1) / 2 differ where it is even.
        centres = middle - (np.asarray(probe.shape[-2:]) - 1) / 2 + _half(probe)
    thicknesses = _optional(arrays, "object/thicknesses")
    if thicknesses is not None and len(transmission) > 1 and np.ptp(thicknesses) > 1e-3 * thicknesses.max():
        raise ValueError("its slices differ in thickness; expected equal ones")
    thickness = number_of(thicknesses) if len(transmission) > 1 else None
    return make_other(PHASER, transmission, probe, centres, sampling, thickness)


def _emd_group(file: Node) -> str | None:
    """The group that holds an object and a probe of py4DSTEM."""
    found: list[str] = []

    def visit(name: str, item: Node) -> None:
        if name.rpartition("/")[2] == "_object_emd" and is_group(item):
            found.append(name.rpartition("/")[0])

    file.visititems(visit)
    return found[0] if found else None


def _py4dstem(file: Node, path: Path, place: str) -> OtherResult:
    prefix = f"{place}/" if place else ""
    known = stored_arrays(file, path)
    arrays = {name.removeprefix(prefix): array for name, array in known.items() if name.startswith(prefix)}
    transmission, probe = (whole(arrays.get(f"{name}/data"), name) for name in ("_object_emd", "_probe_emd"))
    transmission = transmission[None] if transmission.ndim == 2 else transmission
    probe = probe[None] if probe.ndim == 2 else probe
    if probe.ndim != 3:
        raise ValueError(f"its probe has shape {probe.shape}")
    before, made = "metadatabundle/preprocess_metadata", "metadatabundle/instantiation_metadata"
    centres = _optional(arrays, f"{before}/positions_px")
    many = len(transmission) > 1
    thickness = number_of(_optional(arrays, f"{made}/slice_thicknesses")) if many else None
    return make_other(
        PY4DSTEM,
        transmission,
        np.fft.fftshift(probe, axes=(-2, -1)),
        None if centres is None else centres.astype(float),
        pair_of(_optional(arrays, f"{before}/sampling")),
        thickness,
    )


def _optional(arrays: dict[str, StoredArray], name: str) -> np.ndarray | None:
    """An array that a file may do without."""
    return whole(arrays[name], name) if name in arrays and math.prod(arrays[name].shape) else None


def _half(probe: np.ndarray) -> np.ndarray:
    """From a window's first pixel to its centre."""
    return np.asarray([n // 2 for n in probe.shape[-2:]])
