"""Positions that a scan states wrongly are found in a run; by name, by list, and refused where they cannot be."""

import dataclasses
import os
import signal

import numpy as np
import pytest

import jptycho
from jptycho.data.dataset import from_arrays

SEARCH = {"refine": {"position_error": 0.5, "position_rounds": 2}}


@pytest.fixture(scope="module")
def misplaced():
    """A scan on a raster that was really off by 0.4 Å, and where it was."""
    scan = jptycho.simulate_gold(
        dose=2e4, diameter=16.0, carbon_thickness=4.0, scan_shape=(12, 12), step=1.5, detector=(32, 32),
        defocus=120.0, jitter=0.4,
    )  # fmt: skip
    return from_arrays(scan.read().reshape(12, 12, 32, 32), scan.calibration, truth=scan.truth), scan.positions


def off(positions, true):
    """Root mean square error along an axis in Å, a common shift aside."""
    wrong = np.asarray(positions) - true
    return np.sqrt(np.mean((wrong - wrong.mean(axis=0)) ** 2))


def similarity(result, scan):
    a, t = result.attributes, scan.truth
    truth = (t.phase, t.sampling, t.origin)
    return jptycho.compare_with_truth(result.phase, a["sampling"], a["origin"], result.field_of_view, truth)


@pytest.mark.slow
def test_positions_are_found_and_the_image_with_them(misplaced):
    scan, true = misplaced
    said = []
    plain = jptycho.reconstruct(scan)
    found = jptycho.reconstruct(scan, log=said.append, **SEARCH)
    assert off(plain.positions, true) == pytest.approx(0.4, abs=0.06)
    assert off(found.positions, true) < 0.6 * off(plain.positions, true)
    assert similarity(found, scan).ssim > similarity(plain, scan).ssim + 0.1
    stages = list(dict.fromkeys(found.history["stage"]))
    rounds = [f"{name}, round {n}" for n in (1, 2) for name in ("half sets", "positions")]
    assert stages == [*rounds, "half sets"]
    assert "positions (off by 0.5 Å or so, searched for, 2 rounds)" in "\n".join(said)
    assert any(line.startswith("positions, round 2: ") and "Å from where the scan says" in line for line in said)


@pytest.mark.slow
def test_scale_and_rotation_are_found_and_kept_with_their_errors(misplaced, tmp_path):
    """A raster that is stated 2 % too narrow and 1° off."""
    scan, _ = misplaced
    exact = jptycho.simulate_gold(
        dose=2e4, diameter=16.0, carbon_thickness=4.0, scan_shape=(12, 12), step=1.5, detector=(32, 32),
        defocus=120.0, jitter=0.0,
    )  # fmt: skip
    known = dataclasses.replace(scan.calibration, step=(1.5 / 1.02,) * 2, rotation=-1.0)
    stated, said = from_arrays(exact.read().reshape(12, 12, 32, 32), known, truth=scan.truth), []
    found = jptycho.reconstruct(stated, log=said.append, refine={"position_affine": 0.02, "position_rounds": 3})
    places = exact.positions - np.mean(exact.positions, axis=0)
    before = np.asarray(jptycho.preprocess.prepare.scan_positions(stated))
    (a, b), (c, d) = np.linalg.lstsq(places, np.asarray(found.positions) - exact.positions, rcond=None)[0].T
    assert off(before, exact.positions) > 0.1
    assert off(found.positions, exact.positions) < 0.5 * off(before, exact.positions)
    assert abs(a + d) / 2 < 0.01
    assert abs(c - b) / 2 < np.radians(0.4)
    assert list(dict.fromkeys(found.history["stage"]))[:2] == ["pixels, round 1", "positions, round 1"]
    assert any(line.startswith("positions, round 3: as settings of [data]: step = [1.") for line in said)
    jptycho.write_result(tmp_path / "r.h5", found)
    again = jptycho.read_result(tmp_path / "r.h5")
    np.testing.assert_allclose(np.asarray(again.attributes["scan_affine"]), found.attributes["scan_affine"])
    moved = np.asarray(found.positions) - before
    np.testing.assert_allclose(again.extra["position_shared"], moved, atol=1e-3)
    assert again.units["position_shared"] == "Å"
    assert 1e-4 < np.min(again.attributes["scan_affine_error"]) < 0.01


