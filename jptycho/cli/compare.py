"""``jptycho compare``: two results of the same specimen, aligned."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from jptycho.errors import ConfigError
from jptycho.settings import Table

if TYPE_CHECKING:
    from jptycho.diagnostics.alignment import Comparison

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
        refuse_existing(picture, overwrite=None)
    found = compare_results(read_result(first, "first result"), read_result(second, "second result"))
    if json_:
        console.out(json.dumps(as_json(found), indent=1, ensure_ascii=False))
    else:
        _print_report(found)
    if picture is not None:
        from jptycho.report.comparison import comparison_figure  # noqa: PLC0415

        names = (first.stem, second.stem) if first.stem != second.stem else (str(first), str(second))
        comparison_figure(found, names).savefig(picture)
        if not json_:
            console.print(f"wrote {picture}")


def as_json(found: Comparison) -> Table:
    """A comparison as plain numbers, without its images.

    Args:
        found: by the comparison.

    Returns:
        tables.
    """
    return {
        "shape": list(found.first.shape),
        "sampling": list(found.sampling),
        "unit": found.unit,
        "shift": list(found.shift),
        "correlation": found.correlation,
        "difference_rad": found.difference,
        "contrast": found.contrast,
        "frc": {
            "frequency": found.rings.frequency.tolist(),
            "correlation": found.rings.correlation.tolist(),
            "below_half_at": found.half,
            "below_seventh_at": found.seventh,
        },
    }


def _print_report(found: Comparison) -> None:
    unit, (rows, columns) = found.unit, found.first.shape
    lines = [
        ("compared", f"{rows} x {columns} pixels of {found.sampling[0]:.4g} {unit} that both scans span"),
        ("shift", f"({found.shift[0]:+.3g}, {found.shift[1]:+.3g}) {unit} along (y, x), then a plane"),
        ("correlation", f"{found.correlation:.4f}"),
        ("difference", f"{found.difference:.4g} rad root mean square; contrast {found.contrast:.3f}"),
    ]
    for level, at, means in (("1/2", found.half, "against a truth"), ("1/7", found.seventh, "of independent data")):
        last = at >= found.rings.frequency[-1]
        where = f"nowhere up to {at:.4g} {unit}⁻¹" if last else f"{at:.4g} {unit}⁻¹{_length(at, unit)}"
        lines.append((f"FRC below {level}", f"{where} (the limit {means})"))
    for name, text in lines:
        console.print(f"{name:16}{text}", markup=False)


def _length(frequency: float, unit: str) -> str:
    return f", {1 / frequency:.3g} {unit}" if frequency > 0 else ""
