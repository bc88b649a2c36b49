"""A beam that is not one probe, and an object that is not one: worse without, found with them, written and kept."""

import dataclasses

import numpy as np
import pytest

import jptycho
from jptycho.assembly.listed import model_of
from jptycho.assembly.start import estimate_from_result
from jptycho.assembly.unknowns import begun
from jptycho.config.run import with_changes
from jptycho.data.dataset import Calibration, from_arrays
from jptycho.preprocess.prepare import prepare
from jptycho.simulate.imperfect import Imperfections, simulate_imperfect
from jptycho.simulate.scan import GoldSettings, simulate_gold

NETS = {"epochs": 1, "base_channels": 4, "levels": 1, "start_epochs": 1, "pretrain_steps": 1, "probe": "pixels"}
LENS = {"model": "parametric", "aberrations": ["C10"]}
ALL = {
    "probe_variation": 2, "focal_spread": True, "fly": True, "object_states": 2, "slice_gaps": True,
    "point_spread": 0.4, "tilt": "smooth",
}  # fmt: skip
SETTINGS = {
    "object": {"slices": 3, "slice_gaps": [8.0, 16.0]}, "refine": ALL, "validation": {"fraction": 0.0},
    "probe": {"fly": [0.3, 0.6], "fly_points": 2, "focal_spread": 12.0, "focal_points": 2},
    "pixels": {"epochs": 1, "half_sets": False},
}  # fmt: skip


@pytest.fixture(scope="module")
def scan():
    made = simulate_gold(scan_shape=(4, 4), detector=(16, 16), dose=1e4)
    return dataclasses.replace(made, calibration=dataclasses.replace(made.calibration, rotation=90.0))


@pytest.mark.slow
@pytest.mark.parametrize("method", ["pixels", "dgp"])
def test_all_of_them_go_through_a_run_and_back_from_its_file(scan, method, tmp_path):
    said = []
    result = jptycho.reconstruct(scan, method=method, dgp=NETS, log=said.append, **SETTINGS)
    assert np.isfinite(result.history["loss"]).all()
    assert "2 probe_variation" in "\n".join(said)
    jptycho.write_result(tmp_path / "result.h5", result)
    back = jptycho.read_result(tmp_path / "result.h5")
    units = {"focal_spread": "Å", "fly": "Å", "object_states": "rad", "point_spread": "detector pixels"}
    assert {name: back.units[name] for name in units} == units
    assert back.shared["slice_gaps"].mean() == pytest.approx(1)
    assert back.attributes["slice_thickness"] == pytest.approx(12)
    config = with_changes(None, SETTINGS | {"method": method})
    problem = begun(config, prepare(scan, config.object.spec()), model_of(config, jptycho.Extension()))
    again = estimate_from_result(problem, back)
    for name in ("focal_spread", "fly", "object_states", "slice_gaps", "point_spread"):
        np.testing.assert_allclose(again.shared[name], back.shared[name], rtol=1e-5, err_msg=name)
    np.testing.assert_allclose(again.tilt, back.tilts)
    spectra = np.fft.ifftshift(back.shared["probe_variation"], axes=(-2, -1))
    np.testing.assert_allclose(again.shared["probe_variation"], spectra, rtol=1e-5)
    np.testing.assert_allclose(again.extra["probe_weights"], back.extra["probe_weights"], rtol=1e-5)
    more = with_changes(config, {"refine": {"probe_variation": 3}})
    other = begun(more, prepare(scan, config.object.spec()), model_of(more, jptycho.Extension()))
    with pytest.raises(jptycho.ConfigError, match=r"dgp\.start_file: its probe_variation have shape"):
        estimate_from_result(other, back)


@pytest.mark.slow
@pytest.mark.parametrize("solver", ["gradient", "lsqml", "epie"])
def test_gaps_that_are_given_go_through_a_run_and_equal_ones_are_one_distance(scan, solver):
    def losses(**thing):
        settings = {"epochs": 2, "half_sets": False, "solver": solver}
        result = jptycho.reconstruct(
            scan, object={"slices": 3, "kind": "complex", **thing}, pixels=settings, validation={"fraction": 0.0}
        )
        return result.history["loss"]

    one = losses(slice_thickness=60.0)
    np.testing.assert_allclose(losses(slice_gaps=[60.0, 60.0]), one, rtol=3e-5)
    assert abs(losses(slice_gaps=[20.0, 100.0])[-1] / one[-1] - 1) > 3e-4


