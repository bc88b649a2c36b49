"""How much memory there is for an ensemble."""

import os
from pathlib import Path

import jax
import pytest

from jptycho.reconstruction.ensembles import memory_of_device


class Device:
    """A device that offers what it is told to."""

    def __init__(self, offered: dict[str, int] | None) -> None:
        self.offered = offered

    def memory_stats(self) -> dict[str, int] | None:
        return self.offered


def machine() -> int:
    """Bytes of the machine, as the kernel lists them."""
    line = next(one for one in Path("/proc/meminfo").read_text().splitlines() if one.startswith("MemTotal"))
    return 1024 * int(line.split()[1])


@pytest.mark.skipif(not Path("/proc/meminfo").exists(), reason="the kernel lists no memory")
@pytest.mark.parametrize("offered", [None, {}, {"bytes_in_use": 3}])
def test_a_device_that_does_not_say_has_the_machine_s(monkeypatch: pytest.MonkeyPatch, offered: dict[str, int] | None):
    monkeypatch.setattr(jax, "devices", lambda: [Device(offered)])
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert memory_of_device() == pytest.approx(machine(), rel=0.01)
    monkeypatch.setattr(jax, "default_backend", lambda: "cpu")
    assert memory_of_device() == pytest.approx(machine(), rel=0.01)


def test_a_gpu_says_what_it_offers_and_a_cpu_is_not_asked(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(jax, "devices", lambda: [Device({"bytes_limit": 12345}), Device({"bytes_limit": 1})])
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert memory_of_device() == 12345
    monkeypatch.setattr(jax, "default_backend", lambda: "cpu")
    assert memory_of_device() == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
