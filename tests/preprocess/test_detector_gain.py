"""Gain, read-out noise and dark level from the counts; whole numbers that are no electrons."""

import dataclasses

import numpy as np
import pytest
from scipy import ndimage

import jptycho
from jptycho.assembly.auto import resolve_auto
from jptycho.assembly.summary import summarise_counts
from jptycho.config.run import with_changes
from jptycho.data.dataset import from_arrays
from jptycho.errors import ConfigError
from jptycho.preprocess.detector_gain import (
    CountUnit,
    check_unit,
    common_unit,
    estimate_gain,
    unit_of,
    whole_electrons,
)
from jptycho.preprocess.prepare import prepare
from jptycho.preprocess.shot_noise import measure_shot_noise, single_count

SCAN = (20, 22)


@pytest.fixture(scope="module")
def ideal():
    """What a scan of a particle would record without noise, as a share of the electrons per step²."""
    scan = jptycho.simulate_gold(
        dose=float("inf"), diameter=14.0, carbon_thickness=4.0, scan_shape=SCAN, step=1.2, detector=(32, 40),
        defocus=100.0,
    )  # fmt: skip
    return np.maximum(scan.read().astype(float), 0).reshape(scan.shape), scan


def electrons_of(ideal, dose, seed):
    return np.random.default_rng([int(dose), seed]).poisson(ideal[0] * dose * 1.2**2)


def adu(electrons, gain=40.0, noise=3.0, dark=0.0, seed=0):
    """Counts of an integrating detector of 16 bits."""
    read = np.random.default_rng(seed).normal(0, noise, electrons.shape)
    return np.clip(np.rint(dark + gain * electrons + read), 0, 2**16 - 1).astype(np.uint16)


@pytest.mark.parametrize("dose", [30, 100, 500, 2e3, 1e4])
def test_counts_of_an_integrating_detector_are_no_electrons(ideal, dose):
    for seed in range(4):
        electrons = electrons_of(ideal, dose, seed)
        found = unit_of(adu(electrons, seed=seed), None)
        assert found.source == "estimated"
        assert found.value == pytest.approx(40, rel=0.1)
        assert unit_of(electrons, None) == CountUnit(1.0, "seen")


@pytest.mark.parametrize("dose", [500, 1e5])
@pytest.mark.parametrize(("gain", "noise", "dark"), [(40, 12, 0), (40, 3, 100), (3.0, 1.0, 20)])
def test_gain_and_noise_whatever_the_dark_level_and_dose(ideal, dose, gain, noise, dark):
    read = np.random.default_rng(1).normal(0, noise, ideal[0].shape)
    counts = np.rint(dark + gain * electrons_of(ideal, dose, 0) + read).astype(np.int32)
    found = measure_shot_noise(counts)
    assert found.gain == pytest.approx(gain, rel=0.1)
    if dose < 1e3:
        assert found.read_noise == pytest.approx(noise, rel=0.3)
        assert found.dark_level == pytest.approx(dark, abs=0.1 * gain)


def suppressed(electrons, gain, spread, threshold, seed):
    """Counts of a detector whose electrons leave unequal charges, and that stores zero below a threshold."""
    rng = np.random.default_rng(seed)
    charge = np.zeros(electrons.shape)
    for nth in range(1, int(electrons.max()) + 1):
        charge += np.where(electrons >= nth, spread(rng, electrons.shape) * gain, 0.0)
    noisy = np.rint(charge + rng.normal(0, threshold / 6, charge.shape))
    return np.where(noisy < max(threshold, 0.5), 0, noisy).astype(np.uint16)


SPREADS = {
    "landau": lambda rng, shape: np.clip(0.7 - 0.24 * np.log(rng.normal(size=shape) ** 2), 0, 6),  # of Moyal
    "exponential": lambda rng, shape: rng.exponential(1.0, shape),
    "gaussian": lambda rng, shape: rng.normal(1.0, 0.3, shape),
}


