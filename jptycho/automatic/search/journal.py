"""The trials of a search on disk: a search that goes on begins behind the last of them."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np

from jptycho.errors import ConfigError, FormatError
from jptycho.reconstruction.context import Log
from jptycho.settings import Table
from jptycho.types import Float

FILE = "trials.json"
LAYOUT = 1


@dataclasses.dataclass(frozen=True)
class Trial:
    """One short run.

    Attributes:
        values: of what is searched over.
        score: mean over patterns of the loss on unseen electrons, smaller is better; not a number where the run failed.
        seconds: that it took.
        failed: why there is no score, in words.
        losses: of each pattern; empty where the run failed.
    """

    values: Mapping[str, float]
    score: float
    seconds: float = 0.0
    failed: str = ""
    losses: Float[np.ndarray, "scan"] = dataclasses.field(
        default_factory=partial(np.zeros, 0), repr=False, compare=False
    )

    @property
    def ended(self) -> bool:
        """Whether it has a score."""
        return math.isfinite(self.score)


class Trials:
    """Trials in their order; in a folder where there is one: JSON, and an array of numbers for each trial's losses."""

    def __init__(self, folder: Path | None, identity: Table) -> None:
        """Read what was tried before; FormatError where that is damaged, ConfigError where it was of something else."""
        self.folder, self.identity = folder, json.loads(json.dumps(identity))
        self.all: list[Trial] = []
        if folder is None or not (folder / FILE).exists():
            return
        try:
            stored = json.loads((folder / FILE).read_text(encoding="utf-8"))
            before = stored["identity"]
            self.all = [self._read(number, entry) for number, entry in enumerate(stored["trials"])]
        except (ValueError, TypeError, KeyError, AttributeError, OSError, EOFError):
            raise FormatError(f"search: {str(folder)!r} is damaged. Delete it to start from the beginning.") from None
        if before != self.identity:
            raise ConfigError(
                f"search: {str(folder)!r} was made with other settings, ranges or data. Restore them to go on, or "
                "delete it to start from the beginning."
            )

    def _read(self, number: int, entry: Table) -> Trial:
        values = {str(name): float(value) for name, value in entry["values"].items()}
        seconds, failed = float(entry["seconds"]), str(entry["failed"])
        if failed:
            return Trial(values, math.nan, seconds, failed)
        assert self.folder is not None
        losses = np.load(self.folder / _array(number), allow_pickle=False)
        if losses.ndim != 1 or not np.isfinite(losses).all():
            raise ValueError("expected one finite loss a pattern")
        return Trial(values, float(losses.mean(dtype=np.float64)), seconds, "", losses)

    def add(self, trial: Trial, log: Log) -> None:
        """Keep a trial; where it cannot be written the search goes on."""
        self.all.append(trial)
        if self.folder is None:
            return
        entries = [{"values": dict(t.values), "seconds": t.seconds, "failed": t.failed} for t in self.all]
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if trial.ended:
                np.save(self.folder / _array(len(self.all) - 1), trial.losses, allow_pickle=False)
            fresh = self.folder / f"{FILE}.new"
            fresh.write_text(json.dumps({"identity": self.identity, "trials": entries}), encoding="utf-8")
            fresh.replace(self.folder / FILE)
        except OSError as error:
            log(f"search: {str(self.folder)!r} cannot be written ({error.strerror}). The search goes on.")


def remove_trials(folder: Path) -> None:
    """Delete the trials of a search that are no longer needed.

    Args:
        folder: that a search wrote.
    """
    if (folder / FILE).exists():
        shutil.rmtree(folder, ignore_errors=True)


def _array(number: int) -> str:
    return f"losses-{number}.npy"
