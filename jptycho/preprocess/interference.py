"""What the beams of the bright disk do together at the spatial frequencies of a scan: the data of a calibration."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from scipy import sparse

from jptycho.optics.frequencies import host_frequencies
from jptycho.preprocess.disk import Disk
from jptycho.types import Complex, Float, Shaped

CHUNK = 256  # patterns at once
MARGIN = 1.15  # of the disk's radius, within which electrons count as not scattered
LOWEST = 1.5  # periods in the scan, below which its border rules
FREQUENCIES = 4096  # that are looked at, at most


@dataclasses.dataclass(frozen=True)
class Interference:
    """The Fourier transform over the scan, of bins of the bright disk, in units of its shot noise.

    Attributes:
        q: spatial frequencies along slow and fast axis (q, 2) in Å⁻¹; one of each pair ±q.
        k: middle of each bin from the beam's axis (k, 2) in Å⁻¹ along the detector's (y, x).
        values: (q, k), of unit variance where there is noise alone.
        height: of each bin in the values of a signal that is the same part of its intensity (k,).
        scattered: the same transform of the electrons that left the disk (q,).
        centres: the same transform of the centre of mass (q, 2), in units of its noise in the weaker axis.
        noise: counts² of variance a count, beyond one where an electron leaves more.
    """

    q: Float[np.ndarray, "q 2"]
    k: Float[np.ndarray, "k 2"]
    values: Complex[np.ndarray, "q k"]
    height: Float[np.ndarray, "k"]
    scattered: Complex[np.ndarray, "q"]
    centres: Complex[np.ndarray, "q 2"]
    noise: float


def measure_interference(
    counts: Shaped[np.ndarray, "scan ky kx"],
    positions: Float[np.ndarray, "scan 2"],
    disk: Disk,
    reciprocal_sampling: tuple[float, float],
    mask: Float[np.ndarray, "ky kx"] | None = None,
    at: tuple[float, Float[np.ndarray, "q 2"] | None] = (8.0, None),
) -> Interference:
    """Transform the images that bins of the bright disk see of a scan.

    G(q, k) = Σ_p w(p) (I(p, k) - ⟨I(k)⟩) exp(-2πi q·p), with a window w that falls to the scan's border. Positions need
    no raster. Bright pixels are added up in square bins, so counts stay counts.

    Args:
        counts: zero frequency at [0, 0].
        positions: along slow and fast axis in Å, not yet turned to the detector's.
        disk: of :func:`jptycho.preprocess.disk.fit_disk`.
        reciprocal_sampling: Å⁻¹ a detector pixel along (y, x).
        mask: zero for dead pixels, zero frequency at [0, 0].
        at: bins in the disk's radius, and the spatial frequencies; by default those that the scan resolves.

    Returns:
        the transform.

    Source:
        Rodenburg, McCallum & Nellist, Ultramicroscopy 48 (1993) 304, Eq. 4.
    """
    bins, q = at
    grid, k, middle = _bins(counts.shape[1:], disk, reciprocal_sampling, mask, bins)
    images, centres, bright = _images(counts, grid, middle)
    mean = images.mean(axis=0)
    kept = mean > 0.05 * mean.max()
    q, window = (scan_frequencies(positions) if q is None else q), _window(positions)
    wave = np.exp(-2j * math.pi * (q @ positions.T)).astype(np.complex64) * window.astype(np.float32)
    strength = math.sqrt(float((window**2).sum()))
    values = (wave @ (images[:, kept] - mean[kept]).astype(np.complex64)) / (strength * np.sqrt(mean[kept]))
    moved = wave @ (centres - centres.mean(axis=0)).astype(np.complex64)
    lost = wave @ (bright.mean() - bright).astype(np.complex64) / (strength * math.sqrt(bright.mean()))
    noise = _noise(np.abs(values) ** 2, np.linalg.norm(q, axis=1))
    moved /= np.sqrt(_noise((np.abs(moved) ** 2).sum(axis=1) / 2, np.linalg.norm(q, axis=1))) + 1e-30
    scale = 1 / math.sqrt(noise)
    height = np.sqrt(mean[kept] / mean[kept].max())
    return Interference(q, k[kept], (values * scale).astype(np.complex64), height, lost * scale, moved, noise)


def repetition(q: Float[np.ndarray, "q 2"], positions: Float[np.ndarray, "scan 2"]) -> float:
    """How often spatial frequencies say the same: n / n_eff = Σ |C|² / n, C the correlation of their noise.

    Args:
        q: spatial frequencies in Å⁻¹.
        positions: Å.

    Returns:
        1 where all are independent; sums over them scatter by its root more than over as many independent ones.

    Example:
        >>> y, x = np.meshgrid(np.arange(16.0), np.arange(16.0), indexing="ij")
        >>> places = np.stack([y.ravel(), x.ravel()], 1)
        >>> q = spiral_frequencies(0.1, 0.4, 20)
        >>> round(repetition(np.concatenate([q, q]), places) / repetition(q, places), 3)
        2.0
    """
    wave = np.exp(-2j * math.pi * (q @ positions.T)) * _window(positions)
    wave /= np.linalg.norm(wave, axis=1, keepdims=True)
    return float(np.sum(np.abs(wave @ wave.conj().T) ** 2) / len(q))


def lowest_frequency(positions: Float[np.ndarray, "scan 2"]) -> float:
    """Below it a scan's border rules.

    Args:
        positions: Å.

    Returns:
        one and a half periods in the shorter side, Å⁻¹.

    Example:
        >>> lowest_frequency(np.array([[0.0, 0.0], [30.0, 50.0]]))
        0.05
    """
    return LOWEST / float(np.ptp(positions, axis=0).min())


def spiral_frequencies(lowest: float, highest: float, count: int) -> Float[np.ndarray, "q 2"]:
    """Spatial frequencies that are spread evenly over radius and angle of half a plane.

    Args:
        lowest: Å⁻¹.
        highest: Å⁻¹.
        count: how many.

    Returns:
        (count, 2) in Å⁻¹.

    Example:
        >>> np.linalg.norm(spiral_frequencies(1.0, 3.0, 4), axis=1).tolist()
        [1.25, 1.75, 2.25, 2.75]
    """
    radius = lowest + (highest - lowest) * (np.arange(count) + 0.5) / count
    angle = math.pi * (np.arange(count) * (math.sqrt(5) - 1) / 2 % 1)
    return np.stack([radius * np.sin(angle), radius * np.cos(angle)], axis=1)


def scan_frequencies(positions: Float[np.ndarray, "scan 2"]) -> Float[np.ndarray, "q 2"]:
    """Spatial frequencies that a scan resolves, one of each pair ±q, without those that its border rules.

    Args:
        positions: along slow and fast axis in Å.

    Returns:
        multiples of one period in the scan, up to that of two steps (q, 2) in Å⁻¹.

    Example:
        >>> y, x = np.meshgrid(np.arange(8.0), np.arange(8.0), indexing="ij")
        >>> scan_frequencies(np.stack([y.ravel(), x.ravel()], 1)).max().item()
        0.375
    """
    extent = np.ptp(positions, axis=0)
    spacing = _spacing(positions)
    counts = np.maximum(np.round(extent / spacing).astype(int) + 1, 1)
    length = counts * spacing
    orders = [np.arange(-((n - 1) // 2), (n - 1) // 2 + 1) for n in counts]
    index = np.stack(np.meshgrid(*orders, indexing="ij"), axis=-1).reshape(-1, 2)
    half = (index[:, 0] > 0) | ((index[:, 0] == 0) & (index[:, 1] > 0))
    q = index[half & (np.linalg.norm(index, axis=1) > LOWEST)] / length
    order = np.argsort(np.linalg.norm(q, axis=1), kind="stable")
    return q[order[:FREQUENCIES]]


def _spacing(positions: np.ndarray) -> np.ndarray:
    """Distance of neighbours along each axis: of a raster its steps, else that of as many on a square lattice."""
    extent = np.ptp(positions, axis=0)
    same = np.sqrt(max(float(extent[0] * extent[1]), 1e-12) / max(len(positions), 1))
    # On a raster most neighbours in the list are one step along the fast axis apart.
    steps = np.abs(np.diff(positions, axis=0))
    fast = float(np.median(steps[:, 1]))
    rows = 1 + int(np.sum(steps[:, 1] > 0.5 * extent[1])) if extent[1] > 0 else 1
    if fast > 0 and rows > 1 and abs(rows * (round(extent[1] / fast) + 1) - len(positions)) <= 0.02 * len(positions):
        return np.array([extent[0] / (rows - 1), extent[1] / max(len(positions) / rows - 1, 1)])
    return np.array([same, same])


def _window(positions: np.ndarray) -> np.ndarray:
    """A cosine along each axis that is one in the scan's middle and zero a step beyond its border."""
    low, extent, spacing = positions.min(axis=0), np.ptp(positions, axis=0), _spacing(positions)
    place = (positions - low + spacing) / (extent + 2 * spacing)
    return np.prod(np.sin(math.pi * place), axis=1)


