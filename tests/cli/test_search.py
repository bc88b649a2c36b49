"""``jptycho search`` as a user calls it; a cheap function stands in place of the runs."""

import dataclasses
import inspect
import tomllib

import numpy as np
import pytest

import jptycho
from jptycho.automatic.search import Size
from jptycho.automatic.search.bench import Bench
from jptycho.automatic.search.found import Plan, conclude
from jptycho.automatic.search.journal import Trial
from jptycho.automatic.search.ranges import Range
from jptycho.cli.search import describe
from jptycho.cli.search import search as command
from tests.cli.calling import call

TOML = """# my scan
[data]
file = "scan.h5"
defocus = 160.0  # Å, from the microscope

[object]
slices = 2  # of gold
slice_thickness = 6.0
"""
NOISE = np.random.default_rng(3).normal(0.0, 0.1, (2, 256))


@pytest.fixture
def folder(tmp_path, small_scan):
    jptycho.write_scan(tmp_path / "scan.h5", small_scan)
    (tmp_path / "run.toml").write_text(TOML, encoding="utf-8")
    return tmp_path


@pytest.fixture
def scripted(monkeypatch):
    """Best at a defocus of 101 Å and a thickness of 18 Å."""
    seen = []

    def losses(self, values):
        seen.append(dict(values))
        if len(seen) == scripted.ends_at:
            return None
        x, y = (values["defocus"] - 101) / 100, (values.get("thickness", 18.0) - 18) / 10
        return 2.0 + x**2 + y**2 + NOISE[0] * x + NOISE[1]

    monkeypatch.setattr(Bench, "losses", losses)
    scripted = losses
    scripted.seen, scripted.ends_at = seen, 0
    return scripted


def test_what_is_found_is_printed_and_written_beside_the_comments(folder, scripted):
    words = ["--over", "defocus=40:260", "--over", "thickness", "--trials", "24", "--write", "deeper/found.toml"]
    done = call(folder, "search", "run.toml", *words)
    assert done.returncode == 0, done.stderr
    assert "searches defocus from 40 to 260 Å; thickness from 6 to 24 Å. Each trial: 8 epochs" in done.stdout
    assert "(given: 160)" in done.stdout
    assert "predicted better than by the settings as given by +" in done.stdout
    text = (folder / "deeper" / "found.toml").read_text(encoding="utf-8")
    assert text.startswith("# my scan\n")
    assert "slices = 2  # of gold" in text
    found = tomllib.loads(text)
    assert abs(found["data"]["defocus"] - 101) < 5
    assert abs(found["object"]["slice_thickness"] - 9) < 0.5
    assert "best of 24 trials" in text
    assert "±" in text
    assert (folder / "deeper" / found["data"]["file"]).resolve() == (folder / "scan.h5").resolve()
    assert not list(folder.glob("**/*.search"))
    assert scripted.seen[0] == {"defocus": 160.0, "thickness": 12.0}


def test_the_options_are_by_default_those_of_the_function():
    options = inspect.signature(command).parameters
    assert {name: options[name].default for name in ("trials", "minutes", "epochs")} == dataclasses.asdict(Size())


def test_an_interrupted_search_writes_its_best_and_goes_on(folder, scripted):
    words = ["search", "run.toml", "--over", "defocus=40:260", "--trials", "12", "--write", "found.toml"]
    scripted.ends_at = 6
    done = call(folder, *words)
    assert done.returncode == 0, done.stderr
    assert "interrupted: that is the best of 5 trials; run with --overwrite to go on" in done.stdout
    best = min(scripted.seen[:5], key=lambda values: abs(values["defocus"] - 101 + 50 * NOISE[0].mean()))
    written = tomllib.loads((folder / "found.toml").read_text(encoding="utf-8"))["data"]["defocus"]
    assert written == pytest.approx(best["defocus"], rel=1e-5)
    assert (folder / "found.toml.search").is_dir()
    again = call(folder, *words, "--overwrite")
    assert again.returncode == 0, again.stderr
    assert "goes on behind 5 trials" in again.stdout
    assert len(scripted.seen) == 6 + 7
    assert not (folder / "found.toml.search").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "over: nothing to search"),
        (("--over", "focus=1:2"), "focus: cannot be searched over"),
        (("--over", "defocus=2:1"), "defocus: from 2 to 1 holds nothing"),
        (("--over", "thickness=-3:1"), "expected Å above 0"),
        (("--over", "defocus", "--trials", "0"), "trials: 0"),
        (("--over", "defocus", "--write", "run.toml"), "'run.toml' is what is read"),
        (("--over", "defocus", "--write", "found.yaml"), "ends in .toml"),
    ],
)
def test_wrong_options_are_one_line_and_nothing_is_computed(folder, scripted, words, message):
    before = sorted(folder.iterdir())
    done = call(folder, "search", "run.toml", *words)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert scripted.seen == []
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[data]\nfile = "scan.h5"\n', "thickness: has no effect on one slice"),
        ('[data]\nfile = "nowhere.h5"\n', "nowhere.h5"),
        ("[pixels]\nepochs = 3\n", "data: missing"),
        (TOML.replace('"scan.h5"', '"analog.npy"\nenergy = 3e5\nstep = 1.2\nsemiangle_cutoff = 20.0\n'
                      "reciprocal_sampling = 0.078"), "nothing can be held out to judge by"),
    ],
)  # fmt: skip
def test_scans_that_cannot_be_judged_are_one_line(folder, scripted, small_scan, text, message):
    if "analog" in text:
        rng = np.random.default_rng(1)
        counts = small_scan.read().reshape(16, 16, 32, 32) * 3.7
        np.save(folder / "analog.npy", np.abs(counts + rng.normal(0, 0.8, counts.shape)).astype(np.float32))
    (folder / "run.toml").write_text(text, encoding="utf-8")
    done = call(folder, "search", "run.toml", "--over", "thickness")
    assert done.returncode == 2, done.stdout
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert scripted.seen == []


def test_a_lead_that_chance_would_give_is_said_to_be_none():
    """Scores without a slope: the best of many trials leads the first all the same."""
    rng, ranges = np.random.default_rng(0), (Range("defocus", 50.0, 250.0),)
    for slope, proved in ((0.0, False), (1.0, True)):
        done = []
        for number, value in enumerate(np.linspace(160.0, 60.0, 30)):
            losses = 5.0 + slope * abs(value - 90.0) / 100 + rng.normal(0.0, 0.3, 64)
            done.append(Trial({"defocus": value}, float(losses.mean()), float(number), "", losses))
        found = conclude(Plan(ranges, {"defocus": 160.0}, 30), done, "done")
        assert found.over_given is not None
        assert found.over_given.significance > 0
        assert any("not shown to be better" in line for line in describe(found)) is not proved
