"""The configuration of a run: TOML with strict keys, a unit for each, and one clear message where it is wrong."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

import tomli_w
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from jptycho.errors import ConfigError, FormatError, nearest_name
from jptycho.optics.aberrations import COEFFICIENTS

AUTO: Literal["auto"] = "auto"


def _pair(value: Any) -> Any:
    """One number stands for both axes."""
    return (value, value) if isinstance(value, int | float) else value


Pair = Annotated[tuple[float, float], BeforeValidator(_pair)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """A table of the TOML file: unknown keys are refused, values cannot be changed afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=True)


class DataConfig(Section):
    """``[data]``: where the patterns are and how they were recorded. What a jptycho file states may be left out."""

    file: str = Field(description="HDF5, .npy or .npz file; a relative path starts at the TOML file")
    counts: str | None = Field(None, description="name of the patterns in the file: (slow, fast, y, x) or (scan, y, x)")
    scan_shape: tuple[int, int] | None = Field(None, description="slow and fast steps, where the file does not say")
    energy: Positive | None = Field(None, description="eV")
    semiangle_cutoff: Positive | None = Field(None, description="mrad")
    defocus: float | None = Field(None, description="Å at the middle of the object, positive for underfocus")
    aberrations: dict[str, float] = Field(
        default_factory=dict, description="C_nm in Å and phi_nm in rad, besides the defocus"
    )
    step: Pair | None = Field(None, description="Å between positions, or two numbers for slow and fast")
    reciprocal_sampling: Pair | None = Field(None, description="Å⁻¹ a detector pixel, or two numbers")
    angular_sampling: Pair | None = Field(None, description="mrad a detector pixel, instead of reciprocal_sampling")
    rotation: float | None = Field(
        None, description="degrees: detector (row, column) = R(rotation) (slow, fast), R = [[cos, -sin], [sin, cos]]"
    )
    transpose: bool | None = Field(None, description="whether detector rows run along the fast scan axis")
    counts_per_electron: Positive | None = Field(None, description="counts that one electron leaves; 1 by default")
    positions: str | None = Field(None, description="name of an array (scan, 2) of rows and columns, instead of step")
    positions_unit: Literal["A", "px"] = Field(
        "A", description="of that array; px: pixels of the object, of unknown size"
    )
    probe: str | None = Field(None, description="name of a complex array (y, x) or (modes, y, x) to start from")


class ObjectConfig(Section):
    """``[object]``: what is reconstructed."""

    kind: Literal["phase", "potential", "complex"] = Field(
        "phase", description="phase; potential: phase that is never negative; complex: phase and absorption"
    )
    slices: int = Field(1, ge=1, description="slices of the object")
    slice_thickness: Positive | None = Field(None, description="Å between slices; needed for more than one")
    band_limit: float | None = Field(None, gt=0, le=1, description="of the propagation, as a fraction of Nyquist")
    tilt: Pair = Field((0.0, 0.0), description="mrad about y and x")


class ProbeConfig(Section):
    """``[probe]``: the illumination."""

    modes: int = Field(1, ge=1, description="mutually incoherent modes")
    fixed: bool = Field(False, description="keep the probe as it starts")


class PixelsConfig(Section):
    """``[pixels]``: the pixel reconstruction, which is also the start of the DGP."""

    epochs: int = Field(20, ge=1, description="times that every pattern is seen")
    batch: Count | Literal["auto"] = Field(AUTO, description="patterns an optimiser step")
    object_rate: Positive | Literal["auto"] = Field(AUTO, description="learning rate in rad")
    probe_rate: Positive = Field(3e-2, description="learning rate, relative to the probe's mean amplitude")
    amplitude: NotNegative | Literal["auto"] = Field(
        AUTO, description="of the spectral preconditioner: how much faster slow structure moves; 0 for none"
    )
    corner: Positive | Literal["auto"] = Field(AUTO, description="Å⁻¹ below which that holds")


