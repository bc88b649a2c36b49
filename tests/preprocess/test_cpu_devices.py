"""How many devices a CPU becomes, and on how many of them pixels run."""

import json
import math

import jax
import pytest

from jptycho.assembly.devices import pixel_mesh
from jptycho.config.run import with_changes
from jptycho.preprocess import cpu_devices


@pytest.fixture
def machine(monkeypatch):
    """Two cores, and a measurement that gives what is wanted."""

    def make(one, many, cores=1.9, again=None):
        asked, singles = [], iter((one, again or one))

        def timed(devices):
            asked.append(devices)
            seconds = next(singles) if devices == 1 else many
            return seconds and cpu_devices.Timed(seconds, cores if devices > 1 else 1.4)

        monkeypatch.setattr(cpu_devices, "usable_cores", lambda: 2)
        monkeypatch.setattr(cpu_devices, "_time_of", timed)
        return asked

    return make


@pytest.mark.parametrize(("many", "chosen"), [(0.05, 2), (0.08, 2), (0.09, 1), (0.16, 1)])
def test_more_devices_only_where_they_are_faster(machine, tmp_path, many, chosen):
    asked, said = machine(0.1, many), []
    assert cpu_devices.choose_cpu_devices(said.append, tmp_path / "c" / "cpu_devices.json") == chosen
    assert asked == [1, 2, 1]
    assert f"CPU devices: {chosen} (an epoch on 2 takes {many / 0.1:.2f} of the time on one" in said[-1]


def test_the_measurement_is_remembered_for_the_machine(machine, tmp_path):
    cache = tmp_path / "cpu_devices.json"
    first = machine(0.1, 0.05)
    cpu_devices.choose_cpu_devices(print, cache)
    again = machine(0.1, 0.2)
    assert cpu_devices.choose_cpu_devices(print, cache) == 2
    assert (first, again) == ([1, 2, 1], [])
    (name,) = json.loads(cache.read_text())
    assert "2 cores" in name


@pytest.mark.parametrize(
    "disturbed", [{"cores": 1.1}, {"again": 0.13}, {"again": 0.07}], ids=["cores taken", "slower then", "slower before"]
)
def test_what_other_programs_disturbed_is_believed_for_a_day(machine, tmp_path, monkeypatch, disturbed):
    """Beside another program two devices of two cores look useless, or one device slow: neither may stay for good."""
    cache, said = tmp_path / "cpu_devices.json", []
    machine(0.1, 0.2, **disturbed)
    assert cpu_devices.choose_cpu_devices(said.append, cache) == 1
    assert "perhaps beside other programs" in said[-1]
    asked = machine(0.1, 0.05)
    assert cpu_devices.choose_cpu_devices(said.append, cache) == 1
    assert asked == []
    now = cpu_devices.time.time()
    monkeypatch.setattr(cpu_devices.time, "time", lambda: now + 1.1 * cpu_devices.DAY)
    assert cpu_devices.choose_cpu_devices(said.append, cache) == 2
    assert "perhaps" not in said[-1]
    machine(0.1, 0.2)
    monkeypatch.setattr(cpu_devices.time, "time", lambda: now + 100 * cpu_devices.DAY)
    assert cpu_devices.choose_cpu_devices(said.append, cache) == 2


def test_one_device_is_as_quick_as_its_quicker_timing(machine, tmp_path):
    machine(0.3, 0.09, again=0.1)
    assert cpu_devices.choose_cpu_devices(print, tmp_path / "cpu_devices.json") == 1


def test_who_has_no_home_measures_each_time(machine, monkeypatch):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(cpu_devices, "user_cache", homeless)
    asked = machine(0.1, 0.05)
    assert cpu_devices.choose_cpu_devices(print) == 2
    assert asked == [1, 2, 1]


@pytest.mark.parametrize(
    ("plugins", "node", "platform", "found"),
    [
        (["cuda"], "nvidiactl", "", True),
        (["cuda"], "nvidiactl", "cpu", False),
        (["cuda"], "nvidiactl", "cpu,cuda", False),
        (["cuda"], "nvidiactl", "cuda,cpu", True),
        (["cuda"], "null", "", False),
        ([], "nvidiactl", "", False),
    ],
)
def test_nothing_is_measured_where_the_cpu_does_not_compute(
    machine, tmp_path, monkeypatch, plugins, node, platform, found
):
    (tmp_path / node).touch()
    monkeypatch.setenv("JAX_PLATFORMS", platform)
    monkeypatch.setattr(cpu_devices.importlib.metadata, "entry_points", lambda group: plugins)
    assert cpu_devices.accelerator(tmp_path) is found
    monkeypatch.setattr(cpu_devices, "accelerator", lambda: found)
    asked = machine(0.1, 0.05)
    assert cpu_devices.choose_cpu_devices(print, tmp_path / "cpu_devices.json") == (1 if found else 2)
    assert asked == ([] if found else [1, 2, 1])


