"""What every benchmark shares: the clock, the machine it ran on, and the JSON it leaves."""

from __future__ import annotations

import fcntl
import json
import os
import platform
import resource
import subprocess
import time
from pathlib import Path
from typing import Any

import jax

from jptycho.data.results import versions

RESULTS = Path(__file__).parent / "results"
os.environ["JPTYCHO_COMPILATION_CACHE"] = "off"  # a benchmark pays for its own compilation


def cpu_seconds() -> float:
    """CPU time of this process, all threads."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


class Clock:
    """Wall and CPU seconds since it was made."""

    def __init__(self) -> None:
        """Start."""
        self._wall, self._cpu = time.perf_counter(), cpu_seconds()

    def read(self) -> dict[str, float]:
        """Both, rounded to milliseconds."""
        wall, cpu = time.perf_counter() - self._wall, cpu_seconds() - self._cpu
        return {"wall": round(wall, 3), "cpu": round(cpu, 3)}


def machine() -> dict[str, Any]:
    """Device, versions, commit and date."""
    model = next((line.split(":")[1].strip() for line in _cpuinfo() if line.startswith("model name")), "unknown")
    return {
        "device": f"{jax.device_count()} x {jax.devices()[0].device_kind}",
        "processor": f"{model}, {os.cpu_count()} cores" if jax.default_backend() == "cpu" else platform.machine(),
        "versions": json.loads(versions()),
        **made_by(),
    }


def made_by() -> dict[str, str]:
    """Commit and date, the device where it is no CPU, and whether JAX was told to keep programs in files.

    Where there is no repository, ``COMMIT`` says the commit.
    """
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    device = {} if jax.default_backend() == "cpu" else {"device": jax.devices()[0].device_kind}
    known = commit.stdout.strip() or os.environ.get("COMMIT", "unknown")
    cached = {"compilation": "cached"} if os.environ.get("JAX_COMPILATION_CACHE_DIR") else {}
    return {"commit": known, "date": time.strftime("%Y-%m-%d"), **device, **cached}


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


def save(name: str, values: Any) -> Path:
    """Write a result."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({"machine": machine(), "results": values}, indent=1) + "\n")
    return path


def load(name: str) -> Any:
    """An earlier result; empty where there is none."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text())["results"] if path.exists() else {}


def add(name: str, key: str, row: dict[str, Any]) -> None:
    """Add a row, with what made it, to a result that other processes may be adding to."""
    RESULTS.mkdir(exist_ok=True)
    with (RESULTS / f".{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        save(name, {**load(name), key: row | made_by()})
