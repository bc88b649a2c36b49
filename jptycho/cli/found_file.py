"""The TOML file that a calibration leaves: the given one with what was found, each value's error as a comment."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from jptycho.cli.toml_text import with_paths, with_values
from jptycho.settings import Table

if TYPE_CHECKING:
    from jptycho.preprocess.scan_calibration import ScanCalibration

LEAST_ASTIGMATISM = 3.0  # standard errors, below which C12 is not written


def new_configuration(
    text: str, found: ScanCalibration, source: Path, target: Path, bad: list[tuple[int, int]] | None = None
) -> str:
    """The configuration as it was, with what was found in ``[data]``, each value's error as a comment behind it.

    Args:
        text: of the given configuration.
        found: of :func:`jptycho.preprocess.scan_calibration.calibrate_scan`.
        source: where the configuration was read from.
        target: where it is to be written; relative paths are made to start there.
        bad: rows and columns of bad pixels that nothing leaves out so far.

    Returns:
        TOML.
    """
    text = with_paths(text, source, target)
    given = tomllib.loads(text)["data"]
    data, comments = _found_table(given, found)
    if bad and not {"crop", "bin"} & set(given):
        data["bad_pixels"] = [list(place) for place in [*given.get("bad_pixels", []), *bad]]
        comments["bad_pixels"] = "[row, column], left out"
    if re.search(r"^\s*\[data\.aberrations\]", text, re.MULTILINE):
        text = with_values(text, "data.aberrations", data.pop("aberrations", {}))
    text = with_values(text, "data", data, comments)
    doubts = [f"# cannot be told: {why}" for why in found.undecided]
    said = "".join(line + "\n" for line in doubts if line not in text)
    return re.sub(r"^(\s*\[data\].*\n)", lambda header: header[1] + said, text, count=1, flags=re.MULTILINE)


def _found_table(data: Table, found: ScanCalibration) -> tuple[Table, dict[str, str]]:
    """Keys of ``[data]`` that were found, and comments."""
    given, data = data, {}
    comments = {"semiangle_cutoff": f"mrad, ± {found.semiangle_cutoff[1]:.2g} from the bright disk"}
    data["semiangle_cutoff"] = float(f"{found.semiangle_cutoff[0]:.6g}")
    if "reciprocal_sampling" not in given and "angular_sampling" not in given:
        data["reciprocal_sampling"] = [float(f"{step:.6g}") for step in found.reciprocal_sampling]
        comments["reciprocal_sampling"] = "Å⁻¹ a pixel along (y, x)"
    if found.step_scale is not None:
        factor, error = found.step_scale
        steps = given["step"] if isinstance(given["step"], list) else [given["step"]]
        scaled = [float(f"{step * factor:.6g}") for step in steps]
        data["step"] = scaled if len(scaled) > 1 else scaled[0]
        comments["step"] = f"Å, {factor:.4f} ± {error:.2g} of the given by the lattice"
    fit, twin = found.fit, found.twin
    if fit is None or twin is None:
        return data, comments
    data["rotation"], data["transpose"] = round(fit.rotation, 3), fit.transpose
    data["defocus"] = float(f"{fit.defocus:.6g}")
    comments["rotation"] = f"degrees, ± {fit.errors['rotation']:.2g}"
    comments["transpose"] = f"by {found.handed:.1f} standard errors"
    comments["defocus"] = (
        f"Å, ± {fit.errors['defocus']:.2g}; twin with the phase inverted: rotation = {twin.rotation:.2f}, "
        f"defocus = {twin.defocus:.5g}"
    )
    kept = given.get("aberrations", {})
    if fit.astigmatism / max(fit.errors["astigmatism"], 1e-9) > LEAST_ASTIGMATISM:
        kept = kept | {"C12": float(f"{fit.astigmatism:.4g}"), "phi12": round(fit.azimuth, 3)}
        comments["aberrations"] = f"C12 ± {fit.errors['astigmatism']:.2g} Å"
    elif "C12" in kept:
        kept = kept | {"C12": 0.0}
    return (data | {"aberrations": kept} if kept else data), comments
