"""What an automatic run decides, with fits that are scripted: their quality is known, so what must be kept is too."""

import dataclasses
import importlib
import json
import signal

import numpy as np
import pytest

import jptycho
from jptycho.assembly.auto import prepare_from_config
from jptycho.automatic.clock import Pace
from jptycho.automatic.journal import FILE
from jptycho.errors import ConfigError, DivergenceError, OutOfMemoryError
from jptycho.reconstruction.carry import as_seen_by, handed_on
from jptycho.solvers.epochs import DONE, INTERRUPTED, Record

THICK = {"slices": 2, "slice_thickness": 6.0}
EPOCH = 0.01
"""Seconds that a scripted epoch takes of one slice and mode, by its record."""


def quality(slices, modes, networks):
    """Two slices and one mode are the truth; networks are worth a little more."""
    return 2.0 * (slices > 1) + 1e-4 * (slices > 2) + 1e-4 * (modes > 1) + 0.01 * networks


@pytest.fixture
def scripted(monkeypatch, small_scan):
    """Fits that take no time: the first pixel of the object says how good it is, and the judge reads it there."""
    fits, ends_in, polite, cut, fails, probes, judges = [], [None], [False], [None], {}, {}, []

    def fit(context, stages, begun):
        run.context = context
        probes[stages[0].name] = np.asarray(begun.estimate.probe)
        now = as_seen_by(context, stages[-1])
        progress = handed_on(begun, context, now)
        fits.append([stage.name for stage in stages])
        if stages[0].name in fails:
            raise fails[stages[0].name]
        config, networks = stages[-1].config, any(stage.name in ("dgp", "all electrons") for stage in stages)
        value = quality(config.object.slices, config.probe.modes, networks)
        found = dataclasses.replace(
            progress.estimate,
            object=progress.estimate.object.at[0, 0, 0, 0].set(1e-3 * value),
            probe=1j * progress.estimate.probe,
        )
        stages = stages[:1] if cut[0] in fits[-1] else stages
        epochs = stages[-1].epochs or 0
        took = [
            Record(stages[-1].name, n, epochs, 1.0, 0.1, n * EPOCH, 1.0, 1.0)  # of which the pace is taken
            for n in range(1, epochs + 1)
        ]
        if ends_in[0] in fits[-1]:
            if not polite[0]:
                raise KeyboardInterrupt
            signal.raise_signal(signal.SIGINT)
        status = INTERRUPTED if context.stop() or cut[0] in fits[-1] else DONE
        return now, dataclasses.replace(
            progress, estimate=found, history=(*progress.history, *took), best_epoch=1, status=status
        )

    def losses(context, estimate):
        judges.append(context.validation)
        value = float(estimate.object[0, 0, 0, 0])
        noise = np.random.default_rng(abs(int(1e9 * value))).normal(0.0, 0.05, 256)
        return 10.0 + noise - 1e3 * value

    monkeypatch.setattr("jptycho.automatic.attempt.run_stages", fit)
    monkeypatch.setattr("jptycho.automatic.attempt._losses", losses)
    monkeypatch.setattr("jptycho.automatic.attempt.confirm_bands", lambda context, estimate, held: (estimate, None))

    def run(**settings):
        fits.clear()
        probes.clear()
        judges.clear()
        said = []
        result = jptycho.reconstruct(
            small_scan,
            method="auto",
            object=THICK,
            log=said.append,
            checkpoint=settings.pop("checkpoint", None),
            **settings,
        )
        return result, list(fits), said

    run.judges = judges
    run.ends_in, run.polite, run.cut, run.fails, run.probes = ends_in, polite, cut, fails, probes
    return run


