"""A scan with other pixels of the detector, and its object at another sampling."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping

import jax.numpy as jnp
import numpy as np

from jptycho.data.lazy_counts import in_memory
from jptycho.errors import ConfigError
from jptycho.forward.fields import Noise
from jptycho.preprocess.prepare import Problem, illumination
from jptycho.representations.beam import COHERENT
from jptycho.representations.estimate import Estimate
from jptycho.scan import place_on_canvas
from jptycho.types import Array, Complex, Float, Grid, Shaped


def change_window(problem: Problem, window: tuple[int, int]) -> Problem:
    """A scan with fewer pixels of the detector, or with more that have seen nothing: the object is sampled otherwise.

    The probe's window keeps its size in Å, so n detector pixels instead of N sample the object N / n times as wide.
    What is left out at the border of the detector is not modelled, so it should be little.

    Args:
        problem: the scan.
        window: detector pixels along (y, x).

    Returns:
        the scan; its estimate is resampled.
    """
    old = problem.setup.grid
    if window == old.shape:
        return problem
    lengths = tuple(n * s for n, s in zip(old.shape, old.sampling, strict=True))
    grid = Grid(window, (lengths[0] / window[0], lengths[1] / window[1]))
    counts = np.ascontiguousarray(cut(in_memory(problem.counts), window))
    mask = cut(np.asarray(problem.setup.mask), window)
    seen = problem.counts.mean(axis=0, dtype=np.float64) * (np.asarray(problem.setup.mask) > 0)
    share = float((counts.mean(axis=0, dtype=np.float64) * (mask > 0)).sum() / seen.sum())
    if share == 0:
        raise ConfigError(f"stages: a window of {window[0]} detector pixels holds no electron. Use a larger one.")
    noise = problem.setup.noise
    setup = dataclasses.replace(
        problem.setup,
        mask=jnp.asarray(mask),
        grid=grid,
        dose=(problem.setup.dose * share).astype(problem.setup.dose.dtype),
        noise=None if noise is None else Noise(noise.electrons * share, noise.read_out),
    )
    before = canvas_of(problem)
    positions = before.pixels * old.sampling + before.origin
    pixels, shape = place_on_canvas(positions, grid.sampling, window, problem.margin)
    origin = positions[0] - pixels[0] * np.asarray(grid.sampling)
    canvas = Canvas(grid, shape, pixels, (float(origin[0]), float(origin[1])))
    return dataclasses.replace(
        problem,
        counts=counts,
        setup=setup,
        estimate=resample(problem.estimate, before, canvas),
        origin=canvas.origin,
        electrons=problem.electrons * share,
    )


@dataclasses.dataclass(frozen=True)
class Canvas:
    """Where an object lies.

    Attributes:
        grid: window of the probe, and sampling.
        shape: of the canvas.
        pixels: nominal positions on it (scan, 2).
        origin: Å of its pixel [0, 0].
    """

    grid: Grid
    shape: tuple[int, int]
    pixels: Float[np.ndarray, "scan 2"]
    origin: tuple[float, float]


def canvas_of(problem: Problem) -> Canvas:
    """Where the object of a scan lies.

    Args:
        problem: the scan.

    Returns:
        the canvas.
    """
    rows, columns = problem.estimate.coverage.shape
    pixels = np.asarray(problem.estimate.positions, np.float64)
    return Canvas(problem.setup.grid, (rows, columns), pixels, problem.origin)


def cut(images: Shaped[np.ndarray, "*scan ky kx"], window: tuple[int, int]) -> Shaped[np.ndarray, "*scan n m"]:
    """The lowest frequencies of images in FFT order, with zeros for those that they do not hold.

    Args:
        images: zero frequency at [0, 0].
        window: pixels along the last two axes.

    Returns:
        the images in FFT order.

    Example:
        >>> cut(np.arange(16.0).reshape(4, 4), (2, 2)).tolist()
        [[0.0, 3.0], [12.0, 15.0]]
    """
    for axis, n in ((-2, window[0]), (-1, window[1])):
        size = images.shape[axis]
        keep = min(size, n)
        # Frequencies 0, 1, ... and ..., -2, -1; an even number has one more of the negative ones.
        low, high = np.split(np.take(images, _lowest(size, keep), axis=axis), [(keep + 1) // 2], axis=axis)
        shape = list(low.shape)
        shape[axis] = n - keep
        images = np.concatenate([low, np.zeros(shape, images.dtype), high], axis=axis)
    return images


def _lowest(size: int, keep: int) -> np.ndarray:
    """Indices of the lowest frequencies of an axis in FFT order."""
    return np.r_[0 : (keep + 1) // 2, size - keep // 2 : size]


def resample(estimate: Estimate, before: Canvas, canvas: Canvas) -> Estimate:
    """An estimate on another canvas, by the Fourier series of its object.

    Args:
        estimate: so far.
        before: the canvas that it lies on.
        canvas: the one where it shall lie.

    Returns:
        the estimate.
    """
    old, new = before.grid.sampling, canvas.grid.sampling
    axes = zip(before.shape, canvas.shape, before.origin, canvas.origin, old, new, strict=True)
    rows, columns = (_series(n, count, (there - here) / s, fine / s) for n, count, here, there, s, fine in axes)
    moved = lambda image: jnp.asarray(rows @ np.asarray(image) @ columns.T, image.dtype)  # noqa: E731
    many = {name: getattr(estimate, name) for name in ("half_sets", "members")}
    probe, probes = _resized(estimate.probe, canvas.grid.shape), estimate.member_probes
    spot = illumination(np.asarray(probe), canvas.pixels, canvas.shape)
    places = np.asarray(estimate.positions) * old + before.origin
    return dataclasses.replace(
        estimate,
        object=moved(estimate.object),
        probe=probe,
        positions=jnp.asarray((places - canvas.origin) / new, estimate.positions.dtype),
        coverage=jnp.asarray(spot, estimate.coverage.dtype),
        member_probes=None if probes is None else _resized(probes, canvas.grid.shape),
        shared=with_wave(estimate.shared, lambda wave: _resized(wave, canvas.grid.shape)),
        **{name: None if value is None else moved(value) for name, value in many.items()},
    )


def with_wave(
    shared: Mapping[str, Array], change: Callable[[Complex[Array, "1 y x"]], Complex[Array, "1 n m"]]
) -> dict[str, Array]:
    """Parts of a probe, of which the one of a point source is changed as the modes are.

    Args:
        shared: of an estimate.
        change: of modes.

    Returns:
        the parts.

    Example:
        >>> with_wave({COHERENT: jnp.ones((2, 2), complex)}, lambda wave: 2 * wave)[COHERENT][0, 0].item()
        (2+0j)
    """
    return dict(shared) | {name: change(shared[name][None])[0] for name in (COHERENT,) if name in shared}


def _resized(probe: Complex[Array, "... modes y x"], window: tuple[int, int]) -> Complex[Array, "... modes n m"]:
    """A probe of the same power in a window of the same size in Å and other pixels."""
    spectrum = np.fft.fft2(np.asarray(probe), norm="ortho")
    low = cut(spectrum, window)
    low = low * np.linalg.norm(spectrum) / np.linalg.norm(low)
    return jnp.asarray(np.fft.ifft2(low, norm="ortho"), probe.dtype)


def _series(pixels: int, count: int, first: float, step: float) -> Float[np.ndarray, "count pixels"]:
    """The matrix that evaluates a periodic image's Fourier series at other places, what is finer than those left out.

    Args:
        pixels: of the image.
        count: of the places.
        first: place in pixels of the image.
        step: between the places, likewise.

    Returns:
        (count, pixels).
    """
    k = np.fft.fftfreq(pixels)
    seen = np.abs(k) <= min(0.5, 0.5 / step)
    analysis = seen[:, None] * np.exp(-2j * math.pi * np.outer(k, np.arange(pixels))) / pixels
    return np.real(np.exp(2j * math.pi * np.outer(first + step * np.arange(count), k)) @ analysis)
