"""The TOML file that a calibration leaves: the given one with what was found, each value's error as a comment."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from jptycho.cli.toml_text import with_paths, with_remarks, with_values
from jptycho.settings import Table

if TYPE_CHECKING:
    from jptycho.data.dataset import Dataset4D
    from jptycho.preprocess.scan_calibration import ScanCalibration

LEAST_ASTIGMATISM = 3.0  # standard errors, below which C12 is not written


def new_configuration(
    text: str,
    found: ScanCalibration,
    dataset: Dataset4D,
    source: Path,
    target: Path,
    bad: list[tuple[int, int]] | None = None,
) -> str:
    """The configuration as it was, with what was found in ``[data]``, each value's error as a comment behind it.

    Args:
        text: of the given configuration.
        found: of :func:`jptycho.preprocess.scan_calibration.calibrate_scan`.
        dataset: the scan as it was given.
        source: where the configuration was read from.
        target: where it is to be written; relative paths are made to start there.
        bad: rows and columns of bad pixels that nothing leaves out so far.

    Returns:
        TOML.
    """
    text = with_paths(text, source, target)
    given = tomllib.loads(text)["data"]
    data, comments = _found_table(given, found)
    if found.step_scale is not None and dataset.calibration.step is not None:
        factor, error = found.step_scale
        first, second = (float(f"{step * factor:.6g}") for step in dataset.calibration.step)
        data["step"] = first if first == second else [first, second]
        comments["step"] = f"Å, {factor:.4f} ± {error:.2g} of the given by the lattice"
    if bad:
        data["bad_pixels"] = [list(place) for place in [*given.get("bad_pixels", []), *bad]]
        comments["bad_pixels"] = "[row, column], left out"
    if re.search(r"^\s*\[data\.aberrations\]", text, re.MULTILINE):
        text = with_values(text, "data.aberrations", data.pop("aberrations", {}))
    text = with_values(text, "data", data, comments)
    return with_remarks(text, "data", "cannot be told", found.undecided)


def check_changeable(text: str) -> None:
    """Refuse a configuration that could not be written with what will be found in it.

    Args:
        text: of the configuration.

    Raises:
        ConfigError: its ``[data]`` cannot be changed line by line.
    """
    with_values(text, "data", {"semiangle_cutoff": 1.0, "rotation": 0.0, "transpose": False, "defocus": 0.0})


def _found_table(data: Table, found: ScanCalibration) -> tuple[Table, dict[str, str]]:
    """Keys of ``[data]`` that were found, and comments."""
    given, data = data, {}
    comments = {"semiangle_cutoff": f"mrad, ± {found.semiangle_cutoff[1]:.2g} from the bright disk"}
    data["semiangle_cutoff"] = float(f"{found.semiangle_cutoff[0]:.6g}")
    if "reciprocal_sampling" not in given and "angular_sampling" not in given:
        # [data] states that of the stored pixels, of which bin adds some up.
        size = given.get("bin", 1)
        data["reciprocal_sampling"] = [float(f"{step / size:.6g}") for step in found.reciprocal_sampling]
        comments["reciprocal_sampling"] = "Å⁻¹ a stored pixel along (y, x)"
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