class DGPConfig(Section):
    """``[dgp]``: the deep generative priors."""

    epochs: int = Field(8, ge=1, description="times that every pattern is seen")
    start_epochs: int = Field(6, ge=0, description="epochs of the pixel reconstruction that gives the estimate")
    start_file: str | None = Field(None, description="a result to start from instead")
    steps: int = Field(4, ge=1, description="optimiser steps an epoch")
    micro_batch: int = Field(128, ge=1, description="patterns whose gradients are computed at once")
    object_rate: Positive = Field(2e-3, description="learning rate")
    probe_rate: Positive = Field(3e-4, description="learning rate")
    warm_up: int = Field(10, ge=0, description="steps over which the rates rise from zero")
    average: float = Field(0.9, ge=0, lt=1, description="weight of the past in the running mean of the object")
    levels: int = Field(3, ge=1, le=5, description="poolings of the object's U-Net")
    filters: int = Field(16, ge=1, description="channels of the U-Nets' first level")
    probe_levels: int = Field(2, ge=1, le=5, description="poolings of the probe's U-Net")
    upsampling: Literal["nearest", "transposed"] = Field("nearest", description="transposed: as in the reference")
    noise: float = Field(0.7, ge=0, description="of the input, relative to its standard deviation")
    probe_noise: float = Field(0.025, ge=0, description="likewise for the probe")
    pretrain_steps: int = Field(40, ge=0, description="at most, for each network")
    pretrain_rate: Positive = Field(3e-3, description="learning rate")
    pretrain_tolerance: Positive = Field(0.1, description="relative error at which pre-training stops")


class OutputConfig(Section):
    """``[output]``: where the result goes."""

    file: str = Field("result.h5", description="HDF5 result; a relative path starts at the TOML file")
    report: bool = Field(True, description="write an HTML report and PNG figures beside it")
    overwrite: bool = Field(False, description="replace an existing result")
    checkpoint_minutes: float = Field(2.0, ge=0, description="between checkpoints; 0 for one after every epoch")


class Config(Section):
    """A whole run."""

    data: DataConfig
    method: Literal["pixels", "dgp"] = Field("pixels", description="how object and probe are represented")
    loss: Literal["auto", "amplitude", "poisson"] = Field(AUTO, description="auto: Poisson for electron counts")
    seed: int = Field(0, ge=0, description="of batches, networks and noise")
    object: ObjectConfig = ObjectConfig()
    probe: ProbeConfig = ProbeConfig()
    pixels: PixelsConfig = PixelsConfig()
    dgp: DGPConfig = DGPConfig()
    output: OutputConfig = OutputConfig()


class SimulateConfig(Section):
    """A simulated scan over a gold nanoparticle on amorphous carbon."""

    dose: float = Field(500.0, gt=0, description="electrons a square Å; inf for the expectation itself")
    seed: int = Field(0, ge=0, description="of the counts and the position jitter")
    specimen_seed: int = Field(6, ge=0, description="of the film and the particle's orientation")
    diameter: Positive = Field(52.0, description="of the particle in Å")
    carbon_thickness: Positive = Field(10.0, description="Å")
    slice_thickness: Positive = Field(4.0, description="of the simulation in Å")
    energy: Positive = Field(300e3, description="eV")
    semiangle_cutoff: Positive = Field(20.0, description="mrad")
    defocus: float = Field(200.0, description="Å at the middle of the specimen, positive for underfocus")
    scan_shape: tuple[int, int] = Field((40, 40), description="slow and fast steps")
    step: Positive = Field(1.5, description="Å")
    jitter: float = Field(0.1, ge=0, description="root mean square displacement of the positions, Å")
    detector: tuple[int, int] = Field((64, 64), description="rows and columns")
    sampling: Pair = Field((0.4, 0.4), description="Å an object pixel: wavelength over the detector's full angle")


