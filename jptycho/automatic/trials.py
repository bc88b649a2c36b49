"""What an automatic run tries: settings that one more slice, mode, unknown or network stands for."""

from __future__ import annotations

import dataclasses

from jptycho.assembly.unknowns import composed
from jptycho.config.run import Config
from jptycho.config.stages import NETWORKS
from jptycho.reconstruction.context import Stage
from jptycho.reconstruction.deep_prior import begin_networks
from jptycho.settings import Table

POSITION_RATE = 0.02
"""Pixels: the learning rate of positions that are tried, a few hundredths of a pixel a step."""


@dataclasses.dataclass(frozen=True)
class Trial:
    """Something to try.

    Attributes:
        name: what it is, in words.
        changes: of the settings.
        least_slices: of the object, that it makes sense with.
    """

    name: str
    changes: Table
    least_slices: int = 1


def first_settings(config: Config) -> Config:
    """What an automatic run begins with: one slice where nothing asks for several, and all that networks need.

    Args:
        config: as given.

    Returns:
        settings of a run of networks; its half sets are the first picture.
    """
    blank: Table = {name: field.default for name, field in type(config.automatic).model_fields.items()}
    changes: Table = {"method": NETWORKS, "automatic": blank | {"unknowns": []}}
    values = config.model_dump(exclude_none=True) | changes
    if not slices_are_given(config):
        values["object"] = values["object"] | {"slices": 1} | _thickness(config, 1)
    return type(config).model_validate(values)


def slices_are_given(config: Config) -> bool:
    """Whether the number of slices is no question: a tilt, or a thickness that is found, stands for several."""
    given, refine = config.object, config.refine
    return bool(any(given.tilt) or given.slice_gaps or refine.tilt != "none" or refine.thickness or refine.slice_gaps)


def families(config: Config) -> list[list[Trial]]:
    """What is tried; of each family one after another, until one is not kept.

    Args:
        config: as given.

    Returns:
        trials of slices, of modes, of further unknowns.

    Example:
        >>> from jptycho.config.run import with_changes
        >>> given = with_changes(None, {"object": {"slices": 2, "slice_thickness": 10.0}})
        >>> [[trial.name for trial in family] for family in families(given)]
        [['2 slices', '4 slices'], ['2 modes', '3 modes']]
    """
    wanted, found = config.automatic, list[list[Trial]]()
    if config.object.slice_thickness and not slices_are_given(config):
        numbers = [2**power for power in range(1, 12) if 2**power <= wanted.max_slices]
        found.append(
            [Trial(f"{n} slices", {"object": {"slices": n} | _thickness(config, n)}) for n in numbers],
        )
    if not (config.probe.fixed or composed(config)):  # the modes of a source are those that it gives
        numbers = range(config.probe.modes + 1, wanted.max_modes + 1)
        found.append([Trial(f"{n} modes", {"probe": {"modes": n}}) for n in numbers])
    if "positions" in wanted.unknowns:
        found.append([Trial("free positions", {"refine": {"position_rate": POSITION_RATE}})])
    if "tilt" in wanted.unknowns:
        found.append([Trial("free tilt", {"refine": {"tilt": "global"}}, least_slices=2)])
    return [family for family in found if family]


def _thickness(config: Config, slices: int) -> Table:
    """The thickness of each slice, of as many as the object is divided into."""
    total = (config.object.slice_thickness or 0.0) * config.object.slices
    return {"slice_thickness": total / slices} if total else {}


def split_stages(stages: tuple[Stage, ...], label: str) -> tuple[tuple[Stage, ...], tuple[Stage, ...]]:
    """The stages of a run of networks: those that make the networks' start, named by a label, and the others."""
    first = [stage.begin is begin_networks for stage in stages].index(True)
    named = tuple(dataclasses.replace(stage, name=f"{stage.name}, {label}") for stage in stages[:first])
    return named, stages[first:]
