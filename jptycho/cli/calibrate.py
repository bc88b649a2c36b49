"""``jptycho calibrate``: what a scan says of how it was recorded, in words, as JSON or as a configuration."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from jptycho.cli.found_file import check_changeable, new_configuration
from jptycho.cli.toml_text import read_text, with_values, write_text
from jptycho.errors import ConfigError, FormatError
from jptycho.settings import Table, load_toml

if TYPE_CHECKING:
    from jptycho.data.dataset import Dataset4D
    from jptycho.preprocess.scan_calibration import ScanCalibration


def calibrate(
    config: Annotated[Path, typer.Argument(help="TOML file; its [data] names the scan, energy, step and sampling")],
    write: Annotated[
        Path | None, typer.Option(help="new TOML file with what was found, and an HTML page of it beside it")
    ] = None,
    page: Annotated[Path | None, typer.Option(help="HTML page of what was found, elsewhere")] = None,
    lattice: Annotated[float | None, typer.Option(help="Å: spacing of the lattice that scales the step")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print the findings as JSON")] = False,
    overwrite: Annotated[bool, typer.Option(help="replace an existing file")] = False,
) -> None:
    """Find semiangle, orientation, defocus and bad pixels of a scan from its patterns, each with its error."""
    values = load_toml(config)
    table = _data_of(values, config)
    page = write.with_suffix(".html") if page is None and write is not None else page
    for target, ending in ((write, ".toml"), (page, ".html")):
        if target is not None:
            refuse_target(target, config, ending, overwrite)
    text = read_text(config)
    if write is not None:
        text = text if lattice is None else with_values(text, "data", {"lattice": lattice})
        check_changeable(text)
    spacing = _spacing(lattice, table)
    from jptycho.preprocess.scan_calibration import calibrate_scan  # noqa: PLC0415

    dataset = _open(table, config)
    found = calibrate_scan(dataset) if spacing is None else calibrate_scan(dataset, lattice=spacing)
    if as_json:
        import json  # noqa: PLC0415

        typer.echo(json.dumps(findings(found, dataset), indent=1, allow_nan=False))
    else:
        typer.echo("\n".join(f"{name:16}  {text}" for name, text in describe(found, dataset)))
    if write is not None:
        write.parent.mkdir(parents=True, exist_ok=True)
        text = new_configuration(text, found, dataset, config, write, new_bad_pixels(found, dataset))
        write_text(write, text)
    if page is not None:
        from jptycho.report.calibration import write_calibration_page  # noqa: PLC0415

        page.parent.mkdir(parents=True, exist_ok=True)
        write_calibration_page(page, found, describe(found, dataset), config.name)
    for target in (write, page):
        if target is not None and not as_json:
            typer.echo(f"wrote {target}")


def findings(found: ScanCalibration, dataset: Dataset4D) -> dict[str, object]:
    """Everything that was found, as plain numbers; errors are standard errors.

    Args:
        found: of :func:`jptycho.preprocess.scan_calibration.calibrate_scan`.
        dataset: the scan.

    Returns:
        names as in ``[data]``, and what else there is.
    """
    disk, window = found.disk, dataset.shape[-2:]
    out: dict[str, object] = {
        "semiangle_cutoff": _pair(found.semiangle_cutoff),
        "reciprocal_sampling": list(found.reciprocal_sampling),
        "disk_centre_pixels": [c + n // 2 for c, n in zip(disk.centre, window, strict=True)],
        "disk_centre_error": list(disk.centre_error),
        "disk_radius_pixels": [disk.radius, disk.radius_error],
        "disk_axes_ratio": disk.axes_ratio,
        "bad_pixels": bad_pixels(found, dataset),
        "step_scale": None if found.step_scale is None else _pair(found.step_scale),
        "undecided": list(found.undecided),
    }
    for name, fit in (("found", found.fit), ("twin", found.twin)):
        if fit is not None:
            out[name] = {
                "rotation": [fit.rotation, fit.errors["rotation"]],
                "transpose": fit.transpose,
                "defocus": [fit.defocus, fit.errors["defocus"]],
                "C12": [fit.astigmatism, fit.errors["astigmatism"]],
                "phi12": fit.azimuth,
            }
    if found.fit is not None:
        out["transpose_sure"], out["phase_positive_sure"] = found.handed, found.positive
    if found.centres is not None:
        centres = found.centres
        out["centre_of_mass"] = {
            "rotation_modulo_180": [centres.rotation, centres.rotation_error],
            "transpose": centres.transpose,
            "curl": centres.curl,
            "curl_other": centres.curl_other,
        }
    return out


def bad_pixels(found: ScanCalibration, dataset: Dataset4D) -> list[tuple[int, int]]:
    """Rows and columns of hot and dead pixels, as ``bad_pixels`` of ``[data]`` counts them.

    Args:
        found: of :func:`jptycho.preprocess.scan_calibration.calibrate_scan`.
        dataset: the scan.

    Returns:
        the places.
    """
    from jptycho.data.detector_window import stored_pixels  # noqa: PLC0415

    return stored_pixels(dataset.part, np.argwhere(found.mask == 0))


def new_bad_pixels(found: ScanCalibration, dataset: Dataset4D) -> list[tuple[int, int]]:
    """Those bad pixels that the scan's own mask does not leave out.

    Args:
        found: of :func:`jptycho.preprocess.scan_calibration.calibrate_scan`.
        dataset: the scan.

    Returns:
        the places.
    """
    mask = found.mask if dataset.mask is None else np.where(dataset.mask > 0, found.mask, 1.0)
    return bad_pixels(dataclasses.replace(found, mask=mask), dataset)


def describe(found: ScanCalibration, dataset: Dataset4D) -> list[tuple[str, str]]:
    """What was found, in words, with errors.

    Args:
        found: of :func:`jptycho.preprocess.scan_calibration.calibrate_scan`.
        dataset: the scan.

    Returns:
        names and what is to be said of each.
    """
    disk, window = found.disk, dataset.shape[-2:]
    centre = [c + n // 2 for c, n in zip(disk.centre, window, strict=True)]
    said = [
        (
            "semiangle_cutoff",
            f"{with_error(*found.semiangle_cutoff)} mrad"
            + _against(dataset.calibration.semiangle_cutoff, found.semiangle_cutoff[0], "mrad"),
        ),
        (
            "bright disk",
            f"centre at pixel ({with_error(centre[0], disk.centre_error[0])}, "
            f"{with_error(centre[1], disk.centre_error[1])}), radius {with_error(disk.radius, disk.radius_error)} "
            f"pixels, axes 1 : {disk.axes_ratio:.3f}",
        ),
    ]
    if dataset.calibration.reciprocal_sampling is None:
        step = f"{found.reciprocal_sampling[0]:.5g} Å⁻¹ a pixel, from the semiangle given"
        said.append(("reciprocal_sampling", step))
    if found.step_scale is not None:
        said.append(("step", f"{with_error(*found.step_scale)} times the given, by the lattice"))
    bad = new_bad_pixels(found, dataset)
    shown = ", ".join(map(str, bad[:8])) + (" ..." if len(bad) > 8 else "")
    said.append(("bad pixels", f"{len(bad)}{': ' + shown + '; data.bad_pixels leaves them out' if bad else ''}"))
    said += _orientation(found, dataset)
    return said + [("cannot be told", why) for why in found.undecided]


def _orientation(found: ScanCalibration, dataset: Dataset4D) -> list[tuple[str, str]]:
    fit, twin = found.fit, found.twin
    if fit is None or twin is None:
        return []
    said = [
        ("rotation", f"{with_error(fit.rotation, fit.errors['rotation'])} degrees"),
        ("transpose", f"{str(fit.transpose).lower()} (by {found.handed:.1f} standard errors)"),
        (
            "defocus",
            f"{with_error(fit.defocus, fit.errors['defocus'])} Å"
            + _against(dataset.calibration.defocus or None, fit.defocus, "Å"),
        ),
        (
            "astigmatism",
            f"C12 {with_error(fit.astigmatism, fit.errors['astigmatism'])} Å at phi12 {fit.azimuth:.2f} rad",
        ),
        (
            "twin",
            f"rotation {twin.rotation:.2f} degrees with defocus {twin.defocus:.4g} Å fits as well, its phase inverted; "
            f"taken is the one whose phase is positive at atoms (by {found.positive:.1f} standard errors)",
        ),
    ]
    centres = found.centres
    if centres is not None:
        words = (
            f"rotation {with_error(centres.rotation, centres.rotation_error)} degrees or 180 more, "
            f"transpose {str(centres.transpose).lower()}; curl {centres.curl:.0%} of the field "
            f"({centres.curl_other:.0%} the other way, 50% is no gradient)"
        )
        said.append(("centre of mass", words))
    return said


def _data_of(values: Table, config: Path) -> Table:
    table = values.get("data")
    if not isinstance(table, dict) or not isinstance(table.get("file"), str):
        raise ConfigError(
            f"data.file: missing in {str(config)!r}; expected a [data] table with the scan's file. Add it."
        )
    return dict(table)


def _open(table: Table, config: Path) -> Dataset4D:
    from jptycho.config.run import DATA_PATHS  # noqa: PLC0415
    from jptycho.data.readers.open import open_dataset  # noqa: PLC0415

    folder = config.resolve().parent
    placed = table | {key: str(folder / table[key]) for key in DATA_PATHS if isinstance(table.get(key), str)}
    return open_dataset(placed.pop("file"), **placed)


def _spacing(option: float | None, table: Table) -> float | None:
    """The lattice spacing that the command line names, or else the configuration."""
    spacing = option if option is not None else table.get("lattice")
    if spacing is not None and not (isinstance(spacing, int | float) and 0 < spacing < math.inf):
        raise ConfigError(f"data.lattice: expected a spacing in Å above 0, found {spacing!r}. Correct it.")
    return None if spacing is None else float(spacing)


def refuse_target(path: Path, source: Path, ending: str, overwrite: bool) -> None:
    """Refuse to write to what is read, to a name of another ending, and over what is there.

    Args:
        path: to write to.
        source: the configuration that is read.
        ending: that the name must have.
        overwrite: whether an existing file may be replaced.

    Raises:
        FormatError: why.
    """
    name = "--write" if ending == ".toml" else "--page"
    if path.resolve() == source.resolve():
        raise FormatError(f"{name}: {str(path)!r} is what is read. Use another name.")
    if path.suffix != ending:
        raise FormatError(f"{name}: expected a name that ends in {ending}, found {str(path)!r}. Rename it.")
    from jptycho.data.readers.hdf5 import refuse_existing  # noqa: PLC0415

    refuse_existing(path, overwrite)


def _pair(values: tuple[float, float]) -> list[float]:
    return [float(value) for value in values]


def _against(given: float | None, found: float, unit: str) -> str:
    """What the configuration says where that is another value."""
    return "" if given is None or math.isclose(given, found, rel_tol=0.01) else f" (given: {given:g} {unit})"


def with_error(value: float, error: float) -> str:
    """A value and its error, to two digits of the error.

    Args:
        value: of anything.
        error: its standard error.

    Returns:
        words.

    Example:
        >>> with_error(3.14159, 0.0123)
        '3.142 ± 0.012'
    """
    if not (math.isfinite(error) and error > 0):
        return f"{value:.5g}"
    digits = max(0, 1 - math.floor(math.log10(error)))
    return f"{value:.{digits}f} ± {error:.{digits}f}"
