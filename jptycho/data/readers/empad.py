"""EMPAD: frames of 128 x 128 float32, with or without two rows of housekeeping after each, and an XML file beside.

The XML states the scan's shape, the voltage and the angle of a detector pixel. Its field of view is that of the whole
scan field, not of the part that was scanned, so no step follows from it. Later detectors of the family (EMPAD-G2) write
words that need the sensor's calibration, ``gain_file``, and frames without beam, ``dark_file``; once processed to
float32 frames they are read as any.
"""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from jptycho.data.dataset import Calibration
from jptycho.data.readers.base import Contents, StoredArray, guard, in_file, naming_errors
from jptycho.data.readers.empad_g2 import WORDS, look_like_words, open_words
from jptycho.data.readers.files import is_readable, read_head
from jptycho.errors import ConfigError, FormatError
from jptycho.settings import Table

NAME = "EMPAD"
SIDE, ROWS = 128, 130
FRAME = SIDE * SIDE * 4
WITH_ROWS = ROWS * SIDE * 4
MOST_XML = 2**24


def open_raw(path: Path, options: Table) -> Contents:
    """Open the frames themselves; their number comes from ``scan_shape`` or from a name such as ``scan_x64_y32.raw``.

    Args:
        path: of the .raw file.
        options: of the ``[data]`` table.

    Returns:
        what is in it.

    Raises:
        FormatError: no whole number of frames.
        ConfigError: the size alone does not tell whether there are housekeeping rows.
    """
    read_head(path)
    named = re.search(r"x(\d{1,6})_y(\d{1,6})", path.stem)
    shape = options.get("scan_shape") or ((int(named[2]), int(named[1])) if named else None)
    shape = None if shape is None else (int(shape[0]), int(shape[1]))
    return Contents(*_patterns(path, shape, options), "patterns", scan_shape=shape)


def _patterns(path: Path, shape: tuple[int, int] | None, options: Table) -> tuple[str, dict[str, StoredArray]]:
    """Name of the format and its array: words to be combined where a calibration is given, else numbers."""
    gains, dark = options.get("gain_file"), options.get("dark_file")
    if gains is not None:
        return WORDS, {"patterns": open_words(path, shape, gains, dark)}
    if dark is not None:
        raise ConfigError("data.dark_file: has no effect without gain_file, the sensor's calibration. Add it.")
    if look_like_words(path):
        raise ConfigError(
            f"data.gain_file: missing; {str(path)!r} holds words as an EMPAD-G2 reads them out. Add the sensor's "
            "calibration and dark_file, frames without beam, or process it to float32 frames first."
        )
    return NAME, {"patterns": _frames(path, shape)}


def _frames(path: Path, shape: tuple[int, int] | None) -> StoredArray:
    """As many whole frames as there are; a shape tells which kind they are."""
    size = path.stat().st_size
    fits = [bytes_each for bytes_each in (WITH_ROWS, FRAME) if size % bytes_each == 0]
    if shape is not None:
        exact = [each for each in fits if size // each == shape[0] * shape[1]]
        each = (exact or fits or [WITH_ROWS])[0]
    elif len(fits) == 1:
        each = fits[0]
    elif fits:
        raise ConfigError(
            f"data.scan_shape: missing; {str(path)!r} may be {size // WITH_ROWS} EMPAD frames with two further rows or "
            f"{size // FRAME} without. Add scan_shape."
        )
    else:
        raise FormatError(
            f"data.file: {str(path)!r} has {size} bytes, no multiple of {WITH_ROWS} or {FRAME}: no whole number of "
            "EMPAD frames. Add scan_shape to read those that are whole, or give shape, dtype and offset."
        )
    rows = ROWS if each == WITH_ROWS else SIDE
    frame = np.dtype([("data", "<f4", (SIDE, SIDE)), ("rows", "<f4", (rows - SIDE, SIDE))])
    return guard(in_file(path, frame, (size // each,)), path, "patterns")


def open_xml(path: Path, options: Table) -> Contents:
    """Open the frames that an XML file describes.

    Args:
        path: of the .xml file.
        options: of the ``[data]`` table.

    Returns:
        what is in it.

    Raises:
        FormatError: no EMPAD file, or the frames are not beside it.
    """
    expected = "the XML file of an EMPAD scan"
    with naming_errors(path, expected):
        if path.stat().st_size > MOST_XML:
            raise ValueError("larger than any")
        root = ElementTree.parse(path).getroot()
        named = root.find("raw_file")
        if named is None:
            raise ValueError("it names no raw_file")
        raw = _beside(path, named.get("filename", ""))
        shape = _scan_shape(root, raw.name)
        voltage = _number(root, ".//source.get_voltage")
        angle = _number(root, ".//calibrated_diffraction_angle")
    given = options.get("scan_shape")
    shape = shape if given is None else (int(given[0]), int(given[1]))
    mrad = None if angle is None else angle * 1e3
    return Contents(
        *_patterns(raw, shape, options),
        "patterns",
        Calibration(energy=voltage),
        None if mrad is None else (mrad, mrad),
        shape,
    )


def _beside(path: Path, name: str) -> Path:
    """The frames' file, in the folder of the XML whatever path was written into it; it may have been given a prefix."""
    name = re.split(r"[/\\]", name)[-1]
    if name and is_readable(path.with_name(name)):
        return path.with_name(name)
    found = [one for one in path.parent.iterdir() if name and one.name.endswith(name) and is_readable(one)]
    if len(found) != 1:
        raise FormatError(
            f"data.file: {str(path)!r} names the frames' file {name!r}, which is not beside it. Put it there, or name "
            "the .raw file itself."
        )
    return found[0]


def _scan_shape(root: ElementTree.Element, raw: str) -> tuple[int, int] | None:
    """Slow and fast steps, by the XML's own words or by the name of the frames' file."""
    x, y = _number(root, "pix_x"), _number(root, "pix_y")
    if x is not None and y is not None:
        return int(y), int(x)
    named = re.search(r"x(\d{1,6})_y(\d{1,6})", raw)
    return (int(named[2]), int(named[1])) if named else None


def _number(root: ElementTree.Element, place: str) -> float | None:
    """A positive number of the file, or None where it has none there."""
    try:
        value = float((root.findtext(place) or "").strip())
    except ValueError:
        return None
    return value if 0 < value < float("inf") else None
