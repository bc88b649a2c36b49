"""How the patterns lay for another package, which may have mirrored them or turned them by right angles first.

Its object, probe and positions are then mirrored or turned as well. Positions alone do not tell that from a scan that
was laid otherwise against the same patterns, which is another reconstruction; the patterns do: those that its result
predicts vary over the scan as the measured ones do only where both lie alike. Some packages also move the patterns'
centre of mass to the zero frequency, where the beam need not lie on the detector.
"""

from __future__ import annotations

import dataclasses
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np

from jptycho.data.other_results import OtherResult
from jptycho.forward.fields import Fields, ScanFields, Setup
from jptycho.forward.model import predict_batch
from jptycho.preprocess.calibrate import beam_centre
from jptycho.preprocess.prepare import Problem
from jptycho.representations.estimate import transmission
from jptycho.types import Float, Grid, Shaped

SAMPLE = 64  # patterns that are compared
LEAST = 4  # of them
LARGEST_SHIFT = 0.5  # detector pixels, by which the beam may lie elsewhere
CERTAIN = 3.0  # standard errors, by which one orientation must fit better than every other


@dataclasses.dataclass(frozen=True)
class Orientation:
    """Images of the other package are these with their axes swapped, then mirrored.

    Attributes:
        transpose: whether the axes are swapped.
        mirrored: whether the order along (y, x) is reversed.
        about_array: whether that was about the middle of the array: of an even number of pixels, the zero frequency is
            then a pixel before its place.
    """

    transpose: bool = False
    mirrored: tuple[bool, bool] = (False, False)
    about_array: bool = False

    def apply(self, images: Shaped[np.ndarray, "... y x"]) -> Shaped[np.ndarray, "... n m"]:
        """Images with their centre at [y // 2, x // 2], as the other package has them."""
        turned = np.swapaxes(images, -2, -1) if self.transpose else images
        for axis, mirrored in zip((-2, -1), self.mirrored, strict=True):
            if mirrored:
                kept = self.about_array or turned.shape[axis] % 2
                turned = np.flip(turned, axis) if kept else np.roll(np.flip(turned, axis), 1, axis)
        return turned

    def undo(self, images: Shaped[np.ndarray, "... n m"]) -> Shaped[np.ndarray, "... y x"]:
        """Images of the other package, as they are here; mirroring about the centre is its own inverse."""
        turned = dataclasses.replace(self, transpose=False).apply(images)
        return np.swapaxes(turned, -2, -1) if self.transpose else turned

    def words(self) -> str:
        """What was done to the patterns."""
        named = zip(self.mirrored, ("y", "x"), strict=True)
        parts = ["with their axes swapped"] if self.transpose else []
        parts += [f"mirrored along {axis}" for mirrored, axis in named if mirrored]
        return " and ".join(parts)


SAME = Orientation()
ORIENTATIONS = tuple(
    Orientation(transpose, (rows, columns), about_array)
    for transpose, rows, columns in itertools.product((False, True), repeat=3)
    for about_array in ((False, True) if rows or columns else (False,))
)


def find_orientation(problem: Problem, found: OtherResult) -> Orientation | None:
    """How the patterns lay that a result was made of, by comparing those that it predicts with those of the scan.

    Args:
        problem: the scan.
        found: a result with as many positions as the scan has patterns.

    Returns:
        the orientation; None where none fits clearly better than every other.
    """
    window = problem.estimate.probe.shape[-2:]
    fitting = [one for one in ORIENTATIONS if one.apply(np.empty(window)).shape == found.probe.shape[-2:]]
    count = len(problem.counts)
    if found.centres is None or len(found.centres) != count or count < LEAST or not fitting:
        return None
    rows = _sample(count)
    expected = _variation(_predicted(problem, found, found.centres[rows]))
    mask = np.asarray(problem.setup.mask) > 0
    measured = _variation(np.fft.fftshift(np.asarray(problem.counts[rows], np.float64) * mask, axes=(-2, -1)))
    centred = np.roll(measured, tuple(-np.round(_beam(problem)).astype(int)), axis=(-2, -1))
    views = [(one, measured) for one in fitting] + [(one, centred) for one in fitting if not one.about_array]
    scores = np.array([(one.apply(patterns) * expected).sum(axis=(1, 2)) for one, patterns in views])
    best = int(np.argmax(scores.mean(axis=1)))
    lying = views[best][0]
    others = [n for n, (one, _) in enumerate(views) if one.words() != lying.words()]
    lead = scores[best] - scores[others]
    error = lead.std(axis=1, ddof=1) / math.sqrt(len(rows))
    return lying if bool((lead.mean(axis=1) > CERTAIN * error).all()) and scores[best].mean() > 0 else None


def _sample(count: int) -> np.ndarray:
    """Numbers of the patterns that are compared."""
    return np.linspace(0, count - 1, min(SAMPLE, count)).astype(int)