def test_only_what_is_better_beyond_chance_is_kept(scripted):
    result, fits, said = scripted()
    assert fits == [
        ["half sets, pixels"],
        ["half sets, 2 slices"],
        ["half sets, 4 slices"],  # not better, so 8 are not tried
        ["half sets, 2 modes"],  # not better, so 3 are not tried
        ["dgp", "polish"],
        ["all electrons"],
    ]
    assert (result.phase.shape[0], result.probe.shape[0]) == (2, 1)
    attributes = result.attributes
    assert (attributes["method"], attributes["status"], attributes["slice_thickness"]) == ("dgp", "done", 6.0)
    lines = attributes["choices"].splitlines()
    assert [(line.split(":")[0], line.split(": ")[-1].split(",")[0]) for line in lines] == [
        ("2 slices", "kept"),
        ("4 slices", "not kept"),
        ("2 modes", "not kept"),
        ("networks", "kept"),
    ]
    assert all(line in said for line in lines)
    assert "standard errors" in lines[1]
    assert 'method = "dgp"' in attributes["configuration"]
    assert "\nslices = 2 " in attributes["configuration"]


def test_without_networks_pixels_end_with_all_electrons(scripted):
    result, fits, _ = scripted(automatic={"networks": False, "max_slices": 1, "max_modes": 1})
    assert fits == [["half sets, pixels"], ["half sets"]]
    assert (result.attributes["method"], result.attributes["choices"]) == ("pixels", "")
    assert "fraction = 0.0" in result.attributes["configuration"]  # nothing is held out any more


def test_networks_that_predict_worse_are_not_kept(scripted, monkeypatch):
    monkeypatch.setattr(f"{__name__}.quality", lambda slices, modes, networks: -0.5 * networks)
    result, fits, _ = scripted()
    assert fits[-2:] == [["dgp", "polish"], ["half sets"]]
    assert result.attributes["method"] == "pixels"
    assert result.phase.shape[0] == 1
    assert result.attributes["slice_thickness"] == 12.0


def test_counts_that_cannot_be_divided_end_with_all_epochs(scripted, monkeypatch):
    """Electrons that cannot be divided hold out pixels of the detector, and the last fit has no stage before it."""
    prepared = prepare_from_config
    monkeypatch.setattr(
        importlib.import_module("jptycho.automatic.reconstruct"),
        "prepare_from_config",
        lambda *given: dataclasses.replace(prepared(*given), undivided="they are integrated"),
    )
    limits = {"networks": False, "max_slices": 1, "max_modes": 1}
    result, fits, _ = scripted(automatic=limits)
    assert fits == [["pixels, pixels"], ["pixels"]]
    assert list(result.history["stage"]).count("pixels") == 20
    with pytest.raises(ConfigError, match=r"pixels\.half_sets: true, but .*they are integrated\. Leave it out"):
        scripted(automatic=limits, pixels={"half_sets": True})


def test_what_is_compared_begins_alike(scripted):
    """A trial whose probe had been fitted already would have had more epochs than what it is compared with."""
    scripted()
    first = scripted.probes["half sets, pixels"]
    for trial in ("2 slices", "4 slices", "2 modes"):
        np.testing.assert_array_equal(scripted.probes[f"half sets, {trial}"], first)
    assert not np.array_equal(scripted.probes["dgp"], first)  # the networks' start


def test_what_decides_is_seen_by_nothing_else(scripted):
    """Epochs, gains and the probe of networks were chosen by what validates them, which would speak for them."""
    scripted()
    context = scripted.context
    unseen, again = scripted.judges[-2:]  # of the networks
    assert unseen is again
    assert len(scripted.judges) == 2 + 3 * 4  # half sets are judged by what validates too: they choose nothing by it
    used = context.problem.counts.astype(int) + context.validation.counts
    np.testing.assert_array_equal(used + unseen.counts, context.whole.counts)
    assert unseen.counts.sum() == pytest.approx(0.05 * context.whole.counts.sum(), rel=0.02)
    for first, second in context.half_sets:
        np.testing.assert_array_equal(first.counts.astype(int) + second.counts, context.problem.counts)


