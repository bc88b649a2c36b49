"""What the filter of half sets leaves where no electron was."""

import numpy as np
import pytest

import jptycho

SHAPE, SEEN = (90, 110), (slice(20, 70), slice(25, 85))


def halves(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two noisy images of two slices, nothing outside what is seen, and the coverage."""
    rng = np.random.default_rng(seed)
    image, coverage = np.zeros((2, 1, *SHAPE)), np.zeros(SHAPE)
    smooth = np.fft.ifft2(np.fft.fft2(rng.normal(size=(2, 1, *SHAPE))) * np.exp(-20 * radius())).real
    image[..., SEEN[0], SEEN[1]] = (smooth / smooth.std())[..., SEEN[0], SEEN[1]]
    coverage[SEEN] = 2.0
    first, second = (image + 0.3 * (coverage > 0) * rng.normal(size=image.shape) for _ in range(2))
    return first, second, coverage


def radius() -> np.ndarray:
    """Frequency in cycles a pixel."""
    return np.hypot(np.fft.fftfreq(SHAPE[0])[:, None], np.fft.fftfreq(SHAPE[1]))


@pytest.mark.parametrize("seed", range(6))
def test_nothing_is_made_where_no_electron_was(seed: int):
    """There the local gain is a quotient of what rounding leaves; it must not blow up a single pixel."""
    first, second, coverage = halves(seed)
    filtered = jptycho.half_set_filter(first, second, coverage, (0.4, 0.3))
    largest = np.abs((first + second) / 2).max()
    for image in (filtered.mean, *filtered.half_sets):
        assert float(np.abs(image).max()) < 1.5 * largest


@pytest.mark.parametrize("empty", ["difference of slices", "second channel", "one half", "everything"])
def test_an_image_that_is_exactly_zero_stays_so(empty: str):
    """Identical slices have no difference, a pure phase has no absorption."""
    first, second, coverage = halves(2)
    first, second = (np.concatenate([half, 0.2 * half[:, :, ::-1]], axis=1) for half in (first, second))
    if empty == "difference of slices":
        first[1], second[1] = first[0], second[0]
    elif empty == "second channel":
        first[:, 1], second[:, 1] = 0.0, 0.0
    elif empty == "one half":
        second[:] = 0.0
    else:
        first[:], second[:] = 0.0, 0.0
    filtered = jptycho.half_set_filter(first, second, coverage, (0.4, 0.3))
    assert bool(np.isfinite(filtered.mean).all())
    assert bool(np.isfinite(filtered.half_sets).all())
    if empty == "difference of slices":
        np.testing.assert_allclose(filtered.mean[0], filtered.mean[1], atol=1e-5)
    elif empty == "second channel":
        np.testing.assert_allclose(filtered.mean[:, 1], 0.0, atol=1e-6)
    elif empty == "everything":
        np.testing.assert_allclose(filtered.mean, 0.0, atol=1e-4)


def test_weak_structure_beside_strong_keeps_its_contrast():
    """A film of a hundredth of the particle's contrast, and of a three hundredth, hardly noisy."""
    rng, rows = np.random.default_rng(0), np.hypot(*np.meshgrid(np.fft.fftfreq(128), np.fft.fftfreq(128)))
    fine = np.fft.ifft2(np.fft.fft2(rng.normal(size=(128, 128))) * ((rows > 0.1) & (rows < 0.4))).real
    for weak in (1e-2, 3e-3):
        image = np.where(np.arange(128) < 64, 1.0, weak) * fine / fine.std()
        first, second = (image + 0.01 * weak * rng.normal(size=image.shape) for _ in range(2))
        pair = (first[None, None], second[None, None])
        found = np.asarray(jptycho.half_set_filter(*pair, np.ones(image.shape), (0.4, 0.4)).mean)[0, 0, :, 80:112]
        true = image[:, 80:112]
        assert (found * true).sum() / (true**2).sum() == pytest.approx(1, abs=2e-3)


def test_rounding_of_the_halves_changes_the_image_by_as_little():
    first, second, coverage = halves(0)
    rng = np.random.default_rng(9)
    once = jptycho.half_set_filter(first, second, coverage, (0.4, 0.3)).mean
    other = jptycho.half_set_filter(
        first * (1 + 1e-6 * rng.normal(size=first.shape)), second, coverage, (0.4, 0.3)
    ).mean
    assert float(np.abs(np.asarray(other - once)).max()) < 1e-4


@pytest.mark.parametrize("unit", [0.37, 0.4, 3.1])
def test_the_unit_of_length_changes_the_frequencies_only(unit: float):
    first, second, coverage = halves(1)
    one = jptycho.half_set_filter(first, second, coverage, (1.0, 0.75))
    scaled = jptycho.half_set_filter(first, second, coverage, (unit, 0.75 * unit))
    np.testing.assert_array_equal(scaled.mean, one.mean)
    np.testing.assert_array_equal(scaled.correlation, one.correlation)
    np.testing.assert_allclose(scaled.frequency * unit, one.frequency, rtol=1e-6)
