"""Rotation and handedness from fields of centres of mass that are gradients."""

import numpy as np
import pytest

from jptycho.preprocess.orientation import orient_centres
from tests.preprocess.scans import turn


def field(rotation, transpose, noise=0.0, seed=0, shape=(21, 26)):
    """The discrete Fourier transform of the gradient of a random image, along the detector's axes."""
    rng = np.random.default_rng(seed)
    q = np.stack(np.meshgrid(*(np.fft.fftfreq(n, 0.7) for n in shape), indexing="ij"), axis=-1).reshape(-1, 2)
    q = q[(q[:, 0] > 0) | ((q[:, 0] == 0) & (q[:, 1] > 0))]
    image = rng.normal(size=len(q)) + 1j * rng.normal(size=len(q))
    scan_gradient = 1j * q * image[:, None]
    detector = turn(scan_gradient, rotation, transpose)
    return q, detector + noise * (rng.normal(size=detector.shape) + 1j * rng.normal(size=detector.shape))


@pytest.mark.parametrize("transpose", [False, True])
@pytest.mark.parametrize("rotation", [0.0, 33.0, -71.5, 120.0])
def test_a_gradient_has_no_curl_at_its_rotation(rotation, transpose):
    found = orient_centres(*field(rotation, transpose))
    assert found.transpose == transpose
    assert abs((found.rotation - rotation + 90) % 180 - 90) < 1e-6
    assert found.curl < 1e-9
    assert 0.3 < found.curl_other <= 0.5


def test_the_error_is_that_of_many_noisy_fields():
    found = [orient_centres(*field(20.0, False, 0.3, seed)) for seed in range(20)]
    assert all(not one.transpose for one in found)
    scatter = np.std([one.rotation for one in found])
    assert 0.5 < np.median([one.rotation_error for one in found]) / scatter < 2.0


def test_noise_alone_has_as_much_curl_either_way():
    rng = np.random.default_rng(0)
    q, centres = field(0.0, False)
    found = orient_centres(q, rng.normal(size=centres.shape) + 1j * rng.normal(size=centres.shape))
    assert found.curl > 0.4
    assert found.curl_other > 0.4
