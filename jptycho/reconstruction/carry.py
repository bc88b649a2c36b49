"""From one stage's slices, modes and window to another's."""

from __future__ import annotations

import dataclasses
from functools import partial

import jax.numpy as jnp

from jptycho.parallel import on_one_device
from jptycho.preprocess.reshape import carried, reshaped
from jptycho.reconstruction.context import Context, Progress, Stage
from jptycho.representations.estimate import Estimate
from jptycho.representations.object_kinds import admit


def as_seen_by(context: Context, stage: Stage) -> Context:
    """A run as a stage sees it: its slices, modes and window."""
    slices, modes, estimate = stage.config.object.slices, stage.config.probe.modes, context.problem.estimate
    same = (slices, modes) == (estimate.object.shape[0], estimate.probe.shape[0])
    if same and stage.window in (None, context.problem.setup.grid.shape):
        return context
    change = partial(reshaped, slices=slices, modes=modes, window=stage.window)
    return dataclasses.replace(
        context,
        problem=change(context.problem),
        whole=change(context.whole),
        validation=None if context.validation is None else change(context.validation),
        half_sets=tuple((change(first), change(second)) for first, second in context.half_sets),
    )


def handed_on(progress: Progress, before: Context, now: Context) -> Progress:
    """A progress with the slices, modes and window of the next stage, from those of the one before."""
    if before is now:
        return progress
    kind = now.config.object.kind

    def change(estimate: Estimate) -> Estimate:
        found = carried(on_one_device(estimate), before.problem, now.problem)
        halves = None if found.half_sets is None else jnp.stack([admit(kind, half) for half in found.half_sets])
        return dataclasses.replace(found, object=admit(kind, found.object), half_sets=halves)

    estimates = {"estimate": change(progress.estimate), "start": change(progress.start)}
    return dataclasses.replace(progress, **estimates, pairs=tuple(change(pair) for pair in progress.pairs))
