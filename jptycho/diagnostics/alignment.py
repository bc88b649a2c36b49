"""Two results of the same specimen on the same pixels and in the same gauge."""

from __future__ import annotations

import dataclasses

import numpy as np

from jptycho.data.results import Result
from jptycho.diagnostics.gauge import same_gauge
from jptycho.diagnostics.resolution import RingCorrelation, fourier_ring_correlation, resolution_at
from jptycho.diagnostics.similarity import correlation
from jptycho.diagnostics.truth import resample
from jptycho.errors import ConfigError
from jptycho.types import Float

LEAST_SIDE = 16  # pixels along each axis that both results must share
MOST_SHIFT = 8.0  # pixels


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Two results, compared where both fields of view lie.

    Attributes:
        first: projected phase in rad, in the second's gauge (a constant and a ramp added).
        second: the other, resampled on the first one's pixels and moved.
        sampling: units a pixel along (y, x).
        unit: ``"Å"`` or ``"px"``.
        shift: units by which the second was moved along (y, x).
        correlation: Pearson's.
        difference: root mean square in rad.
        contrast: factor by which the second must be multiplied to fit the first best.
        rings: Fourier ring correlation.
        half: where that falls below 1/2, in the inverse unit: the limit against a truth.
        seventh: where it falls below 1/7: the limit between results of independent data.
    """

    first: Float[np.ndarray, "y x"]
    second: Float[np.ndarray, "y x"]
    sampling: tuple[float, float]
    unit: str
    shift: tuple[float, float]
    correlation: float
    difference: float
    contrast: float
    rings: RingCorrelation
    half: float
    seventh: float


def compare_results(first: Result, second: Result, max_shift: float = MOST_SHIFT) -> Comparison:
    """Align two results of the same specimen and say how alike they are.

    The second is read on the first one's pixels by its Fourier series and moved by a sub-pixel shift; a constant and a
    ramp, which no data determine, are taken from the first.

    Args:
        first: result, on whose pixels both are compared.
        second: result; its pixels may be of another size.
        max_shift: pixels of the first, by which the second may be moved.

    Returns:
        both images and their likeness.

    Raises:
        ConfigError: lengths of different units, or fields of view that do not overlap.
    """
    units = [str(one.attributes["length_unit"]) for one in (first, second)]
    if units[0] != units[1]:
        raise ConfigError(f"compare: the results' lengths are in {units[0]} and {units[1]}; expected the same unit.")
    sampling = _pair(first.attributes["sampling"])
    rows, columns = _common(first, second)
    image = _projected(first)[rows, columns]
    places = [np.arange(part.start, part.stop) for part in (rows, columns)]
    origin = _pair(first.attributes["origin"])
    along_y, along_x = (o + s * n for o, s, n in zip(origin, sampling, places, strict=True))
    other, (sy, sx) = _projected(second), _pair(second.attributes["sampling"])
    oy, ox = _pair(second.attributes["origin"])

    def moved(shift: Float[np.ndarray, "2"]) -> Float[np.ndarray, "y x"]:
        place = (oy + float(shift[0]) * sampling[0], ox + float(shift[1]) * sampling[1])
        return resample(other, (sy, sx), place, along_y, along_x)

    aligned, reference, shift = same_gauge(image, moved, max_shift)
    rings = fourier_ring_correlation(aligned, reference, sampling)
    centred = reference - reference.mean()
    return Comparison(
        first=aligned,
        second=reference,
        sampling=sampling,
        unit=units[0],
        shift=(float(shift[0]) * sampling[0], float(shift[1]) * sampling[1]),
        correlation=correlation(aligned, reference),
        difference=float(np.std(aligned - reference)),
        contrast=float(np.sum(aligned * centred) / max(float(np.sum(centred**2)), 1e-300)),
        rings=rings,
        half=resolution_at(rings, 1 / 2),
        seventh=resolution_at(rings, 1 / 7),
    )


def _pair(values: object) -> tuple[float, float]:
    along_y, along_x = np.asarray(values, float)
    return float(along_y), float(along_x)


def _projected(result: Result) -> Float[np.ndarray, "Y X"]:
    """Phase summed over slices, on the whole canvas."""
    return np.asarray(result.phase, np.float64).sum(axis=0)


def _common(first: Result, second: Result) -> tuple[slice, slice]:
    """Rows and columns of the first that both fields of view span."""
    found = []
    for axis in range(2):
        low, high = first.field_of_view[2 * axis : 2 * axis + 2]
        edges = second.field_of_view[2 * axis : 2 * axis + 2]
        (own, step), (there, other) = (
            (_pair(one.attributes["origin"])[axis], _pair(one.attributes["sampling"])[axis]) for one in (first, second)
        )
        begin = (there + other * edges[0] - own) / step
        end = (there + other * (edges[1] - 1) - own) / step
        part = slice(max(low, int(np.ceil(begin - 1e-6))), min(high, int(np.floor(end + 1e-6)) + 1))
        if part.stop - part.start < LEAST_SIDE:
            raise ConfigError(
                f"compare: the fields of view share {max(0, part.stop - part.start)} pixels along {'yx'[axis]}; "
                f"expected at least {LEAST_SIDE}. Name results of the same scan."
            )
        found.append(part)
    return found[0], found[1]
