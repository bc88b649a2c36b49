"""A scan before a run: what its counts are, what its calibration means, what a run will take, and what is wrong."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from jptycho.data.dataset import Calibration, Dataset4D
from jptycho.diagnostics.cost import Cost, estimate_cost
from jptycho.diagnostics.detector_pixels import bad_pixels, disk_of, neighbour_correlation
from jptycho.diagnostics.sampled import CountStatistics, count_statistics, middle_of, read_patch
from jptycho.errors import ConfigError
from jptycho.preprocess.calibrate import check_calibration, check_mask
from jptycho.preprocess.detector_gain import UNCERTAIN, unit_of, whole_electrons
from jptycho.preprocess.memory import RunShape
from jptycho.preprocess.network_memory import NetworkShape
from jptycho.preprocess.preflight import Geometry, check_before, geometry_of, improbable, missing_keys
from jptycho.types import Int, Shaped

FAR = 4  # pixels, between which no electron's charge spreads


@dataclasses.dataclass(frozen=True)
class Electrons:
    """What an electron leaves, and how many there are.

    Attributes:
        counts_per_electron: taken for the numbers below.
        source: of that: given, seen (all counts are its multiples), estimated from their variance, or unclear.
        gain: slope of variance against mean over detector pixels, in counts; None where it cannot be told.
        gain_error: its standard error.
        read_noise: standard deviation of the darkest pixels in counts; None likewise.
        correlation: of the noise of neighbouring detector pixels; None likewise.
        far_correlation: of pixels four apart, which is the specimen's and not an electron's; None likewise.
        undivided: why electrons cannot be divided into half sets; empty where they can.
        per_pattern: electrons of an average pattern.
        per_pixel: of its detector pixels.
        dose: electrons a square Å; None where the step is not known.
    """

    counts_per_electron: float
    source: str
    gain: float | None
    gain_error: float | None
    read_noise: float | None
    correlation: float | None
    far_correlation: float | None
    undivided: str
    per_pattern: float
    per_pixel: float
    dose: float | None


@dataclasses.dataclass(frozen=True)
class Inspection:
    """All that can be said of a scan before a run.

    Attributes:
        source: where it came from.
        shape: of the patterns (..., ky, kx).
        dtype: of the stored counts.
        calibration: what is known of the microscope.
        missing: keys of ``[data]`` that a run needs.
        counts: statistics of a sample.
        electrons: what an electron leaves and how many there are; None where there are no counts.
        dead: row and column of detector pixels that see nothing.
        hot: row and column of those that are far too bright.
        disk_centre: of the bright disk (y, x) from the detector's middle, pixels.
        disk_radius: pixels.
        geometry: lengths; None where the calibration does not say enough.
        cost: memory and time; None where the object's size is not known.
        refusal: why a run would refuse the scan; empty where it would not.
        improbable: what can be, but rarely is.
        part: of the stored detector, as :class:`~jptycho.data.dataset.Dataset4D` states it.
    """

    source: str
    shape: tuple[int, ...]
    dtype: np.dtype
    calibration: Calibration
    missing: tuple[str, ...]
    counts: CountStatistics
    electrons: Electrons | None
    dead: Int[np.ndarray, "dead 2"]
    hot: Int[np.ndarray, "hot 2"]
    disk_centre: tuple[float, float]
    disk_radius: float
    geometry: Geometry | None
    cost: Cost | None
    refusal: str
    improbable: tuple[str, ...]
    part: tuple[int, int, int]


def inspect_dataset(
    dataset: Dataset4D, run: RunShape | None = None, networks: NetworkShape | None = None
) -> Inspection:
    """Look at a scan: its counts by a sample, its calibration, and what a run would take.

    Args:
        dataset: the scan; at most some hundred megabytes of it are read, a part at a time.
        run: settings of the run; one slice and one mode by default.
        networks: settings of a run of networks; by default the usual ones.

    Returns:
        what was found.

    Example:
        >>> from jptycho.simulate.scan import simulate_gold
        >>> found = inspect_dataset(simulate_gold(scan_shape=(8, 8), detector=(32, 32)))
        >>> found.missing, found.electrons.source, found.electrons.counts_per_electron
        ((), 'seen', 1.0)
    """
    run = RunShape() if run is None else run
    counts = count_statistics(dataset)
    missing = missing_keys(dataset)
    refusal = _refusal(dataset, missing, counts)
    geometry = geometry_of(dataset) if _energy_is_known(dataset) else None
    electrons = _electrons(dataset, counts, geometry) if counts.totals.sum() > 0 else None
    unit = electrons.counts_per_electron if electrons else 1.0
    divided = electrons is not None and not electrons.undivided
    run = dataclasses.replace(run, half_sets=divided if run.half_sets is None else run.half_sets)
    centre, radius = disk_of(counts.disk)
    seen = counts.mean_pattern if dataset.mask is None else counts.mean_pattern * (dataset.mask > 0)
    dead, hot = bad_pixels(seen, len(counts.rows), unit)
    return Inspection(
        source=dataset.source,
        shape=dataset.shape,
        dtype=dataset.dtype,
        calibration=dataset.calibration,
        missing=missing,
        counts=counts,
        electrons=electrons,
        dead=_unmasked(dead, dataset.mask),
        hot=_unmasked(hot, dataset.mask),
        disk_centre=centre,
        disk_radius=radius,
        geometry=geometry,
        cost=None
        if refusal or geometry is None
        else estimate_cost(_as_kept(dataset, counts, unit), geometry.canvas, run, networks),
        refusal=refusal,
        improbable=() if refusal or missing else improbable(dataset),
        part=dataset.part,
    )


def _as_kept(dataset: Dataset4D, counts: CountStatistics, unit: float) -> Dataset4D:
    """The scan with its counts of the type in which a run keeps them: whole electrons in as few bytes as they need."""
    if dataset.dtype.kind not in "ui":
        return dataset
    least = np.min_scalar_type(int(max(2.0 * counts.largest / unit, 1.0)))
    return dataclasses.replace(dataset, dtype=least) if least.itemsize < dataset.dtype.itemsize else dataset


def _energy_is_known(dataset: Dataset4D) -> bool:
    energy = dataset.calibration.energy
    return energy is not None and energy > 0


def _unmasked(places: Int[np.ndarray, "n 2"], mask: Shaped[np.ndarray, "ky kx"] | None) -> Int[np.ndarray, "m 2"]:
    """Pixels that a mask does not leave out already."""
    return places if mask is None else places[mask[tuple(places.T)] > 0]


def _refusal(dataset: Dataset4D, missing: tuple[str, ...], counts: CountStatistics) -> str:
    """The first thing that a run would refuse, missing keys left out."""
    try:
        if not missing:
            check_calibration(dataset)
            check_mask(dataset)
            check_before(dataset, in_memory=False)
    except ConfigError as error:
        return str(error)
    if counts.not_finite:
        return (
            f"counts: {dataset.source} holds values that are not finite ({counts.not_finite} in the sample). "
            "Repair the file, or name a mask that is zero for them."
        )
    if counts.negative and not dataset.calibration.read_noise:
        return (
            f"counts: {dataset.source} holds negative values ({counts.negative} in the sample, down to "
            f"{counts.smallest:g}). If the read-out adds noise, give data.read_noise in electrons; else clip at zero."
        )
    if not counts.totals.sum() > 0:
        return f"counts: {dataset.source} holds zeros only in the sample; expected electrons. Check data.counts."
    return ""


def _electrons(dataset: Dataset4D, counts: CountStatistics, geometry: Geometry | None) -> Electrons:
    """From neighbouring patterns in the middle of the scan, and the sample's mean."""
    patch, calibration = np.nan_to_num(read_patch(dataset), posinf=0.0, neginf=0.0), dataset.calibration
    mask = None if dataset.mask is None else dataset.mask[middle_of(dataset.mask.shape)]
    live = patch if mask is None else np.where(mask > 0, patch, np.zeros((), patch.dtype))
    if not live.any():
        return _without_noise(dataset, counts, geometry)
    unit = unit_of(live, calibration.counts_per_electron, mask)
    flat = live.reshape(-1, *live.shape[-2:])
    _, undivided = whole_electrons(flat, unit, calibration.read_noise)
    noise = unit.noise
    return dataclasses.replace(
        _without_noise(dataset, counts, geometry, unit.value),
        source=unit.source,
        gain=None if noise is None else noise.gain,
        gain_error=None if noise is None or not math.isfinite(noise.error) else noise.error,
        read_noise=None if noise is None else noise.read_noise,
        correlation=neighbour_correlation(live),
        far_correlation=neighbour_correlation(live, FAR),
        undivided=undivided,
    )


