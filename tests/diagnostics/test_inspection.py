"""What an inspection finds in scans whose answer is known, and what it says of them."""

import dataclasses
import re
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from jptycho.data.dataset import Calibration, Dataset4D, from_arrays
from jptycho.data.detector_window import use_detector_part
from jptycho.diagnostics.cost import estimate_cost, transform_seconds
from jptycho.diagnostics.description import describe
from jptycho.diagnostics.inspection import Inspection, inspect_dataset
from jptycho.diagnostics.verdict import verdict
from jptycho.preprocess.memory import RunShape
from jptycho.preprocess.network_memory import NetworkShape

WINDOW = (40, 44)
PIXEL = 0.04
RADIUS = 12.3  # detector pixels
WAVELENGTH = 0.0196875
ANGLE = RADIUS * PIXEL * WAVELENGTH * 1e3
GOOD = Calibration(300e3, ANGLE, defocus=500.0, step=(2.0, 1.5), reciprocal_sampling=(PIXEL, PIXEL))
ELECTRONS = 5.0  # a detector pixel in the disk


def mean_pattern(centre: tuple[float, float] = (20.0, 22.0)) -> np.ndarray:
    y, x = np.indices(WINDOW)
    return ELECTRONS * (np.hypot(y - centre[0], x - centre[1]) <= RADIUS) + 0.05


def counts_of(shape: tuple[int, ...] = (14, 16), seed: int = 0, **changes: Any) -> np.ndarray:
    return np.random.default_rng(seed).poisson(mean_pattern(**changes), (*shape, *WINDOW)).astype(np.uint16)


def look(counts: np.ndarray | None = None, **changes: Any) -> Inspection:
    parts = {name: changes.pop(name) for name in ("positions", "mask", "probe") if name in changes}
    calibration = dataclasses.replace(GOOD, **changes)
    return inspect_dataset(from_arrays(counts_of() if counts is None else counts, calibration, **parts))


def words(found: Inspection, kind: str) -> str:
    return "\n".join(finding.text for finding in verdict(found) if finding.kind == kind)


@pytest.fixture(scope="module")
def good() -> Inspection:
    return look()


def test_a_good_scan_is_called_good(good: Inspection):
    assert {finding.kind for finding in verdict(good)} == {"good"}
    assert verdict(good)[-1].text == "This scan can be reconstructed: nothing speaks against it."
    assert (good.missing, good.refusal, good.improbable) == ((), "", ())
    assert len(good.dead) == len(good.hot) == 0


def test_dose_and_electrons_are_those_that_were_simulated(good: Inspection):
    electrons = good.electrons
    assert electrons is not None
    expected = mean_pattern().sum()
    assert (electrons.source, electrons.counts_per_electron) == ("seen", 1.0)
    assert electrons.per_pattern == pytest.approx(expected, rel=0.01)
    assert electrons.per_pixel == pytest.approx(expected / (40 * 44), rel=0.01)
    assert electrons.dose == pytest.approx(expected / 3.0, rel=0.01)
    assert electrons.gain == pytest.approx(1.0, abs=0.1)
    assert electrons.correlation == pytest.approx(0, abs=0.03)


def test_the_disk_is_where_and_as_large_as_it_was_made(good: Inspection):
    assert good.disk_centre == pytest.approx((0.0, 0.0), abs=0.1)
    assert good.disk_radius == pytest.approx(RADIUS, abs=0.3)
    assert good.geometry is not None
    assert good.geometry.disk_radius == pytest.approx((RADIUS, RADIUS), rel=1e-3)


def test_every_line_of_a_description_says_something(good: Inspection):
    lines = dict(describe(good))
    assert lines["sampled"].startswith("all of 224 patterns")
    assert "nothing finer than" in lines["object pixel"]
    assert "two half sets" in lines["a run of pixels"]
    assert "e/Å²" in lines["electrons"]
    assert all(text and "nan" not in text for text in lines.values())
    partly = dict(describe(look(counts_of((40, 40)))))
    assert partly["sampled"].startswith("1024, spread evenly, of 1600 patterns")


