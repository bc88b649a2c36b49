"""Formats that RosettaSciIO reads: DM3 and DM4, TIFF. It is an extra: ``pip install 'jptycho[formats]'``.

It maps files, so that what is asked for is all that is read. Axes of the scan come first, in the order of the file.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

from jptycho.data.dataset import Calibration
from jptycho.data.readers.axes import Axis, spacings_of
from jptycho.data.readers.base import Contents, Index, Node, StoredArray, guard, naming_errors
from jptycho.data.readers.hyperspy import positive
from jptycho.data.readers.views import permute, squeeze
from jptycho.settings import Table

LARGEST_RATIO = 2000
KEV = 1e3
"""eV."""


def open_digital_micrograph(path: Path, options: Table) -> Contents:
    """Open a file of DigitalMicrograph.

    Args:
        path: of the .dm3 or .dm4 file.
        options: of the ``[data]`` table.

    Returns:
        its largest image.
    """
    del options
    return _read(path, "digitalmicrograph", "a DigitalMicrograph file", chunks=-1)


def open_tiff(path: Path, options: Table) -> Contents:
    """Open a stack of TIFF images.

    Args:
        path: of the file.
        options: of the ``[data]`` table.

    Returns:
        its images, as a list.
    """
    del options
    return _read(path, "tiff", "TIFF")


def _read(path: Path, plugin: str, words: str, **options: int) -> Contents:
    """The largest array of a file, axes of the scan first."""
    with naming_errors(path, words), _quietly():
        reader = importlib.import_module(f"rsciio.{plugin}").file_reader
        signals = [one for one in reader(str(path), lazy=True, **options) if one["data"].ndim >= 2]
        if not signals:
            raise ValueError("it holds no image")
        signal = max(signals, key=lambda one: math.prod(one["data"].shape))
        data = signal["data"]
        if data.nbytes > LARGEST_RATIO * path.stat().st_size or np.dtype(data.dtype).kind not in "uifc":
            raise ValueError(f"it cannot hold {data.shape} of {data.dtype}")
        axes = sorted(signal["axes"], key=lambda one: one.get("index_in_array", 0))
        order = sorted(range(data.ndim), key=lambda n: not (n < len(axes) and bool(axes[n].get("navigate"))))
        array = guard(StoredArray(tuple(data.shape), np.dtype(data.dtype), _part_of(data)), path, "patterns")
        if order != list(range(data.ndim)):
            array = permute(array, tuple(order))
        calibration, angular = _calibration([axes[n] for n in order if n < len(axes)], signal)
    return Contents(words, {"patterns": squeeze(array)}, "patterns", calibration, angular)


def _part_of(data: Node) -> Callable[[Index], np.ndarray]:
    """Reads parts of a lazy array in this thread: nothing else is computed at the same time."""

    def get(index: Index) -> np.ndarray:
        with _quietly():
            return np.array(data[index].compute(scheduler="synchronous"))

    return get


def _calibration(
    axes: list[Mapping[str, Node]], signal: Mapping[str, Node]
) -> tuple[Calibration, tuple[float, float] | None]:
    spacings = spacings_of([Axis(positive(one.get("scale")), str(one.get("units") or "")) for one in axes])
    energy = positive(_microscope(signal, "beam_energy"))
    calibration = Calibration(
        None if energy is None else energy * KEV,
        positive(_microscope(signal, "convergence_angle")),
        step=spacings.step,
        reciprocal_sampling=spacings.reciprocal,
    )
    return calibration, spacings.angular


def _microscope(signal: Mapping[str, Node], name: str) -> object:
    """A setting of the microscope: given as such, or by where it lies among the file's own words and what makes it."""
    given = signal["metadata"].get("Acquisition_instrument", {}).get("TEM", {}).get(name)
    for place, (destination, convert) in (signal.get("mapping") or {}).items():
        if given is None and destination == f"Acquisition_instrument.TEM.{name}":
            found = signal["original_metadata"]
            for part in place.split("."):
                found = found.get(part) if isinstance(found, Mapping) else None
            given = found if found is None or convert is None else convert(found)
    return given


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Without the remarks of the libraries, which are for those who call them."""
    loggers = [logging.getLogger(name) for name in ("rsciio", "tifffile")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