def test_networks_that_go_back_to_their_start_are_not_kept(scripted, monkeypatch):
    """What was polished then are the pixels from which they began."""
    made = importlib.import_module("jptycho.automatic.attempt").run_stages

    def fit(context, stages, begun):
        now, progress = made(context, stages, begun)
        return now, dataclasses.replace(progress, start=begun.estimate)

    monkeypatch.setattr("jptycho.automatic.attempt.run_stages", fit)
    result, fits, _ = scripted()
    assert fits[-2:] == [["dgp", "polish"], ["half sets"]]
    assert result.attributes["choices"].endswith(
        "networks: nothing that predicts what is held out better than what there was: not kept"
    )


def test_networks_without_polish_are_not_repeated_from_pixels(scripted):
    scripted.cut[0] = "dgp"
    result, fits, _ = scripted()
    assert fits[-1] == ["dgp", "polish"]
    assert "networks, which ran out of time" in result.attributes["choices"]
    assert (result.attributes["method"], result.attributes["status"]) == ("dgp", "done")
    assert list(result.history["stage"])[-1] == "dgp"


@pytest.mark.parametrize("ends_in", ["half sets", "half sets, 4 slices"])
def test_what_the_time_ends_replaces_nothing_unless_it_is_better(scripted, ends_in):
    scripted.cut[0] = ends_in
    result, _, said = scripted(automatic={"networks": False, "max_modes": 1})
    assert (len(result.phase), result.attributes["status"]) == (2, "done")
    if ends_in == "half sets":
        assert any("all electrons: the time is over" in line for line in said)
        assert list(result.history["stage"])[-1] == "half sets, 2 slices"
    else:
        assert "4 slices, which ran out of time: what" in result.attributes["choices"]


@pytest.mark.parametrize("ends_in", ["half sets, pixels", "half sets"])
def test_the_first_picture_is_given_however_it_ends(scripted, monkeypatch, ends_in):
    if ends_in == "half sets":  # there is no time for another before it
        monkeypatch.setattr("jptycho.automatic.clock.COMPILING", 60.0)
        monkeypatch.setattr("jptycho.automatic.clock.estimate_cost", lambda *_: Cost(4.0))
    scripted.ends_in[0], scripted.polite[0] = ends_in, True
    part, fits, _ = scripted(**({"automatic": {"minutes": 2.0}} if ends_in == "half sets" else {}))
    assert fits == [[ends_in]]
    assert part.attributes["status"] == "interrupted"
    assert set(part.history["stage"]) == {ends_in}


@pytest.mark.parametrize("error", [DivergenceError("no number"), OutOfMemoryError("too large"), ConfigError("no good")])
def test_a_trial_that_fails_does_not_end_the_run(scripted, error):
    scripted.fails["half sets, 2 slices"] = error
    result, fits, said = scripted(automatic={"networks": False, "max_modes": 1})
    assert fits == [["half sets, pixels"], ["half sets, 2 slices"], ["half sets"]]
    assert result.attributes["choices"] == f"2 slices: not kept, {error}"
    assert f"2 slices: not kept, {error}" in said


def test_a_run_that_was_killed_decides_the_same(scripted, tmp_path):
    """Whatever the clock says by then: what was decided stays, and the rest is decided then."""
    folder = tmp_path / "result.h5.checkpoint"
    whole, _, _ = scripted()
    scripted.ends_in[0] = "dgp"
    with pytest.raises(KeyboardInterrupt):
        scripted(checkpoint=folder)
    scripted.ends_in[0] = None
    again, fits, said = scripted(checkpoint=folder)
    assert fits == [["dgp", "polish"], ["all electrons"]]
    np.testing.assert_array_equal(again.phase, whole.phase)
    assert again.attributes["choices"] == whole.attributes["choices"]
    assert sum(line.startswith("2 slices") for line in said) == 1
    third, fits, _ = scripted(checkpoint=folder, automatic={"minutes": 1e-3 * 1e6})
    assert fits == []
    np.testing.assert_array_equal(third.phase, whole.phase)


