"""Trials as real runs: what they share, what they compile, and what they find."""

import dataclasses

import numpy as np
import pytest

from jptycho.automatic.search import Size, search
from jptycho.automatic.search.bench import Told, make_bench, pixels_of
from jptycho.automatic.search.ranges import Range
from jptycho.config.run import with_changes
from tests.e2e.test_second_scan import counted

TOLD = Told([].append, lambda *_: None, lambda: False)
RANGES = (Range("defocus", 60.0, 200.0), Range("rotation", -5.0, 5.0), Range("thickness", 4.0, 20.0))


def stated(scan, **values):
    """A scan that says something else of how it was recorded."""
    return dataclasses.replace(scan, calibration=dataclasses.replace(scan.calibration, **values))


def bench_of(scan, ranges, **changes):
    return make_bench(pixels_of(with_changes(None, changes), 8), scan, ranges, TOLD)


@pytest.mark.parametrize("half_sets", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_all_trials_are_one_program_on_one_canvas(small_scan, half_sets):
    object_ = {"slices": 2, "slice_thickness": 6.0}
    bench = bench_of(small_scan, RANGES, object=object_, pixels={"epochs": 1, "half_sets": half_sets})
    first = bench.losses({"defocus": 60.0, "rotation": -5.0, "thickness": 4.0})
    with counted() as programs:
        second = bench.losses({"defocus": 190.0, "rotation": 2.5, "thickness": 17.0})
        third = bench.losses({"defocus": 60.0, "rotation": -5.0, "thickness": 4.0})
    assert programs == []
    assert first.shape == (256,)
    np.testing.assert_array_equal(first, third)
    assert np.abs(first - second).max() > 1e-3


def test_what_judges_is_in_no_part_that_is_seen(small_scan):
    bench = bench_of(small_scan, RANGES[:1], pixels={"epochs": 1})
    total = bench.rest.counts + bench.unseen.counts
    np.testing.assert_array_equal(np.fft.fftshift(total, axes=(-2, -1)), small_scan.read())
    ((one, other),) = bench.half_sets
    np.testing.assert_array_equal(one.counts + other.counts, bench.rest.counts)
    assert bench.unseen.electrons == pytest.approx(0.1 * total.sum() / 256, rel=0.02)


@pytest.mark.slow
def test_what_is_stated_wrong_is_found(small_scan):
    """Defocus 60 Å and rotation 3° off, against a grid of runs about the truth, of another seed."""
    wrong = stated(small_scan, defocus=160.0, rotation=3.0)
    over = {"defocus": (40.0, 220.0), "rotation": (-6.0, 6.0)}
    found = search(wrong, with_changes(None, {}), over, size=Size(trials=30))
    assert found.over_given.significance > 5
    grid = bench_of(wrong, tuple(Range(name, *pair) for name, pair in over.items()), seed=1)
    defocus, rotation = np.linspace(60.0, 140.0, 9), np.linspace(-2.0, 2.0, 9)
    across = [grid.losses({"defocus": x, "rotation": found.values["rotation"]}).mean() for x in defocus]
    along = [grid.losses({"defocus": found.values["defocus"], "rotation": y}).mean() for y in rotation]
    for name, places, scores, truth in (("defocus", defocus, across, 100.0), ("rotation", rotation, along, 0.0)):
        lowest = -np.polyfit(places, scores, 2)[1] / (2 * np.polyfit(places, scores, 2)[0])
        assert name in found.errors
        assert abs(found.values[name] - lowest) < 3 * found.errors[name] + 0.5 * (places[1] - places[0])
        assert abs(found.values[name] - truth) < {"defocus": 15.0, "rotation": 0.5}[name]
