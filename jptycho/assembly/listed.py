"""The stages that a configuration lists itself: what contradicts what, and the settings of each."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from jptycho.assembly.checks import check_config
from jptycho.assembly.extension import Extension, check_extension
from jptycho.assembly.refinable import with_refined
from jptycho.assembly.solver_checks import unread, without
from jptycho.assembly.wave_checks import check_waves
from jptycho.config.run import Config, with_changes
from jptycho.config.stages import HALF_SETS, NETWORKS, PIXELS, POSITIONS, StageConfig
from jptycho.errors import ConfigError
from jptycho.forward.exit_waves import GAPS, STATES
from jptycho.representations.per_position import SEARCHED
from jptycho.settings import Table

NAMES = {"pixels": PIXELS, "half_sets": HALF_SETS, "dgp": NETWORKS, "positions": POSITIONS}
TABLES = ("pixels", "dgp", "refine", "probe", "penalties", "projections", "validation")
RUNS_OWN = {
    "dgp": ("start", "start_file"),
    "validation": ("fraction",),
    "probe": ("modes", "source_size", "focal_spread", "focal_points", "fly", "fly_points"),
    "pixels": ("half_sets", "start_file"),
}
"""Keys by table that no stage has."""


def listed(config: Config) -> Iterator[tuple[str, StageConfig, Config]]:
    """The stages of a configuration with the settings of each.

    Args:
        config: of the run.

    Yields:
        name, as in the history; the entry of the list; the configuration with what the entry replaces.
    """
    slices, modes, before, met = config.object.slices, config.probe.modes, "", dict.fromkeys(NAMES.values(), 0)
    thickness = (config.object.slice_thickness or 0.0) * slices
    for entry in config.stages:
        slices, modes = entry.slices or slices, entry.modes or modes
        changes: Table = {table: getattr(entry, table) for table in TABLES}
        changes["object"] = {"slices": slices} | ({"slice_thickness": thickness / slices} if thickness else {})
        changes["probe"] = changes["probe"] | {"modes": modes}
        changes["pixels"] = {"half_sets": False} | changes["pixels"]
        follows = {"start": "pixels"} if before else {}
        changes["dgp"] = {"half_sets": before == "half_sets"} | follows | changes["dgp"]
        if entry.method != POSITIONS:
            changes["refine"] = changes["refine"] | dict.fromkeys(SEARCHED, 0.0)
        changes |= {"loss": entry.loss} if entry.loss else {}
        name = NAMES[entry.method]
        met[name] += 1
        own = _of_run(config, entry)
        yield f"{name} {met[name]}" if met[name] > 1 else name, entry, with_changes(without(own, unread(own)), changes)
        before = before if entry.method == POSITIONS else entry.method  # which hands the half sets on


def _of_run(config: Config, entry: StageConfig) -> Config:
    """The run's settings under the method and the solver of a stage, which may not read all of them."""
    solver = {key: entry.pixels[key] for key in ("solver", "optimiser") if key in entry.pixels}
    method = "dgp" if entry.method == "dgp" else "pixels"
    return with_changes(config, {"method": method, "pixels": solver, "stages": []})


def check_stages(config: Config) -> None:
    """Refuse stages that contradict each other or themselves, before a file is read.

    Args:
        config: as given.

    Raises:
        ConfigError: the stage, counted from one, and what is wrong with it.
    """
    if not config.stages:
        check_waves(config, ())
        return
    if config.method == "dgp" and all(entry.method != "dgp" for entry in config.stages):
        raise ConfigError('method: "dgp", but no stage is. Remove it: the list of stages says what is done.')
    _check_start(config)
    slices, modes, before = config.object.slices, config.probe.modes, ""
    for number, entry in enumerate(config.stages, 1):
        _check_keys(number, entry)
        wanted = entry.slices or slices
        if wanted % slices and slices % wanted:
            raise ConfigError(
                f"stages.{number}.slices: {wanted} and the {slices} before do not divide. Use a multiple or a divisor."
            )
        if wanted > 1 and not (
            (config.object.slice_thickness or config.object.slice_gaps) and config.object.slices > 1
        ):
            raise ConfigError(
                f"stages.{number}.slices: {wanted} slices of an object whose thickness nothing says. "
                "Set object.slices above one and object.slice_thickness; their product is the thickness."
            )
        if (entry.modes or modes) < modes:
            raise ConfigError(
                f"stages.{number}.modes: {entry.modes}, but there were {modes}. Modes can be added, not removed."
            )
        _check_search(number, entry, config, before)
        if entry.method == "dgp" and entry.dgp.get("half_sets") and before != "half_sets":
            raise ConfigError(
                f'stages.{number}.dgp.half_sets: the stage before gives none. Put one of method = "half_sets" there.'
            )
        slices, modes = wanted, entry.modes or modes
        before = before if entry.method == POSITIONS else entry.method
    _check_each(config)
    check_waves(config, [own for _, _, own in listed(config)])
    _check_read(config)


def _check_search(number: int, entry: StageConfig, config: Config, before: str) -> None:
    """Refuse a search for positions that has nothing to compare the patterns with, or no range."""
    if entry.method != POSITIONS:
        if given := [key for key in SEARCHED if key in entry.refine]:
            raise ConfigError(
                f"stages.{number}.refine.{given[0]}: has no effect on {entry.method}. "
                'Put a stage of method = "positions" after it.'
            )
        return
    _check_tables(number, entry)
    if not before:
        raise ConfigError(
            f'stages.{number}.method: "positions" searches with the object of the stage before, and there is none. '
            'Put "half_sets" or "pixels" before it.'
        )
    if not any(entry.refine.get(key, getattr(config.refine, key)) for key in SEARCHED):
        raise ConfigError(
            f'stages.{number}.method: "positions", but nothing says how far they may be off. '
            "Set refine.position_error, in Å, or position_affine, position_lines or position_drift."
        )