@pytest.mark.parametrize(
    ("ends_in", "method", "slices"),
    [("half sets, pixels", "pixels", 1), ("half sets, 4 slices", "pixels", 2), ("all electrons", "dgp", 2)],
)
def test_an_interrupted_run_gives_what_was_kept_and_goes_on(scripted, tmp_path, ends_in, method, slices):
    folder = tmp_path / "c"
    whole, _, _ = scripted()
    scripted.ends_in[0], scripted.polite[0] = ends_in, True
    part, fits, _ = scripted(checkpoint=folder)
    assert fits[-1] == [ends_in]
    assert part.attributes["status"] == "interrupted"
    assert (part.attributes["method"], len(part.phase)) == (method, slices)
    scripted.ends_in[0] = None
    again, fits, _ = scripted(checkpoint=folder)
    assert fits[0] == [ends_in]
    assert again.attributes["status"] == "done"
    np.testing.assert_array_equal(again.phase, whole.phase)


def test_another_scan_or_other_settings_do_not_go_on(scripted, tmp_path):
    scripted(checkpoint=tmp_path / "c")
    with pytest.raises(ConfigError, match="was made with other settings"):
        scripted(checkpoint=tmp_path / "c", seed=3)
    for other in ({"networks": False}, {"max_slices": 8}, {"significance": 2.0}):
        with pytest.raises(ConfigError, match="was made with other settings"):
            scripted(checkpoint=tmp_path / "c", automatic=other)


def test_what_does_not_fit_into_the_time_is_not_begun(scripted, monkeypatch, tmp_path):
    """Compilation of 60 s for each fit: three fit into 200 s, of which the last is that with all electrons."""
    monkeypatch.setattr("jptycho.automatic.run.measured_pace", lambda *_: Pace(0.01, 60.0))
    monkeypatch.setattr("jptycho.automatic.clock.COMPILING", 60.0)
    result, fits, _ = scripted(automatic={"minutes": 200 / 60}, checkpoint=tmp_path / "c")
    labels = ("half sets, pixels", "half sets, 2 slices", "half sets, 4 slices", "half sets, 2 modes", "half sets")
    assert fits == [[label] for label in labels]
    assert "networks: not tried, for that takes some 18" in result.attributes["choices"]
    assert set(json.loads((tmp_path / "c" / FILE).read_text())) >= {"pixels", "networks", "all electrons"}


def test_more_time_is_spent_on_what_there_was_none_for(scripted, monkeypatch, tmp_path):
    monkeypatch.setattr("jptycho.automatic.run.measured_pace", lambda *_: Pace(0.01, 60.0))
    monkeypatch.setattr("jptycho.automatic.clock.COMPILING", 60.0)
    first, _, _ = scripted(automatic={"minutes": 200 / 60}, checkpoint=tmp_path / "c")
    assert "networks: not tried" in first.attributes["choices"]
    more, fits, _ = scripted(automatic={"minutes": 60.0}, checkpoint=tmp_path / "c")
    assert fits == [["dgp", "polish"], ["all electrons"]]
    assert more.attributes["method"] == "dgp"


def test_a_short_time_is_spent_on_all_electrons(scripted, monkeypatch):
    monkeypatch.setattr("jptycho.automatic.clock.COMPILING", 60.0)
    monkeypatch.setattr("jptycho.automatic.clock.estimate_cost", lambda *_: Cost(4.0))
    result, fits, said = scripted(automatic={"minutes": 2.0})
    assert fits == [["half sets"]]
    assert "nothing is tried" in result.attributes["choices"]
    assert any("all electrons: 1" in line and "epochs of 20" in line for line in said)
    assert 10 <= len(result.history["stage"]) < 15  # of 4 s in a minute
    with pytest.raises(ConfigError, match=r"automatic\.minutes: 0\.5, but one epoch takes some 64 s"):
        scripted(automatic={"minutes": 0.5})


@dataclasses.dataclass(frozen=True)
class Cost:
    """As much of an estimate as is read."""

    epoch_seconds: float
