"""The command line: simulate, reconstruct, demo."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table as RichTable

from jptycho.cli.calibrate import calibrate
from jptycho.cli.compare import compare
from jptycho.cli.devices import use_cores
from jptycho.cli.export import export
from jptycho.cli.inspect import inspect
from jptycho.cli.interruption import NOTHING, guard, in_one_line
from jptycho.cli.plan import plan
from jptycho.cli.progress import Progress
from jptycho.cli.search import search
from jptycho.config.run import Config, load_config, with_changes
from jptycho.errors import ConfigError, DivergenceError, JptychoError
from jptycho.settings import load_toml, parse, to_toml
from jptycho.simulate.scan import GoldSettings, simulate_gold

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Electron ptychography with pixels or deep generative priors."
)
console = Console(highlight=False, soft_wrap=True)


@app.command()
def simulate(
    output: Annotated[Path, typer.Argument(help="HDF5 file to write")] = Path("scan.h5"),
    config: Annotated[Path | None, typer.Option(help="TOML file of settings; `--print-config` shows all")] = None,
    dose: Annotated[float | None, typer.Option(help="electrons a square Å; replaces the file's")] = None,
    seed: Annotated[int | None, typer.Option(help="of counts and jitter; replaces the file's")] = None,
    overwrite: Annotated[bool, typer.Option(help="replace an existing file")] = False,
    print_config: Annotated[bool, typer.Option(help="write the complete configuration and stop")] = False,
) -> None:
    """Simulate a 4D-STEM scan of a gold nanoparticle on amorphous carbon, with its truth."""
    values = load_toml(config) if config else {}
    values.update({k: v for k, v in (("dose", dose), ("seed", seed)) if v is not None})
    settings = parse(GoldSettings, values)
    if print_config:
        console.out(to_toml(settings), end="")
        return
    from jptycho.data.readers.hdf5 import refuse_existing  # noqa: PLC0415
    from jptycho.data.readers.jptycho_scan import write_scan  # noqa: PLC0415

    refuse_existing(output, overwrite)
    with in_one_line(lambda: NOTHING):
        scan = simulate_gold(settings)
        write_scan(output, scan, overwrite, extra={"simulation": to_toml(settings)})
    console.print(f"wrote {output}: {scan.shape[0]} x {scan.shape[1]} patterns of {scan.shape[2]} x {scan.shape[3]}")


@app.command()
def reconstruct(
    config: Annotated[Path, typer.Argument(help="TOML file; its [data] file names the scan")],
    method: Annotated[str | None, typer.Option(help="pixels, dgp or auto; replaces the file's")] = None,
    minutes: Annotated[float | None, typer.Option(help="that auto may take; replaces the file's")] = None,
    overwrite: Annotated[bool, typer.Option(help="replace an existing result")] = False,
    print_config: Annotated[bool, typer.Option(help="write the complete effective configuration and stop")] = False,
    memory: Annotated[float | None, typer.Option(help="GB that the run may take; replaces memory.limit")] = None,
) -> None:
    """Reconstruct a scan: result as HDF5, report as HTML and PNG. Ctrl-C ends after the epoch; run again to go on."""
    settings = load_config(config)
    if method is not None and settings.stages:
        raise ConfigError("--method: has no effect, for the configuration lists its stages. Leave it out.")
    changes = {
        "method": method,
        "automatic": None if minutes is None else {"minutes": minutes},
        "output": {"overwrite": True} if overwrite else None,
        "memory": None if memory is None else {"limit": memory},
    }
    settings = with_changes(settings, {name: change for name, change in changes.items() if change is not None})
    from jptycho.automatic import check_settings, settings_of_file  # noqa: PLC0415
    from jptycho.data.readers.hdf5 import refuse_existing  # noqa: PLC0415

    check_settings(settings)
    if print_config:
        console.out(to_toml(settings_of_file(settings)), end="")
        return
    output = Path(settings.output.file)
    page = output.with_suffix(".html")
    for path in (output, page, page.with_suffix("")) if settings.output.report else (output,):
        refuse_existing(path, settings.output.overwrite)
    _reconstruct(settings, output, page)


@app.command()
def demo(
    output: Annotated[Path, typer.Option(help="folder for scan, results and report")] = Path("demo"),
    dose: Annotated[float, typer.Option(help="electrons a square Å")] = 500.0,
    seed: Annotated[int, typer.Option(help="of the noise")] = 0,
) -> None:
    """Simulate a particle and reconstruct it with pixels and with deep generative priors."""
    parse(GoldSettings, {"dose": dose, "seed": seed})
    from jptycho.cli.demo import run_demo  # noqa: PLC0415

    left = f"what was finished is in {output}"
    with in_one_line(lambda: left if output.exists() else NOTHING), Progress(console) as progress:
        use_cores(console.print)
        table, files = run_demo(output, dose, seed, console.print, progress, progress.announce)
    console.print(table.caption)
    shown = RichTable(*table.head, box=None)
    for row in table.rows:
        shown.add_row(*row)
    console.print(shown)
    for file in files:
        if file.suffix != ".png":
            console.print(f"wrote {file}")


app.command(context_settings={"ignore_unknown_options": True})(inspect)
app.command()(calibrate)
app.command()(compare)
app.command()(export)
app.command()(plan)
app.command()(search)


def _reconstruct(settings: Config, output: Path, page: Path) -> None:
    """Run, and write result and report."""
    from jptycho.automatic import reconstruct as running  # noqa: PLC0415
    from jptycho.data.checkpoints import remove_checkpoint  # noqa: PLC0415
    from jptycho.data.display import found_in_words  # noqa: PLC0415
    from jptycho.data.results import write_result  # noqa: PLC0415

    checkpoint = output.with_name(output.name + ".checkpoint")
    written: list[Path] = []
    with in_one_line(lambda: _left(written, checkpoint)), Progress(console) as progress:
        use_cores(console.print)
        result = running(
            None,
            settings,
            log=console.print,
            callback=lambda record, _: progress(record),
            announce=progress.announce,
            checkpoint=checkpoint,
        )
        progress.announce("writing the result", 0, 0)
        write_result(output, result, settings.output.overwrite)
        written.append(output)
        if result.attributes["status"] == "done":
            remove_checkpoint(checkpoint)
        console.print("\n".join([*(f"found {unknown}" for unknown in found_in_words(result)), f"wrote {output}"]))
        if settings.output.report:
            from jptycho.report.page import write_report  # noqa: PLC0415

            progress.announce("writing the report", 0, 0)
            did = str(result.attributes["method"])
            write_report(page, {did: result}, f"{Path(settings.data.file).name}: {did}")
            console.print(f"wrote {page} and {page.with_suffix('')}/*.png")
    if result.attributes["status"] != "done":
        validated = math.isfinite(result.history["validation_loss"][-1])
        last = "the best epoch so far" if validated else "the last epoch"
        onward = f"to go on from {checkpoint}" if checkpoint.exists() else "to begin anew: there is no checkpoint yet"
        console.print(f"interrupted: the result is that of {last}; run with --overwrite {onward}")


def _left(written: list[Path], checkpoint: Path) -> str:
    """What a run leaves that was interrupted at once, and what to do."""
    if written:
        return f"{written[0]} is written, its report is not"
    onward = f"run the same command again to go on from {checkpoint}"
    return f"no result was written; {onward}" if checkpoint.exists() else NOTHING


def main() -> None:
    """Entry point: every expected error becomes one line on stderr and exit code 2, Ctrl-C one and 130."""
    guard()
    try:
        app(standalone_mode=True)
    except DivergenceError as error:
        _fail(error, 3)
    except JptychoError as error:
        _fail(error, 2)
    except OSError as error:
        _fail(
            f"{error.filename or 'output'}: {error.strerror or error}. Check the path, its permissions and the disk.", 2
        )


def _fail(error: JptychoError | str, code: int) -> None:
    Console(stderr=True, highlight=False, soft_wrap=True, markup=False).print(f"error: {error}")
    sys.exit(code)


if __name__ == "__main__":
    main()
