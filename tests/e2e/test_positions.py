"""Positions that a scan states wrongly are found in a run; by name, by list, and refused where they cannot be."""

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


def test_right_positions_stay(misplaced):
    scan, true = misplaced
    right = from_arrays(scan.read(), scan.calibration, np.asarray(true), truth=scan.truth)
    found = jptycho.reconstruct(right, refine={"position_error": 0.5, "position_rounds": 1})
    assert off(found.positions, true) < 0.08


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
        ({"refine": {"position_rounds": 3}}, r"refine\.position_rounds: has no effect without position_error"),
        ({"refine": {"position_error": -1.0}}, r"refine\.position_error: expected greater than or equal to 0"),
    ],
)
def test_a_search_that_cannot_be_is_refused(small_scan, changes, message):
    with pytest.raises(jptycho.ConfigError, match=message):
        jptycho.reconstruct(small_scan, **changes)