def test_right_positions_stay(misplaced):
    scan, true = misplaced
    right = from_arrays(scan.read(), scan.calibration, np.asarray(true), truth=scan.truth)
    found = jptycho.reconstruct(right, refine={"position_error": 0.5, "position_rounds": 1})
    assert off(found.positions, true) < 0.08


@pytest.mark.slow
def test_a_list_searches_between_half_sets_and_networks(misplaced, tmp_path):
    scan, true = misplaced
    nets = {"base_channels": 4, "levels": 1, "pretrain_steps": 3, "steps": 2, "probe": "pixels", "ensemble_size": 1}
    stages = [
        {"method": "half_sets", "epochs": 12},
        {"method": "positions", "refine": {"position_error": 0.5}},
        {"method": "dgp", "epochs": 1, "dgp": nets},
    ]
    found = jptycho.reconstruct(scan, stages=stages)
    assert list(dict.fromkeys(found.history["stage"])) == ["half sets", "positions", "dgp"]
    assert off(found.positions, true) < 0.9 * 0.4

    def stop(record, _):  # in the search: the networks begin with what was before it
        if record.stage == "positions":
            os.kill(os.getpid(), signal.SIGTERM)

    first = jptycho.reconstruct(scan, stages=stages, checkpoint=tmp_path / "c", callback=stop)
    assert first.attributes["status"] == "interrupted"
    again = jptycho.reconstruct(scan, stages=stages, checkpoint=tmp_path / "c")
    np.testing.assert_array_equal(again.positions, found.positions)
    np.testing.assert_array_equal(again.phase, found.phase)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"stages": [{"method": "positions"}]},
            r"stages\.1\.method: \"positions\" searches with the object of the stage",
        ),
        (
            {"stages": [{"method": "pixels"}, {"method": "positions"}]},
            r"stages\.2\.method: .* Set refine\.position_error",
        ),
        (
            {"stages": [{"method": "pixels"}], "refine": {"position_error": 0.3}},
            r"refine\.position_error: has no effect, for no stage",
        ),
        (
            {"method": "dgp", "dgp": {"start": "parallax"}, "refine": {"position_error": 0.3}},
            r"refine\.position_error: positions are searched for between rounds of pixels",
        ),
        (
            {"stages": [{"method": "pixels", "refine": {"position_error": 0.3}}]},
            r"stages\.1\.refine\.position_error: has no effect on pixels",
        ),
        (
            {
                "stages": [{"method": "pixels"}, {"method": "positions", "refine": {"position_error": 0.0}}],
                "refine": {"position_error": 0.3},
            },
            r"stages\.2\.method: .* Set refine\.position_error",
        ),
        (
            {"stages": [{"method": "pixels"}, {"method": "positions", "pixels": {"batch": 4}}]},
            r"stages\.2\.pixels\.batch: has no effect on positions",
        ),
        (
            {"method": "dgp", "dgp": {"start_file": "a.h5"}, "refine": {"position_error": 0.3}},
            r"refine\.position_error: .* this run begins without",
        ),
        (
            {"stages": [{"method": "pixels"}], "refine": {"position_lines": 0.3}},
            r"refine\.position_lines: has no effect, for no stage",
        ),
        (
            {"stages": [{"method": "pixels", "refine": {"position_affine": 0.02}}]},
            r"stages\.1\.refine\.position_affine: has no effect on pixels",
        ),
        (
            {"method": "dgp", "dgp": {"start": "parallax"}, "refine": {"position_drift": 0.3}},
            r"refine\.position_drift: positions are searched for between rounds of pixels",
        ),
        ({"refine": {"position_affine": 2.0}}, r"refine\.position_affine: expected less than or equal to 0\.2"),
        ({"refine": {"position_error": 10.0}}, r"refine\.position_error: 10 Å, but the probe's window is"),
        ({"refine": {"position_rounds": 3}}, r"refine\.position_rounds: has no effect without position_error"),
        ({"refine": {"position_error": -1.0}}, r"refine\.position_error: expected greater than or equal to 0"),
    ],
)
def test_a_search_that_cannot_be_is_refused(small_scan, changes, message):
    with pytest.raises(jptycho.ConfigError, match=message):
        jptycho.reconstruct(small_scan, **changes)