def load_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Args:
        path: of the file.

    Returns:
        its tables.

    Raises:
        ConfigError: no such file, or not TOML.
    """
    try:
        return tomllib.loads(path.read_text())
    except OSError as error:
        raise FormatError(f"configuration: cannot read {str(path)!r} ({error.strerror}). Check the path.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"configuration: {str(path)!r} is not TOML: {error}.") from None


def parse(model: type[Section], values: dict[str, Any]) -> Any:
    """Check values against a section.

    Args:
        model: the section's class.
        values: tables and keys.

    Returns:
        an instance.

    Raises:
        ConfigError: the first thing that is wrong: key, what was expected, what was found, what to do.

    Example:
        >>> parse(SimulateConfig, {"dsoe": 100})
        Traceback (most recent call last):
        jptycho.errors.ConfigError: dsoe: unknown key. Did you mean 'dose'?
    """
    try:
        config = model.model_validate(values)
    except ValidationError as error:
        raise ConfigError(_explain(model, error.errors()[0])) from None
    if isinstance(config, Config):
        _check_names(config)
    return config


def _explain(model: type[Section], problem: Any) -> str:
    where = [str(part) for part in problem["loc"] if not str(part).startswith("function-")]
    path = ".".join(part for part in where if part not in ("float", "int", "literal['auto']"))
    if problem["type"] == "extra_forbidden":
        section = model
        for part in where[:-1]:
            annotation = section.model_fields[part].annotation
            section = annotation if isinstance(annotation, type) else section
        return f"{path}: unknown key.{nearest_name(where[-1], section.model_fields)}"
    if problem["type"] == "missing":
        return f"{path}: missing; expected {_describe(model, where)}. Add it to the configuration."
    expected = problem["msg"].replace("Input should be", "expected")
    return f"{path}: {expected}, found {problem['input']!r}. It means: {_describe(model, where)}."


def _describe(model: type[Section], where: list[str]) -> str:
    field = None
    for part in where:
        if part not in model.model_fields:
            break
        field = model.model_fields[part]
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            model = field.annotation
    return (field.description if field else None) or (model.__doc__ or "").strip()


def _check_names(config: Config) -> None:
    for name in config.data.aberrations:
        if name not in COEFFICIENTS or name == "C10":
            hint = " Use data.defocus." if name == "C10" else nearest_name(name, COEFFICIENTS)
            raise ConfigError(f"data.aberrations: {name!r} is no coefficient here.{hint}")


def load_config(path: Path) -> Config:
    """Read the configuration of a run; its relative paths are made to start at the file's folder.

    Args:
        path: of the TOML file.

    Returns:
        the configuration.

    Raises:
        ConfigError: anything that is wrong with it.
        FormatError: a file that cannot be read.
    """
    values = load_toml(path)
    folder = path.resolve().parent
    values.setdefault("output", {})
    for section, key, default in (("data", "file", None), ("output", "file", "result.h5"), ("dgp", "start_file", None)):
        table = values.get(section)
        if isinstance(table, dict) and isinstance(table.get(key, default), str):
            table[key] = str(folder / table.get(key, default))
    return parse(Config, values)


def to_toml(config: Section) -> str:
    """The complete effective configuration as TOML, each key with its meaning and unit as a comment.

    Args:
        config: any section.

    Returns:
        text that :func:`parse` reads back to an equal configuration.

    Example:
        >>> to_toml(SimulateConfig()).splitlines()[0]
        'dose = 500.0  # electrons a square Å; inf for the expectation itself'
    """
    plain, tables = [], []
    for name, field in type(config).model_fields.items():
        value = getattr(config, name)
        if isinstance(value, Section):
            tables.append(f"\n[{name}]\n{to_toml(value)}")
        elif value is None:
            plain.append(f"# {name} =  # {field.description}")
        else:
            line = tomli_w.dumps({name: list(value) if isinstance(value, tuple) else value}).strip()
            plain.append(f"{_one_line(line, name, value)}  # {field.description}")
    return "\n".join([*plain, *tables]) + ("\n" if plain else "")


def _one_line(line: str, name: str, value: Any) -> str:
    """tomli_w spreads arrays and tables over lines; a comment needs one."""
    if isinstance(value, tuple):
        return f"{name} = [{', '.join(repr(v) for v in value)}]"
    if isinstance(value, dict):
        return f"{name} = {{ {', '.join(f'{k} = {v!r}' for k, v in value.items())} }}" if value else f"{name} = {{}}"
    return line
