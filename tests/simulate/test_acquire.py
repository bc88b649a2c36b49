"""The recorded scan against what its settings say and against closed forms."""

import dataclasses
import functools

import numpy as np
import pytest

from jptycho.optics.probe import Beam
from jptycho.simulate.acquire import Acquisition, Recording, record_gold
from jptycho.simulate.scattering import LOBATO
from jptycho.simulate.specimens import gold_on_carbon

SETTINGS = Acquisition(
    Beam(300e3, 20.0, (("C10", -80.0),)), (2, 3), 1.5, (20, 16), (0.4, 0.5), 0.0, float("inf"), 0
)  # fmt: skip


@functools.cache
def recorded(**changes: object) -> Recording:
    """A particle of 8 Å on 3 Å of carbon, in slices of 4 Å."""
    return record_gold(dataclasses.replace(SETTINGS, **changes), 8.0, 3.0, 4.0, 1)


def test_without_jitter_the_positions_are_the_raster():
    expected = np.stack(np.meshgrid([0.0, 1.5], [0.0, 1.5, 3.0], indexing="ij"), axis=-1)
    np.testing.assert_allclose(recorded().positions, expected, atol=1e-12)


def test_jitter_has_its_size_and_its_seed():
    wide = [recorded(scan_shape=(5, 6), jitter=0.3, seed=seed).positions for seed in (3, 4)]
    moved = [found - recorded(scan_shape=(5, 6)).positions for found in wide]
    for one in moved:
        assert one.std() == pytest.approx(0.3, rel=0.3)
        assert abs(one.mean()) < 0.15
    assert np.abs(moved[0] - moved[1]).max() > 0.1


def test_the_expectation_holds_nearly_every_electron():
    """The detector ends at 25 mrad at least; beyond it only a little of the electrons is scattered."""
    recording = recorded()
    assert recording.counts.shape == (2, 3, 20, 16)
    assert recording.counts.dtype == np.float32
    totals = recording.counts.sum(axis=(2, 3))
    assert (totals < 1).all()
    assert (totals > 0.8).all()


def test_the_bright_disk_is_the_aperture_in_the_middle():
    """20 mrad at 300 keV are 1.016 Å⁻¹; a pixel of the detector is 1 / (n d)."""
    mean = recorded().counts.mean(axis=(0, 1))
    ky, kx = ((np.arange(n) - n // 2) / (n * d) for n, d in zip((20, 16), (0.4, 0.5), strict=True))
    radius = np.hypot(ky[:, None], kx[None])
    assert mean[radius < 0.9].min() > 10 * mean[radius > 1.2].max()


def test_counts_are_electrons_of_that_dose():
    recording, expected = recorded(dose=400.0, seed=5), recorded().counts
    assert recording.pattern_dose == pytest.approx(400.0 * 1.5**2)
    assert recording.counts.dtype.kind == "u"
    bright = expected * 900.0 > 1.0
    surprise = (recording.counts[bright] - 900.0 * expected[bright]) / np.sqrt(900.0 * expected[bright])
    assert abs(surprise.mean()) < 4 / np.sqrt(bright.sum())
    assert (surprise**2).mean() == pytest.approx(1.0, abs=6 / np.sqrt(bright.sum()))


def test_equal_seeds_give_equal_counts_and_others_the_same_specimen():
    first, again, other = (record_gold(dataclasses.replace(SETTINGS, dose=400.0, seed=s), 8.0, 3.0, 4.0, 1)
                           for s in (0, 0, 1))  # fmt: skip
    np.testing.assert_array_equal(first.counts, again.counts)
    np.testing.assert_array_equal(first.truth, other.truth)
    assert (first.counts != other.counts).any()


def test_the_truth_holds_the_phase_of_every_atom():
    """The mean of a projected potential is h² / (2π m e) Σ f(0) / area, with f(0) = 2 Σ a; σ = 2π m e λ / h²."""
    truth = recorded().truth
    extent = (truth.shape[0] * 0.4, truth.shape[1] * 0.5)
    atoms = gold_on_carbon(extent, 8.0, 3.0, 1)
    forward = sum(len(points) * 2 * sum(LOBATO[element][0]) for element, points in atoms.items())
    momentum = np.sqrt(300e3**2 + 2 * 300e3 * 510998.95) / 12398.41984  # 1 / λ, Å⁻¹
    gamma = 1 + 300e3 / 510998.95
    assert len(atoms["Au"]) > 10
    assert truth.mean() == pytest.approx(gamma / momentum * forward / (extent[0] * extent[1]), rel=1e-3)


def test_the_truth_lies_where_the_scan_is():
    """The middle of the scan is the middle of what the truth covers."""
    recording = recorded()
    middle = recording.truth_origin + 0.5 * np.array(recording.truth.shape) * (0.4, 0.5)
    np.testing.assert_allclose(recording.positions.reshape(-1, 2).mean(axis=0), middle, atol=2.0)
