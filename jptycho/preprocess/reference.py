"""What a scan's calibration says of the unknowns, for penalties and projections."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from jptycho.data.dataset import wavelength_of
from jptycho.errors import ConfigError
from jptycho.objective.penalties import Penalty, probe_aperture, probe_support
from jptycho.objective.reference import Reference
from jptycho.optics.frequencies import host_frequencies
from jptycho.preprocess.prepare import Problem
from jptycho.types import Float, Int


def scan_neighbours(shape: tuple[int, ...]) -> Int[np.ndarray, "pairs 2"]:
    """Pairs of patterns recorded side by side: along both axes of a raster, one after the other in a list.

    Args:
        shape: of the scan, one or two axes.

    Returns:
        indices of the pairs.

    Example:
        >>> scan_neighbours((2, 2)).tolist()
        [[0, 2], [1, 3], [0, 1], [2, 3]]
    """
    index = np.arange(int(np.prod(shape))).reshape(shape)
    pairs = [
        np.stack([np.delete(index, -1, axis).ravel(), np.delete(index, 0, axis).ravel()], 1)
        for axis in range(index.ndim)
    ]
    return np.concatenate(pairs)


def outside_circle(
    probe: Float[np.ndarray, "y x"], sampling: tuple[float, float], radius: float | None
) -> Float[np.ndarray, "y x"]:
    """Where a probe should be dark.

    Args:
        probe: intensity of the nominal probe, centre at [0, 0].
        sampling: Å a pixel.
        radius: Å; None for 1.5 times the circle that holds 99 % of it.

    Returns:
        1 outside the circle, 0 inside.

    Example:
        >>> outside_circle(np.eye(4)[:, :1] * np.eye(4)[0], (1.0, 1.0), 1.0).astype(int).tolist()
        [[0, 0, 1, 0], [0, 1, 1, 1], [1, 1, 1, 1], [0, 1, 1, 1]]
    """
    y, x = (np.fft.fftfreq(n) * n * d for n, d in zip(probe.shape, sampling, strict=True))
    distance = np.hypot(y[:, None], x[None, :])
    if radius is None:
        order = np.argsort(distance, axis=None)
        held = np.cumsum(probe.flat[order]) / probe.sum()
        radius = 1.5 * float(distance.flat[order[min(np.searchsorted(held, 0.99), len(order) - 1)]])
    return (distance > radius).astype(float)


def check_reference(reference: Reference, penalties: tuple[Penalty, ...]) -> None:
    """Refuse a probe penalty whose region is empty.

    Args:
        reference: of :func:`make_reference`.
        penalties: that are on.

    Raises:
        ConfigError: the penalty would have no effect.
    """
    terms = [penalty.term for penalty in penalties]
    for term, region in ((probe_support, reference.outside_support), (probe_aperture, reference.outside_aperture)):
        if term in terms and not np.any(np.asarray(region)):
            raise ConfigError(
                f"penalties.{term.__name__}: nothing of the probe's window lies outside. "
                "Remove it, or lower penalties.support_radius."
            )


def make_reference(problem: Problem, support_radius: float | None = None) -> Reference:
    """What penalties and projections compare the unknowns with.

    Args:
        problem: the scan made ready.
        support_radius: of the probe in Å; None for 1.5 times the circle that holds 99 % of the nominal probe.

    Returns:
        the arrays.
    """
    estimate, grid = problem.estimate, problem.setup.grid
    calibration = problem.dataset.calibration
    power = np.sum(np.abs(np.asarray(estimate.probe)) ** 2, axis=0)
    spectrum = np.sum(np.abs(np.fft.fft2(np.asarray(estimate.probe))) ** 2, axis=0)
    if calibration.semiangle_cutoff is None:
        outside = spectrum < 1e-3 * spectrum.max()
    else:
        # A soft edge of a pixel belongs to the aperture; so does wherever the nominal probe has power (descan).
        reach = calibration.semiangle_cutoff * 1e-3 / wavelength_of(calibration)
        ky, kx = host_frequencies(grid.shape, grid.sampling)
        pixel = max(1 / (n * d) for n, d in zip(grid.shape, grid.sampling, strict=True))
        beyond = np.hypot(ky, kx) > reach + pixel
        outside = beyond & (spectrum < 1e-3 * spectrum.max())
    return Reference(
        coverage=estimate.coverage,
        positions=estimate.positions,
        neighbours=jnp.asarray(scan_neighbours(problem.dataset.shape[:-2])),
        outside_support=jnp.asarray(outside_circle(power, grid.sampling, support_radius), jnp.float32),
        outside_aperture=jnp.asarray(outside, jnp.float32),
        sampling=grid.sampling,
        thickness=float(estimate.thickness),
    )
