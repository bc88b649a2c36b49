"""Classical solvers beside unknowns of beam and object that change the waves which other stages see."""

from __future__ import annotations

from collections.abc import Sequence

from jptycho.assembly.refinable import known
from jptycho.config.pixels import GRADIENT
from jptycho.config.run import Config
from jptycho.errors import ConfigError
from jptycho.forward.beam import FLY, FOCAL_SPREAD, VARIATION
from jptycho.forward.exit_waves import STATES


def changed_waves(config: Config) -> list[str]:
    """What makes the waves behind the object others than those of the probe's modes through one object.

    Args:
        config: of a run, or of a stage.

    Returns:
        keys with their tables; a probe that varies last, for it is the one probe until it is found to vary.

    Example:
        >>> from jptycho.config.run import parse_config
        >>> changed_waves(parse_config({"data": {"file": ""}, "probe": {"fly": [0.0, 0.5]}}))
        ['probe.fly']
    """
    refine, on = config.refine, known(config)
    found = [f"{'refine' if getattr(refine, name) else 'probe'}.{name}" for name in (FOCAL_SPREAD, FLY) if name in on]
    found += [f"refine.{STATES}"] if refine.object_states else []
    return found + ([f"refine.{VARIATION}"] if refine.probe_variation else [])


def check_waves(config: Config, stages: Sequence[Config]) -> None:
    """Refuse classical solvers where another stage changes the waves, and points of a sum that is in no stage.

    These solvers correct the modes of the probe only.

    What a stage turns on is there in all of them, at where it begins before it and held after it.

    Args:
        config: of the run.
        stages: settings of each that it lists, in their order.

    Raises:
        ConfigError: the stage, what it does not follow and whence that comes, and what to do.
    """
    _check_points(config, stages or (config,))
    if config.method == "dgp" and not config.stages:
        _check_start_of_networks(config)
    for number, (entry, own) in enumerate(zip(config.stages, stages, strict=True), 1):
        if entry.method in ("dgp", "positions") or own.pixels.solver == GRADIENT:
            continue
        for other, settings in enumerate(stages, 1):
            keys = [key for key in changed_waves(settings) if key != f"refine.{VARIATION}" or other < number]
            if keys:
                earlier = ", or let this stage come before it" if keys[0] == f"refine.{VARIATION}" else ""
                raise ConfigError(
                    f'stages.{number}: pixels.solver: "{own.pixels.solver}" knows the modes of the probe and one '
                    f"object only, but stages.{other}.{keys[0]} changes the waves of this stage too. Use solver "
                    f'"{GRADIENT}" here, or remove that{earlier}.'
                )


def _check_points(config: Config, stages: Sequence[Config]) -> None:
    """Refuse points of a sum that no stage has."""
    for key, name in (("focal_points", FOCAL_SPREAD), ("fly_points", FLY)):
        given = getattr(config.probe, key) != type(config.probe).model_fields[key].default
        if given and not any(name in known(own) for own in stages):
            raise ConfigError(f"probe.{key}: has no effect without probe.{name}. Remove it, or set both.")


def _check_start_of_networks(config: Config) -> None:
    """Refuse a classical solver whose pixels the networks start from."""
    dgp = config.dgp
    by_pixels = dgp.start == "pixels" and (dgp.start_file is None or dgp.half_sets)
    if config.pixels.solver == GRADIENT or not by_pixels:
        return
    keys = [key for key in changed_waves(config) if key != f"refine.{VARIATION}" or dgp.start_file is not None]
    if keys:
        raise ConfigError(
            f'pixels.solver: "{config.pixels.solver}", whose pixels the networks start from, knows the modes of the '
            f'probe and one object only, but {keys[0]} changes the waves. Use solver "{GRADIENT}", or remove it.'
        )