def test_a_platform_that_is_asked_for_by_name_is_the_one(tmp_path, monkeypatch):
    """The older of JAX's two variables, and a TPU whose plugin comes with its library."""
    (tmp_path / "accel0").touch()
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    monkeypatch.setattr(cpu_devices.importlib.metadata, "entry_points", lambda group: [])
    monkeypatch.setattr(cpu_devices.importlib.util, "find_spec", lambda name: name == "libtpu" or None)
    assert cpu_devices.accelerator(tmp_path)
    monkeypatch.setenv("JAX_PLATFORM_NAME", "cpu")
    assert not cpu_devices.accelerator(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", '{"a": 3}', '{"a": [1, "x"]}'])
def test_a_damaged_memory_is_measured_again(machine, tmp_path, text):
    (tmp_path / "cpu_devices.json").write_text(text)
    asked = machine(0.1, 0.2)
    assert cpu_devices.choose_cpu_devices(print, tmp_path / "cpu_devices.json") == 1
    assert asked == [1, 2, 1]


def test_a_measurement_that_fails_or_cannot_be_kept_harms_nothing(machine, tmp_path):
    machine(0.1, None)
    assert cpu_devices.choose_cpu_devices(print, tmp_path / "cpu_devices.json") == 1
    machine(0.1, 0.05)
    (tmp_path / "file").write_text("")
    assert cpu_devices.choose_cpu_devices(print, tmp_path / "file" / "cpu_devices.json") == 2


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu.max": "max 100000\n"}, math.inf),
        ({"cpu/cpu.cfs_quota_us": "200000", "cpu/cpu.cfs_period_us": "100000"}, 2.0),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, math.inf),
        ({}, math.inf),
    ],
)
def test_the_control_group_s_quota_counts(tmp_path, files, cores):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert cpu_devices._quota(tmp_path) == cores


def test_cores_are_those_that_the_process_may_use(monkeypatch):
    monkeypatch.setattr(cpu_devices, "_quota", lambda: 1.5)
    monkeypatch.setattr(cpu_devices.os, "sched_getaffinity", lambda pid: set(range(16)))
    assert cpu_devices.usable_cores() == 2
    monkeypatch.setattr(cpu_devices, "_quota", lambda: math.inf)
    assert cpu_devices.usable_cores() == 16


def test_every_device_has_four_patterns_a_step():
    for batch, size in ((7, 1), (8, 2), (64, min(jax.device_count(), 16))):
        config = with_changes(None, {"pixels": {"batch": batch}})
        assert pixel_mesh(config).size == min(size, jax.device_count())
    assert pixel_mesh(with_changes(None, {"pixels": {"batch": 64, "solver": "raar"}})).size == 1


def test_an_epoch_is_timed_on_the_devices_that_are_asked_for(monkeypatch):
    """The shortest of some is told, here of 9, 2.5 and 4 seconds, and the cores that the last two had."""
    monkeypatch.setattr(cpu_devices, "SIDE", 4)
    monkeypatch.setattr(cpu_devices, "STEPS", 2)
    monkeypatch.setattr(cpu_devices, "REPEATS", 3)
    used = []
    make = cpu_devices.make_mesh
    monkeypatch.setattr(cpu_devices, "make_mesh", lambda devices: used.append(len(devices)) or make(devices))
    ticks = iter([0.0, 9.0, 10.0, 12.5, 20.0, 24.0])
    monkeypatch.setattr(cpu_devices.time, "perf_counter", lambda: next(ticks))
    busy = iter([0.0, 9.0, 10.0, 14.0, 20.0, 29.0])
    monkeypatch.setattr(cpu_devices.time, "process_time", lambda: next(busy))
    assert cpu_devices.time_epoch(1) == cpu_devices.Timed(2.5, 2.0)
    assert used == [1]
