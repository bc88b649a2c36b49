"""What an automatic run has decided, and what it has reached: a run that goes on decides the same."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from jptycho.config.stages import KEPT
from jptycho.data.checkpoints import remove_checkpoint
from jptycho.errors import ConfigError, FormatError
from jptycho.reconstruction.checkpoint import began, restore, save, stage_of_checkpoint
from jptycho.reconstruction.context import Context, Log, Progress
from jptycho.settings import Table

FILE = "decisions.json"
REACHED = "-kept"
"""Ends the name of the folder of what a step reached."""
IDENTITY = "identity"
"""Key of the file beside the decisions: what must be equal for them to hold, and the time that was allowed."""


@dataclasses.dataclass(frozen=True)
class Decision:
    """One choice of a run.

    Attributes:
        kept: whether what was tried is kept.
        words: what was tried, the difference and its error, what was kept and why.
        seconds: of the run until then.
        epochs: that a fit was given, where that had to be decided.
        overhead: seconds that the fit took besides its epochs.
        pace: seconds an epoch.
        timely: whether there was time to try it.
    """

    kept: bool
    words: str = ""
    seconds: float = 0.0
    epochs: int = 0
    overhead: float = 0.0
    pace: float = 0.0
    timely: bool = True


class Journal:
    """Decisions by what they are about, in the order in which they were made; in a file where there is a folder."""

    def __init__(self, folder: Path | None) -> None:
        """Read what was decided before; FormatError where that is damaged."""
        self.folder = folder
        self.decisions: dict[str, Decision] = {}
        self.identity: Table = {}
        self.spent = 0.0
        if folder is None or not (folder / FILE).exists():
            return
        try:
            stored = json.loads((folder / FILE).read_text())
            self.identity = dict(stored.pop(IDENTITY, {}))
            self.decisions = {name: Decision(**decision) for name, decision in stored.items()}
        except (ValueError, TypeError, AttributeError):
            raise FormatError(
                f"checkpoint: {str(folder)!r} is damaged. Delete it to start from the beginning."
            ) from None

    @property
    def seconds(self) -> float:
        """Of the run until the last decision."""
        return max((decision.seconds for decision in self.decisions.values()), default=self.spent)

    def identify(self, identity: Table, limit: float) -> None:
        """Say what the decisions are of, and the seconds that are allowed.

        With more time than before, what there was no time for is decided anew, and what followed from it.

        Raises:
            ConfigError: they were of something else.
        """
        identity, before = json.loads(json.dumps(identity)), dict(self.identity)
        allowed = before.pop("limit", None)
        if self.decisions and before != identity:
            what = "data" if before.get("data") != identity.get("data") else "settings"
            raise ConfigError(
                f"checkpoint: {str(self.folder)!r} was made with other {what}. Restore them to go on, or delete it to "
                "start from the beginning."
            )
        self.identity, self.spent = identity | {"limit": limit}, self.seconds
        late = [n for n, decision in enumerate(self.decisions.values()) if not decision.timely]
        if late and allowed is not None and limit > allowed:
            self.decisions = dict(list(self.decisions.items())[: late[0]])
            self._forget()

    def _forget(self) -> None:
        """Remove what was reached by steps that are decided anew."""
        reached = {self.place(name) for name in self.decisions}
        for kept in () if self.folder is None else self.folder.glob(f"*{REACHED}"):
            if kept.with_name(kept.name.removesuffix(REACHED)) not in reached:
                remove_checkpoint(kept)

    @property
    def words(self) -> str:
        """Every choice, one a line."""
        return "\n".join(decision.words for decision in self.decisions.values() if decision.words)

    def place(self, name: str) -> Path | None:
        """Folder of the checkpoints of what is tried."""
        return None if self.folder is None else self.folder / name.replace(" ", "-")

    def add(self, log: Log, name: str, decision: Decision) -> Decision:
        """Write a decision down, and say it; where that fails the run goes on."""
        self.decisions[name] = decision
        if decision.words:
            log(decision.words)
        if self.folder is not None:
            stored: Table = {IDENTITY: self.identity} if self.identity else {}
            stored |= {name: dataclasses.asdict(one) for name, one in self.decisions.items()}
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                fresh = self.folder / f"{FILE}.new"
                fresh.write_text(json.dumps(stored))
                fresh.replace(self.folder / FILE)
            except OSError as error:
                log(f"checkpoint: {str(self.folder)!r} cannot be written ({error.strerror}). The run goes on.")
        return decision


def remember(context: Context, progress: Progress) -> None:
    """Keep what a step reached in place of its checkpoint."""
    if context.checkpoint is not None:
        save(_kept(context), KEPT, progress, {}, {})
        remove_checkpoint(context.checkpoint)


def recall(context: Context) -> Progress | None:
    """What a step reached before; None where nothing holds it; ConfigError where settings or data were others."""
    if context.checkpoint is None or stage_of_checkpoint(_kept(context)) is None:
        return None
    return began(_kept(context), *restore(_kept(context), {}))


def _kept(context: Context) -> Context:
    assert context.checkpoint is not None
    return dataclasses.replace(context, checkpoint=context.checkpoint.with_name(context.checkpoint.name + REACHED))
