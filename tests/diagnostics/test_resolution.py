"""Which lattice reflections an image shows, of a crystal whose reflections are known."""

import numpy as np
import pytest

from jptycho.diagnostics.resolution import information_limit

SHAPE, SAMPLING, CELL = (144, 160), (0.25, 0.2), (4.0, 3.2)


def reflections(highest: float) -> list[tuple[float, float]]:
    """Of a rectangular cell, one of each pair of opposite ones, up to a frequency in Å⁻¹."""
    orders = [(h, k) for h in range(8) for k in range(-8, 8) if (h, k) > (0, 0)]
    return [(h / CELL[0], k / CELL[1]) for h, k in orders if np.hypot(h / CELL[0], k / CELL[1]) <= highest]


def crystal(highest: float, sign: float = 1.0) -> np.ndarray:
    """A sum of cosines of equal height at reflections up to a frequency, in Å⁻¹; above 1 of the given sign.

    A little disorder hides the side lobes of the window, which are no reflections.
    """
    y, x = np.meshgrid(*(np.arange(n) * d for n, d in zip(SHAPE, SAMPLING, strict=True)), indexing="ij")
    image = 0.02 * np.random.default_rng(1).normal(size=SHAPE)
    for ky, kx in reflections(highest):
        image += (sign if np.hypot(ky, kx) > 1.0 else 1.0) * np.cos(2 * np.pi * (ky * y + kx * x) + ky + 2 * kx)
    return image


def noise(height: float) -> np.ndarray:
    return height * np.random.default_rng(0).normal(size=SHAPE)


def test_a_perfect_image_shows_every_reflection():
    truth = crystal(1.8)
    highest = max(np.hypot(*k) for k in reflections(1.8))
    assert information_limit(truth + noise(0.1), truth, SAMPLING) == pytest.approx((highest, highest), abs=0.02)


def test_an_image_that_lacks_the_fine_reflections_shows_the_coarse_ones():
    limit, last = information_limit(crystal(1.0) + noise(0.5), crystal(1.8), SAMPLING)
    first_lost = min(f for f in np.hypot(*np.array(reflections(1.8)).T) if f > 1.0)
    assert limit == pytest.approx(first_lost, abs=0.01)
    assert last == pytest.approx(max(np.hypot(*k) for k in reflections(1.0)), abs=0.02)


def test_reflections_of_the_wrong_phase_are_not_seen():
    limit, last = information_limit(crystal(1.8, sign=-1.0) + noise(0.1), crystal(1.8), SAMPLING)
    assert limit == pytest.approx(1.0, abs=0.12)
    assert last <= 1.0 + 0.02
    assert information_limit(-crystal(1.8), crystal(1.8), SAMPLING)[1] == 0.0


def test_more_noise_or_a_higher_threshold_shows_less():
    truth = crystal(1.8)
    image = truth + noise(8.0)
    lasts = [information_limit(image, truth, SAMPLING, threshold)[0] for threshold in (2.0, 6.0, 1e3)]
    assert lasts == sorted(lasts, reverse=True)
    assert lasts[-1] < lasts[0]


def test_few_reflections_have_no_share():
    """Of fewer than make a band only the highest one seen is told."""
    truth = crystal(0.4)
    highest = max(np.hypot(*k) for k in reflections(0.4))
    assert information_limit(truth + noise(0.1), truth, SAMPLING) == pytest.approx((0.0, highest), abs=0.02)
