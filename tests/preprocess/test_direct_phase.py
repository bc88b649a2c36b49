"""Estimates without iteration: differential phase contrast and parallax."""

import numpy as np
import pytest
from scipy import ndimage

import jptycho
from jptycho.diagnostics.gauge import remove_plane
from jptycho.diagnostics.similarity import correlation
from jptycho.diagnostics.truth import resample
from jptycho.preprocess.direct_phase import differential_phase, parallax_phase
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
