"""Gauges and similarity."""

import numpy as np
import pytest
from scipy import ndimage

from jptycho.diagnostics.gauge import remove_plane, same_gauge
from jptycho.diagnostics.similarity import compare, correlation, high_pass
from jptycho.diagnostics.truth import compare_with_truth


def smooth(seed=0, shape=(70, 90)):
    return ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 2) * 5


def test_plane_and_shift_do_not_matter():
    truth = smooth()
    y, x = np.meshgrid(*[np.arange(n) for n in truth.shape], indexing="ij")
    image = ndimage.shift(truth, (0.6, -1.3), mode="nearest") + 0.02 * y - 0.01 * x + 4
    found = compare(image, truth, (0.4, 0.4))
    assert found.correlation > 0.99
    assert found.ssim > 0.95


def test_the_noisy_image_is_not_interpolated():
    """Moving the image would blur its noise: what is compared must hold every pixel of it, up to a plane."""
    truth = smooth()
    image = ndimage.shift(truth, (0.5, 0.5), mode="nearest") + np.random.default_rng(1).normal(size=truth.shape)
    fitted, _, _ = same_gauge(image, truth)
    np.testing.assert_allclose(remove_plane(fitted), remove_plane(image), atol=1e-8)


def test_noise_lowers_every_number():
    truth = smooth()
    noise = np.random.default_rng(1).normal(size=truth.shape)
    scores = [compare(truth + s * noise, truth, (0.4, 0.4)) for s in (0.1, 0.4, 1.6)]
    for name in ("correlation", "high_pass", "ssim"):
        values = [getattr(s, name) for s in scores]
        assert values == sorted(values, reverse=True)


def test_high_pass_halves_its_period():
    x = np.arange(400) * 0.1
    wave = np.broadcast_to(np.cos(2 * np.pi * x / 1.5), (400, 400))
    passed = high_pass(np.array(wave), (0.1, 0.1), 1.5)
    assert correlation(passed[100:300, 100:300], wave[100:300, 100:300]) == pytest.approx(1, abs=1e-3)
    assert passed[200, 100:300].std() / wave[200, 100:300].std() == pytest.approx(0.5, abs=0.02)


def test_bulk_share_is_the_height_of_the_step_whatever_the_noise():
    rng = np.random.default_rng(0)
    y, x = np.meshgrid(np.arange(120) * 0.4, np.arange(140) * 0.4, indexing="ij")
    disk = 1.5 / (1 + np.exp((np.hypot(y - 24, x - 28) - 14) / 0.8))
    truth = disk + 0.1 * np.sin(2 * np.pi * x / 2)
    for share in (1.0, 0.6, 0.0):
        image = truth - (1 - share) * disk + rng.normal(size=disk.shape)
        assert compare(image, truth, (0.4, 0.4)).bulk == pytest.approx(share, abs=0.1)


def test_truth_is_found_by_its_position():
    truth = smooth(shape=(80, 80))
    inner = truth[10:60, 20:70]
    found = compare_with_truth(inner[None], (0.5, 0.5), (5.0, 10.0), (5, 45, 5, 45), (truth, (0.5, 0.5), (0.0, 0.0)))
    assert found.correlation == pytest.approx(1, abs=1e-6)
