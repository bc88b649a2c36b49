"""What each solver of the pixels cannot do, and which settings it reads."""

from __future__ import annotations

from jptycho.config.pixels import GRADIENT
from jptycho.config.run import Config
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
    wanted = [name for name, on in (("position_rate", refine.position_rate), ("tilt", refine.tilt != "none")) if on]
    classical = config.method == "pixels" and pixels.solver != GRADIENT
    if wanted and classical:
        raise ConfigError(
            f'refine.{wanted[0]}: solver "{pixels.solver}" optimises object and probe only. '
            'Use pixels.solver = "gradient", or remove it.'
        )
    for name, tilted in (("refine.tilt", refine.tilt != "none"), ("object.tilt", any(config.object.tilt))):
        if tilted and config.object.slices == 1:
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
    if classical:
        _check_classical(config)
    if pixels.solver == GRADIENT:
        _check_gradient(config, wanted)
    _check_tables(config)


GRADIENTS_OWN = ("object_rate", "probe_rate", "schedule", "optimiser", "optimiser_options", "coverage_weighting")
"""Keys of ``[pixels]``, and the table ``preconditioner``, that the gradient alone reads."""


def _check_classical(config: Config) -> None:
    """Refuse what the gradient alone reads."""
    pixels = config.pixels
    given = [key for key in _changed(pixels) if key in GRADIENTS_OWN]
    given += [f"preconditioner.{key}" for key in _changed(pixels.preconditioner)]
    if given:
        raise ConfigError(
            f'pixels.{given[0]}: has no effect with pixels.solver = "{pixels.solver}". '
            f'Remove it, or use "{GRADIENT}". The steps of this solver are in a table of its own.'
        )


def _check_gradient(config: Config, refine: list[str]) -> None:
    pixels = config.pixels
    check_optimiser(Optimiser(pixels.optimiser, tuple(pixels.optimiser_options.items())))
    if pixels.optimiser not in LINE_SEARCH:
        return
    for name, given in (
        ("pixels.object_rate", pixels.object_rate != AUTO),
        ("pixels.schedule", pixels.schedule == "plateau"),
        (f"refine.{refine[0]}" if refine else "", bool(refine)),
    ):
        if given:
            raise ConfigError(
                f"{name}: {pixels.optimiser} finds one step for all unknowns by itself. Remove it, or use adam."
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


def _check_tables(config: Config) -> None:
    """Refuse settings of a solver that is not the one."""
    used = USED.get(config.pixels.solver, {})
    for table in ("pie", "lsqml", "difference_map"):
        for key in _changed(getattr(config, table)):
            if key not in used.get(table, ()):
                raise ConfigError(
                    f'{table}.{key}: has no effect with pixels.solver = "{config.pixels.solver}". Remove it.'
                )


def _changed(section: Section) -> list[str]:
    """Keys of a table that differ from their defaults."""
    fields = type(section).model_fields
    return [key for key, f in fields.items() if getattr(section, key) != f.get_default(call_default_factory=True)]
