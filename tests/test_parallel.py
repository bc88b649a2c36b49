"""Several devices: how many JAX shows, and sums over shards with their gradients against one device."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jptycho.parallel import (
    copied,
    make_mesh,
    memory_of_device,
    on_one_device,
    replicate,
    shard,
    sum_over_shards,
    use_cpu_cores,
)
from jptycho.types import Array

from .tolerances import DOUBLE


def test_a_fresh_process_shows_as_many_devices_as_asked():
    code = "from jptycho.parallel import use_cpu_cores; import jax; print(use_cpu_cores(3), len(jax.devices('cpu')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "3"]


def test_devices_stay_what_they_were_once_jax_is_in_use():
    shown = len(jax.devices("cpu"))
    assert use_cpu_cores(shown)
    assert not use_cpu_cores(shown + 1)
    assert len(jax.devices("cpu")) == shown


def residuals(shared: dict[str, Array], rows: Array, extra: dict[str, Array]) -> dict[str, Array]:
    """Sums that depend on every argument, and not in the same way on every shard."""
    miss = jnp.tanh(rows @ shared["matrix"] + shared["offset"][None]) * extra["weight"][:, None]
    return {"loss": jnp.sum(miss**2), "each": jnp.sum(miss, axis=0)}


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("shards", [1, 2])
def test_sums_and_gradients_over_shards_are_those_of_a_loop(shards: int):
    rng = np.random.default_rng(0)
    shared = {"matrix": jnp.asarray(rng.normal(size=(3, 5))), "offset": jnp.asarray(rng.normal(size=5))}
    rows, weight = rng.normal(size=(shards, 4, 3)), rng.uniform(size=(shards, 4))
    mesh = make_mesh(jax.devices()[:shards])
    mapped = sum_over_shards(mesh, residuals)
    local = (shard(mesh, rows), {"weight": shard(mesh, weight)})
    spread = replicate(mesh, shared)

    def one_after_the_other(tree: dict[str, Array]) -> dict[str, Array]:
        parts = [residuals(tree, jnp.asarray(r), {"weight": jnp.asarray(w)}) for r, w in zip(rows, weight, strict=True)]
        return {name: sum(part[name] for part in parts) for name in parts[0]}

    found, expected = jax.jit(mapped)(spread, *local), one_after_the_other(shared)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=DOUBLE)
    slope = jax.jit(jax.grad(lambda tree: mapped(tree, *local)["loss"]))(spread)
    for name, value in jax.grad(lambda tree: one_after_the_other(tree)["loss"])(shared).items():
        np.testing.assert_allclose(slope[name], value, rtol=DOUBLE, atol=DOUBLE)


def test_copies_on_the_devices_do_not_share_the_caller_s_memory():
    mesh, original = make_mesh(jax.devices()[:1]), jnp.arange(6.0)
    copies = replicate(mesh, {"a": original, "b": original})
    jax.jit(lambda tree: {k: v + 1 for k, v in tree.items()}, donate_argnums=0)(copies)
    np.testing.assert_array_equal(original, np.arange(6.0))


def test_arrays_of_several_devices_come_together_and_are_copied():
    """What one stage left on a device and another on all goes to the devices of the next, and back to one."""
    both, one = make_mesh(jax.devices()[:2]), make_mesh(jax.devices()[:1])
    mixed = {"a": replicate(both, jnp.arange(3.0)), "b": on_one_device(jnp.arange(4.0)), "c": np.arange(5.0)}
    for mesh in (one, both, one):
        mixed = replicate(mesh, mixed)
        assert {array.sharding.mesh for array in mixed.values()} == {mesh}
    alone = on_one_device(mixed)
    assert all(array.aval.sharding.mesh.empty for array in alone.values())  # else programs would be compiled twice
    again = copied(alone)
    jax.jit(lambda tree: jax.tree.map(jnp.negative, tree), donate_argnums=0)(again)
    for name, count in (("a", 3), ("b", 4), ("c", 5)):
        np.testing.assert_array_equal(alone[name], np.arange(count))


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
