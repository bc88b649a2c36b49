"""Single side-band and Wigner deconvolution against what a weak phase was made of."""

import jax.numpy as jnp
import numpy as np
import pytest

import jptycho
from jptycho.assembly.auto import resolve_auto
from jptycho.assembly.checks import check_config
from jptycho.assembly.start import start_estimate
from jptycho.assembly.summary import DIRECT_STARTS, summarise_objective
from jptycho.config.run import with_changes
from jptycho.diagnostics.gauge import remove_plane
from jptycho.diagnostics.similarity import correlation
from jptycho.diagnostics.truth import resample
from jptycho.preprocess import single_side_band, single_side_band_phase, wigner_deconvolution, wigner_phase
from jptycho.preprocess.direct_phase import DIRECT
from jptycho.preprocess.prepare import field_of_view, prepare
from jptycho.types import Grid

PERIOD, WINDOW, SAMPLING, STEP = (64, 48), (32, 24), (0.4, 0.45), 2
"""Pixels of the object and of a pattern, Å a pixel, pixels between positions; no two alike."""
WAVELENGTH, SEMIANGLE = 0.019687, 20e-3
AMPLITUDE, AZIMUTH = 0.02, 0.7
"""rad: so weak that its square is less than the tolerance."""
SQUARE = 2 * AMPLITUDE
"""Relative: what a weak phase's second order does."""


def recorded(order, defocus):
    """Patterns of φ = a cos(2π q·r + β), a window at a time by NumPy: fractions, positions, probe, q."""
    k = np.meshgrid(*(np.fft.fftfreq(n, d) for n, d in zip(WINDOW, SAMPLING, strict=True)), indexing="ij")
    edge = 1 / (WINDOW[1] * SAMPLING[1])
    wave = np.clip((SEMIANGLE / WAVELENGTH - np.hypot(*k)) / edge + 0.5, 0, 1)
    wave = wave * np.exp(1j * np.pi * WAVELENGTH * defocus * (k[0] ** 2 + 0.7 * k[1] ** 2))  # with astigmatism
    probe = np.fft.ifft2(wave / np.linalg.norm(wave), norm="ortho")
    y, x = np.indices(PERIOD)
    phase = AMPLITUDE * np.cos(2 * np.pi * (order[0] * y / PERIOD[0] + order[1] * x / PERIOD[1]) + AZIMUTH)
    near = [np.fft.fftfreq(n, 1 / n).astype(int) for n in WINDOW]
    patterns, places = [], []
    for row in range(0, PERIOD[0], STEP):
        for column in range(0, PERIOD[1], STEP):
            seen = np.ix_((row + near[0]) % PERIOD[0], (column + near[1]) % PERIOD[1])
            patterns.append(np.abs(np.fft.fft2(probe * np.exp(1j * phase[seen]), norm="ortho")) ** 2)
            places.append((row * SAMPLING[0], column * SAMPLING[1]))
    q = np.array([order, [-n for n in order], [order[0] + 1, order[1]]]) / np.multiply(PERIOD, SAMPLING)
    arrays = (np.array(patterns), np.array(places), probe, q)
    kinds = (jnp.float32, jnp.float32, jnp.complex64, jnp.float32)
    counts, positions, probe, q = (jnp.asarray(array, kind) for array, kind in zip(arrays, kinds, strict=True))
    return counts, positions, probe, Grid(WINDOW, SAMPLING), q


@pytest.mark.parametrize("defocus", [0.0, 60.0])
@pytest.mark.parametrize("order", [(3, 5), (8, -6), (14, 7)])
def test_a_weak_cosine_comes_back_with_its_size_phase_and_nothing_beside_it(order, defocus):
    found = np.asarray(single_side_band(*recorded(order, defocus)))
    expected = AMPLITUDE / 2 * np.exp(1j * AZIMUTH)
    np.testing.assert_allclose(found, [expected, expected.conj(), 0], atol=SQUARE * AMPLITUDE / 2)


@pytest.mark.parametrize("defocus", [0.0, 60.0])
@pytest.mark.parametrize("order", [(8, -6), (14, 7)])
def test_the_deconvolution_lacks_only_what_is_taken_for_noise(order, defocus):
    """O(q) = i φ(q) of a weak phase; ε is then the only thing that it lacks."""
    *scan, q = recorded(order, defocus)
    expected = 1j * AMPLITUDE / 2 * np.exp(1j * AZIMUTH * np.array([1, -1]))
    errors = []
    for noise in (1e-1, 1e-3, 1e-5):
        found = np.asarray(wigner_deconvolution(*scan, jnp.concatenate([q, jnp.zeros((1, 2))]), noise))
        errors.append(np.abs(found[:3] / found[3] - [*expected, 0]).max() / (AMPLITUDE / 2))
    assert errors[0] > 2 * errors[1] > 2 * errors[2]
    assert errors[2] < 0.06


def test_where_the_bands_are_too_narrow_nothing_is_made_up():
    *scan, q = recorded((8, -6), 0.0)
    assert float(abs(single_side_band(*scan, 1e-4 * q)[0])) == 0.0


@pytest.mark.parametrize("method", [single_side_band_phase, wigner_phase])
def test_a_dense_scan_of_a_thin_particle_shows_it(method):
    """Against the truth without what is finer than two steps."""
    scan = jptycho.simulate_gold(
        dose=float("inf"), diameter=10.0, carbon_thickness=4.0, scan_shape=(24, 24), step=0.6, detector=(32, 32),
        defocus=0.0, jitter=0.0,
    )  # fmt: skip
    problem = prepare(scan)
    view, truth = field_of_view(problem), scan.truth
    sampling, origin = problem.setup.grid.sampling, problem.origin
    rows, columns = (np.arange(v.start, v.stop) * sampling[i] + origin[i] for i, v in enumerate(view))
    expected = resample(truth.phase, truth.sampling, truth.origin, rows, columns)
    found = method(problem)
    assert found.shape == problem.estimate.object.shape
    blurred = [smooth(image, sampling, 0.5 / 0.6) for image in (expected, found[0, 0][view])]
    assert correlation(*map(remove_plane, blurred)) > 0.8
    slope = np.polyfit(*(remove_plane(image).ravel() for image in blurred), 1)[0]
    assert 0.4 < slope < 1.3
    assert method(problem, positive=True).min() >= 0


def smooth(image, sampling, highest):
    """Without spatial frequencies above a limit."""
    k = np.meshgrid(*(np.fft.fftfreq(n, d) for n, d in zip(image.shape, sampling, strict=True)), indexing="ij")
    return np.fft.ifft2(np.fft.fft2(image) * (np.hypot(*k) < highest)).real


@pytest.mark.parametrize(("name", "method"), [("ssb", single_side_band_phase), ("wdd", wigner_phase)])
def test_networks_can_start_there(small_scan, name, method):
    problem = prepare(small_scan)
    config = with_changes(None, {"method": "dgp", "dgp": {"start": name}})
    check_config(config)
    found = start_estimate(config, problem, False, print)
    np.testing.assert_array_equal(found.object, method(problem))
    assert np.abs(found.object).max() > 0
    assert DIRECT[name] is method
    said = "\n".join(summarise_objective(resolve_auto(config, problem)))
    assert f"priors from {DIRECT_STARTS[name]}" in said