def test_what_is_known_of_the_beam_is_held_and_turned_with_the_scan(scan):
    config = with_changes(None, {"probe": {"fly": [0.3, 0.6], "focal_spread": 12.0}})
    problem = begun(config, prepare(scan), model_of(config, jptycho.Extension()))
    np.testing.assert_allclose(problem.estimate.shared["fly"], [-0.6, 0.3], atol=1e-6)
    assert float(problem.estimate.shared["focal_spread"]) == pytest.approx(12)
    assert len(problem.setup.beam) == 2


def test_more_modes_than_positions_are_refused(scan):
    few = from_arrays(np.asarray(scan.read([0, 1, 4, 5])).reshape(2, 2, 16, 16), scan.calibration)
    with pytest.raises(jptycho.ConfigError, match=r"refine\.probe_variation: 4 modes, .* 4 positions\. Use at most 3"):
        jptycho.reconstruct(few, refine={"probe_variation": 4})


def test_a_spread_in_angstrom_where_there_are_pixels_only():
    counts, probe = np.ones((2, 3, 16, 16), np.float32), np.ones((16, 16), complex)
    pixels = from_arrays(counts, Calibration(length_unit="px", step=(1.0, 1.0)), probe=probe)
    with pytest.raises(jptycho.ConfigError, match=r"probe\.focal_spread: in Å, but lengths are known in pixels"):
        jptycho.reconstruct(pixels, probe={"focal_spread": 20.0})


def test_states_do_not_follow_slices_that_merge(scan):
    stages = [{"method": "pixels"}, {"method": "pixels", "slices": 4}]
    with pytest.raises(jptycho.ConfigError, match="stages: slices merge or split in a stage, which object_states"):
        jptycho.reconstruct(
            scan, stages=stages, refine={"object_states": 2}, object={"slices": 2, "slice_thickness": 9.0}
        )


def made(**imperfect):
    settings = GoldSettings(
        diameter=12.0, carbon_thickness=3.0, scan_shape=(14, 14), step=1.2, detector=(32, 32), defocus=100.0,
        dose=1e5, jitter=0.0,
    )  # fmt: skip
    return simulate_imperfect(settings, Imperfections(layers=1, **imperfect)).dataset


def last_loss(result):
    return float(result.history["loss"][-1])


def run(scan, **settings):
    plain = {"pixels": {"epochs": 20, "half_sets": False}, "validation": {"fraction": 0.0}}
    return jptycho.reconstruct(scan, **(plain | settings))


@pytest.mark.slow
def test_a_spread_of_focus_is_found():
    """Within 3 % by as many points as it needs (0.8 % is measured); by those of 40 Å, 5 % too small, which is said."""
    blurred, said = made(focal_spread=60.0), []
    few = run(blurred, probe=LENS, refine={"focal_spread": True}, log=said.append)
    assert float(few.shared["focal_spread"]) < 58
    assert any("its sum has 6 points where 9 are needed: set probe.focal_points = 9" in line for line in said)
    result = run(blurred, probe=LENS | {"focal_points": 10}, refine={"focal_spread": True})
    assert float(result.shared["focal_spread"]) == pytest.approx(60, rel=0.03)
    assert last_loss(result) < 0.8 * last_loss(run(blurred, probe=LENS))


@pytest.mark.slow
def test_the_line_of_a_fly_scan_is_found():
    moved = made(fly=(0.0, 1.2))
    result = run(moved, probe=LENS | {"fly": [0.0, 0.7]}, refine={"fly": True})
    across, along = result.shared["fly"]
    assert along == pytest.approx(1.2, abs=0.1)
    assert abs(across) < 0.3  # a line that short adds 2 % to the spread of the long one
    assert last_loss(result) < last_loss(run(moved, probe=LENS))


@pytest.mark.slow
def test_a_defocus_that_drifts_is_found_as_the_first_mode():
    drifting = made(defocus_drift=60.0)
    result = run(drifting, refine={"probe_variation": 1})
    weights = result.extra["probe_weights"][:, 0]
    assert weights.std() == pytest.approx(0.313, rel=0.1)  # of the phase that it adds over the aperture, rad
    assert abs(np.corrcoef(weights, np.arange(len(weights)))[0, 1]) > 0.95
    assert last_loss(result) < 0.9 * last_loss(run(drifting))
