"""How many devices JAX should make of a CPU: as many as make an epoch shorter, found by a measurement once a machine.

Two devices halve the time of an epoch on some machines of two cores and waste half of the work on others, where the
cores are two threads of one; neither the number of cores nor what a virtual machine says of them tells which.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.metadata
import importlib.util
import json
import math
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np

from jptycho.compilation import user_cache
from jptycho.data.dataset import Calibration, from_arrays
from jptycho.data.lazy_counts import in_memory
from jptycho.objective.losses import poisson_loss
from jptycho.parallel import make_mesh, use_cpu_cores
from jptycho.preprocess.automatic import choose_micro_batches
from jptycho.preprocess.prepare import prepare
from jptycho.representations.base import ModelSpec, initialise
from jptycho.representations.pixels import PixelObject, PixelProbe, Preconditioner
from jptycho.solvers.base import distribute, epoch, init_state
from jptycho.solvers.gradient import GradientSolver

WORTH = 0.85  # of the time on one device, above which more devices are not worth their work
SIDE, WINDOW, STEPS, REPEATS = 32, 64, 16, 8
"""Of the scan that is timed: positions along a side, detector pixels, steps an epoch, epochs."""
LONGEST = 120  # seconds
BUSY, ENOUGH, ALIKE, DAY = 0.65, 8, 1.2, 86400.0
"""Share of the cores, of which so many are enough, that many devices have where no other program takes them; how alike
two timings of one device are then; seconds for which a measurement is believed where either was not so."""


@dataclasses.dataclass(frozen=True)
class Timed:
    """An epoch that was timed.

    Attributes:
        seconds: that it took.
        cores: CPU seconds a second.
    """

    seconds: float
    cores: float


@dataclasses.dataclass(frozen=True)
class Known:
    """A measurement.

    Attributes:
        one: seconds of an epoch on one device.
        many: on as many as there are cores.
        until: time up to which it is believed; 0 for ever.
    """

    one: float
    many: float
    until: float


def usable_cores() -> int:
    """Cores that this process may use: by its affinity and its control group's quota.

    Returns:
        at least one.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(allowed, _quota())))


