"""What contradicts an automatic run in a configuration, before a file is read."""

from __future__ import annotations

from jptycho.assembly.auto import resolve_auto_of_file
from jptycho.assembly.build import SHARED_CHARGE
from jptycho.assembly.checks import check_config
from jptycho.assembly.listed import check_stages
from jptycho.assembly.memory_plan import MemoryPlan
from jptycho.automatic.trials import first_settings
from jptycho.config.automatic import AutomaticConfig
from jptycho.config.run import Config
from jptycho.errors import ConfigError
from jptycho.settings import AUTO


def check_settings(config: Config) -> None:
    """Refuse settings that contradict each other, before a file is read, whatever the method.

    Args:
        config: as given.

    Raises:
        ConfigError: what contradicts what.
    """
    check_automatic(config)
    said = first_settings(config) if config.method == AUTO else config
    check_config(said)
    check_stages(said)


def settings_of_file(config: Config) -> Config:
    """The configuration with every ``auto`` replaced, as a run would; the method stays.

    Args:
        config: as given.

    Returns:
        the complete configuration; of ``method = "auto"`` with what the networks would use.
    """
    if config.method != AUTO:
        return resolve_auto_of_file(config)
    found = resolve_auto_of_file(first_settings(config))
    kept = {name: getattr(config, name) for name in ("method", "automatic", "object")}
    return found.model_copy(update=kept)


def check_memory(plan: MemoryPlan) -> MemoryPlan:
    """Refuse a run that memory does not hold: an automatic one cannot read its patterns in every epoch.

    Args:
        plan: of what it begins with.

    Returns:
        the plan.

    Raises:
        ConfigError: which stage needs how much, what there is, and the setting that would fit.
    """
    if plan.refusal:
        streams = ' The latter needs method = "pixels" or "dgp".' if "memory.stream" in plan.refusal else ""
        raise ConfigError(plan.refusal + streams)
    return plan


def check_automatic(config: Config) -> None:
    """Refuse settings that an automatic run chooses by itself, and its own where there is none.

    Args:
        config: as given.

    Raises:
        ConfigError: the setting, and what to do.
    """
    if config.method != AUTO:
        for name, field in AutomaticConfig.model_fields.items():
            if getattr(config.automatic, name) != field.default:
                raise ConfigError(
                    f'automatic.{name}: has no effect with method = "{config.method}". Use method = "auto", '
                    "or leave it out."
                )
        return
    if config.stages:
        raise ConfigError('stages: method = "auto" chooses them by itself. Remove them, or the method.')
    if config.memory.stream is True:
        raise ConfigError(
            'memory.stream: true, but method = "auto" holds every pattern. Leave it out, or use method = "pixels" or '
            '"dgp".'
        )
    _check_judged(config)
    if config.pixels.half_sets is False or not config.dgp.half_sets:
        table = "pixels" if config.pixels.half_sets is False else "dgp"
        raise ConfigError(f'{table}.half_sets: false, but method = "auto" begins with half sets. Remove it.')
    if config.dgp.start != "pixels" or config.dgp.start_file is not None:
        key = "start" if config.dgp.start != "pixels" else "start_file"
        raise ConfigError(f'dgp.{key}: has no effect with method = "auto", which begins with pixels. Remove it.')
    if "tilt" in config.automatic.unknowns and not config.object.slice_thickness:
        raise ConfigError(
            "automatic.unknowns: a tilt is seen by several slices, and nothing says how thick the object is. "
            "Set object.slice_thickness, or remove it."
        )


def _check_judged(config: Config) -> None:
    """Refuse settings under which nothing that is held out could choose."""
    if config.validation.fraction == 0:
        raise ConfigError(
            'validation.fraction: 0, but method = "auto" chooses by what is held out. Leave it out, or use 0.1.'
        )
    if config.loss == SHARED_CHARGE:
        raise ConfigError(
            f'loss: "{SHARED_CHARGE}", but method = "auto" chooses by electrons that are held out, and what one leaves '
            'in several pixels is on both sides. Use method = "pixels" or "dgp", or another loss.'
        )
