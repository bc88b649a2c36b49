"""The pixels that follow the networks, and the rates of pixels."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

import jptycho
from jptycho.assembly.auto import resolve_auto
from jptycho.assembly.polish import polish_config
from jptycho.cli.demo import score
from jptycho.config.run import with_changes
from jptycho.config.stages import POLISH
from jptycho.preprocess.automatic import choose_object_rate, choose_probe_rate, pattern_contrast
from jptycho.preprocess.prepare import prepare
from jptycho.reconstruction import confirmed, deep_prior
from jptycho.reconstruction.context import Context, Reached, Stage
from jptycho.reconstruction.plan import plan
from jptycho.representations.base import ModelSpec
from jptycho.representations.pixels import ChannelObject, PixelProbe
from jptycho.solvers.epochs import DONE
from jptycho.solvers.pie import PIESolver

NETS = {
    "epochs": 3,
    "base_channels": 4,
    "levels": 1,
    "probe_levels": 1,
    "start_epochs": 2,
    "pretrain_steps": 5,
    "steps": 2,
}


class PowerCutError(Exception):
    """Something that ends a run between two epochs."""


@pytest.mark.slow
def test_the_polish_brings_back_what_a_network_smooths_away():
    scan = jptycho.simulate_gold(
        dose=3e3, diameter=14.0, carbon_thickness=4.0, scan_shape=(16, 16), step=1.2, detector=(32, 32), defocus=100.0
    )
    stages, said = {}, []

    def callback(record, channels):
        stages[record.stage] = np.asarray(channels())[:, 0]

    result = jptycho.reconstruct(
        scan,
        method="dgp",
        dgp={**NETS, "residual": False},
        validation={"all_electrons": False},
        callback=callback,
        log=said.append,
    )
    assert list(result.history["stage"]) == ["pixels"] * 2 + ["dgp"] * 3 + ["polish"] * 5
    networks, finished = (score(result, stages[stage], scan.truth) for stage in ("dgp", "polish"))
    assert finished.high_pass > networks.high_pass + 0.02
    assert any(line.startswith("polish: epoch ") for line in said)
    judged = {stage: result.history["validation_loss"][result.history["stage"] == stage] for stage in stages}
    assert judged["polish"].min() < judged["dgp"].min()


USELESS = {"residual": False, "pretrain_steps": 1, "object_rate": 1e-9}  # networks that lose against their start


@pytest.mark.parametrize(("members", "more"), [(2, {}), (2, USELESS)])
@pytest.mark.slow
def test_a_run_goes_on_in_the_middle_of_its_polish(tmp_path, small_scan, members, more):
    settings = {
        "method": "dgp", "dgp": {**NETS, "ensemble_size": members, **more}, "validation": {"all_electrons": False},
        "output": {"checkpoint_minutes": 0.0},
    }  # fmt: skip
    whole = jptycho.reconstruct(small_scan, **settings)

    def cut(record, channels):
        del channels
        if (record.stage, record.epoch) == ("polish", 3):
            raise PowerCutError

    with pytest.raises(PowerCutError):
        jptycho.reconstruct(small_scan, checkpoint=tmp_path / "c", callback=cut, **settings)
    seen = []
    resumed = jptycho.reconstruct(
        small_scan, checkpoint=tmp_path / "c", callback=lambda r, _: seen.append((r.stage, r.epoch)), **settings
    )
    assert seen == [("polish", 3), ("polish", 4), ("polish", 5)]
    np.testing.assert_array_equal(resumed.phase, whole.phase)
    assert (whole.deviation is None) == (resumed.deviation is None) == (members == 1 or bool(more))
    if whole.deviation is not None:
        np.testing.assert_array_equal(resumed.deviation, whole.deviation)


def test_the_polish_takes_short_steps_whatever_solver_gave_the_start(small_scan):
    problem = prepare(small_scan)
    for pixels in ({}, {"optimiser": "lbfgs"}, {"solver": "raar"}):
        config = resolve_auto(with_changes(None, {"method": "dgp", "pixels": pixels}), problem)
        plain = polish_config(config, 256).pixels
        assert (plain.solver, plain.optimiser, plain.preconditioner.gain) == ("gradient", "adam", 0.0)
        assert plain.batch < 256
        assert plain.object_rate == pytest.approx(0.1 * choose_object_rate(problem))


def test_the_polish_takes_short_steps_of_positions_and_tilt_too(small_scan):
    changes = {"method": "dgp", "refine": {"position_rate": 0.05, "tilt": "global", "tilt_rate": 0.2}}
    problem = prepare(small_scan)
    config = resolve_auto(with_changes(None, changes), problem)
    (polish,) = (stage for stage in plan(config, problem) if stage.name == POLISH)
    refine = polish.config.refine
    assert (refine.position_rate, refine.tilt_rate) == (pytest.approx(0.005), pytest.approx(0.02))


def test_the_rate_follows_the_object_and_not_the_dose():
    """Contrast of a specimen at three doses, in another unit, half as strong, and of nothing but noise."""
    made = dict(diameter=14.0, carbon_thickness=4.0, scan_shape=(16, 16), step=1.2, detector=(32, 32), defocus=100.0)
    problems = {dose: prepare(jptycho.simulate_gold(dose=dose, **made)) for dose in (500.0, 2e4, float("inf"))}
    found = {dose: pattern_contrast(problem) for dose, problem in problems.items()}
    assert found[2e4] == pytest.approx(found[float("inf")], rel=0.05)
    assert found[500.0] == pytest.approx(found[float("inf")], rel=0.2)
    many = problems[2e4]
    unit = dataclasses.replace(many.unit, value=3.0)
    tripled = dataclasses.replace(many, counts=3.0 * many.counts.astype(np.float32), unit=unit, undivided="tripled")
    assert pattern_contrast(tripled) == pytest.approx(found[2e4], rel=1e-3)
    ideal = problems[float("inf")]
    weak = dataclasses.replace(ideal, counts=0.5 * (ideal.counts + ideal.counts.mean(axis=0)))
    assert pattern_contrast(weak) == pytest.approx(0.5 * found[float("inf")], rel=0.2)
    flat = np.random.default_rng(0).poisson(np.broadcast_to(many.counts.mean(axis=0), many.counts.shape))
    assert pattern_contrast(dataclasses.replace(many, counts=flat)) < 0.15 * found[2e4]
    assert choose_probe_rate(problems[500.0]) < choose_probe_rate(many) <= 3e-2


@pytest.mark.parametrize(("losses", "kept"), [((2.0, 1.0, 3.0), 1), ((1.0, 2.0, 3.0), 0), ((4.0, 5.0, 3.0), 2)])
def test_candidates_are_judged_after_their_bands(monkeypatch, small_scan, losses, kept):
    problem = prepare(small_scan)
    candidates = {str(n): dataclasses.replace(problem.estimate, object=problem.estimate.object + n) for n in range(3)}
    mark = 10.0  # what the gains do
    monkeypatch.setattr(
        confirmed,
        "confirm_bands",
        lambda run, estimate, validate: (dataclasses.replace(estimate, object=estimate.object + mark), jnp.ones(2)),
    )
    values = {
        float(estimate.object.max()) + mark: loss for estimate, loss in zip(candidates.values(), losses, strict=True)
    }
    monkeypatch.setattr(
        confirmed, "validation_loss", lambda held, loss, mesh, estimate: values[float(estimate.object.max())]
    )
    said = []
    config = with_changes(None, {"method": "dgp", "loss": "poisson"})
    run = Context(config, problem, problem, said.append, print, print, bool, None, 0.0, validation=problem)
    got = confirmed.keep_confirmed(run, candidates)
    np.testing.assert_allclose(got.object, candidates[str(kept)].object + mark)
    assert f"{kept} is kept" in said[0]
    assert confirmed.keep_confirmed(dataclasses.replace(run, validation=None), candidates) is candidates["0"]


CLASSICAL = PIESolver(ModelSpec(ChannelObject("phase"), PixelProbe()), steps=1)
BEST, LAST, START = deep_prior.NETWORKS, deep_prior.LAST, deep_prior.START


@pytest.mark.parametrize(("dgp", "same", "better", "names"), [
    ({"probe": "network"}, False, True, [BEST, LAST, START]),
    ({"probe": "network"}, False, False, [BEST, LAST, START]),
    ({"probe": "network"}, True, True, [BEST, START]),
    ({"probe": "pixels"}, False, True, [BEST, LAST, START]),
    ({"start_file": "earlier.h5"}, False, True, [BEST, LAST]),
])  # fmt: skip
def test_what_may_be_kept_of_the_networks(monkeypatch, small_scan, dgp, same, better, names):
    problem = prepare(small_scan)
    start = problem.estimate
    found = dataclasses.replace(start, object=start.object + 1, probe=1j * start.probe)
    last = found if same else dataclasses.replace(found, object=start.object + 2)
    config = with_changes(None, {"method": "dgp", "dgp": dgp, "loss": "poisson"})
    run = Context(config, problem, problem, print, print, print, bool, None, 0.0, validation=problem)
    losses = {id(start.probe): 1.0 if better else 3.0, id(found.probe): 2.0}
    monkeypatch.setattr(deep_prior, "validation_loss", lambda held, loss, mesh, estimate: losses[id(estimate.probe)])
    stage, reached = Stage("dgp", config, 1, print, print), Reached(found, last, CLASSICAL, 7, 2.0, DONE, ())
    candidates = deep_prior._candidates(run, stage, start, reached)
    assert list(candidates) == names
    assert candidates[BEST].object is found.object
    expected = start.probe if better and dgp.get("probe") == "network" else found.probe
    assert all(estimate.probe is expected for name, estimate in candidates.items() if name != START)
    without = deep_prior._candidates(dataclasses.replace(run, validation=None), stage, start, reached)
    assert START not in without
