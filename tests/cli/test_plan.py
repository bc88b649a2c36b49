"""``jptycho plan``: a table, JSON, and a refusal in one line."""

import json

import pytest

from jptycho.cli.devices import use_cores
from jptycho.data.readers.jptycho_scan import write_scan

from .calling import call


@pytest.fixture
def folder(small_scan, tmp_path):
    write_scan(tmp_path / "scan.h5", small_scan)
    (tmp_path / "run.toml").write_text(
        'method = "dgp"\n[data]\nfile = "scan.h5"\n[dgp]\nlevels = 1\nprobe_levels = 1\n'
    )
    return tmp_path


def test_every_stage_of_a_run_is_listed_and_nothing_is_written(folder):
    done = call(folder, "plan", "run.toml")
    assert (done.returncode, done.stderr) == (0, "")
    for word in ("half sets", "dgp", "polish", "all electrons", "as were best", "machine"):
        assert word in done.stdout
    assert done.stdout.rstrip().endswith("fits")
    assert sorted(path.name for path in folder.iterdir()) == ["run.toml", "scan.h5"]


def test_json_holds_the_numbers(folder):
    found = json.loads(call(folder, "plan", "run.toml", "--json").stdout)
    assert found["fits"] is True
    assert [stage["name"] for stage in found["stages"]] == ["half sets", "dgp", "polish", "all electrons"]
    assert all(stage["host"] >= stage["counts"] + stage["state"] + stage["working"] for stage in found["stages"])


def test_what_does_not_fit_is_one_line_with_the_setting(folder):
    done = call(folder, "plan", "run.toml", "--memory", "0.1")
    assert done.returncode == 2
    assert done.stderr.startswith("error: memory: ")
    assert "100 MB may be used. Raise memory.limit to" in done.stderr
    assert done.stderr.count("\n") == 1
    run = call(folder, "reconstruct", "run.toml", "--memory", "0.1")
    assert (run.returncode, run.stderr.count("\n")) == (2, 1)
    assert run.stderr.startswith("error: memory: ")


def test_a_wrong_limit_is_named(folder):
    done = call(folder, "plan", "run.toml", "--memory", "-1")
    assert (done.returncode, done.stderr.startswith("error: memory.limit: ")) == (2, True)


def test_the_devices_are_chosen_once():
    said = []
    use_cores(said.append)
    assert all(isinstance(line, str) for line in said)
