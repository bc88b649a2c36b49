"""The stages of a run, from its configuration."""

from __future__ import annotations

import dataclasses

from jptycho.assembly.checks import check_searched
from jptycho.assembly.listed import NAMES, listed
from jptycho.assembly.polish import polish_config
from jptycho.config.run import Config
from jptycho.config.stages import ALL, HALF_SETS, NETWORKS, PIXELS, POLISH, POSITIONS, StageConfig, epochs_of
from jptycho.preprocess.prepare import Problem
from jptycho.reconstruction.context import Stage
from jptycho.reconstruction.deep_prior import begin_networks, conclude_networks
from jptycho.reconstruction.half_sets import begin_half_sets, conclude_half_sets
from jptycho.reconstruction.pixels import (
    begin_anew,
    begin_pixels,
    begin_repeat,
    conclude_pixels,
    conclude_polish,
    conclude_repeat,
)
from jptycho.reconstruction.positions import begin_positions, conclude_positions

DO = {
    HALF_SETS: (begin_half_sets, conclude_half_sets),
    PIXELS: (begin_pixels, conclude_pixels),
    NETWORKS: (begin_networks, conclude_networks),
    POLISH: (begin_pixels, conclude_polish),
    POSITIONS: (begin_positions, conclude_positions),
}
FORMING = 12
"""Epochs of the pixels before each search for positions: as many as half sets need to confirm their probe."""


def plan(config: Config, problem: Problem) -> tuple[Stage, ...]:
    """The stages of a run.

    Args:
        config: without ``auto``.
        problem: the scan made ready.

    Returns:
        of pixels: by half sets, or plain ones, repeated with all electrons where some were held out; of the deep
        generative priors: pixels, networks, a polish of pixels, repeated likewise; or those that it lists itself.
    """
    if config.stages:
        return _repeated([_listed(number, *stage) for number, stage in enumerate(listed(config))])
    if config.method == "pixels":
        first = HALF_SETS if config.pixels.half_sets else PIXELS
        return _repeated(_located(_stage(first, config, config.pixels.epochs)))
    dgp = config.dgp
    stages = [_stage(NETWORKS, config, dgp.epochs)]
    if dgp.start == "pixels" and dgp.half_sets:
        stages[:0] = _located(_stage(HALF_SETS, config, dgp.start_epochs))
    elif dgp.start == "pixels" and dgp.start_file is None:
        stages[:0] = _located(_stage(PIXELS, config, dgp.start_epochs))
    if dgp.polish_epochs and dgp.object == "network":
        stages.append(_stage(POLISH, polish_config(config, len(problem.counts)), int(dgp.polish_epochs)))
    check_searched(config, any(stage.begin is begin_positions for stage in stages))
    return _repeated(stages)


def _located(stage: Stage) -> list[Stage]:
    """A stage of pixels, after rounds in which others form the object and each pattern's position is searched for."""
    refine, epochs, stages = stage.config.refine, min(FORMING, stage.epochs or 0), []
    # A filter takes from the object what tells of its scale; but each pattern's noise in it would hold that pattern.
    begun = stage if refine.position_error else dataclasses.replace(_stage(PIXELS, stage.config, 0), begin=begin_anew)
    for number in range(1, 1 + (refine.position_rounds if refine.searched else 0)):
        forming = dataclasses.replace(begun, name=f"{begun.name}, round {number}", epochs=epochs)
        stages += [forming, Stage(f"{POSITIONS}, round {number}", stage.config, 1, *DO[POSITIONS])]
    return [*stages, stage]


def _stage(name: str, config: Config, epochs: int | None) -> Stage:
    return Stage(name, config, epochs, *DO[name])


def _listed(number: int, name: str, entry: StageConfig, config: Config) -> Stage:
    """A stage of a list; pixels that follow another stage may keep what they begin with."""
    begin, conclude = DO[NAMES[entry.method]]
    conclude = conclude_polish if entry.method == "pixels" and number else conclude
    window = None if entry.window is None else (entry.window, entry.window)
    return Stage(name, config, epochs_of(entry), begin, conclude, window)


def _repeated(stages: list[Stage]) -> tuple[Stage, ...]:
    """The stages, and the last once more with all electrons where it is of pixels and some were held out."""
    last = stages[-1]
    wanted = last.config.validation.fraction and last.config.validation.all_electrons
    pixels = last.begin is begin_pixels
    again = dataclasses.replace(
        last, name=ALL, epochs=None, scheduled=last.epochs, begin=begin_repeat, conclude=conclude_repeat
    )
    return (*stages, again) if wanted and pixels else tuple(stages)


def pairs_of_half_sets(stages: tuple[Stage, ...]) -> int:
    """How many pairs of half sets the stages of a run read: one, or as many as the largest ensemble has networks.

    Args:
        stages: of the run.

    Returns:
        pairs; 0 where no stage divides the electrons.
    """
    networks = [own.config.dgp for own in stages if own.begin is begin_networks and own.config.dgp.half_sets]
    split = [1 for stage in stages if stage.begin is begin_half_sets]
    return max([0, *split, *(int(dgp.ensemble_size) for dgp in networks)])
