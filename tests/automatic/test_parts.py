"""Time, decisions on disk, what is tried, and what contradicts an automatic run."""

import dataclasses
import json
import math
import time

import pytest

import jptycho
from jptycho.assembly.budget import Budget
from jptycho.assembly.memory_plan import MemoryPlan
from jptycho.automatic import check_memory, check_settings
from jptycho.automatic.clock import Clock, Pace, check_time, measured_pace, seconds_of_networks, seconds_of_pixels
from jptycho.automatic.journal import FILE, Decision, Journal
from jptycho.automatic.trials import families, first_settings
from jptycho.config.run import with_changes
from jptycho.errors import ConfigError, FormatError
from jptycho.solvers.epochs import Record

THICK = {"object": {"slices": 3, "slice_thickness": 8.0}}


def automatic(**changes):
    return with_changes(None, {"method": "auto", **changes})


def test_a_clock_says_what_does_not_fit():
    clock = Clock(time.perf_counter() - 50.0, 100.0)
    assert clock.elapsed == pytest.approx(50.0, abs=5)
    assert clock.lacks(30.0) == ""
    assert clock.lacks(30.0, reserved=10.0) == ""
    assert "takes some 30 s" in clock.lacks(30.0, reserved=40.0)
    assert "of 100 s" in clock.lacks(1e3)
    assert Clock(time.perf_counter()).lacks(1e9) == ""


def test_a_pace_is_that_of_the_median_epoch():
    took = [10.0, 11.0, 12.0, 30.0, 31.0]  # something else held up the fourth
    history = tuple(Record("a", n, 5, 1.0, 0.1, seconds) for n, seconds in enumerate(took, 1))
    history += (Record("b", 1, 1, 1.0, 0.1, 99.0),)
    found = measured_pace(history, "a", 35.0, 1)
    assert found == Pace(1.0, 30.0)
    assert seconds_of_pixels(found, 4, 3) == 30.0 + 12.0
    assert measured_pace(history, "b", 9.0, 2) == Pace(4.5, 0.0)


def test_networks_take_longer_the_more_there_are():
    one, two = (
        seconds_of_networks(Pace(1.0, 10.0), automatic(dgp={"ensemble_size": n, "polish_epochs": 0})) for n in (1, 2)
    )
    assert two > one > seconds_of_pixels(Pace(1.0, 10.0), 24, 1)


@pytest.mark.parametrize(("limit", "refused"), [(5.0, True), (13.0, False), (math.inf, False)])
def test_less_time_than_an_epoch_takes_is_refused(limit, refused):
    if not refused:
        check_time(limit, Pace(2.0, 10.0))
        return
    with pytest.raises(ConfigError, match=r"automatic.minutes: 0.0833.* 12 s.*at least 0.2\."):
        check_time(limit, Pace(2.0, 10.0))


def test_decisions_are_read_back(tmp_path):
    journal, said = Journal(tmp_path / "c"), []
    assert journal.seconds == 0.0
    journal.add(said.append, "2 slices", Decision(True, "2 slices: kept", 12.0))
    journal.add(said.append, "final", Decision(False, "", 20.0, epochs=7))
    again = Journal(tmp_path / "c")
    assert again.decisions == journal.decisions
    assert (again.seconds, again.words) == (20.0, "2 slices: kept")
    assert said == ["2 slices: kept"]
    assert Journal(None).place("x") is None


def test_decisions_hold_for_what_they_were_of(tmp_path):
    """More time is time for what there was none for: that, and what came after it, is decided anew."""
    said = []
    journal = Journal(tmp_path)
    journal.identify({"data": "a", "seed": (1, 2)}, 60.0)
    journal.add(said.append, "2 slices", Decision(True, seconds=5.0))
    journal.add(said.append, "2 modes", Decision(False, seconds=6.0, timely=False))
    journal.add(said.append, "networks", Decision(False, seconds=9.0))
    for limit, left in ((60.0, 3), (50.0, 3), (math.inf, 1)):
        again = Journal(tmp_path)
        again.identify({"data": "a", "seed": (1, 2)}, limit)
        assert len(again.decisions) == left
    assert again.spent == 9.0  # the time is not given back
    for other, what in (({"data": "b", "seed": [1, 2]}, "data"), ({"data": "a", "seed": [1, 3]}, "settings")):
        with pytest.raises(ConfigError, match=f"was made with other {what}"):
            Journal(tmp_path).identify(other, 60.0)


