"""What the patterns themselves say of the beam's centre; and checks that the calibration is possible."""

from __future__ import annotations

import math

import numpy as np
from scipy.optimize import least_squares
from scipy.spatial import KDTree
from scipy.special import expit

from jptycho.data.dataset import Calibration, Dataset4D, sampling_of, wavelength_of
from jptycho.errors import ConfigError
from jptycho.types import Float, Shaped

LOWEST_ENERGY = 10e3  # eV: below it, a number was meant in keV
HIGHEST_ENERGY = 5e6
EDGE = 0.4  # detector pixels, over which a disk's edge falls
LEAST_DISK = 0.1  # share of the bright disk that a mask must leave


def beam_centre(
    mean_pattern: Float[np.ndarray, "ky kx"], mask: Float[np.ndarray, "ky kx"] | None = None
) -> tuple[float, float]:
    """Where the bright disk is: the centre of mass of what is bright, however bright that is.

    Pixels weigh clip(4 I / M - 1, 0, 1), M the disk's median, so that an uneven disk pulls to no side. Dead pixels
    weigh what a round disk would that fits the others best.

    Args:
        mean_pattern: average over the scan, zero frequency at [0, 0].
        mask: zero for dead pixels, likewise.

    Returns:
        (y, x) in detector pixels from the zero frequency.

    Example:
        >>> pattern = np.zeros((8, 8)); pattern[1:4, 0:3] = 1.0
        >>> beam_centre(pattern)
        (2.0, 1.0)
    """
    centred = np.fft.fftshift(mean_pattern)
    level = np.quantile(centred, 1 - 0.1 * float(np.mean(centred > 0.1 * centred.max())))
    weight = np.clip(4 * centred / np.median(centred[centred > level / 3]) - 1, 0, 1)
    if mask is not None and (mask <= 0).any():
        live = np.fft.fftshift(mask) > 0
        weight = np.where(live, weight, _round_disk(weight, live))
    rows, columns = (np.arange(n) - n // 2 for n in centred.shape)
    total = weight.sum()
    return float((weight.sum(axis=1) @ rows) / total), float((weight.sum(axis=0) @ columns) / total)


def _round_disk(weight: Float[np.ndarray, "ky kx"], live: Shaped[np.ndarray, "ky kx"]) -> Float[np.ndarray, "ky kx"]:
    """The disk of one, its centre and radius free, that fits a weight best where pixels are live."""
    y, x = np.indices(weight.shape)

    def disk(values: Float[np.ndarray, "3"], edge: float) -> Float[np.ndarray, "ky kx"]:
        return expit((values[2] - np.hypot(y - values[0], x - values[1])) / edge)

    seen = weight * live
    area = max(float(seen.sum()), 1.0)
    values = np.array([(seen * y).sum() / area, (seen * x).sum() / area, np.sqrt(area / np.pi)])
    for edge in (0.25 * values[2] + EDGE, EDGE):  # a soft edge first: a sharp one sees only what it touches
        values = least_squares(
            lambda v, edge=edge: (disk(v, edge) - weight)[live], values, loss="soft_l1", f_scale=0.3
        ).x
    return disk(values, EDGE)


def probe_diameter(calibration: Calibration) -> float:
    """Diameter of the illuminated disk: of the defocused cone, and at least that of the Airy disk.

    Args:
        calibration: of the scan.

    Returns:
        Å.

    Example:
        >>> round(probe_diameter(Calibration(energy=300e3, semiangle_cutoff=20.0, defocus=200.0)), 1)
        9.2
    """
    angle = (calibration.semiangle_cutoff or 0.0) * 1e-3
    return 2 * abs(calibration.defocus) * angle + 1.22 * wavelength_of(calibration) / max(angle, 1e-9)


def check_calibration(dataset: Dataset4D) -> None:
    """Refuse a calibration that cannot be, before a pattern is read.

    Args:
        dataset: the scan.

    Raises:
        ConfigError: what is missing or impossible, and what was probably meant.
    """
    calibration = dataset.calibration
    if calibration.length_unit == "px":
        if dataset.probe is None:
            raise ConfigError("data.probe: missing; positions in pixels need a probe to start from. Name its array.")
        return
    _check_present(dataset)
    check_energy(float(calibration.energy or 0))
    sampling = sampling_of(dataset)
    largest = 0.5 * wavelength_of(calibration) / max(sampling) * 1e3
    if float(calibration.semiangle_cutoff or 0) >= largest:
        raise ConfigError(
            f"data.semiangle_cutoff: {calibration.semiangle_cutoff:g} mrad, but the detector ends at "
            f"{largest:.3g} mrad. "
            "Check semiangle_cutoff (mrad) and reciprocal_sampling (Å⁻¹ a pixel)."
        )
    _check_overlap(dataset)


def check_mask(dataset: Dataset4D) -> None:
    """Refuse a mask that hides the bright disk: nothing would tell the probe, and the centre would be that of the rest.

    Args:
        dataset: the scan.

    Raises:
        ConfigError: less than a tenth of the disk about the detector's centre is left.
    """
    calibration, mask = dataset.calibration, dataset.mask
    if mask is None or calibration.length_unit == "px":
        return
    radius = float(calibration.semiangle_cutoff or 0) * 1e-3 / wavelength_of(calibration)
    steps = zip(mask.shape, calibration.reciprocal_sampling or (1.0, 1.0), strict=True)
    axes = [(np.arange(n) - n // 2) * step for n, step in steps]
    disk = np.hypot(axes[0][:, None], axes[1][None]) <= radius
    left = float((mask[disk] > 0).mean()) if disk.any() else 1.0
    if left < LEAST_DISK:
        raise ConfigError(
            f"data.mask: leaves {left:.0%} of the bright disk of {calibration.semiangle_cutoff:g} mrad; expected at "
            f"least {LEAST_DISK:.0%}. Name an array that is zero for dead pixels only, zero frequency in the centre."
        )


def _check_present(dataset: Dataset4D) -> None:
    needed = ["energy", "semiangle_cutoff", "reciprocal_sampling"]
    needed += ["step"] if dataset.positions is None else []
    units = {"energy": "eV", "semiangle_cutoff": "mrad", "reciprocal_sampling": "Å⁻¹ a detector pixel", "step": "Å"}
    for name in needed:
        if getattr(dataset.calibration, name) is None:
            raise ConfigError(
                f"data.{name}: missing; {dataset.source} does not say it. Add it to [data], in {units[name]}."
            )
    if dataset.positions is None and len(dataset.shape) != 4:
        raise ConfigError(
            f"data.scan_shape: missing; the patterns are a list of {dataset.shape[0]}. Add scan_shape or positions."
        )


def check_energy(energy: float) -> None:
    """Refuse an energy that was meant in another unit.

    Args:
        energy: eV.

    Raises:
        ConfigError: what was probably meant.
    """
    if not LOWEST_ENERGY <= energy <= HIGHEST_ENERGY:
        likely = [one for one in (energy * 1e3, energy / 1e3) if LOWEST_ENERGY <= one <= HIGHEST_ENERGY]
        estimate = f" Did you mean {likely[0]:g}?" if likely else ""
        raise ConfigError(f"data.energy: expected eV between 1e4 and 5e6, found {energy:g}.{estimate}")


def typical_step(dataset: Dataset4D) -> float:
    """Distance between neighbouring positions: the larger step that is taken, or of positions that are listed the root
    of the area per position, and at least the median distance to the nearest other one, for they may lie on a line.

    Args:
        dataset: the scan, its steps or positions known.

    Returns:
        Å.

    Example:
        >>> from jptycho.data.dataset import from_arrays
        >>> typical_step(from_arrays(np.ones((1, 3, 8, 8)), Calibration(step=(9.0, 2.0))))
        2.0
        >>> line = np.array([[0.0, 0.0], [0.0, 3.0], [0.0, 6.0]])
        >>> typical_step(from_arrays(np.ones((3, 8, 8)), Calibration(), line))
        3.0
    """
    if dataset.positions is None:
        taken = zip(dataset.calibration.step or (0.0, 0.0), dataset.shape[:-2], strict=False)
        return max((step for step, count in taken if count > 1), default=0.0)
    positions = dataset.positions
    if len(positions) < 2:
        return 0.0
    spans = np.ptp(positions, axis=0)
    nearest = float(np.median(KDTree(positions).query(positions, k=2)[0][:, 1]))
    return max(math.sqrt(float(spans[0] * spans[1]) / (len(positions) - 1)), nearest)


def _check_overlap(dataset: Dataset4D) -> None:
    """Neighbouring probes must overlap, or positions have nothing in common and nothing can be recovered.

    How wide a given probe is, or one with further aberrations, is not known here.
    """
    diameter, step = probe_diameter(dataset.calibration), typical_step(dataset)
    if step > diameter and not dataset.calibration.aberrations and dataset.probe is None:
        name = "step" if dataset.positions is None else "positions"
        raise ConfigError(
            f"data.{name}: {step:g} Å between positions, but the probe is only {diameter:.3g} Å wide "
            f"(defocus {dataset.calibration.defocus:g} Å), so neighbours do not overlap. "
            f"Expected below {diameter:.2g} Å. Check the units of step, defocus and semiangle_cutoff."
        )
