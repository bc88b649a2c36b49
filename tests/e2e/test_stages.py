"""Stages that a configuration lists: slices split, modes added, the window coarser; refused where they contradict."""

import numpy as np
import pytest

import jptycho
from jptycho.assembly.auto import resolve_auto
from jptycho.assembly.listed import check_stages
from jptycho.config.run import with_changes
from jptycho.reconstruction.context import Context, Progress
from jptycho.reconstruction.pixels import begin_repeat, conclude_polish
from jptycho.reconstruction.plan import plan
from jptycho.report.page import write_report

THICK = {"slices": 4, "slice_thickness": 6.0}
LISTED = (
    {"epochs": 2, "slices": 1, "window": 24},
    {"epochs": 2, "slices": 2, "modes": 2, "refine": {"position_rate": 0.01}},
    {"epochs": 2, "slices": 4, "pixels": {"preconditioner": {"gain": 0.0}}},
)


@pytest.mark.slow
def test_slices_modes_and_window_grow_from_stage_to_stage(small_scan):
    said = []
    result = jptycho.reconstruct(small_scan, object=THICK, stages=LISTED, log=said.append)
    assert list(result.history["stage"]) == ["pixels"] * 2 + ["pixels 2"] * 2 + ["pixels 3"] * 2
    assert result.phase.shape[0] == 4
    assert result.probe.shape == (2, 32, 32)
    assert result.attributes["slice_thickness"] == pytest.approx(6.0)
    second = next(line for line in said[0].splitlines() if line.startswith("stage 2:"))
    assert "stage 2: pixels, 2 epochs, slices 2, modes 2" in second
    assert "refine.position_rate 0.01" in second
    assert "loss poisson, pixels.batch 16, pixels.object_rate 0.0" in second  # what it chose
    # What one stage found, the next goes on from: its first epoch is no worse than the first of the one before.
    loss, stage = result.history["loss"], result.history["stage"]
    assert loss[stage == "pixels 3"][0] < loss[stage == "pixels 2"][0]
    cold = jptycho.reconstruct(small_scan, object=THICK, stages=[{**LISTED[2], "epochs": 1, "modes": 2}])
    assert loss[stage == "pixels 3"][0] < 0.95 * cold.history["loss"][0]  # what a blank object begins with
    nominal = np.asarray(jptycho.prepare(small_scan).estimate.positions)
    assert not np.allclose(result.positions - result.positions[0], nominal - nominal[0])


def test_the_list_of_the_default_stages_is_the_default(small_scan):
    """Half sets, and what follows them, by name and by list."""
    plain = jptycho.reconstruct(small_scan, pixels={"epochs": 3})
    listed = jptycho.reconstruct(small_scan, stages=[{"method": "half_sets", "epochs": 3}])
    np.testing.assert_array_equal(listed.phase, plain.phase)
    np.testing.assert_array_equal(listed.probe, plain.probe)


@pytest.mark.slow
def test_networks_start_from_half_sets_of_other_slices(small_scan):
    nets = {"base_channels": 4, "levels": 1, "pretrain_steps": 3, "steps": 2, "probe": "pixels"}
    stages = [
        {"method": "half_sets", "epochs": 2, "slices": 1},
        {"method": "dgp", "epochs": 2, "slices": 2, "dgp": nets},
    ]
    result = jptycho.reconstruct(small_scan, object={"slices": 2, "slice_thickness": 12.0}, stages=stages)
    assert list(result.history["stage"]) == ["half sets"] * 2 + ["dgp"] * 2
    assert result.attributes["method"] == "dgp"
    assert result.phase.shape[0] == 2
    assert np.isfinite(result.phase).all()