def disk_rates(size, electrons, change=0.2):
    """Expected electrons (16, 14, size, size + 2) of a disk on a dark ground."""
    y, x = np.meshgrid(np.arange(size) - size / 2, np.arange(size + 2) - size / 2, indexing="ij")
    disk = 1 / (1 + np.exp((np.hypot(y, x) - size / 4) * 2))
    texture = np.random.default_rng(9).normal(size=(16, 14, *disk.shape))
    rates = disk * np.maximum(1 + change * ndimage.gaussian_filter(texture, (1, 1, 2, 2)) * 15, 0.1)
    return rates / rates.sum(axis=(2, 3)).mean() * electrons


@pytest.mark.parametrize("spread", SPREADS)
@pytest.mark.parametrize(("size", "electrons"), [(24, 3), (32, 20), (24, 100)])
@pytest.mark.parametrize("threshold", [0.0, 12.0])
def test_dark_pixels_that_are_exactly_zero_hide_no_integrating_detector(spread, size, electrons, threshold):
    rates = disk_rates(size, electrons)
    for seed in range(3):
        counted = np.random.default_rng(seed).poisson(rates)
        counts = suppressed(counted, 35.0, SPREADS[spread], threshold, seed)
        for some in (counts, counts.reshape(-1, *counts.shape[2:])):
            found = unit_of(some, None)
            assert found.source == "estimated"
            assert 0.7 * 35 < found.value < 4 * 35  # the spread is noise too: twice the gain if it is exponential
        assert unit_of(counted, None) == CountUnit(1.0, "seen")


def test_counts_that_stand_alone_are_those_of_one_electron(ideal):
    for dose, gain in ((30, 1), (500, 1), (30, 40), (500, 40)):
        electrons = electrons_of(ideal, dose, 0)
        assert single_count(gain * electrons) == gain
        mask = np.ones(electrons.shape[2:])
        mask[:, ::2] = 0
        lost = np.where(mask > 0, gain * electrons, 7 * (electrons > 0))
        assert single_count(lost, mask) == gain
    assert single_count(np.full((10, 10, 8, 8), 3)) is None
    assert single_count(2 * electrons_of(ideal, 500, 0)[:3]) == 2  # too few rows for a raster


def test_electrons_of_a_beam_that_goes_on_and_off_are_electrons():
    """A pixel is dark in most patterns and bright in the others: its neighbours in the scan tell the two apart."""
    on = np.random.default_rng(3).permutation(16 * 14).reshape(16, 14) % 5 == 0
    rates = disk_rates(24, 800, change=0.0) * on[..., None, None] + 1e-3
    for seed in range(3):
        assert unit_of(np.random.default_rng(seed).poisson(rates), None) == CountUnit(1.0, "seen")


def test_what_cannot_be_told_is_said_and_not_divided(ideal):
    """Equally bright pixels, no zeros: forty counts an electron, or patterns that change altogether."""
    rng = np.random.default_rng(0)
    counts = (40 * rng.poisson(6.0, ideal[0].shape) + rng.integers(0, 40, ideal[0].shape)).astype(np.uint16)
    found = unit_of(counts, None)
    assert found == CountUnit(1.0, "unclear")
    assert whole_electrons(counts.reshape(-1, 32, 40), found)[1] == "it cannot be told whether counts are electrons"
    said = "\n".join(summarise_counts(prepare(from_arrays(counts, ideal[1].calibration, ideal[1].positions))))
    for words in ("assumed", "vary as if it were", "not divided: it cannot be told", "set data.counts_per_electron"):
        assert words in said
    assert unit_of(rng.poisson(200.0, ideal[0].shape), None) == CountUnit(1.0, "seen")


@pytest.mark.parametrize("dose", [30, 1e4])
def test_pixels_that_are_always_zero_tell_nothing(ideal, dose):
    """A pattern padded with zeros, and columns that are dead."""
    counts = adu(electrons_of(ideal, dose, 0))
    padded = np.pad(counts, ((0, 0), (0, 0), (4, 4), (4, 4)))
    dead = counts.copy()
    dead[..., 10:14] = 0
    for changed in (padded, dead):
        assert unit_of(changed, None).source == "estimated"
        assert estimate_gain(changed) == pytest.approx(40, rel=0.12)


