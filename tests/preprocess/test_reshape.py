"""An estimate carried to other slices, modes and windows predicts the same patterns."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

import jptycho
from jptycho.forward.model import predict_batch
from jptycho.optics.probe import probe_power
from jptycho.preprocess.object_spec import ObjectSpec
from jptycho.preprocess.prepare import prepare
from jptycho.preprocess.reshape import add_modes, carried, change_slices, reshaped
from jptycho.preprocess.thinning import hold_out
from jptycho.preprocess.window import change_window, cut
from jptycho.representations.estimate import fields_of

THIN = 2e-3
"""Relative error of slices 12 Å thick that are split, or of two that are alike merged: what is diffracted within."""
PADDED = 1e-2
"""Of a finer sampling: exp(iφ) has frequencies beyond those of φ, which the coarse grid wraps around."""


@pytest.fixture(scope="module")
def problem():
    scan = jptycho.simulate_gold(
        dose=float("inf"), scan_shape=(6, 5), step=2.0, detector=(48, 40), defocus=100.0, diameter=14.0
    )
    ready = prepare(scan, ObjectSpec("phase", 2, 12.0, tilt=(3.0, -2.0)))
    rng, canvas = np.random.default_rng(3), ready.estimate.coverage.shape
    phase = np.stack([gaussian_filter(rng.normal(size=canvas), 4, mode="wrap") for _ in range(2)])
    phase *= np.array([0.3, 0.15])[:, None, None] / phase.std(axis=(1, 2), keepdims=True)
    estimate = dataclasses.replace(ready.estimate, object=jnp.asarray(phase[:, None], jnp.float32))
    return dataclasses.replace(ready, estimate=estimate)


def patterns(estimate, setup):
    fields = fields_of(estimate)
    return np.asarray(predict_batch(fields, setup, fields.scan))


def difference(found, expected):
    return float(np.sqrt(np.sum((found - expected) ** 2) / np.sum(expected**2)))


@pytest.mark.parametrize("slices", [1, 4, 8])
def test_other_slices_predict_the_same_patterns(problem, slices):
    """The tilted specimen included. With the probe where it was, the patterns differ by far more."""
    estimate = problem.estimate
    if slices == 1:  # one slice in the middle has no place for two that differ
        estimate = dataclasses.replace(estimate, object=estimate.object[jnp.array([0, 0])])
    found, whole = change_slices(estimate, slices, problem.setup), patterns(estimate, problem.setup)
    assert difference(patterns(found, problem.setup), whole) < THIN
    unmoved = dataclasses.replace(found, probe=estimate.probe)
    assert difference(patterns(unmoved, problem.setup), whole) > 2 * THIN
    assert float(found.thickness) * slices == pytest.approx(24.0)
    np.testing.assert_allclose(found.object.sum(axis=0), estimate.object.sum(axis=0), atol=1e-6)


def test_splitting_and_merging_again_changes_nothing(problem):
    estimate = dataclasses.replace(
        problem.estimate,
        half_sets=jnp.stack([problem.estimate.object, 2 * problem.estimate.object]),
        member_probes=problem.estimate.probe[None],
    )
    back = change_slices(change_slices(estimate, 6, problem.setup), 2, problem.setup)
    for name in ("object", "probe", "half_sets", "member_probes", "thickness"):
        np.testing.assert_allclose(getattr(back, name), getattr(estimate, name), atol=1e-5)


def test_the_nominal_probe_of_other_slices_is_that_of_a_scan_prepared_with_them(problem):
    """The defocus is that of the object's middle, which neither merging nor splitting moves."""
    flat = prepare(problem.dataset, ObjectSpec("phase", 2, 12.0))
    for slices in (1, 4):
        other = prepare(problem.dataset, ObjectSpec("phase", slices, 24.0 / slices))
        found = reshaped(flat, slices, 1, None).estimate
        np.testing.assert_allclose(found.probe, other.estimate.probe, atol=2e-4 * np.abs(found.probe).max())