@pytest.mark.parametrize("until", [pytest.param(1, marks=pytest.mark.slow), 3, pytest.param(6, marks=pytest.mark.slow)])
def test_a_run_goes_on_in_any_stage_of_a_list(small_scan, tmp_path, until):
    settings = {"object": THICK, "stages": LISTED, "output": {"checkpoint_minutes": 0}}
    whole = jptycho.reconstruct(small_scan, **settings)
    seen = []

    def callback(record, channels):
        seen.append(record)
        if len(seen) == until:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        jptycho.reconstruct(small_scan, checkpoint=tmp_path / "c", callback=callback, **settings)
    resumed = jptycho.reconstruct(small_scan, checkpoint=tmp_path / "c", **settings)
    np.testing.assert_array_equal(resumed.phase, whole.phase)
    np.testing.assert_array_equal(resumed.history["loss"], whole.history["loss"])


def test_each_stage_chooses_what_is_left_to_it(small_scan):
    """A batch that fits the solver of the stage, the amplitude loss for classical solvers, pixels after networks."""
    problem = jptycho.prepare(small_scan)
    nets = {"method": "dgp", "epochs": 1}
    stages = [{"pixels": {"optimiser": "lbfgs"}}, {"pixels": {"solver": "epie"}}, {}, nets, {"epochs": 9}]
    given = with_changes(None, {"stages": stages, "validation": {"fraction": 0.1}})
    found = plan(resolve_auto(given, problem), problem)
    assert [stage.name for stage in found] == ["pixels", "pixels 2", "pixels 3", "dgp", "pixels 4", "all electrons"]
    assert found[0].config.pixels.batch == 256 > found[2].config.pixels.batch
    assert [stage.config.loss for stage in found[:3]] == ["poisson", "amplitude", "poisson"]
    assert [stage.conclude is conclude_polish for stage in found[:5]] == [False, True, True, False, True]
    told = (str, print, print, bool, None, 0.0)
    context = Context(given, problem, problem, *told, problem)
    fit = begin_repeat(context, found[-1], Progress(problem.estimate, problem.estimate, 2), True)
    assert fit.solver.optimiser.decay_steps == 9 * fit.solver.steps  # of which as many epochs as were best are run
    short = resolve_auto(with_changes(None, {"stages": [nets, {}], "dgp": {"start": "dpc"}}), problem)
    assert plan(short, problem)[1].conclude is conclude_polish


@pytest.mark.slow
def test_every_network_of_a_listed_ensemble_has_half_sets_of_its_own(small_scan, tmp_path):
    nets = {"base_channels": 4, "levels": 1, "pretrain_steps": 1, "steps": 1, "probe": "pixels", "ensemble_size": 2}
    stages = [{"method": "half_sets", "epochs": 1}, {"method": "dgp", "epochs": 1, "dgp": nets}]
    result = jptycho.reconstruct(small_scan, stages=stages, validation={"fraction": 0})
    assert result.attributes["members"] == 2
    jptycho.write_result(tmp_path / "result.h5", result)
    write_report(tmp_path / "report.html", {"dgp": jptycho.read_result(tmp_path / "result.h5")}, "test")
    detail = f"over 2 members, which agree on detail down to {result.attributes['ensemble_resolution']:.3g} Å"
    assert detail in (tmp_path / "report.html").read_text()


@pytest.mark.slow
def test_a_stage_goes_on_from_arrays_on_any_devices(small_scan):
    """Half sets and networks leave an estimate on one device, pixels on all; coverage stays where it was."""
    one = {"epochs": 1}
    result = jptycho.reconstruct(small_scan, stages=[{"method": "half_sets", **one}, one, one])
    assert list(result.history["stage"]) == ["half sets", "pixels", "pixels 2"]
    nets = SMALL | {"half_sets": False, "epochs": 1, "start_epochs": 1, "probe": "network", "polish_epochs": 1}
    result = jptycho.reconstruct(small_scan, method="dgp", dgp=nets | {"probe_levels": 1, "probe_pretrain_steps": 2})
    assert np.isfinite(result.phase).all()


SMALL = {"base_channels": 4, "levels": 1, "pretrain_steps": 1, "steps": 1, "probe": "pixels"}


