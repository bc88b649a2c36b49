"""The last stage of the deep generative priors: plain pixels add what no network found.

A network shows what it can predict and smooths away the rest, though the electrons have seen some of it: the texture
of a film between lattice reflections, the finest structure at the lowest dose. A few short steps of pixels without
preconditioner bring that back and leave slow structure, where networks are strong, as it is.
"""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp

from jptycho.config.pixels import PixelsConfig
from jptycho.config.run import Config
from jptycho.data.checkpoints import load_facts
from jptycho.preprocess.automatic import choose_batch
from jptycho.reconstruction.pixel_stages import run_last_pixels
from jptycho.reconstruction.run import ALL, POLISH, Run, folder_of, has_checkpoint
from jptycho.reconstruction.solver_checks import takes_whole_scan
from jptycho.representations.base import Estimate


def run_polish(run: Run, estimate: Estimate) -> tuple[Estimate, str]:
    """Go on from the networks' estimate with plain pixels; what is held out judges whether that is better.

    Args:
        run: the run.
        estimate: the networks' estimate; a checkpoint of this stage replaces it.

    Returns:
        the estimate reached, and the status. The members of an ensemble stay what they were.
    """
    config = run.config
    if in_polish(run) and (load_facts(folder_of(run)) or {})["ensemble"]:
        estimate = dataclasses.replace(estimate, members=jnp.zeros((config.dgp.ensemble_size, *estimate.object.shape)))
    refine = config.refine.model_copy(
        update={
            "position_rate": config.dgp.polish_rate * config.refine.position_rate,
            "tilt_rate": config.dgp.polish_rate * config.refine.tilt_rate,
        }
    )
    pixels = plain_pixels(config, len(run.problem.counts))
    plain = config.model_copy(update={"pixels": pixels, "refine": refine})
    return run_last_pixels(run, POLISH, plain, estimate, config.dgp.polish_epochs)


def in_polish(run: Run) -> bool:
    """Whether a checkpoint is of the finish, or of its repetition.

    Args:
        run: the run.

    Returns:
        whether; the networks are behind it then.
    """
    return has_checkpoint(run, POLISH) or has_checkpoint(run, ALL)


def plain_pixels(config: Config, patterns: int) -> PixelsConfig:
    """Settings of the pixels that follow a network.

    Args:
        config: without ``auto``.
        patterns: in the scan.

    Returns:
        the table ``[pixels]``: Adam without preconditioner at a fraction of the rate.
    """
    given, plain = config.pixels, PixelsConfig.model_construct()
    return plain.model_copy(
        update={
            "batch": choose_batch(patterns) if takes_whole_scan(config) else given.batch,
            "object_rate": config.dgp.polish_rate * float(given.object_rate),
            "probe_rate": config.dgp.polish_rate * float(given.probe_rate),
            "preconditioner": given.preconditioner.model_copy(update={"gain": 0.0}),
            "coverage_weighting": given.coverage_weighting,
        }
    )
