"""The configuration of a run: every table and key of the TOML file, with its unit."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from jptycho.config.automatic import AutomaticConfig
from jptycho.config.constraints import PenaltiesConfig, ProjectionsConfig
from jptycho.config.deep_prior import DGPConfig
from jptycho.config.memory import MemorySettings
from jptycho.config.pixels import PixelsConfig
from jptycho.config.stages import StageConfig
from jptycho.data.readers.options import DataSettings
from jptycho.preprocess.object_spec import ObjectSettings, ProbeSettings
from jptycho.representations.per_position import RefineSettings
from jptycho.settings import (
    AUTO,
    Field,
    Section,
    Table,
    field_validator,
    load_toml,
    parse,
)
from jptycho.solvers.difference_map import DifferenceMapSettings
from jptycho.solvers.lsqml import LSQMLSettings
from jptycho.solvers.pie import PIESettings
from jptycho.solvers.validation import ValidationSettings


class OutputConfig(Section):
    """``[output]``: where the result goes."""

    file: str = Field("result.h5", description="HDF5 result; a relative path starts at the TOML file")

    @field_validator("file")
    @classmethod
    def _hdf5(cls, value: str) -> str:
        if Path(value).suffix not in (".h5", ".hdf5"):
            raise ValueError(f"expected a name that ends in .h5 or .hdf5, found {value!r}. Rename it.")
        return value

    report: bool = Field(True, description="write an HTML report and PNG figures beside it")
    overwrite: bool = Field(False, description="replace an existing result")
    checkpoint_minutes: float = Field(2.0, ge=0, description="between checkpoints; 0 for one after every epoch")


class Config(Section):
    """A whole run."""

    data: DataSettings
    method: Literal["pixels", "dgp", "auto"] = Field(
        "pixels",
        description="how object and probe are represented; auto: as unused electrons support, within [automatic]",
    )
    loss: Literal["auto", "amplitude", "poisson", "anscombe", "intensity", "mixed", "shared_charge"] = Field(
        AUTO,
        description="auto: poisson for counted electrons, mixed with read-out noise, else amplitude; shared_charge "
        "where an electron leaves counts in several pixels, refine.point_spread wide",
    )
    seed: int = Field(0, ge=0, description="of batches, networks and noise")
    compilation_cache: bool = Field(
        True, description="keep compiled programs in your cache folder, so that runs of equal shapes start at once"
    )
    object: ObjectSettings = ObjectSettings.model_validate({})
    probe: ProbeSettings = ProbeSettings.model_validate({})
    pixels: PixelsConfig = PixelsConfig.model_validate({})
    pie: PIESettings = PIESettings.model_validate({})
    lsqml: LSQMLSettings = LSQMLSettings.model_validate({})
    difference_map: DifferenceMapSettings = DifferenceMapSettings.model_validate({})
    validation: ValidationSettings = ValidationSettings.model_validate({})
    refine: RefineSettings = RefineSettings.model_validate({})
    penalties: PenaltiesConfig = PenaltiesConfig.model_validate({})
    projections: ProjectionsConfig = ProjectionsConfig.model_validate({})
    dgp: DGPConfig = DGPConfig.model_validate({})
    automatic: AutomaticConfig = AutomaticConfig.model_validate({})
    stages: tuple[StageConfig, ...] = Field(
        (), description="what is done one after another; none: what the method does by itself"
    )
    memory: MemorySettings = MemorySettings.model_validate({})
    output: OutputConfig = OutputConfig.model_validate({})


RENAMED = {
    "stop": "[validation] (held_out: fraction)",
    "sets": "[difference_map]",
    "pixels.even": "pixels.coverage_weighting",
    "pixels.amplitude": "pixels.preconditioner.gain",
    "pixels.corner": "pixels.preconditioner.cutoff",
    "penalties.weak_phase": "penalties.pure_phase",
    "dgp.members": "dgp.ensemble_size",
    "dgp.average": "dgp.ema_decay",
    "dgp.noise": "dgp.input_noise",
    "dgp.probe_noise": "dgp.probe_input_noise",
    "dgp.filters": "dgp.base_channels",
    "dgp.split": "dgp.half_sets",
    "dgp.finish_epochs": "dgp.polish_epochs",
    "dgp.finish_rate": "dgp.polish_rate",
}
"""What keys and tables of earlier versions are called now."""


def parse_config(values: Table) -> Config:
    """Check the tables and keys of a configuration.

    Args:
        values: tables and keys.

    Returns:
        the configuration.

    Raises:
        ConfigError: the first thing that is wrong; what was renamed is answered with its name of today.

    Example:
        >>> parse_config({"data": {"file": "scan.h5"}, "dgp": {"members": 4}})
        Traceback (most recent call last):
        jptycho.errors.ConfigError: dgp.members: renamed to dgp.ensemble_size. Use that name.
    """
    return parse(Config, values, RENAMED)


def with_changes(config: Config | None, changes: Table) -> Config:
    """A configuration with some settings replaced.

    Args:
        config: to start from; the defaults where None.
        changes: keys, tables as dictionaries.

    Returns:
        the new configuration.

    Raises:
        ConfigError: an unknown key or a wrong value.

    Example:
        >>> with_changes(None, {"dgp": {"levels": 2}}).dgp.levels
        2
    """
    values = {"data": {"file": ""}} if config is None else config.model_dump(exclude_none=True)
    for name, change in changes.items():
        values[name] = merged(values.get(name), change)
    return parse_config(values)


def merged(before: Any, change: Any) -> Any:
    """A value replaced, of tables only what is named."""
    if not (isinstance(before, dict) and isinstance(change, dict)):
        return change
    return before | {name: merged(before.get(name), value) for name, value in change.items()}


DATA_PATHS = ("file", "mask_file", "gain_file", "dark_file")
"""Keys of ``[data]`` that are paths."""
PATHS = (
    *(("data", key, None) for key in DATA_PATHS),
    ("output", "file", "result.h5"),
    ("dgp", "start_file", None),
    ("pixels", "start_file", None),
)
"""Tables and keys of paths, and what they are by default."""


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
    for section, key, default in PATHS:
        table = values.get(section)
        if isinstance(table, dict) and isinstance(table.get(key, default), str):
            table[key] = str(folder / table.get(key, default))
    return parse_config(values)
