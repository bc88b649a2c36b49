"""``jptycho plan``: what the stages of a run take of memory, before it is begun."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table as RichTable

from jptycho.errors import ConfigError

if TYPE_CHECKING:
    from jptycho.assembly.memory_plan import MemoryPlan
    from jptycho.config.run import Config

console = Console(highlight=False, soft_wrap=True)


def plan(
    config: Annotated[Path, typer.Argument(help="TOML file of a run")],
    memory: Annotated[float | None, typer.Option(help="GB that the run may take; replaces memory.limit")] = None,
    json_: Annotated[bool, typer.Option("--json", help="print JSON instead of a table")] = False,
) -> None:
    """What a run takes of memory, stage by stage, and whether it fits: some patterns are read, nothing is computed."""
    from jptycho.config.run import load_config, with_changes  # noqa: PLC0415

    settings = load_config(config)
    if memory is not None:
        settings = with_changes(settings, {"memory": {"limit": memory}})
    found = _planned(settings)
    if json_:
        console.out(json.dumps(dataclasses.asdict(found) | {"fits": not found.refusal}, indent=1, ensure_ascii=False))
    else:
        _print(found)
    if found.refusal:
        raise ConfigError(found.refusal)


def _planned(settings: Config) -> MemoryPlan:
    """The plan of a run, with the patterns held where that fits."""
    from jptycho.assembly.auto import open_from_config  # noqa: PLC0415
    from jptycho.assembly.loading import sampled_problem  # noqa: PLC0415
    from jptycho.automatic import check_settings, first_settings  # noqa: PLC0415
    from jptycho.cli.devices import use_cores  # noqa: PLC0415
    from jptycho.reconstruction.reconstruct import plan_run  # noqa: PLC0415
    from jptycho.settings import AUTO  # noqa: PLC0415

    check_settings(settings)
    use_cores(lambda message: None)
    if settings.method == AUTO:
        first = first_settings(settings)
        return plan_run(first, sampled_problem(first, open_from_config(first)))
    problem, stream = sampled_problem(settings, open_from_config(settings)), settings.memory.stream
    found = plan_run(settings, problem, streamed=stream is True)
    by_parts = stream == AUTO and found.refusal and found.by_parts
    return plan_run(settings, problem, streamed=True) if by_parts else found


def _print(found: MemoryPlan) -> None:
    from jptycho.assembly.memory_plan import summarise_plan  # noqa: PLC0415
    from jptycho.preprocess.memory import in_bytes  # noqa: PLC0415

    head = ["stage", "epochs", "at once", "patterns", "state", "working", "machine"]
    apart = found.budget.device is not None
    table = RichTable(*head, *(["device"] if apart else []), box=None)
    for need in found.stages:
        sizes = [need.counts, need.state, need.working, need.host, *([need.device] if apart else [])]
        epochs = "as were best" if need.epochs is None else str(need.epochs)
        table.add_row(need.name, epochs, str(need.part), *map(in_bytes, sizes))
    console.print(table)
    if not found.refusal:
        console.print(summarise_plan(found) + ": fits")
