"""Everything that a scan says about how it was recorded, with errors, and what it cannot say."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from jptycho.data.counts import load_counts, part_of
from jptycho.data.dataset import Calibration, Dataset4D, wavelength_of
from jptycho.errors import ConfigError
from jptycho.preprocess.aberration_fit import (
    AberrationFit,
    refine_aberrations,
    refine_near,
)
from jptycho.preprocess.aberration_search import EvidenceMap, best_of_map, map_evidence
from jptycho.preprocess.bad_pixels import find_bad_pixels
from jptycho.preprocess.calibrate import check_energy
from jptycho.preprocess.disk import Disk, fit_disk
from jptycho.preprocess.interference import (
    lowest_frequency,
    repetition,
    scan_frequencies,
    spiral_frequencies,
)
from jptycho.preprocess.lattice import scan_step_scale
from jptycho.preprocess.orientation import CentreOrientation, orient_centres
from jptycho.preprocess.scan_part import Part
from jptycho.preprocess.twins import choose_twin
from jptycho.scan import raster_positions
from jptycho.types import Float, Shaped

PATTERNS = 4096  # that are looked at: about the middle of the scan, and evenly over it for the mean pattern
LEAST_ROWS = 4  # of a scan, below which nothing tells how it lies
SURE = 3.0  # standard errors, above which something is taken for decided
CENTRES = 0.7  # of the aperture's radius, up to which centres of mass are looked at
CONTRAST = 6.0  # the same for there being anything to see
COARSE, FINE = (9.0, 220, 0.6), (14.0, 400, 0.8)
"""Bins in the disk's radius, spatial frequencies, and the highest of them in radii of the aperture."""


@dataclasses.dataclass(frozen=True)
class ScanCalibration:
    """What a scan says of itself. Errors are standard errors.

    Attributes:
        disk: the bright disk, in detector pixels.
        semiangle_cutoff: mrad, and its error.
        reciprocal_sampling: Å⁻¹ a detector pixel along (y, x), as given or from a given semiangle.
        mask: zero for hot and dead pixels (ky, kx), zero frequency in the centre.
        fit: orientation and aberrations, those of two twins whose phase is positive at atoms; None where nothing tells.
        handed: standard errors by which the scan's axes are not swapped (or are) against the detector's.
        positive: standard errors by which the phase is positive; its twin fits the patterns as well.
        centres: what centres of mass say of the orientation; None where there is none.
        undecided: what cannot be told, in words.
        mean_pattern: (ky, kx) of the patterns that were looked at, zero frequency in the centre; None if not kept.
        searched: evidence against rotation and defocus; None where nothing was searched.
        step_scale: factor of the nominal steps by a known lattice, and its error; None where none is given.
    """

    disk: Disk
    semiangle_cutoff: tuple[float, float]
    reciprocal_sampling: tuple[float, float]
    mask: Float[np.ndarray, "ky kx"]
    fit: AberrationFit | None
    handed: float
    positive: float
    centres: CentreOrientation | None
    undecided: tuple[str, ...]
    mean_pattern: Float[np.ndarray, "ky kx"] | None = None
    searched: EvidenceMap | None = None
    step_scale: tuple[float, float] | None = None

    @property
    def twin(self) -> AberrationFit | None:
        """What fits as well with the phase inverted."""
        return None if self.fit is None else self.fit.twin()


