"""The TOML file that a calibration leaves: the given one with what was found, each value's error as a comment."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from jptycho.settings import Table

if TYPE_CHECKING:
    from jptycho.preprocess.scan_calibration import ScanCalibration

LEAST_ASTIGMATISM = 3.0  # standard errors, below which C12 is not written


def new_configuration(
    values: Table, found: ScanCalibration, source: Path, target: Path, bad: list[tuple[int, int]] | None = None
) -> str:
    """The configuration with what was found in ``[data]``, each value's error as a comment.

    Args:
        values: tables and keys of the given configuration.
        found: of :func:`jptycho.preprocess.scan_calibration.calibrate_scan`.
        source: where the configuration was read from.
        target: where it is to be written; a relative path to the scan is made to start there.
        bad: rows and columns of bad pixels that nothing leaves out so far.

    Returns:
        TOML.
    """
    import tomli_w  # noqa: PLC0415

    data, comments = _found_table(dict(values["data"]), found)
    if bad and not {"crop", "bin"} & set(data):
        data["bad_pixels"] = [list(place) for place in [*data.get("bad_pixels", []), *bad]]
        comments["bad_pixels"] = "[row, column], left out"
    if source.resolve().parent != target.resolve().parent:
        data["file"] = str((source.resolve().parent / str(data["file"])).resolve())
    rest = {name: value for name, value in values.items() if name != "data"}
    top = {name: value for name, value in rest.items() if not isinstance(value, dict | list)}
    tables = {name: value for name, value in rest.items() if name not in top}
    lines = [*tomli_w.dumps(top).splitlines(), "", "[data]"] if top else ["[data]"]
    lines += [f"# cannot be told: {why}" for why in found.undecided]
    for name, value in data.items():
        # An inline table keeps aberrations beside their error.
        text = _inline(value) if isinstance(value, dict) else tomli_w.dumps({name: value}).strip().split(" = ", 1)[1]
        lines.append(f"{name} = {' '.join(text.split())}" + (f"  # {comments[name]}" if name in comments else ""))
    return "\n".join(lines) + "\n" + ("\n" + tomli_w.dumps(tables) if tables else "")


def _found_table(data: Table, found: ScanCalibration) -> tuple[Table, dict[str, str]]:
    """``[data]`` with what was found, and comments."""
    comments = {"semiangle_cutoff": f"mrad, ± {found.semiangle_cutoff[1]:.2g} from the bright disk"}
    data["semiangle_cutoff"] = float(f"{found.semiangle_cutoff[0]:.6g}")
    if "reciprocal_sampling" not in data and "angular_sampling" not in data:
        data["reciprocal_sampling"] = [float(f"{step:.6g}") for step in found.reciprocal_sampling]
        comments["reciprocal_sampling"] = "Å⁻¹ a pixel along (y, x)"
    if found.step_scale is not None:
        factor, error = found.step_scale
        steps = data["step"] if isinstance(data["step"], list) else [data["step"]]
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
    kept = {name: value for name, value in data.pop("aberrations", {}).items() if name not in ("C12", "phi12")}
    if fit.astigmatism / max(fit.errors["astigmatism"], 1e-9) > LEAST_ASTIGMATISM:
        kept |= {"C12": float(f"{fit.astigmatism:.4g}"), "phi12": round(fit.azimuth, 3)}
        comments["aberrations"] = f"C12 ± {fit.errors['astigmatism']:.2g} Å"
    return (data | {"aberrations": kept} if kept else data), comments


def _inline(table: Table) -> str:
    return "{ " + ", ".join(f"{name} = {value}" for name, value in table.items()) + " }"
