"""``jptycho compare``: two results of the same specimen, aligned."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table as RichTable

from jptycho.errors import ConfigError

console = Console(highlight=False, soft_wrap=True)


def compare(
    first: Annotated[Path, typer.Argument(help="HDF5 result, on whose pixels both are compared")],
    second: Annotated[Path, typer.Argument(help="HDF5 result of the same specimen")],
    picture: Annotated[Path | None, typer.Option(help="PNG to write: both, their difference, ring correlation")] = None,
    json_: Annotated[bool, typer.Option("--json", help="print JSON instead of text")] = False,
) -> None:
    """Align two results and say how alike they are: correlation, difference, Fourier ring correlation."""
    from jptycho.data.readers.hdf5 import refuse_existing  # noqa: PLC0415
    from jptycho.data.results import read_result  # noqa: PLC0415
    from jptycho.diagnostics.alignment import compare_results  # noqa: PLC0415

    if picture is not None:
        if picture.suffix.lower() != ".png":
            raise ConfigError(f"output: expected a name that ends in .png, found {str(picture)!r}. Rename it.")
        refuse_existing(picture, overwrite=False)
    found = compare_results(read_result(first, "first result"), read_result(second, "second result"))
    unit = found.unit
    if json_:
        values = {
            "shape": found.first.shape,
            "sampling": found.sampling,
            "unit": unit,
            "shift": found.shift,
            "correlation": found.correlation,
            "difference_rad": found.difference,
            "contrast": found.contrast,
            "frc": {
                "frequency": np.asarray(found.rings.frequency).tolist(),
                "correlation": np.asarray(found.rings.correlation).tolist(),
                "below_half_at": found.half,
                "below_seventh_at": found.seventh,
            },
        }
        console.out(json.dumps(values, indent=1, ensure_ascii=False))
    else:
        table = RichTable(box=None, show_header=False)
        rows, columns = found.first.shape
        table.add_row("compared", f"{rows} x {columns} pixels of {found.sampling[0]:.4g} {unit} that both scans span")
        table.add_row("shift", f"({found.shift[0]:+.3g}, {found.shift[1]:+.3g}) {unit} along (y, x), then a plane")
        table.add_row("correlation", f"{found.correlation:.4f}")
        table.add_row("difference", f"{found.difference:.4g} rad root mean square; contrast {found.contrast:.3f}")
        for level, at, means in (("1/2", found.half, "against a truth"), ("1/7", found.seventh, "independent data")):
            table.add_row(f"FRC below {level}", f"{at:.4g} {unit}⁻¹{_length(at, unit)} (the limit: {means})")
        console.print(table)
    if picture is not None:
        from jptycho.report.comparison import comparison_figure  # noqa: PLC0415

        names = (first.stem, second.stem) if first.stem != second.stem else (str(first), str(second))
        comparison_figure(found, names).savefig(picture)
        if not json_:
            console.print(f"wrote {picture}")


def _length(frequency: float, unit: str) -> str:
    return f", {1 / frequency:.3g} {unit}" if frequency > 0 else ""
