"""What HyperSpy writes: .hspy (HDF5) and .zspy (zarr) hold the same groups.

An experiment has its array ``data``, a group of attributes for each axis, and the microscope's settings where it knows
them: beam energy in keV, convergence angle in mrad. Axes of the scan come first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from jptycho.data.dataset import Calibration
from jptycho.data.readers.axes import Axis, spacings_of
from jptycho.data.readers.base import Contents, Node, StoredArray
from jptycho.data.readers.hdf5 import text_of
from jptycho.data.readers.views import permute

MICROSCOPE = "metadata/Acquisition_instrument/TEM"


def describe(root: Node, make: Callable[[Node], StoredArray], wanted: str | None) -> Contents | None:
    """What a file of HyperSpy holds.

    Args:
        root: open HDF5 file or zarr group.
        make: makes an array of the file one that is read later.
        wanted: name of the array that is asked for.

    Returns:
        its contents; None if HyperSpy did not write it.
    """
    if text_of(root.attrs.get("file_format")) not in ("HyperSpy", "ZSpy") or "Experiments" not in root:
        return None
    arrays, found = {}, {}
    for name in root["Experiments"]:
        experiment = root["Experiments"][name]
        if "data" not in experiment or len(experiment["data"].shape) < 3:
            continue
        place = f"Experiments/{name}/data"
        axes = [dict(experiment[f"axis-{n}"].attrs) for n in range(len(experiment["data"].shape))]
        order = sorted(range(len(axes)), key=lambda n, axes=axes: not bool(axes[n].get("navigate")))
        arrays[place] = permute(make(experiment["data"]), tuple(order))
        found[place] = [_axis(axes[n]) for n in order], _microscope(experiment)
    chosen = wanted if wanted in found else next(iter(found)) if len(found) == 1 else None
    if chosen is None:
        return Contents("HyperSpy", arrays)
    spacings = spacings_of(found[chosen][0])
    energy, semiangle = found[chosen][1]
    calibration = Calibration(energy, semiangle, step=spacings.step, reciprocal_sampling=spacings.reciprocal)
    return Contents("HyperSpy", arrays, chosen, calibration, spacings.angular)


def _axis(attributes: Mapping[str, object]) -> Axis:
    scale = positive(attributes.get("scale"))
    return Axis(scale, text_of(attributes.get("units")))


def _microscope(experiment: Node) -> tuple[float | None, float | None]:
    """Beam energy in eV and convergence angle in mrad."""
    if MICROSCOPE not in experiment:
        return None, None
    settings = experiment[MICROSCOPE].attrs
    energy = positive(settings.get("beam_energy"))
    return None if energy is None else energy * 1e3, positive(settings.get("convergence_angle"))


def positive(value: object) -> float | None:
    """A number that means something, or None.

    Args:
        value: of an attribute.

    Returns:
        the number, if it is finite and above zero.

    Example:
        >>> positive(np.float64(2)), positive("_None_"), positive(0)
        (2.0, None, None)
    """
    if not isinstance(value, int | float | np.number) or isinstance(value, bool):
        return None
    number = float(np.real(value))
    return number if 0 < number < np.inf else None
