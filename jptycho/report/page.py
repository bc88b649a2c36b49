"""The report: one HTML page that needs nothing else, and its figures as PNG files beside it."""

from __future__ import annotations

import base64
import dataclasses
import io
from importlib import resources
from pathlib import Path

from jinja2 import Environment
from matplotlib.figure import Figure

from jptycho.data.results import Result
from jptycho.report.figures import loss_figure, object_figure, pattern_figure, probe_figure, slices_figure


@dataclasses.dataclass(frozen=True)
class Table:
    """A table of the page.

    Attributes:
        caption: above it.
        head: column names.
        rows: of words.
    """

    caption: str
    head: list[str]
    rows: list[list[str]]


def run_table(results: dict[str, Result]) -> Table:
    """What each run did, in a row.

    Args:
        results: by name.

    Returns:
        the table.
    """
    rows = []
    for name, result in results.items():
        history = result.history
        rows.append(
            [
                name,
                str(result.attributes["status"]),
                str(len(history["loss"])),
                f"{history['seconds'][-1]:.1f}",
                f"{history['loss'][-1]:.5g}",
                f"{history['amplitude_error'][-1]:.4f}",
            ]
        )
    return Table("Runs", ["run", "status", "epochs", "seconds", "loss", "amplitude error"], rows)


def unknowns_table(results: dict[str, Result]) -> Table:
    """What else each run found: further unknowns, their mean over patterns or pixels and how far it varies.

    Args:
        results: by name.

    Returns:
        the table; without rows where there is nothing else.
    """
    rows = [
        [name, unknown, f"{values.mean():.4g}", f"{values.std():.2g}", result.units.get(unknown, "")]
        for name, result in results.items()
        for unknown, values in (result.extra | result.shared).items()
        if values.dtype.kind == "f"
    ]
    return Table("Further unknowns", ["run", "unknown", "mean", "standard deviation", "unit"], rows)


def figures_of(results: dict[str, Result]) -> dict[str, tuple[str, str, Figure]]:
    """Every figure of a report.

    Args:
        results: by name.

    Returns:
        file name to heading, caption and figure.
    """
    found = {
        "object": (
            "Object",
            "Phase summed over slices within the scanned field, and its power spectrum (Hann window, logarithmic).",
            object_figure(results),
        ),
        "probe": (
            "Probe",
            "Modes in real and reciprocal space: hue is phase, brightness amplitude, each to its own maximum.",
            probe_figure(results),
        ),
        "loss": ("Convergence", "Loss as seen while each epoch ran.", loss_figure(results)),
    }
    for name, result in results.items():
        if len(result.phase) > 1 or result.absorption is not None or result.deviation is not None:
            caption = "In the order the beam meets them."
            if result.deviation is not None:
                detail, unit = result.attributes.get("ensemble_resolution"), result.attributes["length_unit"]
                down_to = "" if detail is None else f", which agree on detail down to {float(detail):.3g} {unit}"
                caption += f" Deviation: over {result.attributes['members']} members{down_to}."
            found[f"slices_{name}"] = (f"Slices: {name}", caption, slices_figure(result))
        found[f"patterns_{name}"] = (
            f"Mean patterns: {name}",
            "Zero frequency in the centre. What the difference shows, the model does not explain.",
            pattern_figure(result),
        )
    return found


def write_report(path: Path, results: dict[str, Result], title: str, tables: list[Table] | None = None) -> list[Path]:
    """Write the page, and its figures as PNG files into a folder of the same name.

    Args:
        path: of the HTML file.
        results: by name.
        title: of the page.
        tables: shown before the table of runs.

    Returns:
        every file written.
    """
    folder = path.with_suffix("")
    folder.mkdir(parents=True, exist_ok=True)
    written, entries = [path], []
    for name, (heading, caption, figure) in figures_of(results).items():
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png")
        target = folder / f"{name}.png"
        target.write_bytes(buffer.getvalue())
        written.append(target)
        entries.append(figure_entry(heading, caption, buffer.getvalue()))
    configurations = {name: str(result.attributes["configuration"]) for name, result in results.items()}
    objectives = {
        name: "\n".join(str(result.attributes.get(key, "")) for key in ("objective", "choices")).splitlines()
        for name, result in results.items()
    }
    shown = [table for table in (*(tables or []), run_table(results), unknowns_table(results)) if table.rows]
    path.write_text(render_page(title, entries, shown, objectives, configurations), encoding="utf-8")
    return written


def figure_entry(heading: str, caption: str, png: bytes) -> dict[str, str]:
    """A figure as the page takes it.

    Args:
        heading: above it.
        caption: below the heading.
        png: the file's bytes.

    Returns:
        the entry.

    Example:
        >>> figure_entry("Disk", "Mean pattern", b"png")["png"]
        'cG5n'
    """
    return {"heading": heading, "caption": caption, "png": base64.b64encode(png).decode()}


def render_page(
    title: str,
    figures: list[dict[str, str]],
    tables: list[Table],
    objectives: dict[str, list[str]],
    configurations: dict[str, str],
) -> str:
    """One HTML page that needs nothing else.

    Args:
        title: of the page.
        figures: of :func:`figure_entry`.
        tables: above them.
        objectives: lines of words by name.
        configurations: texts by name, at the end.

    Returns:
        HTML.
    """
    template = Environment(autoescape=True).from_string(
        resources.files("jptycho.report").joinpath("page.html").read_text(encoding="utf-8")
    )
    return template.render(
        title=title, tables=tables, objectives=objectives, figures=figures, configurations=configurations
    )
