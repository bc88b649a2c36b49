"""``jptycho inspect``: what is in a file, what a run would take, and whether something is wrong."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table as RichTable

from jptycho.cli.data_options import data_options
from jptycho.errors import ConfigError, FormatError
from jptycho.settings import Table

if TYPE_CHECKING:
    from jptycho.config.run import Config
    from jptycho.data.dataset import Dataset4D
    from jptycho.diagnostics.contents import FileArray, Offer
    from jptycho.diagnostics.inspection import Inspection
    from jptycho.preprocess.memory import RunShape
    from jptycho.preprocess.network_memory import NetworkShape

console = Console(highlight=False, soft_wrap=True)
MARKS = {"wrong": "✗", "missing": "?", "doubt": "!", "good": "✓"}
SHOWN = 24  # arrays of a file
COLUMN = 21  # characters that the names of what is found take


def inspect(
    words: Annotated[
        list[str], typer.Argument(metavar="FILE [--energy EV] [--step Å] ...", help="scan, and any key of [data]")
    ],
    config: Annotated[Path | None, typer.Option(help="TOML file of a run, whose settings are taken")] = None,
    json_: Annotated[bool, typer.Option("--json", help="print JSON instead of text")] = False,
    write: Annotated[Path | None, typer.Option(help="TOML file to write, to start from; must not exist")] = None,
    picture: Annotated[Path | None, typer.Option(help="PNG to write: mean pattern, bright field, counts")] = None,
) -> None:
    """Look at a scan before a run: what is in it, its counts and dose, what a run takes, and a verdict in words."""
    from jptycho.diagnostics.contents import arrays_of, offers_of  # noqa: PLC0415
    from jptycho.diagnostics.inspection import inspect_dataset  # noqa: PLC0415

    file, given = data_options(words)
    settings = _settings(config, file)
    path, options = _file_and_options(settings, file, given)
    for target, ending in ((write, ".toml"), (picture, ".png")):
        _check_target(target, ending)
    kind, arrays = arrays_of(path, options)
    if not json_:
        _print_arrays(path, kind, arrays)
    dataset = _open(path, options)
    offers = offers_of(arrays, dataset.shape)
    found = inspect_dataset(dataset, _run_shape(settings, dataset), _network_shape(settings))
    if json_:
        console.out(json.dumps(as_json(found, arrays), indent=1, ensure_ascii=False, allow_nan=False))
    else:
        _print_report(found)
        _print_offers(offers, options)
    if found.refusal:
        raise ConfigError(found.refusal)
    if write is not None:
        source = config or (Path(str(file)) if settings is not None else None)
        changed = given if config is None else {"file": str(path), **given}
        _write_start(write, source, changed if source else options, path, found, offers)
    if picture is not None:
        from jptycho.report.inspection import inspection_figure  # noqa: PLC0415

        inspection_figure(found).savefig(picture)
    if not json_:
        for target in (write, picture):
            _print_written(target)


def _write_start(
    write: Path, source: Path | None, options: Table, path: Path, found: Inspection, offers: tuple[Offer, ...]
) -> None:
    """A configuration to start from: a new one, or the one that was given with what was found on top of it."""
    from jptycho.cli.start_file import continued_toml, starting_toml  # noqa: PLC0415
    from jptycho.cli.toml_text import write_text  # noqa: PLC0415
    from jptycho.data.readers.hdf5 import refuse_existing  # noqa: PLC0415

    if source is None:
        text = starting_toml(found, path, options, write, offers)
    else:
        text = continued_toml(found, source, options, write, offers)
    refuse_existing(write, overwrite=None)
    write_text(write, text)


def _print_offers(offers: tuple[Offer, ...], options: Table) -> None:
    for one in offers:
        if one.key and not options.get(one.key):
            console.print(
                f"· the file holds {one.name!r}: give --{one.key} if it is that ({one.meaning}).", markup=False
            )
        elif not one.key:
            console.print(f"· the file holds {one.name!r}: {one.meaning}.", markup=False)


def _print_written(target: Path | None) -> None:
    if target is not None:
        console.print(f"wrote {target}")


def _check_target(target: Path | None, ending: str) -> None:
    """Refuse what cannot be written before anything is read."""
    from jptycho.data.readers.hdf5 import refuse_existing  # noqa: PLC0415

    if target is None:
        return
    if target.suffix.lower() != ending:
        raise ConfigError(f"output: expected a name that ends in {ending}, found {str(target)!r}. Rename it.")
    if not target.resolve().parent.is_dir():
        raise FormatError(f"output: no folder {str(target.parent)!r}. Make it, or choose another.")
    refuse_existing(target, overwrite=None)


def _settings(config: Path | None, file: str | None) -> Config | None:
    """Settings of a run, where a TOML file is given in either place."""
    from jptycho.config.run import load_config  # noqa: PLC0415

    toml = file is not None and Path(file).suffix == ".toml"
    if config is not None and toml:
        raise ConfigError(f"--config: given beside {file}, which is a configuration itself. Keep one of them.")
    path = Path(str(file)) if toml else config
    return None if path is None else load_config(path)


def _file_and_options(settings: Config | None, file: str | None, given: Table) -> tuple[Path, Table]:
    """The scan, and keys of ``[data]``: those of the command line before those of the configuration."""
    table = {} if settings is None else settings.data.model_dump(exclude_none=True)
    scan = table.pop("file", None) if file is None or Path(file).suffix == ".toml" else file
    table.pop("file", None)
    if not scan:
        raise ConfigError("FILE: missing. Name the scan, as in: jptycho inspect scan.h5")
    if not table.get("aberrations"):
        table.pop("aberrations", None)
    if table.get("positions") is None:
        table.pop("positions_unit", None)
    return Path(scan), {**table, **given}


def _open(path: Path, options: Table) -> Dataset4D:
    from jptycho.data.readers.open import open_dataset  # noqa: PLC0415

    return open_dataset(path, **options)


def _run_shape(settings: Config | None, dataset: Dataset4D) -> RunShape:
    """What of the settings decides time and memory."""
    from jptycho.preprocess.automatic import choose_batch  # noqa: PLC0415
    from jptycho.preprocess.memory import RunShape  # noqa: PLC0415
    from jptycho.settings import AUTO  # noqa: PLC0415

    patterns = math.prod(dataset.shape[:-2])
    if settings is None:
        return RunShape(batch=choose_batch(patterns))
    pixels, halves = settings.pixels, settings.pixels.half_sets
    batch = choose_batch(patterns) if pixels.batch == AUTO else int(pixels.batch)
    return RunShape(
        slices=settings.object.slices,
        channels=2 if settings.object.kind == "complex" else 1,
        modes=settings.probe.modes,
        batch=min(batch, patterns),
        half_sets=(None if halves == AUTO else bool(halves)) if pixels.solver == "gradient" else False,
        epochs=pixels.epochs,
    )


def _network_shape(settings: Config | None) -> NetworkShape | None:
    """What of the settings decides what networks take."""
    from jptycho.preprocess.network_memory import NetworkShape  # noqa: PLC0415
    from jptycho.settings import AUTO  # noqa: PLC0415

    if settings is None:
        return None
    dgp = settings.dgp
    return NetworkShape(
        base_channels=dgp.base_channels,
        levels=dgp.levels,
        stacks=settings.object.slices if dgp.architecture == "depth" else 1,
        members=1 if dgp.ensemble_size == AUTO else int(dgp.ensemble_size),
        half_sets=dgp.half_sets,
        micro_batch=dgp.micro_batch,
        epochs=dgp.epochs,
        start_epochs=dgp.start_epochs if dgp.start == "pixels" else 0,
        polish_epochs=int(dgp.polish_epochs),
    )


def _print_arrays(path: Path, kind: str, arrays: tuple[FileArray, ...]) -> None:
    console.print(f"{path}: {kind}, {_size(path)}", markup=False)
    table = RichTable("array", "shape", "type", box=None)
    for one in arrays[:SHOWN]:
        table.add_row(one.name, " x ".join(str(n) for n in one.shape) or "a number", one.dtype)
    console.print(table)
    if len(arrays) > SHOWN:
        console.print(f"and {len(arrays) - SHOWN} more")


def _size(path: Path) -> str:
    from jptycho.preprocess.memory import in_bytes  # noqa: PLC0415

    return in_bytes(path.stat().st_size) if path.is_file() else "a folder"


def _print_report(found: Inspection) -> None:
    from jptycho.diagnostics.description import describe  # noqa: PLC0415
    from jptycho.diagnostics.verdict import verdict  # noqa: PLC0415

    for name, text in describe(found):
        console.print(f"{name:{COLUMN}}{text}", markup=False)
    console.print()
    for finding in verdict(found):
        console.print(f"{MARKS[finding.kind]} {finding.text}", markup=False)


def as_json(found: Inspection, arrays: tuple[FileArray, ...]) -> Table:
    """An inspection as plain numbers and words, without its images.

    Args:
        found: by the inspection.
        arrays: of the file.

    Returns:
        tables.
    """
    from jptycho.diagnostics.verdict import verdict  # noqa: PLC0415

    images = {"rows", "totals", "bright_field", "mean_pattern", "disk", "edges", "histogram"}
    counts = found.counts
    values = {field.name: getattr(found, field.name) for field in dataclasses.fields(found) if field.name != "counts"}
    table = {name: _plain(value) for name, value in values.items()}
    table["counts"] = {
        "sampled_patterns": len(counts.rows),
        "per_pattern": {"mean": counts.totals.mean(), "min": counts.totals.min(), "max": counts.totals.max()},
        **{f.name: getattr(counts, f.name) for f in dataclasses.fields(counts) if f.name not in images},
    }
    table["arrays"] = [dataclasses.asdict(one) for one in arrays]
    table["verdict"] = [dataclasses.asdict(finding) for finding in verdict(found)]
    return {name: _plain(value) for name, value in table.items()}


def _plain(value: object) -> object:
    """What JSON can hold: numbers that are not finite are null."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _plain(dataclasses.asdict(value))
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)