def _without_noise(
    dataset: Dataset4D, counts: CountStatistics, geometry: Geometry | None, unit: float | None = None
) -> Electrons:
    """Numbers of electrons by what one of them leaves; by default what is given, or one count."""
    unit = dataset.calibration.counts_per_electron or 1.0 if unit is None else unit
    seen = 1.0 if dataset.mask is None else dataset.mask > 0
    electrons = float((counts.mean_pattern * seen).sum()) / unit
    area = None if geometry is None else _area(dataset, geometry)
    return Electrons(
        counts_per_electron=unit,
        source="unclear",
        gain=None,
        gain_error=None,
        read_noise=None,
        correlation=None,
        far_correlation=None,
        undivided=UNCERTAIN["unclear"],
        per_pattern=electrons,
        per_pixel=electrons / math.prod(dataset.shape[-2:]),
        dose=electrons / area if area else None,
    )


def _area(dataset: Dataset4D, geometry: Geometry) -> float:
    """Square Å that a position has for itself; of a line scan the width of the probe times the step."""
    steps = dataset.calibration.step
    if dataset.positions is not None or steps is None:
        return geometry.step**2
    sides = zip(steps, dataset.shape[:-2], strict=False)
    return math.prod(step if count > 1 else geometry.probe_diameter for step, count in sides)
