"""Memory of the machine as its files say it, and of a run."""

import math
from pathlib import Path

import numpy as np
import pytest

from jptycho.data.dataset import Calibration, Dataset4D
from jptycho.errors import ConfigError
from jptycho.preprocess.memory import HostMemory, RunShape, check_memory, counts_bytes, estimate_memory, host_memory

GIB = 2**30


def scan(shape: tuple[int, ...], dtype: type = np.uint16) -> Dataset4D:
    def read() -> np.ndarray:
        raise AssertionError("a pattern was read")

    return Dataset4D(shape, np.dtype(dtype), read, Calibration(), source="scan.h5")


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


MEMINFO = "MemTotal:       16777216 kB\nMemFree:  1024 kB\nMemAvailable:    8388608 kB\nHugePages_Total: 0\n"


def test_a_machine_says_what_it_has(tmp_path: Path):
    write(tmp_path, {"proc/meminfo": MEMINFO, "sys/fs/cgroup/memory.max": "max\n"})
    assert host_memory(tmp_path) == HostMemory(16 * GIB, 8 * GIB)


@pytest.mark.parametrize(
    "names",
    [
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ],
)
def test_a_control_group_may_have_less(tmp_path: Path, names: tuple[str, str]):
    limit, used = (f"sys/fs/cgroup/{name}" for name in names)
    write(tmp_path, {"proc/meminfo": MEMINFO, limit: f"{4 * GIB}\n", used: f"{GIB}\n"})
    assert host_memory(tmp_path) == HostMemory(4 * GIB, 3 * GIB)


def test_a_limit_above_the_machine_is_none(tmp_path: Path):
    write(tmp_path, {"proc/meminfo": MEMINFO, "sys/fs/cgroup/memory.max": f"{2**62}\n"})
    assert host_memory(tmp_path).total == 16 * GIB


def test_a_system_without_these_files_has_memory_too(tmp_path: Path):
    assert host_memory(tmp_path).total > 2**26


def test_floats_are_kept_in_single_precision():
    assert counts_bytes(scan((3, 4, 5, 6))) == 3 * 4 * 5 * 6 * 2
    assert counts_bytes(scan((3, 4, 5, 6), np.float64)) == 3 * 4 * 5 * 6 * 4


def test_counts_that_no_memory_holds_are_refused_before_they_are_read():
    whole = scan((512, 512, 128, 128))
    check_memory(whole, HostMemory(16 * GIB, GIB))
    with pytest.raises(ConfigError, match=r"data\.file: scan\.h5 holds 8\.59 GB of counts, and this machine has 4\.29"):
        check_memory(whole, HostMemory(4 * GIB, 4 * GIB))


def test_a_run_takes_more_the_more_it_does():
    dataset, canvas = scan((32, 32, 64, 64)), (300, 310)

    def host(apart: bool = False, **changes: int | bool) -> int:
        return estimate_memory(dataset, canvas, RunShape(**{"half_sets": False, **changes}), apart).host

    plain = host()
    assert plain > counts_bytes(dataset)
    assert host(half_sets=True) > plain + 2 * counts_bytes(dataset)
    for change in ({"slices": 4}, {"channels": 2}, {"modes": 3}, {"batch": 256}):
        assert host(**change) > plain
    apart = estimate_memory(dataset, canvas, RunShape(half_sets=False), True)
    assert apart.device > math.prod(dataset.shape) * 2
    assert apart.host < plain