@pytest.mark.parametrize(("scan", "step", "dose"), [((8, 8), 6.0, 3e4), ((10, 10), 3.0, 1e5), ((12, 12), 3.0, 1e4)])
def test_electrons_whose_patterns_change_altogether_are_electrons(scan, step, dose):
    """Coarse scans of a window that the probe fills: nothing is alike from pattern to pattern."""
    made = jptycho.simulate_gold(
        dose=float("inf"), diameter=14.0, carbon_thickness=4.0, scan_shape=scan, step=step, detector=(48, 48),
        defocus=400.0,
    )  # fmt: skip
    rates = np.maximum(made.read().astype(float), 0).reshape(made.shape)
    for seed in range(3):
        counts = np.random.default_rng(seed).poisson(rates * dose * step**2)
        assert unit_of(counts, None).source == "seen"
        for sparse in (counts[::2, ::2], counts.reshape(-1, 48, 48)[::3]):
            assert unit_of(sparse, None).source == "seen"
        stated = dataclasses.replace(made.calibration, counts_per_electron=1.0)
        assert prepare(from_arrays(counts, stated, made.positions)).undivided == ""


def test_the_expectation_of_a_simulation_is_not_refused_for_its_lack_of_noise(ideal):
    stated = dataclasses.replace(ideal[1].calibration, counts_per_electron=1.0)
    for dose in (1e3, 1e5):
        prepare(from_arrays((ideal[0] * dose).astype(np.float32), stated, ideal[1].positions))


def test_saturated_pixels_do_not_count(ideal):
    counts = adu(electrons_of(ideal, 1e4, 0))
    cut = np.minimum(counts, int(np.quantile(counts.mean(axis=(0, 1)), 0.9)))
    assert (cut == cut.max()).mean() > 0.01
    assert estimate_gain(cut) == pytest.approx(40, rel=0.1)


def test_charge_that_spreads_over_neighbours_is_counted_in_blocks():
    """Each electron leaves one count in each of five pixels: alone each pixel looks like electrons."""
    rng, level = np.random.default_rng(0), 0.05 + np.add.outer(np.arange(36.0), np.arange(40.0)) / 300
    electrons = rng.poisson(np.broadcast_to(level, (16, 16, 36, 40)))
    cross = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]])[None, None]
    counts = ndimage.convolve(electrons, cross, mode="wrap").astype(np.uint8)
    assert counts.var(axis=(0, 1)).mean() == pytest.approx(counts.mean(), rel=0.05)
    found = unit_of(counts, None)
    assert found.source == "estimated"
    assert 3 < found.value < 6


def test_a_list_of_patterns_and_patterns_that_change_altogether(ideal):
    counts = electrons_of(ideal, 1e4, 0)
    order = np.random.default_rng(0).permutation(SCAN[0] * SCAN[1])
    shuffled = counts.reshape(-1, *counts.shape[2:])[order]
    assert estimate_gain(shuffled) == pytest.approx(1, abs=0.15)
    assert estimate_gain(shuffled[::3]) == pytest.approx(1, abs=0.25)
    assert measure_shot_noise(counts[:2, :3]) is None
    assert unit_of(np.full((30, 12, 12), 7, np.uint8), None) == CountUnit(7.0, "seen")


def test_the_unit_is_the_greatest_common_divisor_and_not_the_smallest_count():
    counts = np.random.default_rng(0).poisson(60.0, (6, 8, 8))
    assert counts.min() > 1
    assert common_unit(counts) == 1.0
    assert common_unit(5 * counts.astype(np.float32)) == 5.0
    assert common_unit(0.25 * counts) == 0.25


def test_a_stated_unit_of_which_counts_are_multiples_is_as_good_as_electrons(ideal):
    electrons = electrons_of(ideal, 2e3, 0).astype(np.uint16)
    known = ideal[1].calibration
    plain = prepare(from_arrays(electrons, known, ideal[1].positions))
    for counts, given in ((5 * electrons, 5.0), (adu(electrons), 40.0)):
        stated = dataclasses.replace(known, counts_per_electron=given)
        problem = prepare(from_arrays(counts, stated, ideal[1].positions))
        np.testing.assert_array_equal(problem.counts, plain.counts)
        assert problem.undivided == ""
        config = resolve_auto(with_changes(None, {"method": "dgp"}), problem)
        assert (config.loss, config.dgp.half_sets) == ("poisson", True)
        assert float(problem.setup.dose) == pytest.approx(float(plain.setup.dose))