def test_a_scan_without_a_calibration_is_described_as_far_as_it_goes():
    bare = inspect_dataset(from_arrays(counts_of(), Calibration()))
    assert bare.missing == ("energy", "semiangle_cutoff", "reciprocal_sampling", "step")
    assert (bare.geometry, bare.cost, bare.refusal) == (None, None, "")
    assert bare.electrons is not None
    assert bare.electrons.dose is None
    assert "give --semiangle-cutoff, mrad" in words(bare, "missing")
    assert verdict(bare)[-1].text == "This scan can be reconstructed once what is missing is given."
    assert "dose" not in dict(describe(bare))["electrons"]


def test_a_list_is_asked_for_its_shape():
    counts = counts_of((4, 6)).reshape(24, *WINDOW)
    assert "24 patterns: 4 x 6 or 3 x 8?" in words(look(counts), "missing")
    assert "no rectangle holds 23" in words(look(counts[:23]), "missing")


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"energy": 300.0}, "Did you mean 300000?"),
        ({"step": (200.0, 150.0)}, "do not overlap"),
        ({"semiangle_cutoff": ANGLE * 1e-3}, "Did you mean"),
    ],
)
def test_what_a_run_refuses_is_said_and_ends_the_verdict(change: dict[str, Any], part: str):
    found = look(**change)
    assert part in found.refusal
    assert found.refusal in words(found, "wrong")
    assert verdict(found)[-1].text == "This scan cannot be reconstructed as it stands."
    assert found.cost is None


def test_counts_that_are_none_are_refused():
    for value, part in ((np.nan, "not finite"), (-3.0, "negative")):
        counts = counts_of().astype(np.float32)
        counts[3, 4, 5, 6] = value
        assert part in look(counts).refusal
    noisy = counts_of().astype(np.float32)
    noisy[3, 4, 5, 6] = -0.4
    assert look(noisy, read_noise=0.3).refusal == ""
    assert "zeros only" in look(np.zeros((5, 5, *WINDOW), np.uint8)).refusal


def test_a_disk_of_another_size_is_doubted_and_its_angle_named():
    (named,) = re.findall(r"semiangle_cutoff may be (\S+) mrad", words(look(semiangle_cutoff=0.9 * ANGLE), "doubt"))
    assert float(named) == pytest.approx(ANGLE, rel=0.02)
    assert "is one of them in another unit" in words(look(semiangle_cutoff=0.5 * ANGLE), "doubt")


def test_a_zero_frequency_in_the_corner_is_doubted():
    counts = np.fft.ifftshift(counts_of(), axes=(-2, -1))
    assert "expected zero frequency in the centre" in words(look(counts), "doubt")


def test_axes_in_another_order_are_doubted():
    """Seen as a scan, the detector's pixels come first: each pattern is a map of the specimen, bright everywhere."""
    counts = np.moveaxis(counts_of((40, 44)), (0, 1), (2, 3))
    assert "are the axes (slow, fast, y, x)" in words(look(np.ascontiguousarray(counts)), "doubt")


def test_dead_and_hot_pixels_are_named_unless_a_mask_hides_them():
    counts = counts_of()
    counts[..., 20, 22] = 0
    counts[..., 2, 3] += 70
    found = look(counts)
    assert found.dead.tolist() == [[20, 22]]
    assert found.hot.tolist() == [[2, 3]]
    assert "1 detector pixel (row, column) (20, 22) is dead" in words(found, "doubt")
    part = inspect_dataset(use_detector_part(from_arrays(counts, GOOD), (32, 36)))
    assert part.dead.tolist() == [[16, 18]]  # in its own picture
    assert "1 detector pixel (row, column) (20, 22) is dead: name them in data.bad_pixels" in words(part, "doubt")
    mask = np.ones(WINDOW)
    mask[20, 22] = mask[2, 3] = 0
    hidden = look(counts, mask=mask)
    assert len(hidden.dead) == len(hidden.hot) == 0
    assert hidden.electrons is not None
    assert hidden.electrons.per_pattern == pytest.approx((mean_pattern() * mask).sum(), rel=0.01)


