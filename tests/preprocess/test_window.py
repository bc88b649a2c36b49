"""Where an object lies, and a detector of other pixels."""

import dataclasses

import numpy as np
import pytest

from jptycho.data.dataset import Calibration, from_arrays
from jptycho.errors import ConfigError
from jptycho.preprocess.prepare import Problem, prepare
from jptycho.preprocess.window import canvas_of, change_window, cut


@pytest.fixture(scope="module")
def scanned() -> Problem:
    """A raster of 3 x 4 that begins at (5, -7) Å."""
    counts = np.zeros((3, 4, 26, 21), np.uint8)
    counts[..., 7:20, 5:16] = 3
    positions = np.stack(np.meshgrid([5.0, 7.0, 9.0], [-7.0, -4.0, -1.0, 2.0], indexing="ij"), -1).reshape(-1, 2)
    known = Calibration(300e3, 12.0, defocus=400.0, reciprocal_sampling=(0.09, 0.12))
    return prepare(from_arrays(counts, known, positions))


def test_pixels_of_the_canvas_are_the_positions_of_the_scan(scanned: Problem):
    canvas = canvas_of(scanned)
    assert scanned.dataset.positions is not None
    assert canvas.shape == scanned.estimate.object.shape[-2:]
    assert canvas.grid.shape == (26, 21)
    found = np.asarray(canvas.origin) + canvas.pixels * canvas.grid.sampling
    np.testing.assert_allclose(found, scanned.dataset.positions, atol=1e-5)


@pytest.mark.parametrize("window", [(11, 8), (32, 28), (20, 25)])
def test_another_window_sees_the_same_places(scanned: Problem, window: tuple[int, int]):
    """The window keeps its size in Å, the counts of what it still holds and the share of the dose."""
    found = change_window(scanned, window)
    canvas, before = canvas_of(found), canvas_of(scanned)
    places = [np.asarray(c.origin) + c.pixels * c.grid.sampling for c in (canvas, before)]
    np.testing.assert_allclose(*places, atol=1e-5)
    np.testing.assert_allclose(
        np.multiply(canvas.grid.shape, canvas.grid.sampling), np.multiply((26, 21), before.grid.sampling)
    )
    assert found.counts.shape == (12, *window)
    assert float(found.setup.dose) == pytest.approx(found.counts.sum() / 12, rel=1e-6)
    share = found.counts.sum() / scanned.counts.sum()
    assert (share < 0.8) == (window == (11, 8))
    assert found.electrons == pytest.approx(share * scanned.electrons, rel=1e-6)
    assert found.setup.noise is not None
    assert float(found.setup.noise.electrons) == pytest.approx(found.electrons, rel=1e-6)


@pytest.mark.parametrize(("size", "n"), [(8, 5), (8, 6), (7, 4), (7, 5), (6, 9), (5, 8)])
def test_cutting_keeps_each_frequency_in_its_place(size: int, n: int):
    """Of an image that holds its own frequency at each pixel."""
    numbers = np.round(np.fft.fftfreq(size) * size)
    found = cut(np.stack([numbers, numbers + 100])[None], (2, n))[0]
    for k, value in zip(np.round(np.fft.fftfreq(n) * n), found[0], strict=True):
        assert value == (k if k in numbers else 0)


def test_a_window_without_electrons_is_refused(scanned: Problem):
    dark = dataclasses.replace(scanned, counts=scanned.counts * (cut(np.ones((12, 6, 5)), (26, 21)) == 0))
    with pytest.raises(ConfigError, match=r"stages: a window of 6 detector pixels holds no electron\. Use a larger"):
        change_window(dark, (6, 5))
