"""What contradicts what among the unknowns of beam and detector, before a file is read."""

from __future__ import annotations

from jptycho.config.pixels import GRADIENT
from jptycho.config.run import Config
from jptycho.errors import ConfigError

PARAMETRIC_ONLY = ("aberrations", "free_cutoff", "parametric_rate")
"""Keys of ``[probe]`` that a probe of pixels does not read."""


def check_beam(config: Config) -> None:
    """Refuse unknowns of beam and detector that no pattern determines, or that exclude each other.

    Args:
        config: as given.

    Raises:
        ConfigError: which, and what to do instead.
    """
    probe, refine = config.probe, config.refine
    parametric = probe.model == "parametric"
    if not parametric:
        for key in PARAMETRIC_ONLY:
            if getattr(probe, key) != type(probe).model_fields[key].default:
                raise ConfigError(
                    f'probe.{key}: has no effect on a probe of pixels. Remove it, or use probe.model = "parametric".'
                )
    key = 'probe.model = "parametric"' if parametric else "refine.source_size"
    if parametric or refine.source_size:
        _check_made_of_few(config, key)
    if parametric and probe.modes > 1 and not (probe.source_size or refine.source_size):
        raise ConfigError(
            f"probe.modes: {probe.modes}, but the modes of a parametric probe are those of a source, and nothing says "
            "how large. Set probe.source_size in Å, or refine.source_size = true."
        )
    for name, on in (("probe.source_size", probe.source_size), ("refine.source_size", refine.source_size)):
        if on and probe.modes == 1:
            raise ConfigError(
                f"{name}: a source that is no point gives several modes, found probe.modes = 1. Use probe.modes = 3, "
                "or 6 where it is larger than half the probe."
            )
    if config.loss == "shared_charge" and not refine.point_spread:
        raise ConfigError(
            'loss: "shared_charge" knows how far charge spreads from refine.point_spread, found 0. Set that in pixels '
            "of the detector, 0.67 where neighbours correlate by 0.41; refine.point_spread_rate = 0 keeps it."
        )
    _check_begun(config)
    _check_object(config)
    _check_tied(config)
    if refine.descan == "constant" and config.object.slices == 1 and not (parametric or probe.fixed):
        raise ConfigError(
            'refine.descan: "constant", which a ramp of a probe of pixels undoes on one slice. Use "plane" or "free", '
            "or probe.fixed = true: the centre of the mean pattern is found anyway."
        )


def _check_begun(config: Config) -> None:
    """Refuse a line of which nothing says along which axis it begins, and weights of no modes."""
    probe, refine = config.probe, config.refine
    if refine.fly and not any(probe.fly):
        raise ConfigError(
            "refine.fly: begins at the line that probe.fly says, found none. Set probe.fly = [0.0, 1.0], in Å along "
            "(slow, fast): all of a step where the beam never stops."
        )
    if refine.probe_weights == "free" and not refine.probe_variation:
        raise ConfigError(
            "refine.probe_weights: has no effect without probe_variation. Remove it, or set probe_variation = 2."
        )


def _check_object(config: Config) -> None:
    """Refuse slices that their distances are not of, and a state that is none."""
    thing, refine = config.object, config.refine
    if thing.slice_gaps and thing.slice_thickness:
        raise ConfigError("object.slice_gaps: each distance, and object.slice_thickness says one of all. Remove one.")
    found, wanted = len(thing.slice_gaps), thing.slices - 1
    if found and found != wanted:
        raise ConfigError(
            f"object.slice_gaps: {found} distances, but {thing.slices} slices have {wanted} between them. "
            f"Give {wanted}, or set object.slices = {found + 1}."
        )
    if refine.slice_gaps and thing.slices == 2:
        raise ConfigError("refine.slice_gaps: two slices have one distance. Use refine.thickness = true.")
    if refine.object_states == 1:
        raise ConfigError("refine.object_states: 1 state is the object itself. Use 2 or more, or 0 for none.")


def _check_tied(config: Config) -> None:
    """Refuse what is found with another unknown only, where that is held or counted from it."""
    probe, refine = config.probe, config.refine
    if probe.fixed and refine.background != "none":
        raise ConfigError(
            "refine.background: its electrons are those of the beam until they are found, and probe.fixed keeps their "
            'number in the probe. Use probe.model = "parametric", or a probe that is free.'
        )
    if probe.model == "parametric" and refine.thickness:
        raise ConfigError(
            'refine.thickness: moves the object\'s middle, where the defocus of probe.model = "parametric" is quoted. '
            "Refine one after the other, in stages, or use a probe of pixels."
        )


def _check_made_of_few(config: Config, key: str) -> None:
    """Refuse a probe of few numbers where something else makes it."""
    if config.probe.fixed:
        raise ConfigError(f"probe.fixed: keeps the probe as it is, and {key} makes it an unknown. Remove one of them.")
    if config.method == "pixels" and config.pixels.solver != GRADIENT:
        raise ConfigError(
            f'{key.split(" ", maxsplit=1)[0]}: solver "{config.pixels.solver}" knows pixels of the probe only. '
            'Use pixels.solver = "gradient", or remove it.'
        )
    if config.method == "dgp" and config.dgp.object == "pixels":
        raise ConfigError(
            f'dgp.object: "pixels", and {key} makes the probe of few numbers, so there is no network. '
            "Remove one of them."
        )
    if config.method == "dgp" and config.dgp.probe == "network":
        raise ConfigError(f'dgp.probe: "network", and {key} makes the probe of few numbers. Remove one of them.')
