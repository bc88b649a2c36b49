"""``jptycho reconstruct --method auto --minutes N`` as a user calls it; the fits are scripted elsewhere."""

import tomllib
from pathlib import Path

import pytest

import jptycho
from jptycho.automatic import check_settings, settings_of_file
from jptycho.config.run import load_config, with_changes
from tests.cli.calling import call


@pytest.fixture
def folder(tmp_path: Path, small_scan: jptycho.Dataset4D) -> Path:
    jptycho.write_scan(tmp_path / "scan.h5", small_scan)
    (tmp_path / "scan.toml").write_text(
        '[data]\nfile = "scan.h5"\n[object]\nslices = 2\nslice_thickness = 6.0\n', encoding="utf-8"
    )
    return tmp_path


def test_too_little_time_is_one_line_and_nothing_is_written(folder: Path):
    before = sorted(folder.iterdir())
    done = call(folder, "reconstruct", "scan.toml", "--method", "auto", "--minutes", "0.01")
    assert done.returncode == 2
    assert done.stderr.startswith("error: automatic.minutes: 0.01, but one epoch takes some ")
    assert "Allow at least" in done.stderr
    assert done.stderr.count("\n") == 1
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--minutes", "3"), 'automatic.minutes: has no effect with method = "pixels"'),
        (("--method", "auto", "--minutes", "-1"), "automatic.minutes: expected"),
        (("--method", "automatic"), "method: expected 'pixels', 'dgp' or 'auto'"),
    ],
)
def test_wrong_options_are_one_line(folder: Path, words: tuple[str, ...], message: str):
    done = call(folder, "reconstruct", "scan.toml", *words)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_printed_configuration_is_one_that_can_be_given(folder: Path):
    done = call(folder, "reconstruct", "scan.toml", "--method", "auto", "--minutes", "5", "--print-config")
    assert done.returncode == 0, done.stderr
    printed = tomllib.loads(done.stdout)
    assert (printed["method"], printed["automatic"]["minutes"], printed["object"]["slices"]) == ("auto", 5.0, 2)
    assert printed["dgp"]["ensemble_size"] in (1, 2)  # what auto was
    (folder / "printed.toml").write_text(done.stdout, encoding="utf-8")
    check_settings(load_config(folder / "printed.toml"))


def test_memory_is_planned_as_for_any_run(folder: Path):
    text = (folder / "scan.toml").read_text(encoding="utf-8")
    (folder / "scan.toml").write_text('method = "auto"\n' + text + "[automatic]\nminutes = 5\n", encoding="utf-8")
    done = call(folder, "plan", "scan.toml", "--memory", "0.2")
    assert done.returncode == 2
    assert "error: memory: " in done.stderr
    assert done.stderr.count("\n") == 1
    assert all(stage in done.stdout for stage in ("half sets", "dgp", "polish"))
    refused = call(folder, "reconstruct", "scan.toml", "--memory", "0.2")
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: memory: ")
    assert not (folder / "result.h5").exists()


def test_other_methods_are_resolved_as_before(folder: Path):
    config = with_changes(load_config(folder / "scan.toml"), {"method": "pixels"})
    found = settings_of_file(config)
    assert (found.method, found.pixels.half_sets, found.automatic) == ("pixels", True, config.automatic)