def _quota(root: Path = Path("/sys/fs/cgroup")) -> float:
    """Cores' worth of time that the control group grants, version 2 or 1; infinite without a limit."""
    try:
        granted, period = (root / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            granted = (root / "cpu" / "cpu.cfs_quota_us").read_text().strip()
            period = (root / "cpu" / "cpu.cfs_period_us").read_text().strip()
        except OSError:
            return math.inf
    try:
        return float(granted) / float(period) if float(granted) > 0 else math.inf
    except (ValueError, ZeroDivisionError):
        return math.inf


ACCELERATORS = "nvidiactl", "dxg", "kfd", "accel0", "vfio"
"""Nodes of ``/dev`` that an accelerator's driver makes."""


def accelerator(nodes: Path = Path("/dev")) -> bool:
    """Whether JAX will compute on something other than the CPU, told without starting it.

    Args:
        nodes: folder of the devices' nodes.

    Returns:
        whether there is a device and a plugin of JAX for one, and no variable of JAX prefers the CPU.
    """
    preferred = os.environ.get("JAX_PLATFORM_NAME") or os.environ.get("JAX_PLATFORMS", "").split(",")[0].strip()
    plugins = importlib.metadata.entry_points(group="jax_plugins") or importlib.util.find_spec("libtpu")
    return preferred.lower() != "cpu" and bool(plugins) and any((nodes / name).exists() for name in ACCELERATORS)


def choose_cpu_devices(log: Callable[[str], None], cache: Path | None = None) -> int:
    """Devices to make of the CPU: one, or one for each core where that was measured to be faster here.

    Args:
        log: told what was chosen and why.
        cache: file that remembers the measurement; by default in the user's cache folder.

    Returns:
        the number, for :func:`jptycho.parallel.use_cpu_cores`.
    """
    cores = usable_cores()
    if cores == 1 or accelerator():
        return 1
    cache = cache or _default_cache()
    known, machine = _read(cache), f"{_processor()}, {cores} cores, jax {jax.__version__}"
    if machine not in known or 0 < known[machine].until < time.time():
        log(f"measuring whether this machine gains by {cores} devices instead of one")
        found = _measured(cores)
        if found is None:
            log("the measurement failed; one device is used")
            return 1
        known = {**known, machine: found}
        _write(cache, known)
    chosen, note = known[machine], "measured here"
    if chosen.until:
        note += ", perhaps beside other programs: measured again after a day"
    devices = cores if chosen.many < WORTH * chosen.one else 1
    log(f"CPU devices: {devices} (an epoch on {cores} takes {chosen.many / chosen.one:.2f} of the time on one, {note})")
    return devices


def _measured(cores: int) -> Known | None:
    """One device, many and one again: what other programs disturbed is believed for a day only."""
    before, many, after = (_time_of(devices) for devices in (1, cores, 1))
    if before is None or many is None or after is None:
        return None
    singles = sorted((before.seconds, after.seconds))
    disturbed = singles[1] > ALIKE * singles[0] or many.cores < BUSY * min(cores, _quota(), ENOUGH)
    return Known(singles[0], many.seconds, time.time() + DAY if disturbed else 0.0)


def _default_cache() -> Path | None:
    """In the user's cache folder; nothing is remembered where there is none."""
    try:
        return user_cache() / "cpu_devices.json"
    except RuntimeError:
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _read(cache: Path | None) -> dict[str, Known]:
    """Measurements by machine; none where the file is missing or damaged."""
    try:
        held = json.loads(cache.read_text()) if cache else {}
        return {str(name): Known(*map(float, numbers)) for name, numbers in held.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _write(cache: Path | None, known: dict[str, Known]) -> None:
    """Remember measurements; where that is not possible the next run measures again."""
    if cache is None:
        return
    part = cache.with_suffix(f".{os.getpid()}.part")
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps({name: dataclasses.astuple(found) for name, found in known.items()}))
        part.replace(cache)
    except OSError:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def _time_of(devices: int) -> Timed | None:
    """An epoch on so many devices, in a process of its own, for JAX fixes them when it starts."""
    command = [sys.executable, "-m", "jptycho.preprocess.cpu_devices", str(devices)]
    try:
        own = {**os.environ, "JAX_PLATFORMS": "cpu"}
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=LONGEST, env=own)
        seconds, cores = done.stdout.split()[-2:]
        return Timed(float(seconds), float(cores))
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None


def time_epoch(devices: int) -> Timed:
    """The shortest of some epochs of preconditioned pixels on devices of the CPU.

    Args:
        devices: how many, shown to JAX before.

    Returns:
        its seconds, and the cores that all epochs but the first had.
    """
    rng = np.random.default_rng(0)
    counts = rng.poisson(1.0, (SIDE, SIDE, WINDOW, WINDOW)).astype(np.uint8)
    known = Calibration(300e3, 20.0, defocus=200.0, step=(1.5, 1.5), reciprocal_sampling=(0.04, 0.04))
    problem, mesh = prepare(from_arrays(counts, known)), make_mesh(jax.devices()[:devices])
    model = ModelSpec(PixelObject("phase", Preconditioner(10.0, 0.05, problem.setup.grid.sampling)), PixelProbe())
    parts = choose_micro_batches(SIDE**2 // STEPS, devices, "cpu")
    solver = GradientSolver(model, poisson_loss, 1e-2, 1e-2, STEPS, parts)
    params, constants = initialise(model, jax.random.key(0), problem.estimate)
    data = distribute(in_memory(problem.counts), problem.setup, mesh)
    state, times, used = init_state(solver, mesh, params, constants, jax.random.key(1)), [], []
    for _ in range(REPEATS):
        began, busy = time.perf_counter(), time.process_time()
        state, metrics = epoch(solver, mesh, state, constants, data)
        jax.block_until_ready(metrics)
        times.append(time.perf_counter() - began)
        used.append(time.process_time() - busy)
    return Timed(min(times), sum(used[1:]) / sum(times[1:]))


if __name__ == "__main__":
    use_cpu_cores(int(sys.argv[1]))
    timed = time_epoch(int(sys.argv[1]))
    sys.stdout.write(f"{timed.seconds:.6f} {timed.cores:.3f}\n")
