"""Thinning: two independent Poisson processes that add up; the best epoch is kept."""

import dataclasses

import numpy as np
import pytest
from scipy import stats

import jptycho
from jptycho.data.dataset import from_arrays
from jptycho.preprocess.prepare import prepare
from jptycho.preprocess.thinning import hold_out, make_half_sets, thin


def test_parts_are_independent_and_poisson():
    counts = np.random.default_rng(0).poisson(4.0, (20000, 3, 2)).astype(np.uint8)
    first, second = thin(counts, 0.25, 7)
    np.testing.assert_array_equal(first.astype(int) + second, counts)
    assert first.dtype == np.uint8
    for part, mean in ((first, 3.0), (second, 1.0)):
        assert part.mean() == pytest.approx(mean, rel=0.02)
        assert part.var() == pytest.approx(mean, rel=0.03)
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.01


@pytest.mark.parametrize("share", [0.1, 0.5])
@pytest.mark.parametrize("electrons", [1, 2, 7])
def test_parts_of_a_known_number_are_binomial(electrons, share):
    held = thin(np.full((400, 10, 5), electrons, np.uint16), share, 3)[1]
    found = np.bincount(held.ravel(), minlength=electrons + 1)
    expected = stats.binom.pmf(np.arange(electrons + 1), electrons, share) * held.size
    rare = expected < 5
    together = [np.append(x[~rare], x[rare].sum() + 1e-9) for x in (found, expected)]
    assert stats.chisquare(*together, sum_check=False).pvalue > 1e-3


def test_a_part_of_a_scan_is_divided_as_it_is_within_the_whole():
    counts = np.random.default_rng(1).poisson(0.7, (9, 4, 5)).astype(np.uint8)
    whole = thin(counts, 0.3, [4, 2])[1]
    parts = [thin(counts[a:b], 0.3, [4, 2], first=a)[1] for a, b in ((0, 4), (4, 5), (5, 9))]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert (whole[0] != thin(counts[:1], 0.3, [4, 2], first=1)[1][0]).any()


def test_a_scan_becomes_two_of_fewer_electrons(small_scan):
    problem = prepare(small_scan)
    train, held, said = hold_out(problem, 0.1, 0)
    assert said == "10% of the electrons of each pattern"
    assert train.electrons + held.electrons == pytest.approx(problem.electrons)
    assert held.electrons == pytest.approx(0.1 * problem.electrons, rel=0.05)
    assert float(train.setup.dose) == pytest.approx(train.counts.sum() / len(train.counts))


def test_halves_are_drawn_afresh_and_expect_half_the_dose(small_scan):
    problem = prepare(small_scan)
    first, second = make_half_sets(problem, 0)
    np.testing.assert_array_equal(first.counts.astype(int) + second.counts, problem.counts)
    assert float(first.setup.dose) == pytest.approx(0.5 * float(problem.setup.dose), rel=0.02)
    assert second.setup.dose is first.setup.dose
    assert (first.counts != hold_out(problem, 0.5, 0)[0].counts).any()


@pytest.mark.parametrize("why", ["multiples", "negative"])
def test_where_electrons_are_not_counted_detector_pixels_are_held_out(small_scan, why):
    counts = small_scan.read().astype(np.float64).reshape(16, 16, 32, 32)
    known = small_scan.calibration
    if why == "multiples":
        counts += np.random.default_rng(0).uniform(0, 0.3, counts.shape)
    else:
        counts, known = counts.astype(np.int32), dataclasses.replace(known, read_noise=0.5)
        counts[0, 0, 0, 0] = -1
    problem = prepare(from_arrays(counts, known, small_scan.positions))
    train, held, said = hold_out(problem, 0.1, 0)
    assert "10% of the detector's pixels, for electrons cannot be divided" in said
    masks = [np.asarray(part.setup.mask) for part in (train, held)]
    np.testing.assert_array_equal(masks[0] + masks[1], problem.setup.mask)
    assert masks[1].mean() == pytest.approx(0.1, abs=0.03)
    assert train.counts is problem.counts


def test_the_epoch_that_predicts_best_is_kept():
    """Plain pixels over-fit few electrons: the run ends by itself and its result is that of the best epoch."""
    scan = jptycho.simulate_gold(
        dose=300, diameter=14.0, carbon_thickness=4.0, scan_shape=(16, 16), step=1.2, detector=(32, 32), defocus=100.0
    )
    phases, said = {}, []

    def callback(record, channels):
        phases[record.epoch] = np.asarray(channels())[:, 0]

    result = jptycho.reconstruct(
        scan, pixels={"epochs": 60, "schedule": "constant"},
        validation={"fraction": 0.1, "patience": 4, "all_electrons": False}, callback=callback,
        log=said.append,
    )  # fmt: skip
    held = result.history["validation_loss"]
    best = int(np.argmin(held)) + 1
    assert len(held) == best + 4 < 60
    np.testing.assert_array_equal(result.phase, phases[best])
    assert any(f"epoch {best} predicts what is held out best" in line for line in said)