@pytest.mark.parametrize("damage", ["{", "[1]", json.dumps({"a": {"unknown": 1}})])
def test_damaged_decisions_are_named(tmp_path, damage):
    (tmp_path / FILE).write_text(damage)
    with pytest.raises(FormatError, match=r"is damaged\. Delete it"):
        Journal(tmp_path)


def test_decisions_that_cannot_be_written_do_not_end_the_run(tmp_path):
    (tmp_path / "file").touch()
    said = []
    Journal(tmp_path / "file").add(said.append, "x", Decision(True))
    assert "The run goes on" in said[0]


def test_slices_share_the_thickness_that_is_given():
    first = first_settings(automatic(**THICK))
    assert (first.method, first.object.slices, first.object.slice_thickness) == ("dgp", 1, 24.0)
    slices, modes = families(automatic(**THICK))
    assert [trial.changes["object"] for trial in slices] == [
        {"slices": 2, "slice_thickness": 12.0},
        {"slices": 4, "slice_thickness": 6.0},
    ]
    assert [trial.name for trial in modes] == ["2 modes", "3 modes"]


def test_what_is_known_is_not_tried():
    """No thickness: one slice. A tilt: the slices that it was given with. A probe that is held: its modes."""
    assert [family[0].name for family in families(automatic())] == ["2 modes"]
    tilted = automatic(object={"slices": 3, "slice_thickness": 8.0, "tilt": (2.0, 0.0)})
    assert first_settings(tilted).object.slices == 3
    assert [family[0].name for family in families(tilted)] == ["2 modes"]
    assert families(automatic(probe={"fixed": True})) == []
    assert families(automatic(probe={"model": "parametric"})) == []  # a source would be invented
    found = automatic(refine={"thickness": True}, **THICK)
    assert first_settings(found).object.slices == 3
    assert [family[0].name for family in families(found)] == ["2 modes"]
    more = automatic(probe={"modes": 2}, automatic={"unknowns": ["positions"]}, **THICK)
    assert [[trial.name for trial in family] for family in families(more)] == [
        ["2 slices", "4 slices"],
        ["3 modes"],
        ["free positions"],
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"method": "pixels", "automatic": {"minutes": 3}},
            "automatic.minutes: has no effect with method = .pixels",
        ),
        ({"stages": [{}]}, "stages: method"),
        ({"validation": {"fraction": 0}}, "validation.fraction: 0, but"),
        ({"pixels": {"half_sets": False}}, "pixels.half_sets: false"),
        ({"dgp": {"half_sets": False}}, "dgp.half_sets: false"),
        ({"dgp": {"start": "dpc"}}, "dgp.start: has no effect"),
        ({"dgp": {"start_file": "x.h5"}}, "dgp.start_file: has no effect"),
        ({"automatic": {"unknowns": ["tilt"]}}, "automatic.unknowns: a tilt"),
        ({"memory": {"stream": True}}, "memory.stream: true, but method"),
        ({"automatic": {"minutes": -1}}, "automatic.minutes: expected"),
        ({"pixels": {"solver": "epie", "object_rate": 0.1}, "pie": {"alpha": 0.3}}, "pie.alpha|object_rate"),
    ],
)
def test_contradictions_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        check_settings(automatic(**changes))


@pytest.mark.parametrize(
    ("refusal", "message"),
    [("needs 3 GB. Set memory.stream = true.", r"true\. The latter needs method"), ("needs 3 GB.", r"3 GB\.$")],
)
def test_a_run_that_memory_does_not_hold_is_refused(refusal, message):
    plan = MemoryPlan((), Budget(1, None), False, refusal)
    with pytest.raises(ConfigError, match=message):
        check_memory(plan)
    fits = dataclasses.replace(plan, refusal="")
    assert check_memory(fits) is fits


def test_a_limit_without_automatic_run_is_refused_before_anything_is_read():
    with pytest.raises(ConfigError, match=r"automatic\.minutes: has no effect"):
        jptycho.reconstruct(None, automatic={"minutes": 1.0})