def test_counts_that_are_no_electrons_are_seen():
    """Each electron leaves 20 counts on average, spread by half a pixel, and the read-out adds noise of 2."""
    rng = np.random.default_rng(3)
    electrons = counts_of((24, 24)).astype(float)
    charge = rng.gamma(10.0 * np.maximum(electrons, 1e-9), 2.0)
    spread = ndimage.gaussian_filter(charge, (0, 0, 0.5, 0.5), mode="wrap")
    found = look(np.maximum(np.round(spread + rng.normal(0, 2, spread.shape) + 10), 0).astype(np.uint16))
    assert found.electrons is not None
    assert found.electrons.source in ("estimated", "unclear")
    assert 10 < found.electrons.counts_per_electron < 30
    assert "a count is no electron" in words(found, "doubt")
    assert "an electron's charge spreads over several" in words(found, "doubt")
    assert found.cost is not None
    assert found.cost.run.half_sets is False


def test_a_few_patterns_do_not_tell_what_a_count_is():
    found = look(counts_of((2, 2)))
    assert "cannot be told whether counts are electrons" in words(found, "doubt")
    assert "vary" not in dict(describe(found))["counts per electron"]


def test_saturated_and_empty_patterns_are_doubted():
    counts = counts_of()
    counts[2, 3] = 0
    counts[4, 5, 20, 20] = 65535
    text = words(look(counts), "doubt")
    assert "0.4% of the patterns hold no count" in text
    assert "counts reach 65535, all that uint16 holds" in text


def test_a_low_dose_is_given_advice():
    few = np.random.default_rng(0).poisson(0.01 * mean_pattern(), (20, 20, *WINDOW)).astype(np.uint8)
    assert 'method = "dgp"' in words(look(few), "good")


def test_what_does_not_fit_is_doubted(good: Inspection):
    assert good.cost is not None
    assert good.cost.fits
    assert "a run of pixels takes about" in words(good, "good")
    assert 'a run of networks (method = "dgp") takes about' in words(good, "good")
    parts = dataclasses.replace(good, cost=dataclasses.replace(good.cost, held=False))
    assert "reads them in every epoch" in words(parts, "good")
    tight = dataclasses.replace(good, cost=dataclasses.replace(good.cost, held=False, fits=False))
    assert "a run of pixels takes about" in words(tight, "doubt")
    assert "crop the scan" in words(tight, "doubt")
    networks = dataclasses.replace(good.cost.networks, held=False, fits=False)
    tight = dataclasses.replace(good, cost=dataclasses.replace(good.cost, networks=networks))
    assert "a run of networks" in words(tight, "doubt")


def test_lengths_in_pixels_need_no_calibration():
    pixels = Calibration(length_unit="px")
    places = np.random.default_rng(0).uniform(0, 30, (224, 2))
    dataset = from_arrays(counts_of().reshape(224, *WINDOW), pixels, places, np.ones((1, *WINDOW), complex))
    found = inspect_dataset(dataset)
    assert (found.missing, found.geometry, found.refusal) == ((), None, "")
    assert found.counts.grid is None


def test_a_run_takes_longer_the_more_it_does():
    dataset = Dataset4D((8, 9, 64, 64), np.dtype(np.uint8), lambda: np.zeros(0), GOOD)
    plain = estimate_cost(dataset, (128, 128), RunShape(half_sets=False))
    assert plain.seconds > plain.run.epochs * plain.epoch_seconds > 0
    assert plain.fits
    rich = estimate_cost(dataset, (128, 128), RunShape(slices=4, modes=3, half_sets=True))
    assert rich.epoch_seconds > 4 * plain.epoch_seconds
    assert rich.need.host > plain.need.host
    assert plain.networks.seconds > plain.seconds
    assert plain.networks.need.host > plain.need.host
    more = estimate_cost(dataset, (128, 128), RunShape(half_sets=False), NetworkShape(members=2, epochs=48))
    assert more.networks.seconds > 2 * plain.networks.seconds - 40


def test_a_larger_window_takes_longer_to_transform():
    assert transform_seconds((256, 256)) > 4 * transform_seconds((32, 32))
