"""A given probe on a part of the detector against one that is formed there, and against sums of its pattern."""

import jax.numpy as jnp
import numpy as np
import pytest

from jptycho.data.dataset import Calibration, from_arrays
from jptycho.data.detector_window import use_detector_part
from jptycho.data.probe_window import probe_on_part
from jptycho.data.readers.jptycho_scan import write_scan
from jptycho.data.readers.open import open_dataset
from jptycho.errors import ConfigError
from jptycho.optics.probe import form_probe
from jptycho.types import Grid

RECIPROCAL = 0.04, 0.05
WAVELENGTH = 0.02
LEAK = 0.02  # of the amplitude, by which a sharp aperture's tails leave a window


def formed(shape, reciprocal=RECIPROCAL):
    """A probe in a window, of 9 mrad and 60 Å of underfocus, its centre in the middle."""
    sampling = tuple(1 / (n * step) for n, step in zip(shape, reciprocal, strict=True))
    aberrations = {"C10": jnp.asarray(-60.0), "C12": jnp.asarray(20.0), "phi12": jnp.asarray(0.4)}
    probe = form_probe(Grid(shape, sampling), WAVELENGTH, 9.0, aberrations)
    return np.fft.fftshift(np.asarray(probe, np.complex128))[None]


def differ(one, other):
    return np.linalg.norm(one / np.linalg.norm(one) - other / np.linalg.norm(other))


@pytest.mark.parametrize("kept", [(40, 30), (33, 41), (40, 45)])
def test_fewer_pixels_hold_the_probe_that_is_formed_on_them(kept):
    np.testing.assert_allclose(differ(probe_on_part(formed((48, 45)), kept, 1), formed(kept)), 0, atol=1e-5)


@pytest.mark.parametrize(("shape", "size"), [((96, 100), 2), ((98, 96), 2), ((99, 105), 3), ((93, 105), 3)])
def test_a_square_sees_what_its_pixels_see(shape, size):
    whole = formed(shape)
    part = probe_on_part(whole, shape, size)
    patterns = [
        np.abs(np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(one[0]), norm="ortho"))) ** 2 for one in (whole, part)
    ]
    squares = patterns[0].reshape(shape[0] // size, size, shape[1] // size, size).sum(axis=(1, 3))
    assert patterns[1].shape == squares.shape
    # Where the disk lies is what is compared: the edge of a sharp aperture falls into squares otherwise.
    for axis in (0, 1):
        places = np.arange(squares.shape[axis])
        means = [(one.sum(axis=1 - axis) @ places) / one.sum() for one in (squares, patterns[1])]
        assert means[0] == pytest.approx(means[1], abs=LEAK)


def test_what_the_part_does_not_hold_is_refused():
    with pytest.raises(ConfigError, match=r"data\.crop: 12 x 12 detector pixels hold \d+% of the power of the probe"):
        probe_on_part(formed((48, 45)), (12, 12), 1)
    wide = np.ones((1, 48, 48), complex)
    with pytest.raises(ConfigError, match=r"data\.bin: a window of 24 x 24 object pixels holds 25% of the power"):
        probe_on_part(wide, (48, 48), 2)


def test_a_scan_that_brings_its_probe_is_cropped(tmp_path):
    probe = formed((48, 45))
    counts = np.random.default_rng(0).poisson(3.0, (2, 2, 48, 45)).astype(np.uint8)
    calibration = Calibration(energy=3e5, semiangle_cutoff=9.0, step=(1.0, 1.0), reciprocal_sampling=RECIPROCAL)
    write_scan(tmp_path / "scan.h5", from_arrays(counts, calibration, probe=probe))
    scan = open_dataset(tmp_path / "scan.h5", crop=[40, 30])
    assert scan.probe is not None
    assert scan.shape == (2, 2, 40, 30)
    np.testing.assert_allclose(differ(scan.probe, formed((40, 30))), 0, atol=1e-5)
    assert use_detector_part(scan, None, 2).probe.shape == (1, 20, 15)
