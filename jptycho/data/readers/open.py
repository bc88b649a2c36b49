"""From the ``[data]`` table to a scan: open the file, find the arrays, let the table override what the file says."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from jptycho.data.dataset import Calibration, Dataset4D, Rows, check_arrays, wavelength_of
from jptycho.data.detector_window import use_detector_part
from jptycho.data.readers.base import EVERYTHING, PATTERN_AXES, Contents, StoredArray, read_rows
from jptycho.data.readers.empad_g2 import WORDS
from jptycho.data.readers.options import DataSettings
from jptycho.data.readers.registry import open_contents
from jptycho.data.readers.views import permute
from jptycho.errors import ConfigError, FormatError, nearest_name
from jptycho.settings import Table, parse

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
        path: of a file of any format in :data:`jptycho.data.readers.registry.READERS`.
        **options: any key of the ``[data]`` table, such as ``energy`` in eV; they override what the file says.

    Returns:
        the scan.

    Raises:
        FormatError: the file is missing, damaged, or holds no such array.
        ConfigError: an unknown option, or options that contradict the file.
    """
    path, options = Path(path), _checked(path, options)
    contents = open_contents(path, options)
    _refuse_without_effect(contents, path, options)
    name = options.get("counts") or contents.patterns or _only_scan(contents, path)
    patterns = _patterns(contents, name, path, options.get("axes"))
    shape = _scan_shape(patterns, contents.scan_shape, options.get("scan_shape"), path)
    dataset = Dataset4D(
        (*shape, *patterns.shape[-2:]),
        patterns.dtype,
        _reading(patterns, math.prod(shape)),
        _calibration(contents, options),
        _positions(contents, path, options),
        _probe(contents, path, options, patterns.shape[-2:]),
        contents.truth,
        str(path),
        _mask(contents, path, options),
    )
    check_arrays(dataset)
    return use_detector_part(dataset, options.get("crop"), options.get("bin", 1), options.get("bad_pixels", ()))


def _checked(path: str | Path, options: Table) -> Table:
    """Options that are given, as the ``[data]`` table takes them."""
    plain = {
        key: value.tolist() if isinstance(value, np.ndarray | np.generic) else value for key, value in options.items()
    }
    try:
        settings = parse(DataSettings, {**plain, "file": str(path)})
    except ConfigError as error:
        raise ConfigError(f"data.{error}") from None
    for name in ("dtype", "offset"):
        if getattr(settings, name) is not None and settings.shape is None:
            raise ConfigError(f"data.{name}: has no effect without shape. Give the shape of a plain binary file too.")
    return settings.model_dump(exclude={"file"}, exclude_none=True)


def _refuse_without_effect(contents: Contents, path: Path, options: Table) -> None:
    given = [name for name in ("positions", "probe", "gain_file", "dark_file", "step") if options.get(name) is not None]
    of_words = [name for name in ("gain_file", "dark_file") if name in given]
    if contents.format != WORDS and of_words:
        raise ConfigError(f"data.{of_words[0]}: has no effect: {str(path)!r} is no EMPAD file of frames. Remove it.")
    without_effect = [name for name in given if name != "step" or contents.positions is not None]
    if contents.complete and without_effect:
        raise ConfigError(
            f"data.{without_effect[0]}: has no effect: {str(path)!r} is a scan that describes itself. Remove it."
        )


def _only_scan(contents: Contents, path: Path) -> str:
    """The name of the one array that can be a scan: four axes, or, failing that, three."""
    shapes = {name: array.shape for name, array in contents.arrays.items()}
    for axes in (4, 3):
        names = [name for name, shape in shapes.items() if len(shape) == axes]
        if len(names) == 1:
            return names[0]
        if names:
            listed = ", ".join(names[:20])
            raise ConfigError(f"data.counts: missing; {str(path)!r} holds {listed}. Name one of them.")
    some = dict(list(shapes.items())[:20])
    raise FormatError(f"data.file: {str(path)!r} holds no array of three or four axes; it holds {some}.")


def _find(contents: Contents, name: str, path: Path, argument: str) -> StoredArray:
    """An array by its name."""
    found = contents.arrays.get(name.strip("/"))
    if found is None:
        kind = "dataset" if contents.format == "HDF5" else "array"
        hint = nearest_name(name, list(contents.arrays)[:1000])
        raise FormatError(f"data.{argument}: {str(path)!r} holds no {kind} {name!r}.{hint}")
    return found


def _whole(contents: Contents, name: str, path: Path, argument: str) -> np.ndarray:
    """All values of an array that is no array of patterns."""
    array = _find(contents, name, path, argument)
    if array.complete is not None:
        raise FormatError(f"data.{argument}: {name!r} of {str(path)!r} is not there as a whole. Copy it again.")
    return array.get(EVERYTHING)


def _patterns(contents: Contents, name: str, path: Path, axes: str | None) -> StoredArray:
    """The array of patterns, its axes in the order of a scan."""
    patterns = _find(contents, name, path, "counts")
    if axes is not None:
        if len(axes) != len(patterns.shape):
            raise ConfigError(
                f"data.axes: {axes!r} are {len(axes)} axes, but {name!r} has shape {patterns.shape}. Correct them."
            )
        order = next(order for order in PATTERN_AXES if sorted(order) == sorted(axes))
        if axes != order:
            patterns = permute(patterns, tuple(axes.index(letter) for letter in order))
    if len(patterns.shape) not in (3, 4) or patterns.dtype.kind not in "uif" or min(patterns.shape) < 1:
        raise FormatError(
            f"data.counts: {name!r} has shape {patterns.shape} and type {patterns.dtype}; "
            "expected real numbers (slow, fast, y, x) or (scan, y, x)."
        )
    return patterns


