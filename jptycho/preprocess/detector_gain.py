"""What one electron leaves on the detector: stated, seen in the counts, or estimated from their variance."""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np

from jptycho.errors import ConfigError
from jptycho.preprocess.shot_noise import ShotNoise, measure_shot_noise, single_count
from jptycho.types import Shaped

SAMPLE = 64  # patterns that are looked at
ROUNDING = 2e-3  # of a unit, by which stored multiples of it may differ
SINGLE = 1e-6  # relative rounding of single precision, with room
WHOLE = 0.12  # electrons, root mean square, by which counts may differ from whole electrons and still be rounded
LARGEST_GAIN = 2.0  # units of noise an electron, above which a unit is no electron
LARGEST_READ_NOISE = 0.15  # electrons: with more, rounding makes a mistake in one pixel of a thousand
CERTAIN = 2.0  # standard errors
CONTRADICTION = 3.0  # times too large or small
UNCERTAIN = {
    "estimated": "the counts' variance shows that an electron leaves about {:.3g} counts, and data.counts_per_electron "
    "does not say it",
    "unclear": "it cannot be told whether counts are electrons",
}
"""Why counts are not made whole electrons, by the source of their unit."""


@dataclasses.dataclass(frozen=True)
class CountUnit:
    """Counts that one electron leaves.

    Attributes:
        value: counts per electron.
        source: ``"given"`` by the user or file; ``"seen"``, all counts being its multiples and varying as electrons
            do; ``"estimated"`` from their variance; ``"unclear"``, all counts being its multiples but varying more than
            electrons do, where that may be noise or the dark level.
        noise: what variance against mean shows; None where that cannot be told.
    """

    value: float
    source: Literal["given", "seen", "estimated", "unclear"]
    noise: ShotNoise | None = dataclasses.field(default=None, repr=False, compare=False)


def common_unit(counts: Shaped[np.ndarray, "*scan ky kx"]) -> float:
    """The largest number of which a sample of counts may all be multiples.

    Of whole numbers their greatest common divisor; else the smallest count, or the smallest step between counts.

    Args:
        counts: of the scan.

    Returns:
        the unit; 1 for electrons as a counting detector stores them.

    Example:
        >>> common_unit(np.array([[[0.0, 0.4], [0.2, 0.6]]])), common_unit(np.array([[[27, 30, 33]]]))
        (0.2, 3.0)
    """
    values = np.unique(_sample(counts))
    values = np.abs(values[values != 0])
    if (values == np.round(values)).all() and values.max() < 2**53:
        return float(np.gcd.reduce(values.astype(np.int64)))
    smallest, steps = values.min(), np.diff(values)
    step = steps[steps > ROUNDING * smallest].min(initial=np.inf)
    return float(smallest if step > (1 - ROUNDING) * smallest else step)


def are_multiples(counts: Shaped[np.ndarray, "*scan ky kx"], unit: float) -> bool:
    """Whether counts are whole multiples of a unit.

    Args:
        counts: of the scan.
        unit: of them.

    Returns:
        whether, in a sample, nearly all that are not zero are.

    Example:
        >>> are_multiples(np.array([[[0.0, 0.4, 0.6]]]), 0.2), are_multiples(np.array([[[0.2, 0.5, 0.31]]]), 0.2)
        (True, False)
    """
    sample = _sample(counts)
    multiples = np.abs(sample[sample != 0]).astype(np.float64) / unit
    return bool(
        np.mean(np.abs(multiples - np.round(multiples)) < np.minimum(ROUNDING + SINGLE * multiples, 0.1)) > 0.999
    )


def estimate_gain(counts: Shaped[np.ndarray, "*scan ky kx"]) -> float:
    """Counts per electron from shot noise, see :func:`jptycho.preprocess.shot_noise.measure_shot_noise`.

    Args:
        counts: in scan order, (slow, fast, ky, kx) or (scan, ky, kx).

    Returns:
        the gain; 0 where there is no noise, 1 where too few patterns show any.

    Example:
        >>> shot = np.random.default_rng(0).poisson(4.0, (400, 8, 8)) * 3.0
        >>> 2.7 < estimate_gain(shot) < 3.3
        True
    """
    noise = measure_shot_noise(counts)
    return 1.0 if noise is None else noise.gain


def unit_of(
    counts: Shaped[np.ndarray, "*scan ky kx"],
    given: float | None,
    mask: Shaped[np.ndarray, "ky kx"] | None = None,
) -> CountUnit:
    """Counts per electron: as given, else as the counts show, else from their variance.

    Counts are taken for electrons where all are multiples of one number and vary as electrons do. Those of an
    integrating detector are whole numbers too, but vary by more than their unit, and so do those that stand alone.

    Args:
        counts: of the scan, (slow, fast, ky, kx) or (scan, ky, kx), in its order.
        given: by the user or the file; None where unknown.
        mask: zero for pixels to leave out.

    Returns:
        the unit and where it comes from.

    Example:
        >>> unit_of(np.array([[[0, 2], [4, 6]]]), None)
        CountUnit(value=2.0, source='seen')
    """
    noise = measure_shot_noise(counts, mask)
    if given is not None:
        return CountUnit(given, "given", noise)
    unit, single = common_unit(counts), single_count(counts, mask)
    if are_multiples(counts, unit):
        electrons = _are_electrons(noise, single, LARGEST_GAIN * unit)
        if electrons is None or electrons:
            return CountUnit(unit, "seen" if electrons else "unclear", noise)
    if noise is None:
        return CountUnit(1.0 if single is None else single, "estimated")
    return CountUnit(max(noise.gain, 1e-12), "estimated", noise)


