"""``jptycho search``: a few settings, searched for by short runs that are judged by unseen electrons."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from jptycho.cli.calibrate import refuse_target, with_error
from jptycho.cli.devices import use_cores
from jptycho.cli.interruption import NOTHING, in_one_line
from jptycho.cli.progress import Progress
from jptycho.cli.toml_text import read_text, with_paths, with_values, write_text
from jptycho.settings import Table

if TYPE_CHECKING:
    from jptycho.automatic.search import Found
    from jptycho.config.run import Config

console = Console(highlight=False, soft_wrap=True, markup=False)
CHOSEN = 3.0
"""Standard errors by which the best of some dozens of trials that are alike seldom leads the first of them."""


def search(
    config: Annotated[Path, typer.Argument(help="TOML file of a run")],
    over: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME or NAME=LOW:HIGH: defocus, rotation, thickness (of the object), semiangle_cutoff, modes"
        ),
    ] = None,
    trials: Annotated[int, typer.Option(help="short runs, those included that diverge")] = 30,
    minutes: Annotated[float | None, typer.Option(help="after which no trial is begun")] = None,
    epochs: Annotated[int, typer.Option(help="of a trial, at most")] = 8,
    write: Annotated[Path | None, typer.Option(help="new TOML file with what was found")] = None,
    overwrite: Annotated[bool, typer.Option(help="replace an existing file")] = False,
) -> None:
    """Search over a few settings by short runs, judged by electrons that none has seen. Run again to go on.

    It needs Optuna: pip install 'jptycho[search]'.
    """
    from jptycho.automatic.search import Size, check_ranges, check_size, parse_ranges, remove_trials  # noqa: PLC0415
    from jptycho.automatic.search import search as searching  # noqa: PLC0415
    from jptycho.config.run import load_config  # noqa: PLC0415

    ranges, size = parse_ranges(over or []), Size(trials, minutes, epochs)
    check_ranges(ranges)
    check_size(size)
    settings = load_config(config)
    if write is not None:
        refuse_target(write, config, ".toml", overwrite)
        _with_found(read_text(config), settings, dict.fromkeys(ranges, 1.0), {})  # refused before anything is computed
    target = write or config
    folder = target.with_name(target.name + ".search")
    left = f"the trials so far are in {folder}; run the same command again to go on"
    with in_one_line(lambda: left if folder.exists() else NOTHING), Progress(console) as progress:
        use_cores(console.print)
        found = searching(
            None, settings, ranges, size=size, log=console.print, announce=progress.announce, folder=folder
        )
        progress.close()
        console.print("\n".join(describe(found)))
        if write is not None:
            _write_found(found, settings, config, write)
        if found.status == "done":
            remove_trials(folder)
        else:
            again = " with --overwrite" if write is not None else ""
            console.print(
                f"interrupted: that is the best of {len(found.trials)} trials; run{again} to go on from {folder}"
            )


def describe(found: Found) -> list[str]:
    """What was found, in words, with errors.

    Args:
        found: of a search.

    Returns:
        lines.
    """
    from jptycho.automatic.search import KEYS, at_an_end  # noqa: PLC0415

    lines = []
    for name, value in found.values.items():
        said, given = with_error(value, found.errors.get(name, 0.0)), found.given[name]
        lines.append(f"{name:16}  {said} {KEYS[name].unit} (given: {given:.5g})".replace("  (", " ("))
    free = [name for name in found.values if not KEYS[name].whole]
    if free and not found.errors:
        lines.append("the error cannot be told: no parabola goes through the best trials. Allow more --trials.")
    for what, over in (("the settings as given", found.over_given), ("the second-best trial", found.over_second)):
        if over is not None:
            lines.append(f"unseen electrons are predicted better than by {what} by {over}")
    if found.over_given is not None and found.over_given.significance < CHOSEN:
        lines.append(
            f"this is not shown to be better than the settings as given: the best of {len(found.trials)} trials "
            "leads by chance too"
        )
    lines += [f"{one.name} is at an end of {one}: search beyond it" for one in at_an_end(found)]
    failed = sum(not trial.ended for trial in found.trials)
    return lines + ([f"{failed} of {len(found.trials)} trials failed"] if failed else [])


def _comments(found: Found) -> dict[str, str]:
    """What stands behind each value that is written."""
    from jptycho.automatic.search import KEYS  # noqa: PLC0415

    comments = {}
    for name in found.values:
        error = f"± {found.errors[name]:.2g}" if name in found.errors else ""
        words = [KEYS[name].unit, error, f"best of {len(found.trials)} trials"]
        comments[name] = ", ".join(filter(None, words))
    return comments


def _write_found(found: Found, settings: Config, config: Path, write: Path) -> None:
    """A configuration with what was found, its comments and paths kept."""
    write.parent.mkdir(parents=True, exist_ok=True)
    text = with_paths(read_text(config), config, write)
    write_text(write, _with_found(text, settings, found.values, _comments(found)))
    console.print(f"wrote {write}")


def _with_found(text: str, settings: Config, values: dict[str, float], comments: dict[str, str]) -> str:
    """The text of a configuration with values of a search, each in its table."""
    tables: dict[str, Table] = {"data": {}, "object": {}, "probe": {}}
    remarks = dict(comments)
    for name, value in values.items():
        if name == "modes":
            tables["probe"][name] = int(value)
        elif name == "thickness":
            tables["object"]["slice_thickness"] = float(f"{value / settings.object.slices:.6g}")
            if name in comments:
                remarks["slice_thickness"] = f"{settings.object.slices} slices: {value:.5g} {comments[name]}"
        else:
            tables["data"][name] = float(f"{value:.6g}")
    for table, changed in tables.items():
        if changed:
            text = with_values(text, table, changed, remarks)
    return text