def _scan_shape(
    patterns: StoredArray, stated: tuple[int, int] | None, given: tuple[int, int] | None, path: Path
) -> tuple[int, ...]:
    """Steps of the scan; of one that was cut off, those lines that are whole, if they are asked for."""
    found = patterns.shape[:-2]
    count = math.prod(found) if patterns.complete is None else patterns.complete
    wanted = tuple(given or stated or found)
    fast, beyond = wanted[-1], count - math.prod(wanted)
    fits = beyond == 0 if len(wanted) == 1 else 0 <= beyond < fast  # less than a line is left over
    if len(found) == 2 and wanted != found and min(found) > 1:  # a single line may be of any raster
        fits = fits and patterns.complete is not None and fast == found[1]
    if fits:
        return wanted
    line = found[1] if len(found) == 2 else fast
    lines = count // line
    if len(wanted) == 1 or not lines:
        offer = f"scan_shape = [1, {count}] reads them" if count else "not one is whole"
    else:
        offer = f"scan_shape = [{lines}, {line}]"
        offer += f" reads the {lines} lines that are whole"
    if given is None:
        raise FormatError(
            f"data.file: {str(path)!r} is truncated: it holds {count} whole patterns of {math.prod(wanted)} {wanted}; "
            f"{offer}. Copy it again from its origin, or read what is there."
        )
    raise ConfigError(
        f"data.scan_shape: {wanted} means {math.prod(wanted)} patterns, but the file holds {count} as {found}; "
        f"{offer}. Correct scan_shape or leave it out."
    )


def _reading(patterns: StoredArray, count: int) -> Callable[..., np.ndarray]:
    """The patterns of a scan by their numbers; those beyond its last line do not belong to it."""

    def read(rows: Rows = slice(None)) -> np.ndarray:
        return read_rows(patterns, np.arange(count)[rows] if not isinstance(rows, slice) else _within(rows, count))

    return read


def _within(rows: slice, count: int) -> Rows:
    start, stop, step = rows.indices(count)
    return slice(start, stop) if step == 1 else np.arange(start, stop, step)


def _positions(contents: Contents, path: Path, options: Table) -> np.ndarray | None:
    if not options.get("positions"):
        return contents.positions
    positions = _whole(contents, options["positions"], path, "positions").astype(float)
    if positions.shape[-1] != 2 or not np.isfinite(positions).all():
        raise FormatError(
            f"data.positions: has shape {positions.shape}; expected (scan, 2) finite rows and columns. "
            "Transpose or repair the array."
        )
    return positions.reshape(-1, 2)


def _mask(contents: Contents, path: Path, options: Table) -> np.ndarray | None:
    """The file's own mask, one of its arrays, or one of another file."""
    name, other = options.get("mask"), options.get("mask_file")
    if other is not None:
        path = Path(other)
        try:
            contents = open_contents(path, {})
        except FormatError as error:
            raise FormatError(str(error).replace("data.file:", "data.mask_file:", 1)) from None
        flat = [one for one, array in contents.arrays.items() if len(array.shape) == 2]
        if name is None and len(flat) != 1:
            held = f"holds {', '.join(flat[:20])}" if flat else "holds no array of two axes"
            raise ConfigError(f"data.mask: missing; {str(path)!r} {held}. Name the array of the mask.")
        name = name or flat[0]
    if not name:
        return contents.mask
    mask = _whole(contents, name, path, "mask")
    if mask.dtype.kind not in "uifb":
        raise FormatError(f"data.mask: {name!r} of {str(path)!r} holds no real numbers. Name another array.")
    return mask.astype(float)


def _probe(contents: Contents, path: Path, options: Table, window: tuple[int, ...]) -> np.ndarray | None:
    if not options.get("probe"):
        return contents.probe
    probe = _whole(contents, options["probe"], path, "probe")
    probe = probe[None] if probe.ndim == 2 else probe
    if probe.ndim != 3 or probe.shape[-2:] != tuple(window):
        raise FormatError(f"data.probe: has shape {probe.shape}; expected (modes, {window[0]}, {window[1]}).")
    return probe


def _calibration(contents: Contents, options: Table) -> Calibration:
    """What the file states, then what the table says."""
    given = {name: options[name] for name in OVERRIDES if options.get(name) is not None}
    for name in ("step", "reciprocal_sampling"):
        if isinstance(given.get(name), int | float):
            given[name] = (given[name], given[name])
    if options.get("aberrations"):
        given["aberrations"] = tuple(options["aberrations"].items())
    if options.get("positions"):
        given["length_unit"] = options.get("positions_unit") or "A"
    calibration = dataclasses.replace(contents.calibration, **given)
    angular = options.get("angular_sampling")
    if angular is not None and options.get("reciprocal_sampling") is not None:
        raise ConfigError("data.angular_sampling: given together with reciprocal_sampling. Keep one of them.")
    if angular is not None and calibration.energy is None:
        raise ConfigError("data.energy: missing; angular_sampling needs it. Add it in eV to [data].")
    if angular is None and calibration.reciprocal_sampling is None:
        angular = contents.angular_sampling
    if angular is not None and calibration.energy is not None:
        pair = (angular, angular) if isinstance(angular, int | float) else angular
        wavelength = wavelength_of(calibration)
        reciprocal = (pair[0] * 1e-3 / wavelength, pair[1] * 1e-3 / wavelength)
        calibration = dataclasses.replace(calibration, reciprocal_sampling=reciprocal)
    return calibration
