"""How well a state predicts electrons that it has not seen."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from jptycho.forward.model import Fields
from jptycho.objective.compose import batch_loss
from jptycho.objective.losses import LOSSES
from jptycho.parallel import sum_over_shards
from jptycho.representations.base import transmission
from jptycho.solvers.base import ScanData, Solver, State, split_scan
from jptycho.solvers.waves import in_parts
from jptycho.types import Array, Float

PARTS = 16  # patterns that are worked on together


@partial(jax.jit, static_argnames=("solver", "mesh", "loss"))
def held_out_loss(
    solver: Solver, mesh: Mesh, loss: str, state: State, constants: Any, held: ScanData
) -> Float[Array, ""]:
    """Mean loss over the held-out electrons of every position; without noise of the representation.

    Args:
        solver: the settings (static).
        mesh: over scan positions (static).
        loss: one of ``LOSSES`` (static).
        state: to be judged; by its running mean where there is one.
        constants: of the representations.
        held: the held-out electrons of the same positions.

    Returns:
        the mean over patterns.
    """
    fields = solver.fields(state.params, constants)
    if state.average is not None:
        fields = dataclasses.replace(fields, object=transmission(state.average))
    return loss_of_fields(mesh, loss, fields, held)


@partial(jax.jit, static_argnames=("mesh", "loss"))
def loss_of_fields(mesh: Mesh, loss: str, fields: Fields, held: ScanData) -> Float[Array, ""]:
    """Mean loss of given unknowns over electrons.

    Args:
        mesh: over scan positions (static).
        loss: one of ``LOSSES`` (static).
        fields: everything the physics sees.
        held: the electrons.

    Returns:
        the mean over patterns.
    """
    shards, local = held.weight.shape

    def local_sums(shared: Any, places: Any, counts: Array, weight: Array) -> Array:
        now, setup = shared

        def add(total: Array, part: Any) -> Array:
            (patterns, (positions, tilts)), w = part
            return total + batch_loss(LOSSES[loss], now, setup, patterns, positions, w, tilts)[0]

        return in_parts(add, jnp.zeros(()), (counts, places), weight, -(-local // PARTS))

    tilts = split_scan(fields.tilt, shards, local) if fields.tilt.ndim == 2 else None
    places = (split_scan(fields.positions, shards, local), tilts)
    total = sum_over_shards(mesh, local_sums)((fields, held.setup), places, held.counts, held.weight)
    return total / jnp.sum(held.weight)