def _bins(
    window: tuple[int, ...], disk: Disk, step: tuple[float, float], mask: np.ndarray | None, bins: float
) -> tuple[sparse.csr_array, np.ndarray, np.ndarray]:
    """A matrix that adds pixels up to bins, the bins' middles in Å⁻¹, and what gives centre and brightness."""
    live = np.ones(window) if mask is None else np.asarray(mask, float) > 0
    rows, columns = host_frequencies(window, (1 / window[0], 1 / window[1]))
    y, x = np.broadcast_arrays(rows - disk.centre[0], columns - disk.centre[1])
    size = max(1.0, disk.radius / bins)
    inside = (np.hypot(y, x) <= disk.radius + 0.5) & (live > 0)
    number = np.floor(y / size + 0.5) * 4096 + np.floor(x / size + 0.5)
    _, which = np.unique(number[inside], return_inverse=True)
    pixels = np.flatnonzero(inside)
    matrix = sparse.csr_array((np.ones(len(pixels), np.float32), (pixels, which)), shape=(inside.size, which.max() + 1))
    total = np.bincount(which)
    k = np.stack([np.bincount(which, axis[inside]) / total * d for axis, d in zip((y, x), step, strict=True)], axis=1)
    near = (np.hypot(y, x) <= MARGIN * disk.radius) & (live > 0)
    extra = np.stack([y * step[0] * live, x * step[1] * live, live, near], axis=-1).reshape(-1, 4).astype(np.float32)
    return matrix, k, extra


def _images(counts: np.ndarray, grid: sparse.csr_array, extra: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bins (scan, k), centres of mass (scan, 2) in Å⁻¹ and electrons in the disk (scan,) of each pattern."""
    parts, sums = [], []
    for first in range(0, len(counts), CHUNK):
        flat = counts[first : first + CHUNK].reshape(-1, extra.shape[0]).astype(np.float32)
        parts.append(flat @ grid)
        sums.append(flat @ extra)
    total = np.concatenate(sums).astype(np.float64)
    return np.concatenate(parts), total[:, :2] / np.maximum(total[:, 2:3], 1e-12), total[:, 3]


def _noise(power: np.ndarray, frequency: np.ndarray) -> float:
    """Variance of noise: the least mean power of a ring of frequencies."""
    order = np.argsort(frequency)
    rings = np.array_split(order, max(4, min(16, len(order) // 16)))
    return float(min(np.median(power[ring]) / math.log(2) for ring in rings if len(ring)))
