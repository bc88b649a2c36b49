"""What electrons that an estimate was not made from confirm of it: its bands, and which of several is kept."""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp
import numpy as np

from jptycho.assembly.build import loss_of
from jptycho.assembly.placing import place
from jptycho.objective.losses import Loss
from jptycho.parallel import make_mesh, on_one_device, replicate
from jptycho.preprocess.prepare import Problem
from jptycho.reconstruction.context import Context
from jptycho.reconstruction.stages import validation_loss
from jptycho.representations.estimate import Estimate, fields_of
from jptycho.representations.object_kinds import admit
from jptycho.solvers.band_gains import Quadratic, best_gains, frequency_bands, loss_by_band, with_gains
from jptycho.types import Array


def keep_confirmed(context: Context, candidates: dict[str, Estimate]) -> Estimate:
    """The estimate that predicts best what is held out, each after its bands are as strong as that confirms.

    An estimate whose bands were confirmed before and one whose were not cannot be compared: the gains are worth more
    than what networks add. No candidate has seen what is held out; the first wins where nothing is.
    """
    if context.validation is None:
        return next(iter(candidates.values()))
    mesh, found, loss = make_mesh(), {}, loss_of(context.config, context.extension)
    for name, estimate in candidates.items():
        confirmed, gains = confirm_bands(context, estimate, context.validation)
        found[name] = (validation_loss(context.validation, loss, mesh, confirmed), confirmed, gains)
    kept = min(found, key=lambda name: found[name][0])
    losses = ", ".join(f"{loss:.6g} by {name}" for name, (loss, _, _) in found.items())
    _, estimate, gains = found[kept]
    context.log(f"held-out electrons, bands as strong as they confirm: {losses}; {kept} is kept")
    context.log(f"held-out electrons confirm {summarise_gains(gains)}")
    return estimate


def confirm_bands(context: Context, estimate: Estimate, validate: Problem) -> tuple[Estimate, Array]:
    """An estimate with each band as strong as electrons confirm that it has not seen, and the gains.

    Slow structure weighs little in the likelihood of a step, and much in the image. Members get the same gains.
    """
    estimate = on_one_device(estimate)
    (rows, columns), sampling = estimate.coverage.shape, context.problem.setup.grid.sampling
    bands = jnp.asarray(frequency_bands((rows, columns), sampling), estimate.object.dtype)
    gains = best_gains(
        band_losses(loss_of(context.config, context.extension), estimate, bands, validate), largest_slow=1.0
    )

    def strengthen(channels: Array) -> Array:
        return admit(context.config.object.kind, with_gains(channels, bands, gains))

    members = None if estimate.members is None else jnp.stack([strengthen(member) for member in estimate.members])
    return dataclasses.replace(estimate, object=strengthen(estimate.object), members=members), gains


def band_losses(loss: Loss, estimate: Estimate, bands: Array, validate: Problem) -> Quadratic:
    """How electrons that an estimate has not seen validate each of its bands: the loss as a function of their gains."""
    mesh = make_mesh()
    channels, fields, bands = replicate(mesh, (estimate.object, fields_of(estimate), bands))
    losses = loss_by_band(mesh, loss, channels, fields, bands, place(validate.counts, validate.setup, mesh))
    return on_one_device(losses)


def summarise_gains(gains: Array) -> str:
    """The gains of bands, as a run says them.

    Args:
        gains: of each band, the coarsest first.

    Returns:
        words.

    Example:
        >>> summarise_gains(jnp.array([0.5, 1.0]))
        'of 2 bands, from coarse to fine: 0.50 1.00'
    """
    return f"of {len(gains)} bands, from coarse to fine: " + " ".join(f"{gain:.2f}" for gain in np.asarray(gains))
