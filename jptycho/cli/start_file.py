"""A TOML file to start from, with what an inspection found as comments."""

from __future__ import annotations

import os
from pathlib import Path

from jptycho.data.readers.options import DataSettings
from jptycho.diagnostics.inspection import Inspection
from jptycho.diagnostics.verdict import verdict
from jptycho.preprocess.detector_gain import UNCERTAIN
from jptycho.settings import Table, parse, to_toml

CALIBRATED = ("energy", "semiangle_cutoff", "defocus", "step", "reciprocal_sampling", "rotation", "counts_per_electron")


def starting_toml(found: Inspection, file: Path, options: Table, target: Path) -> str:
    """A configuration that ``jptycho reconstruct`` takes once nothing is missing.

    Args:
        found: by the inspection.
        file: the scan.
        options: keys of ``[data]`` that were given.
        target: where the text will be written; its folder is what a relative path starts from.

    Returns:
        TOML with comments.
    """
    relative = os.path.relpath(file.resolve(), target.resolve().parent)
    data = parse(DataSettings, {**options, "file": relative})
    lines = [
        "# A start: change what is not so, and run `jptycho reconstruct` with this file.",
        *(f"# {finding.kind}: {finding.text}" for finding in verdict(found)),
        "",
        'method = "pixels"  # a first look; "dgp" where the dose is low',
        "",
        "[data]",
        *(line for line in to_toml(data, "data.").splitlines() if not line.startswith("aberrations = {}")),
        *_known(found, options),
        "",
        "[object]",
        'kind = "phase"  # "potential" is never negative, "complex" adds absorption',
        "slices = 1  # more where the specimen is thick, with slice_thickness in Å",
        "",
        "[probe]",
        "modes = 1  # more where the source is not coherent",
        "",
        "[output]",
        f'file = "{_bare(target.stem)}_result.h5"  # and an HTML report beside it',
        "",
    ]
    return "\n".join(lines)


def _known(found: Inspection, options: Table) -> list[str]:
    """What the file itself says, and what the counts show, as comments."""
    said = [(name, getattr(found.calibration, name)) for name in CALIBRATED if name not in options]
    lines = [f"# the file says {name} = {value}" for name, value in said if value not in (None, 0.0)]
    electrons = found.electrons
    if electrons is not None and electrons.source in UNCERTAIN and "counts_per_electron" not in options:
        lines.append(f"# the counts show about {electrons.counts_per_electron:.3g} counts per electron")
    return lines


def _bare(name: str) -> str:
    """A file's name without what TOML would have to escape."""
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in name)
