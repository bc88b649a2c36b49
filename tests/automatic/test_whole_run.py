"""An automatic run with real fits, killed and gone on."""

import numpy as np
import pytest

import jptycho
from jptycho.cli.demo import score
from jptycho.report.page import write_report

SETTINGS = {
    "method": "auto",
    "object": {"slices": 2, "slice_thickness": 7.0},
    "automatic": {"networks": False, "max_slices": 2, "max_modes": 1},
    "dgp": {"start_epochs": 4},
    "pixels": {"epochs": 5},
    "output": {"checkpoint_minutes": 0},
}


@pytest.mark.slow
def test_a_run_that_is_killed_in_a_trial_ends_as_if_it_had_not_been(small_scan, tmp_path):
    said = []
    whole = jptycho.reconstruct(small_scan, log=said.append, **SETTINGS)
    stages = list(whole.history["stage"])
    assert stages[:4] == ["half sets, pixels"] * 4
    assert stages[-5:] == ["half sets"] * 5
    assert score(whole, whole.phase, small_scan.truth).ssim > 0.5
    seen = []

    def callback(record, channels):
        seen.append(record.stage)
        if seen.count("half sets, 2 slices") == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        jptycho.reconstruct(small_scan, callback=callback, checkpoint=tmp_path / "c", **SETTINGS)
    resumed = []
    again = jptycho.reconstruct(small_scan, log=resumed.append, checkpoint=tmp_path / "c", **SETTINGS)
    assert "goes on from the checkpoint after epoch 1 of half sets, 2 slices" in resumed
    np.testing.assert_array_equal(again.phase, whole.phase)
    assert again.attributes["choices"] == whole.attributes["choices"]
    assert list(again.history["stage"]) == stages
    assert (np.diff(again.history["seconds"]) > 0).all()
    jptycho.write_result(tmp_path / "result.h5", again)
    write_report(tmp_path / "report.html", {"auto": jptycho.read_result(tmp_path / "result.h5")}, "test")
    assert "2 slices: what is held out" in (tmp_path / "report.html").read_text()
