"""How a search goes, with a cheap function in place of runs, so that what must be found is known."""

import builtins
import json
import math
from pathlib import Path

import numpy as np
import pytest

import jptycho
from jptycho.automatic import compare
from jptycho.automatic.search.bench import Told
from jptycho.automatic.search.found import Plan, at_an_end, conclude
from jptycho.automatic.search.journal import FILE, Trial, Trials, remove_trials
from jptycho.automatic.search.ranges import Range
from jptycho.automatic.search.run import Size, _left, check_size, next_values, run_trials, search
from jptycho.errors import ConfigError, DivergenceError, FormatError

RANGES = (Range("defocus", 50.0, 250.0), Range("rotation", -5.0, 5.0), Range("modes", 1.0, 3.0))
GIVEN = {"defocus": 160.0, "rotation": 3.0, "modes": 1.0}
BEST = {"defocus": 104.0, "rotation": -0.5, "modes": 2.0}
NOISE = np.random.default_rng(5).normal(0.0, 0.3, (3, 64))


def bowl(values):
    """Losses of 64 patterns, whose minimum is known but for what their noise moves."""
    x, y = (values["defocus"] - BEST["defocus"]) / 100, (values["rotation"] - BEST["rotation"]) / 5
    mean = 2 * x**2 + y**2 + 0.5 * x * y + 0.1 * abs(values["modes"] - BEST["modes"])
    return 5.0 + mean + 0.01 * (NOISE[0] * x + NOISE[1] * y) + NOISE[2]


def plan(trials, **changes):
    return Plan(RANGES, GIVEN, trials, **changes)


def quiet(said=None, stop=lambda: False):
    return Told([].append if said is None else said.append, lambda *_: None, stop)


def test_the_minimum_is_found_within_its_error_and_better_than_what_was_given():
    said = []
    found = run_trials(plan(30), bowl, Trials(None, {}), quiet(said))
    assert found.values["modes"] == 2
    for name, reach in (("defocus", 2.0), ("rotation", 0.1)):
        assert abs(found.values[name] - BEST[name]) < reach
        assert 0 < found.errors[name] < reach
    assert dict(found.trials[0].values) == GIVEN
    lowest = min(found.trials, key=lambda trial: trial.score)
    assert compare(lowest.losses, bowl(found.values)).significance > -1
    assert found.over_given is not None
    difference = bowl(GIVEN) - bowl(found.values)
    assert found.over_given.difference == pytest.approx(difference.mean())
    assert found.over_given.error == pytest.approx(difference.std(ddof=1) / 8)
    assert found.over_second is not None
    assert found.over_second.significance > -1
    assert found.over_second.difference < found.over_given.difference
    assert len(said) == len(found.trials) == 30
    assert "trial 1/30: defocus 160 Å, rotation 3 degrees, modes 1: " in said[0]
    assert at_an_end(found) == ()


def test_of_what_chance_may_have_ordered_the_nearest_to_the_parabola_is_taken():
    """A trial off the minimum that roughness makes the lowest is not taken; one that is lower beyond chance is."""
    odd, noise = {"defocus": 108.5, "rotation": -0.7, "modes": 2.0}, NOISE[2] - NOISE[2].mean()
    losses = {tuple(values.values()): bowl(values) for values in around()}
    lowest = min(each.mean() for each in losses.values())
    for scatter, taken in ((0.2, False), (0.01, True)):
        losses[tuple(odd.values())] = bowl(odd) - (bowl(odd).mean() - lowest + 0.003) + scatter * noise
        done = [
            Trial(dict(zip(odd, key, strict=True)), float(each.mean()), 0.0, "", each) for key, each in losses.items()
        ]
        found = conclude(plan(30), done, "done")
        assert (found.values == odd) is taken
        if not taken:
            assert found.values == BEST | {"defocus": BEST["defocus"] + 1.0, "rotation": BEST["rotation"] + 0.1}


