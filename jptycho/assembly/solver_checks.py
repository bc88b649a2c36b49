"""What each solver of the pixels cannot do, and which settings it reads."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from jptycho.config.pixels import GRADIENT, PixelsConfig
from jptycho.config.run import Config, parse_config
from jptycho.errors import ConfigError
from jptycho.settings import AUTO, Section
from jptycho.solvers.optimisers import LINE_SEARCH, Optimiser, check_optimiser

WHOLE_SCAN = frozenset({"dm", "raar"})


def takes_whole_scan(config: Config) -> bool:
    """Whether the pixels' solver sees all patterns in one step.

    Args:
        config: of the run.

    Returns:
        whether.
    """
    pixels = config.pixels
    return pixels.solver in WHOLE_SCAN or (pixels.solver == GRADIENT and pixels.optimiser in LINE_SEARCH)


def check_engine(config: Config) -> None:
    """Refuse what the pixels' solver cannot do, and settings that it does not read.

    Args:
        config: as given.

    Raises:
        ConfigError: the setting, and what to use instead.
    """
    pixels, refine = config.pixels, config.refine
    wanted = refine.by_gradient
    classical = config.method == "pixels" and pixels.solver != GRADIENT
    if wanted and classical:
        raise ConfigError(
            f'refine.{wanted[0]}: solver "{pixels.solver}" optimises object and probe only. '
            'Use pixels.solver = "gradient", or remove it.'
        )
    sums = [name for name in ("focal_spread", "fly") if np.any(getattr(config.probe, name))]
    if sums and classical:
        raise ConfigError(
            f'probe.{sums[0]}: solver "{pixels.solver}" knows the modes of the probe only, and no sum over others. '
            'Use pixels.solver = "gradient", or remove it.'
        )
    needs_slices = (
        ("refine.tilt", refine.tilt != "none"),
        ("object.tilt", any(config.object.tilt)),
        ("refine.thickness", refine.thickness),
        ("refine.slice_gaps", refine.slice_gaps),
    )
    for name, on in needs_slices:
        if on and config.object.slices == 1:
            raise ConfigError(f"{name}: has no effect on one slice. Remove it, or raise object.slices.")
    if classical and config.loss not in (AUTO, "amplitude"):
        raise ConfigError(
            f'loss: solver "{pixels.solver}" corrects amplitudes, found "{config.loss}". '
            'Use loss = "amplitude", or pixels.solver = "gradient".'
        )
    if pixels.solver in WHOLE_SCAN and config.object.slices > 1:
        raise ConfigError(
            f'pixels.solver: "{pixels.solver}" knows one slice, found object.slices = {config.object.slices}. '
            'Use "gradient", "lsqml" or "epie".'
        )
    if pixels.solver == GRADIENT:
        _check_gradient(config, wanted)
    given = unread(config)
    if given:
        raise ConfigError(f"{given[0]}: {_why(given[0], pixels)}")


def _check_gradient(config: Config, refine: list[str]) -> None:
    pixels = config.pixels
    check_optimiser(Optimiser(pixels.optimiser, tuple(pixels.optimiser_options.items())))
    if refine and pixels.optimiser in LINE_SEARCH:
        raise ConfigError(
            f"refine.{refine[0]}: {pixels.optimiser} finds one step for all unknowns by itself. Remove it, or use adam."
        )


USED = {
    "epie": {"pie": {"object_step", "probe_step"}},
    "rpie": {"pie": {"object_step", "probe_step", "alpha"}},
    "mpie": {"pie": {"object_step", "probe_step", "alpha", "momentum", "period"}},
    "lsqml": {"lsqml": {"damping", "beta", "compact"}},
    "dm": {"difference_map": {"beta", "passes"}},
    "raar": {"difference_map": {"beta", "passes"}},
}
"""Keys of the solvers' own tables that each reads."""
GRADIENTS_OWN = ("object_rate", "probe_rate", "schedule", "optimiser", "optimiser_options", "coverage_weighting")
"""Keys of ``[pixels]``, and the table ``preconditioner``, that the gradient alone reads."""


def unread(config: Config) -> list[str]:
    """Settings that differ from their defaults and that the pixels' solver does not read.

    Args:
        config: of a run, or of a stage.

    Returns:
        their keys with those of their tables, such as ``"lsqml.beta"``.
    """
    pixels, used, found = config.pixels, USED.get(config.pixels.solver, {}), []
    if config.method == "pixels" and pixels.solver != GRADIENT:
        found += [f"pixels.{key}" for key in _changed(pixels) if key in GRADIENTS_OWN]
        found += [f"pixels.preconditioner.{key}" for key in _changed(pixels.preconditioner)]
    if pixels.solver == GRADIENT and pixels.optimiser in LINE_SEARCH:
        found += ["pixels.object_rate"] if pixels.object_rate != AUTO and not reads_rate(config) else []
        found += ["pixels.schedule"] if pixels.schedule == "plateau" else []
    for table in ("pie", "lsqml", "difference_map"):
        found += [f"{table}.{key}" for key in _changed(getattr(config, table)) if key not in used.get(table, ())]
    return found


def reads_rate(config: Config) -> bool:
    """Whether the pixels' learning rate is used: by their solver, by the polish, or beside a network of the probe.

    Args:
        config: of a run, or of a stage.

    Returns:
        whether.
    """
    pixels, dgp = config.pixels, config.dgp
    if config.method == "dgp" and (dgp.polish_epochs or dgp.object == "pixels"):
        return True
    return (pixels.solver == GRADIENT or config.method == "dgp") and pixels.optimiser not in LINE_SEARCH


def without(config: Config, keys: Iterable[str]) -> Config:
    """A configuration with some settings at their defaults.

    Args:
        config: of the run.
        keys: as :func:`unread` gives them.

    Returns:
        the new configuration.
    """
    values = config.model_dump(exclude_none=True)
    for key in keys:
        *tables, name = key.split(".")
        table = values
        for inner in tables:
            table = table[inner]
        del table[name]
    return parse_config(values)


def _why(key: str, pixels: PixelsConfig) -> str:
    """Why a setting is not read, and what to do."""
    if not key.startswith("pixels."):
        return f'has no effect with pixels.solver = "{pixels.solver}". Remove it.'
    if pixels.solver == GRADIENT:
        return f"{pixels.optimiser} finds one step for all unknowns by itself. Remove it, or use adam."
    return (
        f'has no effect with pixels.solver = "{pixels.solver}". Remove it, or use "{GRADIENT}". '
        "The steps of this solver are in a table of its own."
    )


def _changed(section: Section) -> list[str]:
    """Keys of a table that differ from their defaults."""
    fields = type(section).model_fields
    return [key for key, f in fields.items() if getattr(section, key) != f.get_default(call_default_factory=True)]