def _check_tables(number: int, entry: StageConfig) -> None:
    """Refuse keys that a search for positions does not read."""
    for table in TABLES:
        unused = set(getattr(entry, table)) - set(SEARCHED) if table == "refine" else set(getattr(entry, table))
        if unused:
            raise ConfigError(f"stages.{number}.{table}.{min(unused)}: has no effect on positions. Remove it.")


def _check_read(config: Config) -> None:
    """Refuse settings of the run that no stage reads."""
    if config.refine.position_rounds != type(config.refine).model_fields["position_rounds"].default:
        raise ConfigError("refine.position_rounds: has no effect on listed stages, which are the rounds. Remove it.")
    searched = [entry for entry in config.stages if entry.method == POSITIONS]
    if config.refine.searched and not searched:
        key = config.refine.searched[0]
        raise ConfigError(f'refine.{key}: has no effect, for no stage is of method = "positions". Remove it.')
    stages = [entry for entry in config.stages if entry.method != POSITIONS]
    methods = [entry.method for entry in stages]
    priors = [own.dgp for _, entry, own in listed(config) if entry.method == "dgp"]
    by_pixels = [set(unread(_of_run(config, entry))) for entry in stages if entry.method != "dgp"]
    unused = set.intersection(*by_pixels) if by_pixels else set()
    if priors:  # whose object may be of pixels; one of a network may be preconditioned, and weighted by coverage
        by_rates = any(dgp.object == "pixels" for dgp in priors)
        kept = "pixels." if by_rates else ("pixels.preconditioner", "pixels.coverage_weighting")
        unused = {key for key in unused if not key.startswith(kept)}
    elif config.dgp.start_file is not None:
        unused |= {"dgp.start_file"}
    if config.pixels.half_sets is True:
        unused |= {"pixels.half_sets"}
    if unused:
        raise ConfigError(f"{min(unused)}: has no effect, for no stage reads it. Remove it.")
    pairs = zip(methods, stages[1:], strict=False)
    if not config.dgp.half_sets and any(
        (before, entry.method) == ("half_sets", "dgp") and "half_sets" not in entry.dgp for before, entry in pairs
    ):
        raise ConfigError('dgp.half_sets: false, but networks follow a stage of half sets. Remove it, or use "pixels".')


def model_of(config: Config, extension: Extension) -> Extension:
    """What the user brought, and the unknowns and effects that the configuration turns on in any stage.

    Args:
        config: as given.
        extension: the user's.

    Returns:
        both.

    Raises:
        ConfigError: a name that both have, or a stage whose detector they do not follow.
    """
    both = with_refined(extension, [own for _, _, own in listed(config)] or [config])
    if any(entry.window for entry in config.stages) and (both.effects or both.beam or both.unknowns):
        raise ConfigError(
            "stages: a window changes the detector, which effects and unknowns of it do not follow. Leave it out."
        )
    slices = {entry.slices for entry in config.stages} - {None, config.object.slices}
    for name in (STATES, GAPS):
        if slices and name in both.unknowns:
            raise ConfigError(
                f"stages: slices merge or split in a stage, which {name} does not follow. Leave one of them out."
            )
    return both


def check_extensions(config: Config, extension: Extension) -> None:
    """Refuse what a run, or a stage of its list, cannot use.

    Args:
        config: as given.
        extension: what the user brought; of a list its network is that of the stages that have one.

    Raises:
        ConfigError: which part, and what to do instead.
    """
    stages = [own for _, _, own in listed(config)] or [config]
    for own in stages:
        elsewhere = own.method != "dgp" and any(other.method == "dgp" for other in stages)
        check_extension(own, dataclasses.replace(extension, network=None) if elsewhere else extension)


def _check_start(config: Config) -> None:
    """Refuse networks that nothing comes before, and a start that something does."""
    dgp, first = config.dgp, config.stages[0].method == "dgp"
    if first and dgp.start == "pixels" and dgp.start_file is None:
        raise ConfigError(
            'stages.1.method: "dgp" has no estimate to start from. Put "half_sets" or "pixels" before it, '
            "or set dgp.start."
        )
    if not first and dgp.start != "pixels":
        raise ConfigError(f'dgp.start: "{dgp.start}", but stages come before the networks. Remove it, or those.')


def _check_keys(number: int, entry: StageConfig) -> None:
    """Refuse keys that are the run's or the stage's own, and values that are none."""
    own = {"modes": f"Use stages.{number}.modes", "half_sets": 'Use method = "half_sets"'}
    for table, keys in RUNS_OWN.items():
        for key in keys:
            if key in getattr(entry, table):
                instead = own.get(key, f"Set {table}.{key} for the run")
                raise ConfigError(f"stages.{number}.{table}.{key}: has no effect in a stage. {instead}.")
    for table in TABLES:
        for key, value in getattr(entry, table).items():
            if value is None:
                raise ConfigError(f"stages.{number}.{table}.{key}: None. Leave the key out.")


def _check_each(config: Config) -> None:
    """Refuse settings of a stage that no run could have."""
    stages = listed(config)
    for number in range(1, len(config.stages) + 1):
        try:
            _, _, settings = next(stages)
            check_config(settings)
        except ConfigError as error:
            raise ConfigError(f"stages.{number}: {error}") from None