def few_electrons(per_pixel):
    """A small particle at so many electrons a detector pixel."""
    seen = {"scan_shape": (8, 8), "step": 1.6, "detector": (32, 32), "defocus": 100.0}
    dose = per_pixel * 32**2 / seen["step"] ** 2
    return jptycho.simulate_gold(dose=dose, diameter=10.0, carbon_thickness=4.0, **seen)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("per_pixel", "second", "networks"),
    [
        # 2.8 are left where a tenth is held out: the scan's own number says how many networks
        (3.15, {}, 1),
        (0.5, {}, 2),
        (0.5, {"ema_decay": 0}, 1),
        (0.5, {"ensemble_size": 1}, 1),
    ],
)
def test_networks_of_a_list_have_half_sets_where_electrons_are_few(per_pixel, second, networks):
    scan = few_electrons(per_pixel)
    electrons = jptycho.prepare(scan).electrons / 32**2
    assert electrons == pytest.approx(per_pixel, rel=0.03)
    nets = {"method": "dgp", "epochs": 1, "dgp": SMALL | second}
    said = []
    result = jptycho.reconstruct(scan, stages=[{"method": "half_sets", "epochs": 1}, nets], log=said.append)
    assert f"dgp.ensemble_size {networks}" in said[0]
    pairs = [line for line in said if line.startswith("half sets agree")]
    assert len(pairs) == networks
    assert np.isfinite(result.phase).all()


@pytest.mark.parametrize(("changes", "words"), [
    ({"stages": [{"slices": 3}, {"slices": 2}], "object": {"slices": 3, "slice_thickness": 5.0}},
     r"stages\.2\.slices: 2 and the 3 before do not divide"),
    ({"stages": [{"slices": 2}]}, r"stages\.1\.slices: 2 slices of an object whose thickness"),
    ({"stages": [{"modes": 3}, {"modes": 1}]}, r"stages\.2\.modes: 1, but there were 3"),
    ({"stages": [{}], "method": "dgp"}, r'method: "dgp", but no stage is'),
    ({"stages": [{}, {"method": "dgp", "dgp": {"half_sets": True}}]}, r"stages\.2\.dgp\.half_sets: the stage before"),
    ({"stages": [{}, {"pixels": {"object_rte": 1}}]}, r"stages\.2: pixels\.object_rte: unknown key"),
    ({"stages": [{"pixels": {"even": False}}]}, r"stages\.1: pixels\.even: renamed to pixels\.coverage_weighting"),
    ({"stages": [{"pixels": {"solver": "epie"}, "refine": {"position_rate": 0.1}}]},
     r"stages\.1: refine\.position_rate: solver \"epie\" optimises object and probe only"),
    ({"stages": [{"method": "dgp"}]}, r"stages\.1\.method: \"dgp\" has no estimate to start from"),
    ({"stages": [{}, {"method": "dgp"}], "dgp": {"start": "dpc"}}, r"dgp\.start: \"dpc\", but stages come before"),
    ({"stages": [{}, {"method": "dgp", "dgp": {"start_file": "x"}}]}, r"stages\.2\.dgp\.start_file: has no effect"),
    ({"stages": [{"validation": {"fraction": 0.1}}]}, r"stages\.1\.validation\.fraction: has no effect in a stage"),
    ({"stages": [{"probe": {"modes": 2}}]}, r"stages\.1\.probe\.modes: has no effect in a stage. Use stages\.1\.modes"),
    ({"stages": [{"epochs": 0}]}, r"stages\.1\.epochs: expected greater than or equal to 1"),
])  # fmt: skip
def test_contradictory_stages_are_refused_before_a_file_is_read(changes, words):
    with pytest.raises(jptycho.ConfigError, match=words):
        check_stages(with_changes(None, changes))
    with pytest.raises(jptycho.ConfigError, match=words):
        jptycho.reconstruct(config=None, **changes)


def test_half_sets_of_what_cannot_be_divided_are_refused(small_scan):
    scan = jptycho.from_arrays(small_scan.read() * 1.37 + 0.2, small_scan.calibration, small_scan.positions)
    with pytest.raises(jptycho.ConfigError, match=r"stages\.2\.method: \"half_sets\", but electrons cannot be divided"):
        jptycho.reconstruct(scan, stages=[{}, {"method": "half_sets"}])