@pytest.mark.parametrize("window", [(64, 60), (72, 41)])
def test_a_finer_sampling_predicts_the_same_patterns(problem, window):
    finer = change_window(problem, window)
    assert finer.counts.shape[1:] == window
    assert finer.counts.sum(dtype=float) == pytest.approx(problem.counts.sum(dtype=float), rel=1e-12)
    expected = cut(patterns(problem.estimate, problem.setup), window)
    found = patterns(finer.estimate, finer.setup)
    assert difference(found, expected) < PADDED
    lengths = [n * s for n, s in zip(window, finer.setup.grid.sampling, strict=True)]
    assert lengths == pytest.approx([n * s for n, s in zip((48, 40), problem.setup.grid.sampling, strict=True)])


def test_what_a_coarser_sampling_still_has_comes_back(problem):
    """Phases of detail coarser than the coarser pixels; refined positions stay where they are in Å."""
    moved = dataclasses.replace(problem.estimate, positions=problem.estimate.positions + 0.3)
    coarser = change_window(problem, (36, 30))
    there = carried(moved, problem, coarser)
    back = carried(there, coarser, problem)
    rows, columns = (slice(n // 4, -n // 4) for n in problem.estimate.coverage.shape)
    error = np.abs(back.object - moved.object)[..., rows, columns].max()
    assert error < 0.02 * float(jnp.abs(moved.object).max())
    np.testing.assert_allclose(back.positions, moved.positions, atol=1e-4)
    places = [
        np.asarray(e.positions) * p.setup.grid.sampling + p.origin for e, p in ((moved, problem), (there, coarser))
    ]
    np.testing.assert_allclose(places[0], places[1], atol=1e-4)
    assert coarser.counts.sum() < problem.counts.sum()
    assert float(coarser.setup.dose) == pytest.approx(float(coarser.counts.sum(axis=(1, 2)).mean()), rel=1e-5)


def test_frequencies_of_even_and_odd_windows_are_those_of_the_fourier_transform():
    for size, window in ((8, 5), (8, 6), (7, 4), (7, 10), (8, 11)):
        frequencies = np.broadcast_to(np.fft.fftfreq(size, 1 / size), (3, size))
        kept = cut(frequencies, (3, window))[0]
        wanted = np.fft.fftfreq(window, 1 / window)
        inside = np.abs(wanted) < min(size, window) / 2
        np.testing.assert_array_equal(kept[inside], wanted[inside])
        assert np.count_nonzero(kept) <= min(size, window) - 1


def test_added_modes_keep_the_power_and_what_there_was(problem):
    found = add_modes(problem.estimate, 3)
    assert found.probe.shape == (3, 48, 40)
    assert float(probe_power(found.probe)) == pytest.approx(float(probe_power(problem.estimate.probe)), rel=1e-5)
    overlap = abs(np.vdot(found.probe[0], problem.estimate.probe[0])) / np.linalg.norm(found.probe[0])
    assert overlap == pytest.approx(np.linalg.norm(problem.estimate.probe[0]), rel=1e-5)


def test_the_dose_of_a_window_is_that_of_all_pixels_where_some_are_held_out(problem):
    """Counts that are no electrons: both parts keep the dose of the whole, and so do both with another window."""
    parts = hold_out(dataclasses.replace(problem, undivided="no electrons"), 0.2, 0)[:2]
    whole = change_window(problem, (36, 30))
    for part in parts:
        assert float(part.setup.dose) == float(problem.setup.dose)
        found = float(change_window(part, (36, 30)).setup.dose)
        assert found == pytest.approx(float(whole.setup.dose), rel=0.1)


def test_the_probe_of_a_point_source_goes_where_its_modes_go(problem):
    """Through fewer slices and to another sampling."""
    wave = problem.estimate.probe[0]
    marked = dataclasses.replace(problem.estimate, shared={"coherent_probe": wave, "source_size": jnp.float32(0.2)})
    merged = change_slices(marked, 1, problem.setup)
    assert float(jnp.abs(merged.probe[0] - wave).max()) > 0.01 * float(jnp.abs(wave).max())
    coarser = carried(marked, problem, change_window(problem, (36, 30)))
    for found in (merged, coarser):
        np.testing.assert_array_equal(found.shared["coherent_probe"], found.probe[0])
        assert float(found.shared["source_size"]) == pytest.approx(0.2)
