"""This library beside public packages on one scan: cost of an epoch and quality, one after the other in one run.

    python benchmarks/peers.py phaser=/path/to/its/bin/python ptychi=... ptyrad=... quantem=...

Each package runs from its own environment (``pip install "phaserEM[jax]"``, ``ptychi``, ``quantem``, ``ptyrad``), with
its documented settings, on 1,024 patterns of 64² at 1e4 e/Å², batches of 64, one slice, one mode, pinned to one core:
on a busy machine the threads of PyTorch wait for each other actively and no time could be believed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SOLVERS = {
    "jptycho": ("adam", "lbfgs", "epie", "rpie", "lsqml", "dm", "raar"),
    "phaser": ("adam", "epie", "lsqml"),
    "ptychi": ("adam", "epie", "rpie", "lsqml", "dm", "raar"),
    "ptyrad": ("adam",),
    "quantem": ("adam", "epie"),
}


def run(package: str, python: str, scan: Path, solver: str, epochs: int) -> dict[str, Any] | None:
    """One solver of one package in its own process; None where it fails."""
    output = scan.with_name(f"{package}_{solver}.npy")
    script = HERE / "peers" / f"run_{package}.py"
    command = ["taskset", "-c", "1", python, str(script), str(scan), solver, "--epochs", str(epochs)]
    command += ["--batch", "64", "--output", str(output)]
    if package == "phaser":
        command += ["--probe-after", "0"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    except subprocess.TimeoutExpired:
        return None
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    return json.loads(lines[-1]) if lines else None


def scored(row: dict[str, Any], truth: Any, field: tuple[float, float, float, float]) -> dict[str, float]:
    """Similarity of the phase that a package wrote with the truth, over the scanned field."""
    import numpy as np

    from jptycho.diagnostics.truth import compare_with_truth

    phase, sampling = np.load(row["phase"]), row["sampling"]
    top, left = (int(np.ceil((field[i] - row["origin"][i]) / sampling)) for i in (0, 1))
    bottom, right = (int(np.floor((field[i + 2] - row["origin"][i]) / sampling)) for i in (0, 1))
    q = compare_with_truth(
        phase[None],
        (sampling, sampling),
        (row["origin"][0], row["origin"][1]),
        (top, bottom, left, right),
        (truth.phase, truth.sampling, truth.origin),
    )
    return {"correlation": round(q.correlation, 4), "high_pass": round(q.high_pass, 4), "ssim": round(q.ssim, 4)}


def main() -> None:
    """Run all and write ``results/peers.json``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("python", nargs="*", help="package=interpreter of its environment")
    parser.add_argument("--epochs", type=int, default=20)
    options = parser.parse_args()
    from record import save

    import jptycho

    places = {"jptycho": sys.executable, **dict(item.split("=", 1) for item in options.python)}
    found: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        scan = Path(folder) / "scan.h5"
        data = jptycho.simulate_gold(dose=1e4, scan_shape=(32, 32))
        jptycho.write_scan(scan, data)
        positions = data.positions
        assert positions is not None
        field = (*positions.min(axis=0), *positions.max(axis=0))
        for solver in SOLVERS["jptycho"]:
            for package, python in places.items():
                row = run(package, python, scan, solver, options.epochs) if solver in SOLVERS[package] else None
                if row is None:
                    continue
                row |= scored(row, data.truth, field)
                del row["phase"], row["origin"]
                found.append(row)
                keys = ("first_wall", "median_cpu", "median_wall", "total_wall", "others_cpu", "correlation", "ssim")
                print(f"{solver:6} {package:8}", {key: row[key] for key in keys}, flush=True)
    print("wrote", save("peers", found))


if __name__ == "__main__":
    main()
