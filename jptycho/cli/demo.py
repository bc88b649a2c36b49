"""The demonstration: a simulated particle, reconstructed with pixels and with deep generative priors."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from jptycho.config.run import Config
from jptycho.config.stages import HALF_SETS
from jptycho.data.dataset import Dataset4D, Truth
from jptycho.data.readers.hdf5 import read_attributes
from jptycho.data.readers.jptycho_scan import write_scan
from jptycho.data.results import Result, write_result
from jptycho.diagnostics.similarity import Similarity
from jptycho.diagnostics.truth import compare_with_truth
from jptycho.errors import FormatError
from jptycho.reconstruction.reconstruct import reconstruct
from jptycho.report.page import Table, write_report
from jptycho.settings import parse
from jptycho.simulate.scan import simulate_gold
from jptycho.solvers.epochs import Announce, Record
from jptycho.types import Array

SCAN = {"diameter": 32.0, "scan_shape": (26, 26)}
SLICES = {"slices": 2, "slice_thickness": 20.0}
"""The demo's particle is too thick for one slice at this semiangle."""
ONE_NETWORK = {"ensemble_size": 1}
"""Where electrons are as few as here the priors are two networks by default; one takes two thirds of their time."""


@dataclasses.dataclass(frozen=True)
class Scored:
    """An epoch against the truth.

    Attributes:
        record: the epoch.
        total: epochs so far, the start included.
        similarity: with the truth.
    """

    record: Record
    total: int
    similarity: Similarity


def score(result: Result, phase: np.ndarray, truth: Truth) -> Similarity:
    """Similarity of a phase on a result's canvas with the truth.

    Args:
        result: whose canvas it is.
        phase: (slices, Y, X) in rad.
        truth: of the simulation.

    Returns:
        correlation, high-pass correlation, SSIM.
    """
    attributes = result.attributes
    return compare_with_truth(
        phase,
        attributes["sampling"],
        attributes["origin"],
        result.field_of_view,
        (truth.phase, truth.sampling, truth.origin),
    )


def scored_run(
    scan: Dataset4D,
    config: Config,
    log: Callable[[str], None],
    watch: Callable[[Record], None],
    announce: Announce | None = None,
) -> tuple[Result, list[Scored]]:
    """Reconstruct a simulated scan and score every second epoch, outside the time that is reported.

    Args:
        scan: with its truth.
        config: of the run.
        log: told in words what happens.
        watch: called after each epoch.
        announce: told what is done between epochs.

    Returns:
        the result, and the score of the first and every second epoch and, last, of the result.
    """
    phases: list[tuple[Record, np.ndarray]] = []

    def callback(record: Record, channels: Callable[[], Array]) -> None:
        phases.append((record, np.asarray(channels())[:, 0]))
        watch(record)

    result = reconstruct(scan, config, log=log, callback=callback, announce=announce)
    if scan.truth is None:
        return result, []
    truth = scan.truth
    scores = [
        Scored(record, total, score(result, phase, truth))
        for total, (record, phase) in enumerate(phases, 1)
        if total == 1 or total % 2 == 0
    ]
    last = dataclasses.replace(phases[-1][0], stage=RESULT)
    return result, [*scores, Scored(last, len(phases), score(result, result.phase, truth))]


RESULT = "result"
"""What the row of a table is called that is no epoch."""


def convergence_table(runs: dict[str, list[Scored]]) -> Table:
    """How each run converged: some epochs on the way, the best by SSIM, and the result.

    Args:
        runs: scores of epochs and result by name.

    Returns:
        the table.
    """
    rows = []
    for name, scores in runs.items():
        *epochs, result = scores
        best = max(epochs, key=lambda s: s.similarity.ssim)
        wanted = {1, 2, 4, 8, 12, 16, best.total}
        for s in [*(s for s in epochs if s.total in wanted), result]:
            q, stage = s.similarity, "start" if (name, s.record.stage) == ("dgp", HALF_SETS) else s.record.stage
            numbers = [f"{v:.4f}" for v in (s.record.loss, q.correlation, q.high_pass, q.ssim)]
            rows.append([name, str(s.total), f"{s.record.seconds:.1f}", *numbers, "best epoch" if s is best else stage])
    head = ["run", "epoch", "seconds", "loss", "corr.", "fine", "SSIM", ""]
    caption = (
        "Against the truth, constant, ramp and shift removed: correlation of the phase, "
        "the same for detail finer than 1.5 Å, SSIM. Every second epoch is scored, and the best is one of those"
    )
    return Table(caption, head, rows)


def made_by_demo(path: Path) -> bool:
    """Whether a file is a demo's own, so that it may be replaced.

    Args:
        path: of an existing file.

    Returns:
        whether it says so.
    """
    try:
        return bool(read_attributes(path).get("demo", False))
    except FormatError:
        return False


def run_demo(
    folder: Path,
    dose: float,
    seed: int,
    log: Callable[[str], None],
    watch: Callable[[Record], None],
    announce: Announce,
) -> tuple[Table, list[Path]]:
    """Simulate, reconstruct twice, write scan, results and report.

    Args:
        folder: for all files; those of an earlier demo are replaced.
        dose: electrons a square Å.
        seed: of the noise.
        log: told in words what happens.
        watch: called after each epoch.
        announce: told what is done between epochs.

    Returns:
        the table of convergence, and every file written.

    Raises:
        FormatError: the folder holds files of these names that a demo did not write.
    """
    theirs = [folder / name for name in ("scan.h5", "pixels.h5", "dgp.h5") if (folder / name).exists()]
    pages = [folder / name for name in ("report.html", "report") if (folder / name).exists()]
    if not all(made_by_demo(path) for path in theirs) or (pages and not theirs):
        raise FormatError(f"--output: {str(folder)!r} holds files that are not the demo's. Choose another folder.")
    folder.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    announce("simulating", 0, 0)
    scan = simulate_gold(dose=dose, seed=seed, **SCAN)
    write_scan(folder / "scan.h5", scan, overwrite=True, extra={"demo": True, "dose": dose, "seed": seed})
    log(
        f"simulated {scan.shape[0]} x {scan.shape[1]} patterns at {dose:g} e/Å² "
        f"in {time.perf_counter() - started:.0f} s"
    )
    results, runs, files = {}, {}, [folder / "scan.h5"]
    for name in ("pixels", "dgp"):
        given = {"data": {"file": str(folder / "scan.h5")}, "object": SLICES, "dgp": ONE_NETWORK}
        config = parse(Config, given | {"method": name, "seed": seed})
        results[name], runs[name] = scored_run(scan, config, log, watch, announce)
        results[name].attributes["demo"] = True
        write_result(folder / f"{name}.h5", results[name], overwrite=True)
        files.append(folder / f"{name}.h5")
    announce("writing the report", 0, 0)
    table = convergence_table(runs)
    title = f"Gold nanoparticle on amorphous carbon, {dose:g} e/Å²: pixels and deep generative priors"
    return table, files + write_report(folder / "report.html", results, title, [table])
