"""EMPAD-G2 as it is read out: frames of 128 x 128 words of 32 bits, which the sensor's own calibration combines.

Bits 0 to 13 of a word are the analogue value a, bits 14 to 29 the counter n, bit 31 says that the low gain was used, g:

    v = a (1 - g) + g (c0 + c1 a + c2 a²) + d n - e

Frames are read out by two circuits in turn, A in even columns of the scan and B in odd ones, so each constant is a pair
of images. A calibration holds them as ``G1A G1B B2A B2B G2A G2B FFA FFB`` (c1 = G1, c0 = -G1 B2, d = G2) or as
``Ml alpha Md Oh Ot`` (c1, c2, d, c0, e) with ``FFA FFB``. Either pair may be one array of (128, 128, 2) or
(2, 128, 128). From v the mean of frames without beam is taken, then what is most frequent in the frame, by which it has
moved as a whole, and the rest is multiplied by FF. Of public calibrations one has the first form (Cryo Titan), one the
second (Andromeda).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from jptycho.data.readers.base import Index, StoredArray, guard
from jptycho.data.readers.files import read_head
from jptycho.data.readers.hdf5 import open_hdf5, stored_arrays
from jptycho.errors import ConfigError, FormatError
from jptycho.types import Float, Int, Shaped

WORDS = "EMPAD-G2"
"""Name of the format."""
SIDE = 128
FRAME = SIDE * SIDE * 4
LINEAR = ("G1", "B2", "G2", "FF")
QUADRATIC = ("Ml", "alpha", "Md", "Oh", "Ot", "FF")
OFFSETS = (-205.0, 215.0)  # between which a frame may have moved
BINS, AROUND = 42, 5  # of its histogram, and on either side of the peak that a parabola is fitted to
DARK_FRAMES = 256  # that are read at once
TINY = 1e-20
"""Words that are no floating-point numbers look like numbers far smaller than any count."""


@dataclasses.dataclass(frozen=True)
class Gains:
    """A sensor's calibration; each a pair of images (2, 128, 128), for even and odd columns of the scan.

    Attributes:
        constant: c0.
        linear: c1.
        quadratic: c2.
        counter: d.
        offset: e.
        flat: FF.
    """

    constant: Float[np.ndarray, "2 y x"]
    linear: Float[np.ndarray, "2 y x"]
    quadratic: Float[np.ndarray, "2 y x"]
    counter: Float[np.ndarray, "2 y x"]
    offset: Float[np.ndarray, "2 y x"]
    flat: Float[np.ndarray, "2 y x"]


def read_gains(path: Path) -> Gains:
    """A sensor's calibration from an HDF5 file.

    Args:
        path: of the file.

    Returns:
        the calibration.

    Raises:
        FormatError: missing, damaged, or without the images.
    """
    with open_hdf5(path, "data.gain_file") as file:
        arrays = stored_arrays(file, path)
        wanted = LINEAR if all(map(_held_by(arrays), LINEAR)) else QUADRATIC
        missing = [name for name in wanted if not _held_by(arrays)(name)]
        if missing:
            raise FormatError(
                f"data.gain_file: {str(path)!r} holds no {', '.join(missing)}; expected "
                f"{', '.join(name + side for name in LINEAR for side in 'AB')}, or {', '.join(QUADRATIC[:-1])}, FFA, "
                "FFB. Name the calibration of the sensor."
            )
        images = {name: _pair(arrays, name, path) for name in wanted}
    if wanted is LINEAR:
        gain, none = images["G1"], np.zeros_like(images["G1"])
        return Gains(-gain * images["B2"], gain, none, images["G2"], none, images["FF"])
    constant, linear, quadratic = images["Oh"], images["Ml"], images["alpha"]
    return Gains(constant, linear, quadratic, images["Md"], images["Ot"], images["FF"])


def _held_by(arrays: Mapping[str, StoredArray]) -> Callable[[str], bool]:
    """Whether a pair of images is there, as one array or as two."""
    return lambda name: name in arrays or {f"{name}A", f"{name}B"} <= arrays.keys()


def _pair(arrays: Mapping[str, StoredArray], name: str, path: Path) -> Float[np.ndarray, "2 y x"]:
    """The images of both circuits."""
    one = (SIDE, SIDE)
    together = name in arrays
    shapes = ((2, *one), (*one, 2)) if together else (one,)
    found = []
    for part in (name,) if together else (f"{name}A", f"{name}B"):
        if (
            arrays[part].shape not in shapes
            or arrays[part].complete is not None
            or arrays[part].dtype.kind not in "fiu"
        ):
            raise FormatError(
                f"data.gain_file: {part} of {str(path)!r} has shape {arrays[part].shape} and type "
                f"{arrays[part].dtype}; expected {' or '.join(map(str, shapes))} real numbers as a whole. Name the "
                "calibration of the sensor."
            )
        found.append(np.asarray(arrays[part].get(()), np.float32))
    if not together:
        return np.stack(found)
    return found[0] if found[0].shape[0] == 2 else np.moveaxis(found[0], -1, 0)


def combine(words: Shaped[np.ndarray, "n y x"], side: Int[np.ndarray, "n"], gains: Gains) -> Float[np.ndarray, "n y x"]:
    """v of the module's docstring.

    Args:
        words: as read out, without a sign.
        side: 0 for a frame of circuit A, 1 for one of B.
        gains: of the sensor.

    Returns:
        analogue units.

    Example:
        >>> one = np.ones((2, 1, 1), np.float32)
        >>> gains = Gains(5 * one, 7 * one, 0 * one, 100 * one, 0 * one, one)
        >>> words = np.array([3, 3 | 2 << 14, 3 | 1 << 31], np.uint32).reshape(3, 1, 1)
        >>> combine(words, np.zeros(3, int), gains).ravel().tolist()
        [3.0, 203.0, 26.0]
    """
    analogue, counter = (words & 0x3FFF).astype(np.float32), (words >> 14 & 0xFFFF).astype(np.float32)
    low = gains.constant[side] + analogue * (gains.linear[side] + analogue * gains.quadratic[side])
    return np.where(words >> 31 == 1, low, analogue) + gains.counter[side] * counter - gains.offset[side]


def frame_offset(frame: Float[np.ndarray, "y x"]) -> float:
    """The value that most pixels of a frame have: the top of a parabola through the peak of its histogram.

    Args:
        frame: without its background.

    Returns:
        analogue units; 0 where the peak lies at the edge of what is looked for.

    Example:
        >>> abs(frame_offset(np.random.default_rng(0).normal(33.0, 15.0, (128, 128))) - 33.0) < 2.0
        True
    """
    counts, edges = np.histogram(frame, BINS, OFFSETS)
    peak = int(np.argmax(counts))
    first, last = peak - AROUND, peak + AROUND + 1
    if first < 0 or last > BINS:
        return 0.0
    middles = 0.5 * (edges[first:last] + edges[first + 1 : last + 1])
    bend, slope, _ = np.polyfit(middles - middles[AROUND], counts[first:last], 2)
    top = -0.5 * slope / bend if bend < 0 else 0.0
    return float(middles[AROUND] + top) if abs(top) < middles[-1] - middles[AROUND] else 0.0


def read_dark(path: Path, gains: Gains) -> Float[np.ndarray, "2 y x"]:
    """The mean of frames without beam, in even and in odd columns.

    Args:
        path: of their file; its lines have an even number of frames.
        gains: of the sensor.

    Returns:
        analogue units.

    Raises:
        FormatError: missing, or fewer than two whole frames.
    """
    read_head(path, "data.dark_file")
    size = path.stat().st_size
    count = size // FRAME // 2 * 2
    if count < 2 or size % FRAME:
        raise FormatError(
            f"data.dark_file: {str(path)!r} has {size} bytes; expected an even number of frames of {FRAME}. "
            "Copy it again from its origin."
        )
    frames = np.memmap(path, "<u4", "r", 0, (count, SIDE, SIDE))
    total = np.zeros((2, SIDE, SIDE))
    for start in range(0, count, DARK_FRAMES):
        part = np.array(frames[start : start + DARK_FRAMES])
        values = combine(part, np.arange(len(part)) % 2, gains)
        total += np.stack([values[side::2].sum(axis=0, dtype=float) for side in (0, 1)])
    return (total / (count / 2)).astype(np.float32)


def open_words(path: Path, shape: tuple[int, int] | None, gain_file: str, dark_file: str | None) -> StoredArray:
    """Frames as read out, combined when they are read.

    Args:
        path: of the frames.
        shape: slow and fast steps; None where neither the table nor a name tells.
        gain_file: calibration of the sensor.
        dark_file: frames without beam.

    Returns:
        the array (slow, fast, 128, 128) in analogue units; ``complete`` says how many are there if the file ends early.

    Raises:
        ConfigError: no shape, or no frames without beam.
        FormatError: another file is missing or damaged.
    """
    count = path.stat().st_size // FRAME
    side = math.isqrt(count)
    shape = (side, side) if shape is None and side * side == count and count else shape
    if shape is None:
        raise ConfigError(f"data.scan_shape: missing; {str(path)!r} holds {count} frames. Add scan_shape.")
    if dark_file is None:
        raise ConfigError(
            "data.dark_file: missing; the words of an EMPAD-G2 stand on a pedestal. Name frames without beam."
        )
    gains = read_gains(Path(gain_file))
    dark = read_dark(Path(dark_file), gains)
    whole = (*shape, SIDE, SIDE)

    def get(index: Index) -> Shaped[np.ndarray, "..."]:
        lines = min(shape[0], path.stat().st_size // (FRAME * shape[1]))
        stored = np.memmap(path, "<u4", "r", 0, (lines, *whole[1:]))
        columns = np.arange(shape[1])[index[1] if len(index) > 1 else slice(None)]
        words = np.array(stored[index[:2]])
        even = np.broadcast_to(columns % 2, words.shape[:2]).ravel()
        flat = combine(words.reshape(-1, SIDE, SIDE), even, gains) - dark[even]
        moved = np.array([frame_offset(frame) for frame in flat], np.float32)
        values = ((flat - moved[:, None, None]) * gains.flat[even]).reshape(words.shape)
        return values[(slice(None), slice(None), *index[2:])]

    complete = None if count >= math.prod(shape) else count // shape[1] * shape[1]
    return guard(StoredArray(whole, np.dtype(np.float32), get, complete), path, "patterns")


def look_like_words(path: Path) -> bool:
    """Whether frames of floating-point numbers would hold nothing but numbers too small for counts.

    Args:
        path: of the file.

    Returns:
        whether its first frame does.
    """
    first = np.fromfile(path, "<f4", SIDE * SIDE)
    sizes = np.abs(first[first != 0])
    return bool(sizes.size > first.size // 2 and np.median(sizes) < TINY)
