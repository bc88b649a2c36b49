"""The bright disk of the mean pattern: centre, radius and ellipse, each with its error."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.optimize import least_squares
from scipy.special import erf

from jptycho.errors import ConfigError
from jptycho.preprocess.calibrate import beam_centre
from jptycho.types import Float

SYSTEMATIC = 0.02  # pixels by which a noise-free disk is missed, and the library's own soft aperture
SECTORS = 16  # of the annulus that is fitted: what a specimen does to the disk's edge is alike within one
INNER, OUTER = 0.5, 1.6  # of the radius, between which the edge is fitted
LEAST_RADIUS = 2.0  # detector pixels
LEAST_STEP = 2.0  # times brighter inside the edge than outside
STEADY = 0.05  # relative error of a pixel that noise does not limit, so that the specimen's structure does not rule


@dataclasses.dataclass(frozen=True)
class Disk:
    """The bright disk, in detector pixels; errors are standard errors.

    Attributes:
        centre: (y, x) from the zero frequency.
        centre_error: of each.
        radius: geometric mean of the half axes, where the edge has half its height.
        radius_error: of it.
        ellipse: (e1, e2) of the equation (1 + e1) y² + (1 - e1) x² + 2 e2 y x = radius².
        ellipse_error: of each.
        edge: standard deviation of the edge.
    """

    centre: tuple[float, float]
    centre_error: tuple[float, float]
    radius: float
    radius_error: float
    ellipse: tuple[float, float]
    ellipse_error: tuple[float, float]
    edge: float

    @property
    def cutoff(self) -> float:
        """Radius of the :func:`jptycho.optics.probe.soft_aperture` whose intensity has half its height here.

        Its amplitude falls linearly over one pixel, so that its intensity is a half 0.207 pixel inside the cutoff.
        """
        return self.radius + float(np.sqrt(0.5) - 0.5)

    @property
    def axes_ratio(self) -> float:
        """Long over short half axis."""
        e = min(float(np.hypot(*self.ellipse)), 0.99)
        return float(np.sqrt((1 + e) / (1 - e)))


def fit_disk(mean_pattern: Float[np.ndarray, "ky kx"], mask: Float[np.ndarray, "ky kx"] | None = None) -> Disk:
    """Fit an ellipse with a soft edge to the mean pattern.

    I(k) = s(k) P(k) + (1 - s(k)) B(k), s = (1 - erf((ρ - R) / (√2 w))) / 2, ρ² = (1 + e1) y² + (1 - e1) x² + 2 e2 y x
    about the centre; P is a parabola over the disk, B = b0 + b1 / ρ² what the specimen scatters beyond it. Only the
    ring about the edge is fitted, and outliers (hot pixels, Bragg spots) weigh little. Errors are those of sixteen
    sectors that vary independently, so what the specimen does to the edge is in them.

    Args:
        mean_pattern: average over the scan, zero frequency at [0, 0].
        mask: zero for dead and hot pixels, likewise.

    Returns:
        the disk in detector pixels; its ``cutoff`` times the reciprocal sampling times the wavelength is the semiangle.

    Raises:
        ConfigError: there is no disk: nothing is bright, or it reaches the detector's border.

    Source:
        Golub & Pereyra, Inverse Problems 19 (2003) R1, for linear parameters that are solved for at each step; Liang &
        Zeger, Biometrika 73 (1986) 13, for the errors.

    Example:
        >>> y, x = np.indices((48, 48)) - 24.0
        >>> disk = fit_disk(np.fft.ifftshift(np.clip(10.7 - np.hypot(y - 0.5, x + 1.2), 0, 1)))
        >>> round(disk.radius, 1), round(disk.centre[0], 1), round(disk.centre[1], 1)
        (10.2, 0.5, -1.2)
    """
    mean_pattern = np.asarray(mean_pattern, np.float64)
    if mask is not None:
        mean_pattern = np.where(mask > 0, mean_pattern, 0.0)
    pattern = np.fft.fftshift(mean_pattern)
    live = np.ones(pattern.shape, bool) if mask is None else np.fft.fftshift(mask) > 0
    start = _start(mean_pattern, pattern, live, mask)
    middle = [n // 2 for n in pattern.shape]
    place = tuple(axis - m for axis, m in zip(np.indices(pattern.shape, float), middle, strict=True))
    start, _, _, _ = _fit_ring(start, pattern, live, (place[0], place[1]))
    start, slope, misfit, points = _fit_ring(start, pattern, live, (place[0], place[1]))  # about a better radius
    sector = np.floor((np.arctan2(points[0] - start[0], points[1] - start[1]) / np.pi + 1) * SECTORS / 2).astype(int)
    error = np.hypot(_sector_errors(slope, misfit, sector % SECTORS), [SYSTEMATIC] * 3 + [0.0] * 3)
    pair = lambda values, i: (float(values[i]), float(values[i + 1]))  # noqa: E731
    # The half axes are R / √(1 ± e), e = |(e1, e2)|.
    mean = float(start[2] / (1 - start[4] ** 2 - start[5] ** 2) ** 0.25)
    return Disk(pair(start, 0), pair(error, 0), mean, float(error[2]), pair(start, 4), pair(error, 4), float(start[3]))


def _fit_ring(
    start: np.ndarray, pattern: np.ndarray, live: np.ndarray, place: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """Parameters that fit the ring about a start's edge best; slopes and misfits of its pixels, and where they are."""
    near = np.hypot(place[0] - start[0], place[1] - start[1]) / start[2]
    used = live & (near > INNER) & (near < OUTER)
    _check(start, pattern, used, near)
    points, values = (place[0][used], place[1][used]), pattern[used]
    scale = STEADY * np.maximum(values, 0.1 * np.median(values[near[used] < 0.9]))
    low, high = [-np.inf, -np.inf, 1, 0.15, -0.5, -0.5], [np.inf, np.inf, np.inf, start[2], 0.5, 0.5]
    fit = least_squares(
        lambda p: _residual(p, points, values, scale),
        start,
        loss="soft_l1",
        x_scale=[1, 1, 1, 0.5, 0.1, 0.1],
        bounds=(low, high),
    )
    # SciPy's slopes are those of the robust loss, (1 + f²)^-¾ times those of f, whose pull is (1 + f²)^-½ f.
    return fit.x, fit.jac, fit.fun * (1 + fit.fun**2) ** 0.25, points