def test_noisy_read_out_is_not_rounded_away(ideal):
    counts = adu(electrons_of(ideal, 2e3, 0), noise=12.0)
    same, why = whole_electrons(counts.reshape(-1, 32, 40), CountUnit(40.0, "given"))
    assert same.dtype == np.uint16
    assert why == "counts are no multiples of 40, what an electron leaves (given)"
    _, why = whole_electrons(electrons_of(ideal, 2e3, 0).reshape(-1, 32, 40), CountUnit(1.0, "seen"), 0.7)
    assert why == "read-out noise of 0.7 electrons is part of them"


def test_the_run_says_what_it_assumes(ideal):
    known, positions = ideal[1].calibration, ideal[1].positions
    electrons = electrons_of(ideal, 500, 0).astype(np.uint16)
    lines = summarise_counts(prepare(from_arrays(electrons, known, positions)))
    assert len(lines) == 1
    assert lines[0].startswith("one count is one electron (assumed, for all counts are its multiples; the counts vary")
    said = "\n".join(summarise_counts(prepare(from_arrays(adu(electrons, dark=100.0), known, positions))))
    for words in ("estimated from their variance", "not divided", "data.counts_per_electron", "hold 100 counts"):
        assert words in said


@pytest.mark.parametrize(
    ("gain", "given", "read_noise", "words"),
    [
        (40.0, 5.0, 0.0, ["data.counts_per_electron: 5", "about 4", "Correct"]),
        (1.0, 40.0, 0.0, ["data.counts_per_electron: 40", "an electron left about", "Correct"]),
        (40.0, 40.0, 2.0, ["data.read_noise: 2 electrons", "vary by 0.0", "Correct"]),
    ],
)
def test_a_gain_or_noise_that_the_counts_contradict_is_refused(ideal, gain, given, read_noise, words):
    electrons = electrons_of(ideal, 500, 0)
    counts = adu(electrons, gain) if gain > 1 else electrons
    stated = dataclasses.replace(ideal[1].calibration, counts_per_electron=given, read_noise=read_noise)
    with pytest.raises(jptycho.ConfigError) as caught:
        prepare(from_arrays(counts, stated, ideal[1].positions))
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_a_mask_that_leaves_no_disk_is_refused(ideal):
    mask = np.ones((32, 40))
    mask[2:31, 3:38] = 0
    scan = from_arrays(electrons_of(ideal, 500, 0), ideal[1].calibration, ideal[1].positions, mask=mask)
    with pytest.raises(jptycho.ConfigError, match=r"data\.mask: leaves 0% of the bright disk of 20 mrad"):
        prepare(scan)


def electrons_times(gain, rng=0):
    """Shot noise over levels from 1 to 9 electrons."""
    level = 1 + 8 * np.linspace(0, 1, 24 * 20).reshape(24, 20)
    return np.random.default_rng(rng).poisson(level, (400, 24, 20)) * gain


@pytest.mark.parametrize(("stated", "left"), [(40.0, "3"), (0.5, "3")])
def test_a_gain_that_shot_noise_contradicts_is_refused(stated, left):
    counts = electrons_times(3.0)
    for good in (3.0, 2.0, 5.0):
        check_unit(counts, unit_of(counts, good), 0.0)
    with pytest.raises(ConfigError, match=rf"data\.counts_per_electron: {stated:g}, but .* left about {left}"):
        check_unit(counts, unit_of(counts, stated), 0.0)


def test_a_gain_that_nobody_stated_is_not_judged():
    counts = electrons_times(3.0)
    check_unit(counts, CountUnit(40.0, "seen", measure_shot_noise(counts)), 0.0)
    check_unit(counts, CountUnit(40.0, "given", None), 0.0)