def calibrate_scan(
    dataset: Dataset4D, largest_defocus: float | None = None, lattice: float | None = None
) -> ScanCalibration:
    """Find disk, bad pixels, orientation, defocus and astigmatism of a scan from its patterns alone.

    What the calibration says of semiangle, rotation, transpose and defocus is not used. Orientation and aberrations are
    those at which a weak phase explains the interference of the bright disk's beams best
    (:mod:`jptycho.preprocess.aberration_fit`): a search over both handednesses, all angles and defoci, then a fit. Its
    twin, turned by 180 degrees with all aberrations and the phase inverted, makes the same patterns in a thin object;
    that of the two is meant whose phase has its peaks up, for atoms attract.

    Args:
        dataset: energy, step or positions, and reciprocal sampling or semiangle must be known.
        largest_defocus: Å, of either sign; by default where the probe fills its window.
        lattice: Å, a spacing that is known: the steps are made to show it, and everything else follows from them.

    Returns:
        what was found.

    Raises:
        ConfigError: what must be known is missing, or there is no bright disk.
        FormatError: counts that are no counts.
    """
    calibration = dataset.calibration
    _check_known(dataset)
    check_energy(float(calibration.energy or 0))
    scale = None if lattice is None else scan_step_scale(dataset, lattice)
    positions, count = nominal_positions(dataset), math.prod(dataset.shape[:-2])
    if positions is not None and scale is not None:
        positions = positions * scale[0]
    seen = load_counts(part_of(dataset, np.linspace(0, count - 1, min(PATTERNS, count)).astype(int)))
    mean = seen.mean(axis=0, dtype=np.float64)
    # Neighbours on the detector, so with zero frequency in the centre.
    unit = calibration.counts_per_electron or _largest_unit(seen, mean)
    good = find_bad_pixels(np.fft.fftshift(mean), len(seen), unit)
    mask = np.fft.ifftshift(good if dataset.mask is None else good * dataset.mask)
    disk = fit_disk(mean, mask)
    sampling, semiangle = _semiangle(calibration, disk)
    common = disk, semiangle, sampling, np.fft.fftshift(mask)
    picture = np.fft.fftshift(mean)
    if positions is None or min(_rows(positions)) < LEAST_ROWS:
        why = "orientation and defocus: the scan is a single row or nearly so, which shows no rotation"
        return ScanCalibration(*common, None, 0.0, 0.0, None, (why,), picture, None, scale)
    some = _middle(positions)
    counts = seen if len(seen) == len(positions) else load_counts(part_of(dataset, some))
    part = Part(counts, positions[some], disk, sampling, mask, wavelength_of(calibration))
    return dataclasses.replace(_oriented(part, common, largest_defocus), mean_pattern=picture, step_scale=scale)


def _oriented(
    part: Part, common: tuple[Disk, tuple[float, float], tuple[float, float], np.ndarray], largest: float | None
) -> ScanCalibration:
    fit, handed, searched = fit_orientation(part, largest)
    seen = part.measure(COARSE[0], scan_frequencies(part.positions))
    low = np.linalg.norm(seen.q, axis=1) < CENTRES * part.lens(1.0).cutoff
    centres = orient_centres(seen.q[low], seen.centres[low])
    if fit.contrast < CONTRAST or fit.errors["rotation"] > 10:
        why = "orientation and defocus: the patterns show no contrast that follows the scan (flat specimen or low dose)"
        return ScanCalibration(*common, None, 0.0, 0.0, centres, (why,), searched=searched)
    fit, positive = choose_twin(part, fit)
    undecided = []
    if handed < SURE:
        undecided.append("transpose: swapped axes fit as well")
    if positive < SURE:
        undecided.append("the twin: neither phase has peaks that stand out, so both descriptions are as likely")
    return ScanCalibration(*common, fit, handed, positive, centres, tuple(undecided), searched=searched)


def fit_orientation(part: Part, largest: float | None = None) -> tuple[AberrationFit, float, EvidenceMap]:
    """The best fit: a search over everything, then at finer bins about its maximum.

    Args:
        part: of the scan.
        largest: defocus in Å; by default where the probe fills its window.

    Returns:
        the fit, by how many standard errors it is better than the best with the axes the other way, and the search.
    """
    lens, lowest = part.lens(COARSE[0]), lowest_frequency(part.positions)
    largest = largest or 0.5 / (min(part.sampling) * lens.cutoff * lens.wavelength)
    data = part.measure(COARSE[0], spiral_frequencies(lowest, COARSE[2] * lens.cutoff, COARSE[1]))
    searched = map_evidence(data, lens, largest)
    found = best_of_map(searched, lens.depth)
    starts = [refine_aberrations(data, lens, transpose, start, False) for transpose, start in found]
    starts.sort(key=lambda one: -float(one.evidence.sum()))
    best = starts[0]
    other = next(one for one in starts if one.transpose != best.transpose)
    gain = best.evidence - other.evidence
    scatter = math.sqrt(len(gain) * repetition(data.q, part.positions)) * float(gain.std())
    handed = float(gain.sum()) / max(scatter, 1e-12)
    bins, count, highest = FINE
    # Beams interfere with a phase that turns by this much over a bin, which must not average it out.
    reach = 0.8 * bins / max(abs(best.defocus) / lens.depth, 1e-9)
    fine = part.measure(bins, spiral_frequencies(lowest, min(highest, reach) * lens.cutoff, count))
    return refine_near(fine, part.lens(bins), best).repeating(repetition(fine.q, part.positions)), handed, searched


