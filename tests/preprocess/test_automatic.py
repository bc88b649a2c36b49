"""What is chosen from the scan alone: the preconditioner's constants and the noise on a generator's input."""

import dataclasses
import math

import jax.numpy as jnp
import numpy as np
import pytest

from jptycho.assembly.auto import resolve_auto
from jptycho.config.run import with_changes
from jptycho.data.dataset import Calibration, from_arrays
from jptycho.preprocess import automatic
from jptycho.preprocess.automatic import (
    choose_ensemble_size,
    choose_input_noise,
    choose_preconditioner,
)
from jptycho.preprocess.prepare import Problem, prepare


@pytest.fixture(scope="module")
def scanned() -> Problem:
    """3 x 4 positions over 5 Å x 12 Å, an object pixel of 0.4 Å x 0.5 Å."""
    counts = np.random.default_rng(0).poisson(3.0, (3, 4, 25, 16)).astype(np.uint8)
    known = Calibration(300e3, 15.0, defocus=400.0, step=(2.5, 4.0), reciprocal_sampling=(0.1, 0.125))
    return prepare(from_arrays(counts, known))


def spread_over(problem: Problem, rows: float, columns: float, electrons: float = 1e4) -> Problem:
    """The same scan, its positions over so many pixels."""
    corners = jnp.array([[20.0, 20.0], [20.0 + rows, 20.0 + columns]])
    estimate = dataclasses.replace(problem.estimate, positions=corners)
    return dataclasses.replace(problem, estimate=estimate, electrons=electrons)


def test_slow_is_what_spans_the_scanned_field(scanned: Problem):
    side = math.sqrt((5.0 + 0.4) * (12.0 + 0.5))  # Å, a pixel more than the positions span
    found = choose_preconditioner(scanned)
    assert found.cutoff * side == pytest.approx(1.25, rel=1e-5)
    assert found.sampling == pytest.approx((0.4, 0.5))
    twice = choose_preconditioner(spread_over(scanned, 2 * 13.5 - 1, 2 * 25 - 1))
    assert twice.cutoff * side == pytest.approx(1.25 / 2, rel=1e-5)


def test_the_gain_grows_with_the_field_up_to_what_the_dose_measures(scanned: Problem):
    def gain(pixels: float, electrons: float) -> float:
        return choose_preconditioner(spread_over(scanned, pixels - 1, pixels - 1, electrons)).gain

    assert gain(200, 1e4) == pytest.approx(30.0, rel=1e-5)
    assert gain(200, 9.0) == pytest.approx(12.0)
    assert gain(200, 0.25) == gain(20, 1e4) == 5.0
    assert gain(2000, 1e4) == 60.0


def test_a_long_field_has_the_constants_of_a_square_one_of_equal_area(scanned: Problem):
    long, square = (choose_preconditioner(spread_over(scanned, *s)) for s in ((49.0, 199.0), (99.0, 99.0)))
    assert (long.gain, long.cutoff) == pytest.approx((square.gain, square.cutoff), rel=1e-5)


def test_the_input_s_noise_falls_with_the_dose_between_its_bounds(scanned: Problem):
    """At 0.1, 0.3, 1, 5 and a million electrons a detector pixel; at 0.1 and 0.3 as measured on a particle."""
    noise = [choose_input_noise(dataclasses.replace(scanned, electrons=n * 25 * 16)) for n in (0.1, 0.3, 1.0, 5.0, 1e6)]
    assert noise == sorted(noise, reverse=True)
    assert noise[0] == 1.0
    assert 0.5 <= noise[1] <= 1.0
    assert noise[2] == pytest.approx(0.5)
    assert 0.2 < noise[3] < 0.3
    assert noise[-1] == 0.1


@pytest.mark.parametrize(("per_pixel", "networks"), [(0.01, 2), (2.9, 2), (3.1, 1), (50.0, 1)])
def test_few_electrons_are_worth_a_second_network(scanned: Problem, per_pixel: float, networks: int):
    problem = dataclasses.replace(scanned, electrons=per_pixel * 25 * 16)
    assert choose_ensemble_size(problem) == networks


def test_a_second_network_whose_half_sets_would_fill_the_memory_is_none(
    scanned: Problem, monkeypatch: pytest.MonkeyPatch
):
    problem = dataclasses.replace(scanned, electrons=1.0)
    monkeypatch.setattr(automatic, "memory_of_device", lambda: 39 * scanned.counts.nbytes)
    assert choose_ensemble_size(problem) == 1
    monkeypatch.setattr(automatic, "memory_of_device", lambda: 41 * scanned.counts.nbytes)
    assert choose_ensemble_size(problem) == 2


@pytest.mark.parametrize(
    ("dgp", "networks"),
    [({}, 2), ({"ensemble_size": 1}, 1), ({"half_sets": False}, 1), ({"ema_decay": 0.0}, 1)],
)
def test_what_is_automatic_at_low_dose_gives_way_to_what_is_set(scanned: Problem, dgp: dict[str, float], networks: int):
    problem = dataclasses.replace(scanned, electrons=100.0, undivided="")
    config = with_changes(None, {"method": "dgp", "dgp": {"levels": 1, "probe_levels": 1, **dgp}})
    assert resolve_auto(config, problem).dgp.ensemble_size == networks