def around():
    """Values on a grid about the minimum."""
    for x in (-40.0, -16.0, 1.0, 18.0, 42.0):
        for y in (-1.6, 0.1, 1.4):
            yield {"defocus": BEST["defocus"] + x, "rotation": BEST["rotation"] + y, "modes": 2.0}


def test_equal_seeds_try_equal_values_and_others_do_not():
    tried = [
        [dict(trial.values) for trial in run_trials(plan(12, seed=seed), bowl, Trials(None, {}), quiet()).trials]
        for seed in (3, 3, 4)
    ]
    assert tried[0] == tried[1] != tried[2]


def test_a_search_that_goes_on_tries_what_it_would_have_tried(tmp_path):
    whole = run_trials(plan(14), bowl, Trials(None, {}), quiet())
    folder, count = tmp_path / "a" / "run.search", []

    def few(values):
        count.append(values)
        return bowl(values) if len(count) < 11 else None

    part = run_trials(plan(14), few, Trials(folder, {"seed": (1, 2)}), quiet())
    assert (part.status, len(part.trials)) == ("interrupted", 10)
    said = []
    again = run_trials(plan(14), bowl, Trials(folder, {"seed": [1, 2]}), quiet(said))
    assert said[0] == "goes on behind 10 trials"
    assert [dict(t.values) for t in again.trials] == [dict(t.values) for t in whole.trials]
    assert (again.values, again.errors, again.over_second) == (whole.values, whole.errors, whole.over_second)
    remove_trials(folder)
    assert not folder.exists()
    remove_trials(tmp_path)  # of no search
    assert tmp_path.exists()


def test_trials_that_fail_do_not_end_the_search_and_are_avoided(tmp_path):
    """Whatever lies above 150 Å diverges, what is given among it."""

    def fragile(values):
        if values["defocus"] > 200:
            raise DivergenceError("loss: not finite in epoch 2.")
        return bowl(values) if values["defocus"] < 150 else np.full(64, np.nan)

    said = []
    found = run_trials(plan(30), fragile, Trials(tmp_path / "s", {}), quiet(said))
    failed = [not trial.ended for trial in found.trials]
    assert failed[0]
    assert found.over_given is None
    assert abs(found.values["defocus"] - BEST["defocus"]) < 10
    assert sum(failed[15:]) < sum(failed[:15])
    words = {trial.failed for trial in found.trials if not trial.ended}
    assert words == {"loss: not finite in epoch 2.", "the loss on unseen electrons is not finite"}
    assert any("failed, loss: not finite" in line for line in said)
    again = run_trials(plan(30), bowl, Trials(tmp_path / "s", {}), quiet())
    assert [trial.failed for trial in again.trials] == [trial.failed for trial in found.trials]
    assert again.values == found.values


def test_where_no_trial_ends_that_is_said():
    with pytest.raises(ConfigError, match=r"none of 4 trials ended; the last: the loss on unseen.*Narrow the ranges"):
        run_trials(plan(4), lambda values: np.full(64, np.inf), Trials(None, {}), quiet())


def test_the_user_ends_it_with_the_best_so_far():
    asked = []

    def stop():
        asked.append(1)
        return len(asked) > 6

    found = run_trials(plan(30), bowl, Trials(None, {}), quiet(stop=stop))
    assert (found.status, len(found.trials)) == ("interrupted", 6)
    assert found.score == min(trial.score for trial in found.trials)
    assert found.errors == {}  # too few
    with pytest.raises(KeyboardInterrupt):
        run_trials(plan(30), bowl, Trials(None, {}), quiet(stop=lambda: True))


def test_the_time_ends_it_after_one_trial_at_least():
    said = []
    found = run_trials(plan(30, limit=0.0), bowl, Trials(None, {}), quiet(said))
    assert (found.status, len(found.trials)) == ("done", 1)
    assert said[-1] == "the time is over after 1 trials of 30"
    assert found.over_second is None