def _largest_unit(counts: Shaped[np.ndarray, "scan ky kx"], mean: Float[np.ndarray, "ky kx"]) -> float:
    """Counts an electron at most, by the variance of bright pixels, in which the specimen's is contained."""
    bright = mean > 0.5 * np.quantile(mean, 0.9)
    seen = counts[:: max(1, len(counts) // 512)][:, bright].astype(np.float64)
    return max(1.0, float(np.median(seen.var(axis=0) / np.maximum(seen.mean(axis=0), 1e-12))))


def nominal_positions(dataset: Dataset4D) -> Float[np.ndarray, "scan 2"] | None:
    """Positions along slow and fast axis, not turned to the detector's.

    Args:
        dataset: the scan.

    Returns:
        (scan, 2) in Å; None where the patterns are a list without positions.

    Example:
        >>> from jptycho.data.dataset import from_arrays
        >>> nominal_positions(from_arrays(np.ones((1, 2, 4, 4)), Calibration(step=(1.0, 2.0), rotation=90.0))).tolist()
        [[0.0, 0.0], [0.0, 2.0]]
    """
    if dataset.positions is not None:
        return np.asarray(dataset.positions, np.float64)
    if len(dataset.shape) != 4:
        return None
    return raster_positions((dataset.shape[0], dataset.shape[1]), dataset.calibration.step or (1.0, 1.0))


def _check_known(dataset: Dataset4D) -> None:
    calibration = dataset.calibration
    if calibration.length_unit == "px":
        raise ConfigError("data.positions_unit: px; calibration needs Å. Give energy, step and reciprocal_sampling.")
    if calibration.energy is None:
        raise ConfigError(f"data.energy: missing; {dataset.source} does not say it. Add it to [data], in eV.")
    if dataset.positions is None and calibration.step is None:
        raise ConfigError(f"data.step: missing; {dataset.source} does not say it. Add it to [data], in Å.")
    if calibration.reciprocal_sampling is None and calibration.semiangle_cutoff is None:
        raise ConfigError(
            "data.reciprocal_sampling: missing, and so is semiangle_cutoff; one of them follows from the other and the "
            "bright disk. Add reciprocal_sampling in Å⁻¹ a detector pixel, or semiangle_cutoff in mrad."
        )


def _semiangle(calibration: Calibration, disk: Disk) -> tuple[tuple[float, float], tuple[float, float]]:
    """The sampling in Å⁻¹ a pixel; the semiangle in mrad and its error."""
    wavelength = wavelength_of(calibration)
    if calibration.reciprocal_sampling is None:
        step = float(calibration.semiangle_cutoff or 0) * 1e-3 / (wavelength * disk.cutoff)
        return (step, step), (float(calibration.semiangle_cutoff or 0), 0.0)
    step = math.sqrt(calibration.reciprocal_sampling[0] * calibration.reciprocal_sampling[1])
    scale = 1e3 * wavelength * step
    return calibration.reciprocal_sampling, (scale * disk.cutoff, scale * disk.radius_error)


def _rows(positions: Float[np.ndarray, "scan 2"]) -> tuple[int, int]:
    """About how many positions lie along either axis of a scan."""
    extent = np.ptp(positions, axis=0)
    if min(extent) <= 0:
        return 1, len(positions)
    ratio = extent[0] / extent[1]
    return round(math.sqrt(len(positions) * ratio)), round(math.sqrt(len(positions) / ratio))


def _middle(positions: Float[np.ndarray, "scan 2"]) -> np.ndarray:
    """Indices of the positions about the middle of a scan."""
    centre = 0.5 * (positions.min(axis=0) + positions.max(axis=0))
    nearest = np.argsort(np.abs(positions - centre).max(axis=1), kind="stable")[:PATTERNS]
    return np.sort(nearest)