def _are_electrons(noise: ShotNoise | None, single: float | None, most: float) -> bool | None:
    """Whether an electron leaves no more than so many counts; None where nothing tells, but much varies more."""
    if noise is None:
        return single is None or single <= most
    if _exceeds(noise, most):
        return False
    if single is not None:
        return single <= most or noise.gain + CERTAIN * noise.error < most
    above = noise.gain > most if np.isinf(noise.error) else _seems_above(noise, most)
    return None if above and np.isnan(noise.least) else True


def _seems_above(noise: ShotNoise, gain: float) -> bool:
    """Whether the fit of variance against mean alone says that an electron leaves more than so many counts."""
    return noise.gain - CERTAIN * noise.error > gain


def _exceeds(noise: ShotNoise | None, gain: float) -> bool:
    """Whether an electron certainly leaves more than so many counts, by all that variance against mean shows."""
    return noise is not None and _seems_above(noise, gain) and noise.least > gain


def check_unit(counts: Shaped[np.ndarray, "scan ky kx"], unit: CountUnit, read_noise: float) -> None:
    """Refuse a gain or a read-out noise that the counts contradict.

    Args:
        counts: of the scan.
        unit: of them.
        read_noise: stated, electrons.

    Raises:
        ConfigError: both numbers, where they differ by a factor of three or more and that is certain.
    """
    noise = unit.noise
    if unit.source != "given" or noise is None or noise.patterns_change > 0.5:
        return
    # Pixels that are all equally bright leave the dark level open, unless some counts are zero.
    if CERTAIN * noise.error > noise.gain and not (np.isinf(noise.error) and counts.min() <= 0):
        return
    # Too little noise is no contradiction in a simulation's expectation: only that of electrons of another unit is.
    common = common_unit(counts)
    alike = are_multiples(counts, common) and 0.5 < noise.gain / common < LARGEST_GAIN
    if _exceeds(noise, CONTRADICTION * unit.value) or (alike and noise.gain * CONTRADICTION < unit.value):
        raise ConfigError(
            f"data.counts_per_electron: {unit.value:g}, but the counts vary as if an electron left about "
            f"{noise.gain:.3g}. Correct it, or leave it out."
        )
    if read_noise * unit.value > CONTRADICTION * max(noise.read_noise, unit.value / np.sqrt(12)):
        raise ConfigError(
            f"data.read_noise: {read_noise:g} electrons, but the darkest pixels vary by "
            f"{noise.read_noise / unit.value:.2g}. Correct it, or counts_per_electron."
        )


def whole_electrons(
    counts: Shaped[np.ndarray, "scan ky kx"], unit: CountUnit, read_noise: float = 0.0
) -> tuple[Shaped[np.ndarray, "scan ky kx"], str]:
    """Each count as the number of electrons that left it, where that is certain.

    A detector of gain g and read-out noise s ≪ g / 2 counts electrons as well as one that stores their number.

    Args:
        counts: of the scan.
        unit: of them.
        read_noise: stated, electrons.

    Returns:
        electrons in the smallest unsigned type that holds them, and nothing; or the counts as they are, and why.

    Example:
        >>> whole_electrons(np.array([[[0, 41, 79]]]), CountUnit(40.0, "given"))[0].tolist()
        [[[0, 1, 2]]]
    """
    if unit.source in UNCERTAIN:
        return counts, UNCERTAIN[unit.source].format(unit.value)
    if read_noise > LARGEST_READ_NOISE:
        return counts, f"read-out noise of {read_noise:g} electrons is part of them"
    if not _nearly_whole(counts, unit.value):
        return counts, f"counts are no multiples of {unit.value:.3g}, what an electron leaves ({unit.source})"
    if counts.min() < -0.5 * unit.value:
        return counts, "read-out noise made some counts negative"
    if unit.value == 1 and counts.dtype.kind == "u":
        return counts, ""
    kind = np.min_scalar_type(int(np.round(counts.max() / unit.value)))
    electrons = np.empty(counts.shape, kind)
    for first in range(0, len(counts), SAMPLE):  # a copy of all in double precision would not fit everywhere
        part = np.round(counts[first : first + SAMPLE] / unit.value)
        electrons[first : first + SAMPLE] = np.maximum(part, 0)
    return electrons, ""


def _nearly_whole(counts: Shaped[np.ndarray, "scan ky kx"], unit: float) -> bool:
    """Whether rounding to whole electrons makes next to no mistake: not above noise, not where there are many."""
    if are_multiples(counts, unit):
        return True
    multiples = _sample(counts).astype(np.float64) / unit
    rest = multiples - np.round(multiples)
    occupied = np.round(multiples) != 0
    return bool(occupied.any() and max(np.std(rest), np.sqrt(np.mean(rest[occupied] ** 2))) < WHOLE)


def _sample(counts: Shaped[np.ndarray, "*scan ky kx"]) -> Shaped[np.ndarray, "some ky kx"]:
    flat = counts.reshape(-1, *counts.shape[-2:])
    sample = np.asarray(flat[:: max(1, len(flat) // SAMPLE)])
    return sample if (sample > 0).any() else np.asarray(flat)
