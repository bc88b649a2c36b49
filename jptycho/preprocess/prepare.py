"""The constants of a run and its start: patterns, detector, canvas, nominal probe, flat object."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import jax.numpy as jnp
import numpy as np

from jptycho.data.counts import load_counts
from jptycho.data.dataset import Dataset4D, sampling_of, wavelength_of
from jptycho.data.lazy_counts import Counts
from jptycho.errors import ConfigError, FormatError
from jptycho.forward.fields import Noise, Setup
from jptycho.preprocess.calibrate import beam_centre, check_calibration, check_mask
from jptycho.preprocess.counted import electrons_of
from jptycho.preprocess.detector_gain import CountUnit
from jptycho.preprocess.nominal_probe import nominal_probe
from jptycho.preprocess.object_spec import ObjectSpec, check_object
from jptycho.preprocess.preflight import check_before
from jptycho.representations.base import Unknown
from jptycho.representations.estimate import Estimate
from jptycho.representations.object_kinds import channels_of
from jptycho.scan import orient, place_on_canvas, raster_positions
from jptycho.types import Array, Complex, Float, Grid

LARGEST_CANVAS = 2**28  # pixels: 2 GiB of a complex object; more is a mistake in the units


Load = Callable[[Dataset4D], Counts]
"""Makes the counts of a scan."""


@dataclasses.dataclass(frozen=True)
class Problem:
    """A scan made ready.

    Attributes:
        counts: (scan, ky, kx), zero frequency at [0, 0]; whole electrons where that is what the file's are, else as
            stored. In memory, or read when they are asked for.
        setup: constants of the run.
        estimate: flat object and nominal probe.
        origin: position in Å of the canvas's pixel [0, 0].
        electrons: in an average pattern, as far as the counts tell.
        dataset: where it came from.
        unit: counts of the file that one electron leaves.
        undivided: why ``counts`` are no electrons, so that they cannot be divided; empty where they are.
        unknowns: further ones of the run, by name.
        margin: Å by which the canvas is wider than positions need.
    """

    counts: Counts
    setup: Setup
    estimate: Estimate
    origin: tuple[float, float]
    electrons: float
    dataset: Dataset4D
    unit: CountUnit
    undivided: str
    unknowns: Mapping[str, Unknown] = dataclasses.field(default_factory=dict)
    margin: float = 0.0


def per_electron(problem: Problem) -> float:
    """What one electron leaves in the counts of a problem.

    Args:
        problem: of :func:`prepare`.

    Returns:
        1 where they are electrons, else the file's unit.
    """
    return problem.unit.value if problem.undivided else 1.0


def scan_positions(dataset: Dataset4D) -> Float[np.ndarray, "scan 2"]:
    """Positions along the detector's axes.

    Args:
        dataset: the scan.

    Returns:
        (scan, 2) in Å, or in pixels where only those are known. Positions that a file lists are turned by the
        calibration's rotation and transpose, as a raster is.

    Example:
        >>> from jptycho.data.dataset import Calibration, from_arrays
        >>> scan_positions(from_arrays(np.ones((1, 2, 4, 4)), Calibration(step=(1.0, 2.0)))).tolist()
        [[0.0, 0.0], [0.0, 2.0]]
    """
    calibration = dataset.calibration
    if dataset.positions is None:
        step = calibration.step or (1.0, 1.0)
        return raster_positions((dataset.shape[0], dataset.shape[1]), step, calibration.rotation, calibration.transpose)
    return orient(dataset.positions, calibration.rotation, calibration.transpose)


def illumination(
    probe: Complex[np.ndarray, "modes y x"], pixels: Float[np.ndarray, "scan 2"], canvas: tuple[int, int]
) -> Float[np.ndarray, "Y X"]:
    """How much each pixel of the canvas is illuminated, summed over the scan; the mean is one.

    Args:
        probe: modes, centre at [0, 0].
        pixels: of the positions on the canvas.
        canvas: its shape.

    Returns:
        weight of each pixel.

    Example:
        >>> illumination(np.ones((1, 2, 2)), np.array([[2.0, 2.0]]), (4, 4)).sum().item()
        16.0
    """
    visits = np.zeros(canvas)
    np.add.at(visits, tuple(np.round(pixels).astype(int).T), 1.0)
    spot = np.zeros(canvas)
    window = np.fft.fftshift(np.sum(np.abs(probe) ** 2, axis=0))
    spot[: window.shape[0], : window.shape[1]] = window
    spot = np.roll(spot, [-(n // 2) for n in window.shape], axis=(0, 1))
    total = np.fft.irfft2(np.fft.rfft2(visits) * np.fft.rfft2(spot), s=canvas)
    total = np.maximum(total, 0)
    return total / total.mean()


def prepare(
    dataset: Dataset4D,
    spec: ObjectSpec | None = None,
    modes: int = 1,
    load: Load = load_counts,
    margin: float = 0.0,
    source_size: float = 0.0,
) -> Problem:
    """Check a scan, read its patterns and set up the run.

    Args:
        dataset: the scan.
        spec: what the object is to be; one slice of phase by default.
        modes: of the probe.
        load: makes the counts: all in memory by default, or :func:`jptycho.data.lazy_counts.lazy_counts`.
        margin: Å by which positions may turn out to lie further out than the scan says.
        source_size: Å, standard deviation of a Gaussian source, whose modes they are; 0 for weak ones.

    Returns:
        the problem.

    Raises:
        ConfigError: an impossible calibration or object.
        FormatError: counts that are no counts, a probe that is none.
    """
    spec = ObjectSpec() if spec is None else spec
    check_calibration(dataset)
    check_mask(dataset)
    check_before(dataset, in_memory=load is load_counts)
    check_object(spec, dataset)
    window = (int(dataset.shape[-2]), int(dataset.shape[-1]))
    grid = Grid(window, sampling_of(dataset))
    positions = scan_positions(dataset)
    pixels, canvas = place_on_canvas(positions, grid.sampling, window, margin)
    _check_canvas(canvas, grid, spec)
    counts = load(dataset)
    mask = np.ones(window) if dataset.mask is None else np.fft.ifftshift(dataset.mask)
    mean_pattern = _mean_pattern(counts, mask)
    if mean_pattern.sum() <= 0:
        raise FormatError("data.mask: leaves no electron. Name an array that is zero for dead pixels only.")
    centre = beam_centre(mean_pattern, mask)
    probe = nominal_probe(dataset, grid, spec, centre, modes, source_size)
    unit, counts, undivided = electrons_of(counts, dataset, mask)
    dose = float(_mean_pattern(counts, mask).sum())
    electrons = dose / unit.value if undivided else dose
    setup = Setup(
        mask=jnp.asarray(mask, jnp.float32),
        dose=jnp.asarray(dose, jnp.float32),
        grid=grid,
        wavelength=wavelength_of(dataset.calibration),
        band_limit=spec.band_limit,
        noise=Noise(jnp.asarray(electrons, jnp.float32), jnp.asarray(dataset.calibration.read_noise, jnp.float32)),
        centre=jnp.asarray(np.divide(centre, np.multiply(window, grid.sampling)), jnp.float32),
    )
    estimate = vacuum(spec, probe, pixels, canvas)
    origin = positions[0] - pixels[0] * np.asarray(grid.sampling)
    first = (float(origin[0]), float(origin[1]))
    return Problem(counts, setup, estimate, first, electrons, dataset, unit, undivided, margin=margin)


def vacuum(
    spec: ObjectSpec, probe: Complex[Array, "modes y x"], pixels: Float[np.ndarray, "scan 2"], canvas: tuple[int, int]
) -> Estimate:
    """What every run begins with: no specimen, the nominal probe and positions.

    Args:
        spec: what the object is to be.
        probe: modes, centre at [0, 0].
        pixels: positions on the canvas.
        canvas: its shape.

    Returns:
        the estimate.
    """
    return Estimate(
        object=jnp.zeros((spec.slices, channels_of(spec.kind), *canvas)),
        probe=probe,
        positions=jnp.asarray(pixels, jnp.float32),
        thickness=jnp.asarray(spec.thickness, jnp.float32),
        tilt=jnp.asarray(spec.tilt, jnp.float32),
        coverage=jnp.asarray(illumination(np.asarray(probe), pixels, canvas), jnp.float32),
    )


def _check_canvas(canvas: tuple[int, int], grid: Grid, spec: ObjectSpec) -> None:
    if canvas[0] * canvas[1] * spec.slices > LARGEST_CANVAS:
        raise ConfigError(
            f"data.step: the scan spans {canvas[0]} x {canvas[1]} object pixels of {grid.sampling[0]:.3g} Å in "
            f"{spec.slices} slices, more than memory holds. Check the units of step and reciprocal_sampling."
        )


def _mean_pattern(counts: Counts, mask: np.ndarray) -> Float[np.ndarray, "ky kx"]:
    return counts.mean(axis=0, dtype=np.float64) * (mask > 0)


def field_of_view(problem: Problem) -> tuple[slice, slice]:
    """The part of the canvas that the scan's positions span.

    Args:
        problem: of :func:`prepare`.

    Returns:
        rows and columns.
    """
    pixels = np.asarray(problem.estimate.positions)
    low, high = np.ceil(pixels.min(axis=0)), np.floor(pixels.max(axis=0))
    return slice(int(low[0]), int(high[0]) + 1), slice(int(low[1]), int(high[1]) + 1)


def shared_by_slices(
    problem: Problem, phase: Float[np.ndarray, "Y X"], seen: np.ndarray, positive: bool
) -> Float[np.ndarray, "slices channels Y X"]:
    """A projected phase as channels of a guess, equal in all slices.

    Args:
        problem: whose guess it is.
        phase: rad.
        seen: where patterns were taken.
        positive: whether the smallest phase there becomes zero.

    Returns:
        channels in rad.
    """
    out = np.zeros(problem.estimate.object.shape, np.float32)
    if positive:
        phase = np.maximum(phase - phase[seen].min(), 0.0)
    out[:, 0] = phase / len(out)
    return out