def _start(
    mean_pattern: np.ndarray, pattern: np.ndarray, live: np.ndarray, mask: Float[np.ndarray, "ky kx"] | None
) -> np.ndarray:
    """Centre, radius, edge and ellipse to start from."""
    if not (np.isfinite(pattern).all() and (pattern * live).max() > 0):
        raise ConfigError("counts: the mean pattern has no electron; expected a bright disk. Check data.counts.")
    centre = beam_centre(mean_pattern, mask)
    bright = pattern[live & (pattern > 0.1 * np.quantile(pattern[live], 0.999))]
    area = float((pattern[live] > 0.5 * np.median(bright)).sum()) / max(float(live.mean()), 1e-3)
    return np.array([*centre, np.sqrt(area / np.pi), 0.6, 0.0, 0.0])


def _check(start: np.ndarray, pattern: np.ndarray, used: np.ndarray, near: np.ndarray) -> None:
    """Refuse what is no disk within the detector."""
    room = min(n // 2 - abs(c) for n, c in zip(pattern.shape, start[:2], strict=True))
    inside, outside = pattern[used & (near < 0.8)], pattern[used & (near > 1.2)]
    if start[2] < LEAST_RADIUS or start[2] > room:
        raise ConfigError(
            f"counts: the mean pattern's bright disk has a radius of {start[2]:.3g} pixels on a detector of "
            f"{pattern.shape[0]} x {pattern.shape[1]}; expected between {LEAST_RADIUS:g} pixels and its border. Give "
            "data.semiangle_cutoff, or patterns that hold the whole disk."
        )
    if not len(outside) or not len(inside) or np.median(inside) < LEAST_STEP * np.median(outside):
        raise ConfigError(
            "counts: the mean pattern shows no bright disk with an edge; expected one at least twice as bright as what "
            "surrounds it. Give data.semiangle_cutoff."
        )


def _edge(p: np.ndarray, points: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The disk between 0 and 1, and ρ."""
    y, x = points[0] - p[0], points[1] - p[1]
    rho = np.sqrt(np.maximum((1 + p[4]) * y**2 + (1 - p[4]) * x**2 + 2 * p[5] * y * x, 1e-12))
    return 0.5 * (1 - erf((rho - p[2]) / (np.sqrt(2) * p[3]))), rho


def _residual(
    p: np.ndarray, points: tuple[np.ndarray, np.ndarray], values: np.ndarray, scale: np.ndarray
) -> np.ndarray:
    """What the best parabola and tail leave of a pattern, in units of a pixel's error."""
    inside, rho = _edge(p, points)
    y, x = (points[0] - p[0]) / p[2], (points[1] - p[1]) / p[2]
    columns = [inside, inside * y, inside * x, inside * (y**2 + x**2), 1 - inside, (1 - inside) * (p[2] / rho) ** 2]
    terms = np.stack(columns, axis=1) / scale[:, None]
    solved = np.linalg.lstsq(terms, values / scale, rcond=1e-8)[0]
    return terms @ solved - values / scale


def _sector_errors(slope: np.ndarray, misfit: np.ndarray, sector: np.ndarray) -> np.ndarray:
    """Standard errors of parameters whose residuals are alike within a sector."""
    bread = np.linalg.pinv(slope.T @ slope)
    pulls = np.stack([slope[sector == i].T @ misfit[sector == i] for i in range(SECTORS)])
    freedom = SECTORS / max(SECTORS - slope.shape[1], 1)
    return np.sqrt(np.diag(bread @ (pulls.T @ pulls) @ bread) * freedom)
