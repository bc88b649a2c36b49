"""Reconstructions of quantem: a zarr store in a folder or a zip, whose parts are what torch saved.

``_obj_model``: ``_obj`` (slices, Y, X), complex, or real where it is a potential; ``_sampling`` Å,
``_slice_thicknesses`` Å. ``_probe_model``: ``_probe`` (modes, y, x), centre at [0, 0]. ``_dset``:
``_scan_positions_px`` (scan, 2) of the probe's centre in pixels of the object, rows first. ``_dset`` is there only
where the raw data were to be saved too; else the positions are ``learned_scan_positions_px`` of ``_dataset_metadata``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from jptycho.data.other_results.base import LEAST_AMPLITUDE, OtherResult, make_other, number_of, pair_of
from jptycho.data.other_results.torch_archive import read_tensors
from jptycho.data.readers.base import Node
from jptycho.data.readers.zarr_store import inner_groups, open_group, read_whole

QUANTEM = "quantem"
Fields = dict[str, np.ndarray | int | float | str | tuple[object, ...]]


def read_store(path: Path) -> OtherResult | None:
    """The reconstruction of a store.

    Args:
        path: of its folder or zip.

    Returns:
        the reconstruction; None where it holds no object and probe of quantem.

    Raises:
        ValueError: it is one, but damaged.
        FormatError: a codec that may run anything.
    """
    with open_group(path) as root:
        if root is None or "_autoserialize" not in root.attrs or "_obj_model" not in root:
            return None
        parts = inner_groups(root)
        names = ("_obj_model", "_probe_model", "_dset", "_dataset_metadata")
        model, waves, scan, described = (_fields(parts[name], path) if name in parts else {} for name in names)
    transmission, probe = model.get("_obj"), waves.get("_probe")
    if not isinstance(transmission, np.ndarray) or not isinstance(probe, np.ndarray):
        raise ValueError("its object or probe is the output of a network, or was left out")
    if model.get("_obj_type") == "pure_phase":
        transmission = transmission / np.maximum(np.abs(transmission), LEAST_AMPLITUDE)
    centres, sampling, thickness = (
        scan.get("_scan_positions_px", described.get("learned_scan_positions_px")),
        model.get("_sampling"),
        model.get("_slice_thicknesses"),
    )
    many = transmission.ndim == 3 and len(transmission) > 1 and isinstance(thickness, np.ndarray)
    return make_other(
        QUANTEM,
        transmission,
        np.fft.fftshift(probe, axes=(-2, -1)),
        centres.astype(float) if isinstance(centres, np.ndarray) else None,
        pair_of(np.asarray(sampling)) if isinstance(sampling, tuple) else None,
        number_of(thickness) if many and isinstance(thickness, np.ndarray) else None,
    )


def _fields(group: Node, path: Path) -> Fields:
    """Tensors and numbers of a part, saved as a whole or each apart."""
    module = read_whole(group, "module", path)
    if module is not None:
        return read_tensors(module.tobytes())
    found: Fields = {
        str(key): value for key, value in dict(group.attrs).items() if isinstance(value, int | float | str)
    }
    for key, inner in inner_groups(group).items():
        tensor = read_whole(inner, "tensor", path)
        if tensor is not None:
            found[key] = read_tensors(tensor.tobytes())[""]
    return found