def test_where_the_time_ends_it_the_last_trials_are_at_the_minimum_of_the_parabola():
    """As many as there is time for, and not as were asked for."""
    done = [Trial(values, float(bowl(values).mean()), 1.0, "", bowl(values)) for values in around()]
    assert (_left(15, 1.0, 40.0), _left(15, 1.0, 2.5), _left(15, 0.0, -1.0), _left(15, 9.0, 2.5)) == (15, 2, 15, 1)
    near, far = next_values(plan(30), done, _left(15, 1.0, 2.5)), next_values(plan(30), done, _left(15, 1.0, 40.0))
    for name, reach in (("defocus", 2.0), ("rotation", 0.1)):
        assert abs(near[name] - BEST[name]) < reach
    assert far != near


def test_what_is_given_is_not_tried_where_it_lies_outside():
    outside = Plan(RANGES, GIVEN | {"defocus": 400.0}, 5)
    found = run_trials(outside, bowl, Trials(None, {}), quiet())
    assert all(50 <= trial.values["defocus"] <= 250 for trial in found.trials)
    assert found.over_given is None


def test_a_best_at_an_end_of_its_range_is_named():
    """One mode, less than which there is none, is no end; 150 Å is, for the minimum lies at 104."""
    ranges = (Range("defocus", 150.0, 250.0), Range("modes", 1.0, 3.0))
    judge = lambda values: bowl(values | {"rotation": 0.0}) + values["modes"]  # noqa: E731
    found = run_trials(Plan(ranges, {"defocus": 150.0, "modes": 1.0}, 12), judge, Trials(None, {}), quiet())
    assert at_an_end(found) == ranges[:1]


@pytest.mark.parametrize("damage", ["text", "list", "losses", "pickle"])
def test_damaged_trials_are_named_and_never_executed(tmp_path, damage):
    folder = tmp_path / "s"
    run_trials(plan(3), bowl, Trials(folder, {}), quiet())
    if damage in ("text", "list"):
        (folder / FILE).write_text("{" if damage == "text" else "[1]")
    elif damage == "losses":
        np.save(folder / "losses-1.npy", np.array([math.nan]))
    else:
        np.save(folder / "losses-1.npy", np.array([object()]), allow_pickle=True)
    with pytest.raises(FormatError, match=r"is damaged\. Delete it"):
        Trials(folder, {})


def test_trials_of_something_else_are_not_gone_on_with(tmp_path):
    run_trials(plan(2), bowl, Trials(tmp_path / "s", {"data": "a"}), quiet())
    with pytest.raises(ConfigError, match="other settings, ranges or data"):
        Trials(tmp_path / "s", {"data": "b"})
    assert set(json.loads((tmp_path / "s" / FILE).read_text())) == {"identity", "trials"}


def test_where_trials_cannot_be_written_the_search_goes_on(tmp_path):
    (tmp_path / "file").touch()
    said = []
    found = run_trials(plan(2), bowl, Trials(tmp_path / "file" / "s", {}), quiet(said))
    assert len(found.trials) == 2
    assert any("cannot be written" in line for line in said)


@pytest.mark.parametrize(
    ("size", "message"),
    [
        (Size(trials=0), "trials: 0; expected 1 or more"),
        (Size(epochs=0), "epochs: 0; expected 1 or more"),
        (Size(minutes=-1.0), "minutes: -1; expected a time above 0"),
        (Size(minutes=math.nan), "minutes: nan"),
    ],
)
def test_a_search_of_nothing_is_refused(size, message):
    with pytest.raises(ConfigError, match=message):
        check_size(size)


def test_one_file_knows_optuna():
    package = Path(jptycho.__file__).parent
    assert [path.name for path in package.rglob("*.py") if "import optuna" in path.read_text()] == ["proposals.py"]


def test_without_optuna_one_line_says_how_to_install_it(monkeypatch, small_scan):
    real = builtins.__import__

    def without(name, *rest):
        if name.split(".")[0] == "optuna":
            raise ModuleNotFoundError(f"No module named {name!r}")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigError, match=r"optuna is not installed\. Install it: pip install 'jptycho\[search\]'\."):
        search(small_scan, None, {"defocus": None})
