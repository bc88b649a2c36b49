"""Two small experiments of ptychography lectures: what overlap does, and descent by automatic differentiation."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from scipy import ndimage

from jptycho.forward.fields import Fields, ScanFields, Setup
from jptycho.forward.model import predict_batch
from jptycho.optics.waves import cis
from jptycho.parallel import make_mesh
from jptycho.representations.base import ModelSpec, initialise
from jptycho.representations.estimate import Estimate, fields_of
from jptycho.representations.pixels import ChannelObject, PixelProbe
from jptycho.solvers.base import distribute, epoch, init_state
from jptycho.solvers.pie import PIESolver
from jptycho.types import Array, Float, Grid

OBJECT, WINDOW = 48, 16


def spot(size: int = WINDOW, radius: float = 4.0) -> Float[np.ndarray, "y x"]:
    """A soft disk without phase, of unit intensity, its centre at [0, 0].

    Args:
        size: rows and columns of its window.
        radius: of the disk, pixels.

    Returns:
        amplitude.

    Example:
        >>> round(float((spot() ** 2).sum()), 6)
        1.0
    """
    axis = np.fft.fftfreq(size) * size
    disk = 1 / (1 + np.exp(2 * (np.hypot(axis[:, None], axis[None, :]) - radius)))
    return disk / np.linalg.norm(disk)


def smooth_image(size: int, width: float, seed: int) -> Float[np.ndarray, "Y X"]:
    """Random structure between 0 and 1, periodic.

    Args:
        size: rows and columns.
        width: of its blur, pixels.
        seed: of the numbers.

    Returns:
        the image.

    Example:
        >>> image = smooth_image(16, 2.0, 0)
        >>> float(image.min()), float(image.max())
        (0.0, 1.0)
    """
    image = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(size, size)), width, mode="wrap")
    return (image - image.min()) / (image.max() - image.min())


def raster(extent: int, step: int, margin: int) -> Float[Array, "scan 2"]:
    """Whole-pixel positions of the probe's centre.

    Args:
        extent: pixels that they span along each axis, from zero.
        step: pixels.
        margin: added to every position.

    Returns:
        (scan, 2).

    Example:
        >>> raster(8, 4, 8)[:4].tolist()
        [[8.0, 8.0], [8.0, 12.0], [8.0, 16.0], [12.0, 8.0]]
    """
    line = np.arange(0, extent + 1, step) + margin
    return jnp.asarray(np.stack(np.meshgrid(line, line, indexing="ij"), axis=-1).reshape(-1, 2), jnp.float32)


def overlap_problem(step: int, seed: int = 42) -> tuple[Fields, Setup, Float[np.ndarray, "scan ky kx"]]:
    """An object of 48² pixels seen through a probe of 16² at every ``step`` pixels, without noise.

    Args:
        step: pixels between positions; neighbours' windows overlap by 1 - step / 16.
        seed: of the object.

    Returns:
        true fields, setup, patterns (zero frequency at [0, 0]).

    Example:
        >>> fields, setup, patterns = overlap_problem(8)
        >>> patterns.shape
        (25, 16, 16)
    """
    amplitude = 1 - 0.2 * smooth_image(OBJECT, 2.0, seed)
    phase = 0.5 * smooth_image(OBJECT, 2.0, seed + 1000)
    transmission = jnp.asarray(amplitude * np.exp(1j * phase), jnp.complex64)[None]
    return _recorded(transmission, raster(OBJECT - WINDOW, step, WINDOW // 2))


def descent_problem(
    image: Float[np.ndarray, "Y X"], phase: float = 0.4, step: int = 4
) -> tuple[Fields, Setup, Float[np.ndarray, "scan ky kx"]]:
    """A phase object that continues periodically, seen at every ``step`` pixels of one period.

    Args:
        image: between 0 and 1.
        phase: in rad where the image is 1.
        step: pixels.

    Returns:
        true fields (the object wrapped around by the probe's window), setup, patterns.

    Example:
        >>> fields, setup, patterns = descent_problem(np.zeros((64, 64)))
        >>> fields.object.shape, patterns.shape
        ((1, 80, 80), (256, 16, 16))
    """
    transmission = wrapped(cis(phase * jnp.asarray(image, jnp.float32)))[None]
    return _recorded(transmission, raster(len(image) - step, step, WINDOW // 2))


def wrapped(period: Array) -> Array:
    """One period of an image, continued to the right and below by the probe's window.

    Args:
        period: (Y, X).

    Returns:
        (Y + 16, X + 16).

    Example:
        >>> wrapped(jnp.eye(20)).shape
        (36, 36)
    """
    return jnp.pad(period, ((0, WINDOW), (0, WINDOW)), mode="wrap")


def _recorded(
    transmission: Array, positions: Float[Array, "scan 2"]
) -> tuple[Fields, Setup, Float[np.ndarray, "scan ky kx"]]:
    grid = Grid((WINDOW, WINDOW), (1.0, 1.0))
    probe = jnp.asarray(spot(), jnp.complex64)[None]
    fields = Fields(transmission, probe, ScanFields(positions), jnp.zeros(()), jnp.zeros(2))
    setup = Setup(jnp.ones(grid.shape), jnp.ones(()), grid, 1.0)
    return fields, setup, np.asarray(predict_batch(fields, setup, fields.scan))


def overlap_curve(step: int, iterations: int = 40, seed: int = 42) -> Float[np.ndarray, "iterations_and_start"]:
    """Amplitude error before and after each iteration of ePIE with a known probe, one pattern a step.

    Args:
        step: pixels between positions.
        iterations: of ePIE.
        seed: of object and order.

    Returns:
        √(Σ (√I - √y)² / Σ y), iterations + 1 numbers.
    """
    fields, setup, patterns = overlap_problem(step, seed)
    model = ModelSpec(ChannelObject("complex"), PixelProbe())
    solver = PIESolver(model, steps=len(patterns), probe_step=0.0)
    flat = jnp.zeros((1, 2, OBJECT, OBJECT))
    estimate = Estimate(
        flat, fields.probe, fields.scan.position, fields.thickness, fields.tilt, jnp.ones(flat.shape[-2:])
    )
    mesh = make_mesh(jax.devices()[:1])
    params, constants = initialise(model, jax.random.key(0), estimate)
    state = init_state(solver, mesh, params, constants, jax.random.key(seed))
    data = distribute(patterns, setup, mesh)
    errors = [_amplitude_error(fields_of(solver.estimate(state.params, constants)), setup, patterns)]
    for _ in range(iterations):
        state, _ = epoch(solver, mesh, state, constants, data)
        errors.append(_amplitude_error(fields_of(solver.estimate(state.params, constants)), setup, patterns))
    return np.array(errors)


def _amplitude_error(fields: Fields, setup: Setup, patterns: Float[np.ndarray, "scan ky kx"]) -> float:
    model = np.asarray(predict_batch(fields, setup, fields.scan))
    return float(np.sqrt(np.sum((np.sqrt(model) - np.sqrt(patterns)) ** 2) / patterns.sum()))
