"""Gauges and similarity."""

import numpy as np
import pytest
from scipy import ndimage

from jptycho.diagnostics.gauge import remove_plane, same_gauge
from jptycho.diagnostics.similarity import compare, correlation, high_pass
from jptycho.diagnostics.truth import align_with_truth, compare_with_truth, resample

SAMPLING = (0.4, 0.35)


def smooth(seed=0, shape=(70, 90)):
    return ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 2) * 5


class Waves:
    """A periodic image as a sum of cosines up to the Nyquist frequency, which has a value everywhere."""

    def __init__(self, seed=0, shape=(48, 54), waves=400):
        rng = np.random.default_rng(seed)
        self.shape = shape
        self.k = np.stack([rng.integers(-(n // 2) + 1, n // 2, waves) / n for n in shape])
        self.phase, self.height = rng.uniform(0, 2 * np.pi, waves), rng.uniform(0.5, 1.0, waves)

    def at(self, rows, columns):
        """Values at pixels, one cosine after the other."""
        y, x = np.meshgrid(rows, columns, indexing="ij")
        out = np.zeros(y.shape)
        for ky, kx, phase, height in zip(*self.k, self.phase, self.height, strict=True):
            out += height * np.cos(2 * np.pi * (ky * y + kx * x) + phase)
        return out

    @property
    def truth(self):
        """Its samples over a period, their sampling and an origin."""
        return self.at(*(np.arange(n) for n in self.shape)), SAMPLING, (3.0, -2.0)

    def seen(self, offset, view, shift=(0.0, 0.0), canvas=(44, 46)):
        """What a perfect reconstruction on a canvas shows whose pixels lie between the truth's, and its arguments."""
        origin = tuple(o + d * s for o, d, s in zip((3.0, -2.0), offset, SAMPLING, strict=True))
        rows, columns = (np.arange(n) + d - m for n, d, m in zip(canvas, offset, shift, strict=True))
        return self.at(rows, columns)[None], SAMPLING, origin, view, self.truth


VIEW = (4, 40, 3, 41)
OFFSETS = [(0.0, 0.0), (1 / 3, 2 / 3), (0.5, 0.5), (0.25, -0.45), (2.9, 1.1)]


@pytest.mark.parametrize("offset", OFFSETS)
@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.3217, -0.411)])
def test_a_perfect_image_scores_one_wherever_its_pixels_lie(offset, shift):
    found = compare_with_truth(*Waves().seen(offset, VIEW, shift))
    assert found.correlation == pytest.approx(1, abs=1e-4)
    assert found.high_pass == pytest.approx(1, abs=1e-4)
    assert found.ssim == pytest.approx(1, abs=1e-4)
    assert found.bulk == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("offset", OFFSETS[1:3])
def test_equal_noise_costs_the_same_at_every_offset(offset):
    """The ruler takes no side: what an image loses depends on its noise and not on where its pixels lie."""
    noise = 3.0 * np.random.default_rng(1).normal(size=(44, 46))
    image = Waves().at(np.arange(44), np.arange(46))
    spread = image.std()

    def scores(where):
        phase, *rest = Waves().seen(where, VIEW)
        return compare_with_truth(phase + noise * phase.std() / spread, *rest)

    plain, moved = scores((0.0, 0.0)), scores(offset)
    for name in ("correlation", "high_pass", "ssim"):
        assert getattr(moved, name) == pytest.approx(getattr(plain, name), abs=0.01)


def test_a_finer_truth_is_read_without_what_the_image_cannot_hold():
    """Of a truth twice as fine the image has the waves below its own Nyquist frequency."""
    fine = Waves(shape=(96, 108))
    slow = np.all(np.abs(fine.k) <= 0.25, axis=0)
    coarse = Waves(shape=(96, 108))
    coarse.k, coarse.phase, coarse.height = fine.k[:, slow], fine.phase[slow], fine.height[slow]
    rows, columns = 2.0 * np.arange(40), 2.0 * np.arange(45)
    phase, sampling, origin = fine.truth
    positions = (rows * sampling[0] + origin[0], columns * sampling[1] + origin[1])
    np.testing.assert_allclose(resample(phase, sampling, origin, *positions), coarse.at(rows, columns), atol=1e-9)


def test_plane_and_shift_do_not_matter():
    phase, *rest = Waves().seen((0.0, 0.0), VIEW, (0.6, -1.3))
    y, x = np.meshgrid(*[np.arange(n) for n in phase.shape[1:]], indexing="ij")
    found = compare_with_truth(phase + 0.2 * y - 0.1 * x + 4, *rest)
    assert found.correlation == pytest.approx(1, abs=1e-4)
    assert found.ssim == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("shift", [(0.3, -0.4), (1.2, -0.7), (2.3, 1.7)])
@pytest.mark.parametrize("width", [4.0, 10.0])
def test_a_perfect_smooth_image_scores_one_too(shift, width):
    """The window of the cross-correlation pulls a smooth image towards no shift; the refinement undoes that."""
    wave = Waves(shape=(96, 96), waves=60)
    wave.height = wave.height * np.exp(-2 * (np.pi * width * np.hypot(*wave.k)) ** 2)
    found = compare_with_truth(*wave.seen((0.0, 0.0), (4, 84, 6, 84), shift, canvas=(90, 90)))
    assert found.correlation == pytest.approx(1, abs=1e-4)
    assert found.ssim == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("shift", [(0.3, 0.3), (0.5, -0.45), (-0.2, 0.6)])
@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_the_wrong_site_of_a_lattice_does_not_win(shift, noise):
    """A lattice whose other sites lie nearer to whole pixels than the right one, told apart by its disorder."""
    wave, rng = Waves(shape=(100, 100), waves=300), np.random.default_rng(3)
    wave.height = 0.25 * wave.height / np.sqrt((wave.height**2).sum() / 2)
    for k in ((0.2, 0.2), (0.2, -0.2), (0.18, 0.2)):
        wave.k = np.append(wave.k, np.array(k)[:, None], axis=1)
        wave.phase, wave.height = np.append(wave.phase, 0.3), np.append(wave.height, 0.5)
    phase, *rest = wave.seen((0.0, 0.0), (8, 88, 6, 84), shift, canvas=(96, 92))
    clean = compare_with_truth(phase, *rest)
    assert clean.correlation == pytest.approx(1, abs=1e-4)
    rows, columns = np.arange(8, 88), np.arange(6, 84)
    noisy = phase[0, 8:88, 6:84] + noise * rng.normal(size=(80, 78))
    _, _, found = same_gauge(noisy, lambda s: wave.at(rows - s[0], columns - s[1]))
    np.testing.assert_allclose(found, shift, atol=0.1 if noise else 1e-3)


def test_an_image_far_away_is_not_moved():
    _, _, shift = same_gauge(Waves().at(np.arange(40) - 9, np.arange(40)), lambda s: Waves().at(
        np.arange(40) - s[0], np.arange(40) - s[1]))  # fmt: skip
    assert shift.tolist() == [0, 0]


def test_the_noisy_image_is_not_interpolated():
    """Moving the image would blur its noise: what is compared must hold every pixel of it, up to a plane."""
    phase, *rest = Waves().seen((0.5, 0.5), VIEW, (0.2, 0.1))
    noisy = phase + 5 * np.random.default_rng(1).normal(size=phase.shape)
    fitted, _ = align_with_truth(noisy, *rest)
    np.testing.assert_allclose(remove_plane(fitted), remove_plane(noisy[0, 4:40, 3:41]), atol=1e-8)


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
