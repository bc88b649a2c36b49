"""A TOML file to start from, with what an inspection found as comments."""

from __future__ import annotations

import dataclasses
import os
import tomllib
from pathlib import Path

import tomli_w

from jptycho.cli.toml_text import line_end, read_text, with_paths, with_values
from jptycho.config.run import DATA_PATHS
from jptycho.data.readers.options import DataSettings
from jptycho.diagnostics.contents import Offer
from jptycho.diagnostics.inspection import Inspection
from jptycho.diagnostics.verdict import verdict
from jptycho.preprocess.detector_gain import UNCERTAIN
from jptycho.settings import Table, parse, to_toml

CALIBRATED = ("energy", "semiangle_cutoff", "defocus", "step", "reciprocal_sampling", "rotation", "counts_per_electron")


def starting_toml(found: Inspection, file: Path, options: Table, target: Path, offers: tuple[Offer, ...] = ()) -> str:
    """A configuration that ``jptycho reconstruct`` takes once nothing is missing.

    Args:
        found: by the inspection.
        file: the scan.
        options: keys of ``[data]`` that were given.
        target: where the text will be written; its folder is what a relative path starts from.
        offers: arrays of the file that ``[data]`` could name.

    Returns:
        TOML with comments.
    """
    data = parse(DataSettings, _placed({**options, "file": str(file)}, target))
    lines = [
        "# A start: change what is not so, and run `jptycho reconstruct` with this file.",
        *_findings(found),
        "",
        'method = "pixels"  # a first look; "dgp" where the dose is low',
        "",
        "[data]",
        *(line for line in to_toml(data, "data.").splitlines() if not line.startswith("aberrations = {}")),
        *_known(found, options),
        *_offered(offers, options),
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


def continued_toml(found: Inspection, source: Path, given: Table, target: Path, offers: tuple[Offer, ...] = ()) -> str:
    """A configuration as it was, comments and all, with what was found before it and what was given in its ``[data]``.

    Args:
        found: by the inspection.
        source: the configuration.
        given: keys of ``[data]`` that replace or add to its own.
        target: where the text will be written.
        offers: arrays of the scan's file that ``[data]`` could name.

    Returns:
        TOML.

    Raises:
        ConfigError: its ``[data]`` cannot be changed line by line.
    """
    text = read_text(source)
    values = tomllib.loads(text)
    text = with_paths(text, source, target)
    text = with_values(text, "data", _placed(given, target)) if given else text
    options = values.get("data", {}) | given
    head = [
        f"# What was found on {source.name}:",
        *_findings(found),
        *_known(found, options),
        *_offered(offers, options),
    ]
    return line_end(text).join([*head, "", text])


def _findings(found: Inspection) -> list[str]:
    return [f"# {finding.kind}: {finding.text}" for finding in verdict(found)]


def _placed(options: Table, target: Path) -> Table:
    """Keys of ``[data]``, their paths from where the configuration will be."""
    folder = target.resolve().parent
    paths = {key: os.path.relpath(Path(options[key]).resolve(), folder) for key in DATA_PATHS if options.get(key)}
    return {**options, **paths}


def _offered(offers: tuple[Offer, ...], options: Table) -> list[str]:
    """Arrays of the file that could be named, as comments to take away the sign from."""
    lines = []
    for one in offers:
        if one.key and not options.get(one.key):
            name = tomli_w.dumps({one.key: one.name}).strip()
            lines.append(f"# {name}  # {one.meaning}" + ("; instead of step" if one.key == "positions" else ""))
        elif not one.key:
            lines.append(f"# the file holds {one.name!r}: {one.meaning}")
    return lines


def _known(found: Inspection, options: Table) -> list[str]:
    """What the file itself says, and what the counts show, as comments."""
    calibration = found.calibration
    if calibration.reciprocal_sampling is not None:  # of the stored pixels, of which bin adds some up
        rows, columns = (step / options.get("bin", 1) for step in calibration.reciprocal_sampling)
        calibration = dataclasses.replace(calibration, reciprocal_sampling=(rows, columns))
    said = [(name, getattr(calibration, name)) for name in CALIBRATED if name not in options]
    lines = [f"# the file says {name} = {value}" for name, value in said if value not in (None, 0.0)]
    electrons = found.electrons
    if electrons is not None and electrons.source in UNCERTAIN and "counts_per_electron" not in options:
        lines.append(f"# the counts show about {electrons.counts_per_electron:.3g} counts per electron")
    return lines


def _bare(name: str) -> str:
    """A file's name without what TOML would have to escape."""
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in name)
