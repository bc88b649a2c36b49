"""``jptycho export``: a result in a format that other programs open."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

console = Console(highlight=False, soft_wrap=True)


def export(
    result: Annotated[Path, typer.Argument(help="HDF5 result of a reconstruction")],
    output: Annotated[Path, typer.Argument(help="file to write: .ome.tif, .tif or .zarr")],
    whole: Annotated[bool, typer.Option(help="the whole canvas instead of the part that the scan spans")] = False,
    overwrite: Annotated[bool, typer.Option(help="replace an existing file")] = False,
) -> None:
    """Write a result as OME-TIFF or zarr, with the sizes of its pixels, for HyperSpy, napari or Fiji."""
    from jptycho.data.export import export_result  # noqa: PLC0415
    from jptycho.data.results import read_result  # noqa: PLC0415

    export_result(output, read_result(result), whole, overwrite)
    console.print(f"wrote {output}")
