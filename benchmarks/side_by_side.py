"""This commit beside an earlier one: equal results, and what an epoch, a run and a start cost.

    JPTYCHO_DATA=folder python benchmarks/side_by_side.py COMMIT [--cases NAME ...] [--seeds N]

Both run at the same time, a core each, and change cores with every seed. Seconds are those of the processor. Cases from
outside are left out where JPTYCHO_DATA is not set. The earlier commit is checked out beside this one for the time.
"""

from __future__ import annotations

import argparse
import inspect
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
GOLD = {"object": {"slices": 2, "slice_thickness": 26.0}}
PLAIN = {"half_sets": False, "epochs": 6}
CASES: dict[str, dict] = {
    "demo, pixels": {"method": "pixels", **GOLD},
    "demo, dgp": {"method": "dgp", **GOLD, "dgp": {"epochs": 8}},
    "demo, lsqml": {"method": "pixels", "pixels": {"solver": "lsqml", **PLAIN}},
    "demo, epie": {"method": "pixels", "pixels": {"solver": "epie", **PLAIN}},
    "demo, difference map": {"method": "pixels", "pixels": {"solver": "dm", **PLAIN}},
    "ducky": {},
    "rotavirus": {},
    "siemens_star": {},
}
"""Settings; of those from outside, the files of ``real`` have them."""


def run(name: str, seed: int, output: Path) -> None:
    """One case by the package that is imported: its phase, and seconds."""
    before = time.process_time()
    import numpy as np

    import jptycho

    started = time.process_time() - before
    seen: dict[str, list[float]] = {}

    def watch(record, channels):
        seen.setdefault(record.stage, []).append(time.process_time())

    told = next(key for key in ("callback", "observe") if key in inspect.signature(jptycho.reconstruct).parameters)
    if CASES[name]:
        result = jptycho.reconstruct(jptycho.simulate_gold(), seed=seed, **{told: watch}, **CASES[name])
    else:
        config = jptycho.load_config(output.parent / f"{name}.toml")
        result = jptycho.reconstruct(None, config, seed=seed, **{told: watch})
    # The first epoch of a stage is compiled, and the second may wait for what the first left.
    steps = {stage: [b - a for a, b in itertools.pairwise(times[1:])] for stage, times in seen.items()}
    import resource

    facts = {
        "import": started,
        "whole": time.process_time(),
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "epoch": {stage: statistics.median(found) for stage, found in steps.items() if found},
    }
    top, bottom, left, right = result.field_of_view
    np.save(output, np.asarray(result.phase)[:, top:bottom, left:right])
    output.with_suffix(".json").write_text(json.dumps(facts))


def pair(trees: tuple[Path, Path], name: str, seed: int, folder: Path) -> list[dict]:
    """The same case by both trees at the same time."""
    started = []
    for number, tree in enumerate(trees):
        output = folder / f"{number}.npy"
        command = [sys.executable, str(HERE / "side_by_side.py"), "--run", name, str(seed), str(output)]
        core = str((number + seed) % 2)
        alone = {"XLA_FLAGS": "", "JAX_COMPILATION_CACHE_DIR": "", "JPTYCHO_COMPILATION_CACHE": "off"}
        environment = os.environ | {"PYTHONPATH": str(tree)} | alone
        started.append(subprocess.Popen(["taskset", "-c", core, *command], env=environment, cwd=folder))
    if any(process.wait() for process in started):
        raise SystemExit(f"{name}: a run failed")
    return [json.loads((folder / f"{number}.json").read_text()) for number in (0, 1)]


def compare(facts: list[dict], folder: Path) -> dict[str, float]:
    """How far both phases differ, and the later commit's costs over the earlier one's."""
    import numpy as np

    old, new = (np.load(folder / f"{number}.npy") for number in (0, 1))
    row = {"difference": float(np.abs(new - old).max()), "relative": float(np.std(new - old) / np.std(old))}
    row |= {key: facts[1][key] / facts[0][key] for key in ("import", "whole", "memory")}
    old_epochs, new_epochs = (fact["epoch"] for fact in facts)
    row |= {f"epoch {stage}": new_epochs[stage] / old_epochs[stage] for stage in new_epochs if stage in old_epochs}
    return {key: round(value, 6) for key, value in row.items()}


def prepare_cases(names: list[str], folder: Path) -> list[str]:
    """The configurations from outside with their data's full path; those without data are left out."""
    data, kept = os.environ.get("JPTYCHO_DATA"), []
    for name in names:
        if CASES[name]:
            kept.append(name)
        elif data:
            text = (HERE / "real" / f"{name}.toml").read_text()
            (folder / f"{name}.toml").write_text(text.replace('file = "', f'file = "{data}/', 1))
            kept.append(name)
        else:
            print(f"{name}: left out, JPTYCHO_DATA is not set")
    return kept


def main() -> None:
    """Run every case and write ``results/side_by_side.json``."""
    if sys.argv[1:2] == ["--run"]:
        run(sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commit", help="the earlier one")
    parser.add_argument("--cases", nargs="*", default=list(CASES), choices=list(CASES))
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    from record import load, made_by, save

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        subprocess.run(["git", "worktree", "add", "-q", "--detach", folder / "before", options.commit], check=True)
        try:
            for name in prepare_cases(options.cases, folder):
                rows = []
                for seed in range(options.seeds):
                    facts = pair((folder / "before", HERE.parent), name, seed, folder)
                    rows.append({"seed": seed, **compare(facts, folder)})
                    print(name, rows[-1], flush=True)
                found = {"before": options.commit, "rows": rows} | made_by()
                save("side_by_side", {**load("side_by_side"), name: found})
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", folder / "before"], check=True)


if __name__ == "__main__":
    main()
