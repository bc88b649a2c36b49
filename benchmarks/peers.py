"""This library beside public packages on one scan: cost of an epoch and quality, one after the other in one run.

    python benchmarks/peers.py phaser=/path/to/its/bin/python ptychi=... ptyrad=... quantem=...
    python benchmarks/peers.py quantem=... --case gold --dose 500 --only jptycho:dgp quantem:dip

Each package runs from its own environment (``pip install "phaserEM[jax]"``, ``ptychi``, ``quantem``, ``ptyrad``), with
its documented settings, on 1,024 patterns of 64² at 1e4 e/Å², batches of 64, one slice, one mode, pinned to one core:
on a busy machine the threads of PyTorch wait for each other actively and no time could be believed. A case is a scan
that abTEM simulated, see ``acquire.py``. Generative priors, run for a case or where named, keep their own batches.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SOLVERS = {
    "jptycho": ("adam", "lbfgs", "epie", "rpie", "lsqml", "dm", "raar", "dgp"),
    "phaser": ("adam", "epie", "lsqml"),
    "ptychi": ("adam", "epie", "rpie", "lsqml", "dm", "raar"),
    "ptyrad": ("adam",),
    "quantem": ("adam", "epie", "dip"),
}
PRIORS = ("dgp", "dip")
TIMEOUT = 900  # s of a process


def run(package: str, python: str, scan: Path, solver: str, epochs: int) -> dict[str, Any] | None:
    """One solver of one package in its own process; None where it fails, which is said."""
    output = scan.with_name(f"{package}_{solver}.npy")
    script = HERE / "peers" / f"run_{package}.py"
    command = ["taskset", "-c", "1", python, str(script), str(scan), solver, "--epochs", str(epochs)]
    command += ["--output", str(output)]
    if solver not in PRIORS:
        command += ["--batch", "64"]
    if package == "phaser":
        command += ["--probe-after", "0"]
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    alone = {**os.environ, "OMP_NUM_THREADS": "1"}
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=TIMEOUT, env=alone)
    except subprocess.TimeoutExpired:
        print(f"{solver:6} {package:8} stopped after {TIMEOUT} s", flush=True)
        return None
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if not lines:
        print(f"{solver:6} {package:8} failed: {(done.stderr.splitlines() or ['no message'])[-1]}", flush=True)
        return None
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return json.loads(lines[-1]) | {"process_wall": round(time.perf_counter() - start, 1), "process_cpu": round(cpu, 1)}


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


def chosen(only: list[str], packages: list[str], priors: bool) -> list[tuple[str, str]]:
    """Solvers and packages to run, solver by solver."""
    solvers = dict.fromkeys(solver for package in SOLVERS for solver in SOLVERS[package])
    pairs = [(s, p) for s in solvers for p in packages if s in SOLVERS[p]]
    if only:
        return [(s, p) for s, p in pairs if f"{p}:{s}" in only]
    return [(s, p) for s, p in pairs if priors or s not in PRIORS]


def compare(pairs: list[tuple[str, str]], places: dict[str, str], data: Any, epochs: int) -> Iterator[dict[str, Any]]:
    """Run them one after the other on a scan; a scored row of each that succeeds."""
    import jptycho

    positions = data.positions
    assert positions is not None
    field = (*positions.min(axis=0), *positions.max(axis=0))
    with tempfile.TemporaryDirectory() as folder:
        scan = Path(folder) / "scan.h5"
        jptycho.write_scan(scan, data)
        for solver, package in pairs:
            row = run(package, places[package], scan, solver, epochs)
            if row is None:
                continue
            row |= scored(row, data.truth, field)
            del row["phase"], row["origin"]
            keys = ("first_wall", "median_cpu", "median_wall", "total_wall", "total_cpu", "process_cpu", "others_cpu")
            shown = {key: row[key] for key in (*keys, "correlation", "high_pass", "ssim")}
            print(f"{solver:6} {package:8}", shown, row.get("stages", ""), flush=True)
            yield row


def main() -> None:
    """Run all and write ``results/peers.json``, or add to ``results/peers_CASE.json``, row by row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("python", nargs="*", help="package=interpreter of its environment")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--case", help="of acquire.py, the small one; by default this library's own particle")
    parser.add_argument("--dose", type=float, help="e/Å² of the case; by default its own")
    parser.add_argument("--only", nargs="+", default=[], metavar="PACKAGE:SOLVER", help="by default all")
    options = parser.parse_args()
    from record import load, save

    import jptycho

    places = {"jptycho": sys.executable, **dict(item.split("=", 1) for item in options.python)}
    pairs = chosen(options.only, list(places), priors=options.case is not None)
    if options.case is None:
        data = jptycho.simulate_gold(dose=1e4, scan_shape=(32, 32))
        found = list(compare(pairs, places, data, options.epochs))
        again = {(row["package"], row["solver"]) for row in found}
        kept = [row for row in load("peers") if (row["package"], row["solver"]) not in again] if options.only else []
        print("wrote", save("peers", kept + found))
        return
    from recordings import CASES, recording

    dose = options.dose or CASES[options.case, "small"].dose
    for row in compare(pairs, places, recording(options.case, "small", dose, 0), options.epochs):
        key = f"{dose:g} e/A^2: {row['package']} {row['solver']}"
        print("wrote", save(f"peers_{options.case}", {**load(f"peers_{options.case}"), key: row}), flush=True)


if __name__ == "__main__":
    main()
