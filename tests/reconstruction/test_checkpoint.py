"""Whose checkpoint it is: the folder, the settings and the data that it was made with."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jptycho.config.run import with_changes
from jptycho.data.checkpoints import save_checkpoint
from jptycho.data.dataset import Calibration, from_arrays
from jptycho.errors import ConfigError
from jptycho.preprocess.prepare import Problem, prepare
from jptycho.reconstruction.checkpoint import fingerprint, folder_of, stage_of_checkpoint
from jptycho.reconstruction.context import Context


@pytest.fixture(scope="module")
def scanned() -> Problem:
    counts = np.random.default_rng(0).poisson(3.0, (3, 4, 25, 16)).astype(np.uint8)
    known = Calibration(300e3, 12.0, defocus=400.0, step=(2.5, 4.0), reciprocal_sampling=(0.1, 0.125))
    return prepare(from_arrays(counts, known))


def context(problem: Problem, folder: Path | None = None, identity: Any = None, **settings: Any) -> Context:
    """A run that is told nothing and tells nobody."""
    config = with_changes(None, settings)
    silent = [lambda *_: None] * 3
    return Context(config, problem, problem, *silent, lambda: False, folder, 0.0, identity=identity or {})


def test_a_checkpoint_is_where_it_is_wanted_or_nowhere(scanned: Problem, tmp_path: Path):
    assert folder_of(context(scanned, tmp_path / "c")) == tmp_path / "c"
    nowhere = folder_of(context(scanned))
    assert not nowhere.exists()
    assert stage_of_checkpoint(context(scanned)) is None
    assert stage_of_checkpoint(context(scanned, tmp_path / "c")) is None


def test_a_fingerprint_does_not_know_where_files_are(scanned: Problem):
    one = context(scanned, data={"file": "/a/scan.h5"}, output={"file": "here.h5"}, dgp={"start_file": "x.h5"})
    two = context(scanned, data={"file": "b.h5"}, output={"file": "there.h5", "report": False}, dgp={"start_file": "y"})
    assert fingerprint(one) == fingerprint(two)


@pytest.mark.parametrize("settings", [{"seed": 1}, {"pixels": {"epochs": 7}}, {"data": {"file": "", "energy": 2e5}}])
def test_a_fingerprint_knows_every_setting(scanned: Problem, settings: dict[str, Any]):
    one, two = fingerprint(context(scanned)), fingerprint(context(scanned, **settings))
    assert one["data"] == two["data"]
    assert one["configuration"] != two["configuration"]


@pytest.mark.parametrize("part", ["counts", "positions", "probe", "mask", "centre"])
def test_a_fingerprint_knows_the_data(scanned: Problem, part: str):
    if part == "counts":
        other = dataclasses.replace(scanned, counts=scanned.counts + np.uint8(1))
    elif part in ("positions", "probe"):
        estimate = dataclasses.replace(scanned.estimate, **{part: getattr(scanned.estimate, part) * 1.01})
        other = dataclasses.replace(scanned, estimate=estimate)
    else:
        setup = dataclasses.replace(scanned.setup, **{part: getattr(scanned.setup, part) * 0.5 + 0.01})
        other = dataclasses.replace(scanned, setup=setup)
    one, two = fingerprint(context(scanned)), fingerprint(context(other))
    assert one["configuration"] == two["configuration"]
    assert one["data"] != two["data"]


def test_a_checkpoint_of_other_settings_or_data_is_refused(scanned: Problem, tmp_path: Path):
    mine = fingerprint(context(scanned))
    save_checkpoint(tmp_path / "c", {"a": np.ones(2)}, {**mine, "stage": "polish"})
    assert stage_of_checkpoint(context(scanned, tmp_path / "c", mine)) == "polish"
    for name, word in (("configuration", "settings"), ("data", "data")):
        with pytest.raises(ConfigError, match=rf"checkpoint: .*c' was made with other {word}\. Restore them to go on"):
            stage_of_checkpoint(context(scanned, tmp_path / "c", {**mine, name: "other"}))