def _beam(problem: Problem) -> Float[np.ndarray, "2"]:
    """The beam's centre in detector pixels from the zero frequency."""
    grid, centre = problem.setup.grid, problem.setup.centre
    return np.zeros(2) if centre is None else np.asarray(centre) * np.multiply(grid.shape, grid.sampling)


def beam_offset(problem: Problem, found: OtherResult) -> Float[np.ndarray, "2"]:
    """How far the beam of a scan lies from where a result has it, whose patterns were moved to another centre.

    Args:
        problem: the scan.
        found: a result with positions, as many pixels and patterns.

    Returns:
        detector pixels along (y, x); zero where they agree to half a pixel.
    """
    power = (np.abs(np.fft.fft2(np.fft.ifftshift(found.probe, axes=(-2, -1)))) ** 2).sum(axis=0)
    if found.centres is None or np.abs(_beam(problem) - beam_centre(power)).max() <= LARGEST_SHIFT:
        return np.zeros(2)
    # Where the specimen scatters strongly, the patterns' disk is not the probe's, so patterns are compared with such.
    rows, mask = _sample(len(problem.counts)), np.asarray(problem.setup.mask)
    expected = np.fft.ifftshift(_predicted(problem, found, found.centres[rows]).mean(axis=0))
    measured = np.asarray(problem.counts[rows], np.float64).mean(axis=0)
    here, there = (np.array(beam_centre(one * (mask > 0), mask)) for one in (measured, expected))
    return here - there if np.abs(here - there).max() > LARGEST_SHIFT else np.zeros(2)


def with_beam_moved(found: OtherResult, offset: Float[np.ndarray, "2"]) -> OtherResult:
    """A result whose beam lies elsewhere on the detector: its probe has another phase ramp.

    Args:
        found: the result.
        offset: detector pixels along (y, x).

    Returns:
        the result.
    """
    y, x = (np.arange(n) - n // 2 for n in found.probe.shape[-2:])
    ramp = np.exp(2j * math.pi * (y[:, None] * offset[0] / len(y) + x * offset[1] / len(x)))
    return dataclasses.replace(found, probe=(found.probe * ramp).astype(found.probe.dtype))


def _variation(patterns: Float[np.ndarray, "n ky kx"]) -> Float[np.ndarray, "n ky kx"]:
    """Amplitudes less their mean over the scan, of unit norm in total: what all patterns share says nothing here."""
    amplitude = np.sqrt(np.maximum(patterns, 0))
    rest = amplitude - amplitude.mean(axis=0)
    return rest / max(float(np.linalg.norm(rest)), 1e-30)


def _predicted(problem: Problem, found: OtherResult, centres: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n ky kx"]:
    """Patterns of a result as it stands at some of its positions, zero frequency in the centre."""
    window = (int(found.probe.shape[-2]), int(found.probe.shape[-1]))
    grid = problem.setup.grid
    along = (0, 1) if window == grid.shape else (1, 0)
    sampling = (grid.sampling[along[0]], grid.sampling[along[1]])
    setup = Setup(jnp.ones(window), jnp.ones(()), Grid(window, sampling), problem.setup.wavelength)
    # A window may reach beyond the object of a package whose object is periodic.
    wider = [(0, 0), (0, 0), *[(n, n) for n in window]]
    channels = np.pad(np.stack([found.phase, found.absorption], axis=1), wider)
    fields = Fields(
        object=transmission(jnp.asarray(channels)),
        probe=jnp.asarray(np.fft.ifftshift(found.probe, axes=(-2, -1)) / np.linalg.norm(found.probe)),
        scan=ScanFields(jnp.asarray(centres + window, jnp.float32)),
        thickness=problem.estimate.thickness,
        tilt=jnp.zeros(2),
    )
    patterns = jax.jit(predict_batch)(fields, setup, fields.scan)
    return np.fft.fftshift(np.asarray(patterns, np.float64), axes=(-2, -1))


def turned_back(found: OtherResult, lying: Orientation) -> OtherResult:
    """A result as it would be of patterns that lie as they do here.

    Args:
        found: the result.
        lying: how its patterns lay.

    Returns:
        the result.
    """
    exactly = dataclasses.replace(lying, about_array=False)
    whole = dataclasses.replace(lying, about_array=True)  # of an object every pixel has its mirror image
    centres = found.centres
    if centres is not None:
        last = np.asarray(found.phase.shape[-2:]) - 1
        centres = np.where(lying.mirrored, last - centres, centres)
        centres = centres[:, ::-1] if lying.transpose else centres
    sampling = found.sampling if found.sampling is None or not lying.transpose else found.sampling[::-1]
    if lying.about_array:
        even = [n % 2 == 0 for n in found.probe.shape[-2:]]
        found = with_beam_moved(found, np.logical_and(lying.mirrored, even).astype(float))
    return dataclasses.replace(
        found,
        phase=np.ascontiguousarray(whole.undo(found.phase)),
        absorption=np.ascontiguousarray(whole.undo(found.absorption)),
        probe=np.ascontiguousarray(exactly.undo(found.probe)),
        centres=centres,
        sampling=None if sampling is None else (sampling[0], sampling[1]),
    )
