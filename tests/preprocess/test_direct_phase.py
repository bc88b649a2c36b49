"""Estimates without iteration: differential phase contrast and parallax."""

import numpy as np
import pytest
from scipy import ndimage

import jptycho
from jptycho.diagnostics.gauge import remove_plane
from jptycho.diagnostics.similarity import correlation
from jptycho.diagnostics.truth import resample
from jptycho.preprocess.direct_phase import centres_of_mass, differential_phase, parallax_phase
from jptycho.preprocess.prepare import field_of_view, prepare


def test_differential_phase_shows_what_slowly_varies():
    """Against the truth blurred by the probe; in focus and thin, where the slope is what moves a pattern."""
    scan = jptycho.simulate_gold(
        dose=float("inf"), diameter=14.0, carbon_thickness=4.0, scan_shape=(20, 20), step=1.2, detector=(32, 32),
        defocus=0.0,
    )  # fmt: skip
    problem = prepare(scan)
    phase = differential_phase(problem)
    view = field_of_view(problem)
    truth = scan.truth
    sampling, origin = problem.setup.grid.sampling, problem.origin
    rows, columns = (np.arange(v.start, v.stop) * sampling[i] + origin[i] for i, v in enumerate(view))
    expected = ndimage.gaussian_filter(resample(truth.phase, truth.sampling, truth.origin, rows, columns), 3.0)
    found = ndimage.gaussian_filter(phase[0, 0][view], 3.0)
    assert correlation(remove_plane(found), remove_plane(expected)) > 0.8
    slope = np.polyfit(remove_plane(expected).ravel(), remove_plane(found).ravel(), 1)[0]
    assert 0.8 < slope < 1.2


def test_parallax_shows_what_is_fine_with_its_sign_and_size():
    """Of a defocused scan, against the truth, both without what varies over more than the transfer lets through."""
    scan = jptycho.simulate_gold(
        dose=1e4, diameter=24.0, carbon_thickness=4.0, scan_shape=(24, 24), step=1.2, detector=(48, 48), defocus=300.0
    )
    problem = prepare(scan)
    view, truth = field_of_view(problem), scan.truth
    sampling, origin = problem.setup.grid.sampling, problem.origin
    rows, columns = (np.arange(v.start, v.stop) * sampling[i] + origin[i] for i, v in enumerate(view))
    expected = resample(truth.phase, truth.sampling, truth.origin, rows, columns)
    found = parallax_phase(problem)[0, 0][view]
    expected, found = (image - ndimage.gaussian_filter(image, 8.0) for image in (expected, found))
    assert correlation(found, expected) > 0.6
    assert 0.1 < np.polyfit(expected.ravel(), found.ravel(), 1)[0] < 1.2
    assert parallax_phase(problem, positive=True).min() >= 0


def test_parallax_of_a_scan_in_focus_is_refused():
    made = dict(diameter=14.0, carbon_thickness=4.0, scan_shape=(8, 8), step=1.2, detector=(32, 32), defocus=0.0)
    scan = jptycho.simulate_gold(dose=1e4, **made)
    with pytest.raises(jptycho.ConfigError, match=r'dgp\.start: "parallax" needs a defocused probe; .* Use "pixels"'):
        jptycho.reconstruct(scan, method="dgp", dgp={"start": "parallax"})


def test_centres_of_mass_are_those_of_a_slow_loop_over_weighted_pixels():
    rng = np.random.default_rng(0)
    counts = rng.poisson(3.0, (2, 3, 9, 14)).astype(np.uint8)
    mask = np.ones((9, 14))
    mask[2, 5], mask[7, 11], mask[1, 12] = 0.0, 0.5, 0.2
    step = (0.11, 0.07)
    known = jptycho.data.Calibration(300e3, 5.0, defocus=300.0, step=(1.0, 1.5), reciprocal_sampling=step)
    problem = prepare(jptycho.data.from_arrays(counts, known, mask=mask))
    sums, totals = np.zeros((6, 2)), np.zeros(6)
    for n, pattern in enumerate(counts.reshape(-1, 9, 14)):
        for i in range(9):
            for j in range(14):
                electrons = float(pattern[i, j]) * mask[i, j]
                sums[n] += electrons * np.array([(i - 4) * step[0], (j - 7) * step[1]])
                totals[n] += electrons
    expected = sums / totals[:, None] - sums.sum(axis=0) / totals.sum()
    np.testing.assert_allclose(centres_of_mass(problem), expected, atol=1e-6)


def test_a_pattern_that_moves_moves_its_centre():
    """By two detector pixels along y and minus one along x, in the last of three patterns."""
    counts = np.zeros((1, 3, 16, 20), np.uint8)
    counts[..., 6:11, 8:13] = 7
    counts[0, 2] = np.roll(counts[0, 2], (2, -1), (0, 1))
    known = jptycho.data.Calibration(300e3, 5.0, defocus=300.0, step=(1.0, 1.0), reciprocal_sampling=(0.1, 0.05))
    found = centres_of_mass(prepare(jptycho.data.from_arrays(counts, known)))
    np.testing.assert_allclose(found[2] - found[0], [0.2, -0.05], atol=1e-6)
    np.testing.assert_allclose(found.mean(axis=0), 0.0, atol=1e-6)
