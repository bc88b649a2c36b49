"""Thinning: two independent Poisson processes that add up; the best epoch is kept."""

import dataclasses

import numpy as np
import pytest

import jptycho
from jptycho.data.dataset import from_arrays
from jptycho.preprocess.prepare import prepare
from jptycho.preprocess.thin import hold_out, thin


def test_parts_are_independent_and_poisson():
    counts = np.random.default_rng(0).poisson(4.0, (20000, 3, 2)) * 5.0
    first, second = thin(counts, 5.0, 0.25, 7)
    np.testing.assert_array_equal(5 * (first.astype(int) + second), counts)
    assert first.dtype == np.uint8
    for part, mean in ((first, 3.0), (second, 1.0)):
        assert part.mean() == pytest.approx(mean, rel=0.02)
        assert part.var() == pytest.approx(mean, rel=0.03)
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.01


def test_a_scan_becomes_two_of_fewer_electrons(small_scan):
    problem = prepare(small_scan)
    train, held = hold_out(problem, 0.1, 0)
    assert train.electrons + held.electrons == pytest.approx(problem.electrons)
    assert held.electrons == pytest.approx(0.1 * problem.electrons, rel=0.05)
    assert float(train.setup.dose) == pytest.approx(train.counts.sum() / len(train.counts))
    smeared = small_scan.read() + np.random.default_rng(0).uniform(0, 0.3, small_scan.read().shape)
    scan = from_arrays(smeared.reshape(16, 16, 32, 32), small_scan.calibration, small_scan.positions)
    with pytest.raises(jptycho.ConfigError, match=r"stop\.held_out: electrons can be divided only where"):
        hold_out(prepare(scan), 0.1, 0)


def test_read_out_noise_cannot_be_divided(small_scan):
    counts = small_scan.read().astype(np.int32).reshape(16, 16, 32, 32)
    counts[0, 0, 0, 0] = -1
    known = dataclasses.replace(small_scan.calibration, read_noise=0.5)
    with pytest.raises(jptycho.ConfigError, match=r"stop\.held_out: .*counted"):
        hold_out(prepare(from_arrays(counts, known, small_scan.positions)), 0.1, 0)


def test_the_epoch_that_predicts_best_is_kept():
    """Plain pixels over-fit few electrons: the run ends by itself and its result is that of the best epoch."""
    scan = jptycho.simulate_gold(
        dose=300, diameter=14.0, carbon_thickness=4.0, scan_shape=(16, 16), step=1.2, detector=(32, 32), defocus=100.0
    )
    phases, said = {}, []

    def observe(record, channels):
        phases[record.epoch] = np.asarray(channels())[:, 0]

    result = jptycho.reconstruct(
        scan, pixels={"epochs": 60, "schedule": "constant"}, stop={"held_out": 0.1, "patience": 4}, observe=observe,
        say=said.append,
    )  # fmt: skip
    held = result.history["held_out"]
    best = int(np.argmin(held)) + 1
    assert len(held) == best + 4 < 60
    np.testing.assert_array_equal(result.phase, phases[best])
    assert any(f"epoch {best} predicts the held-out electrons best" in line for line in said)
