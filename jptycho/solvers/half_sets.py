"""Pixels by both halves of the electrons, with one probe: that of which both halves have the same to say."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from jptycho.representations.base import Assignable
from jptycho.solvers.base import Metrics, ScanData, State
from jptycho.solvers.ensemble import EnsembleSolver
from jptycho.solvers.probe_filter import filter_probes
from jptycho.types import Array, Bool, Complex, pytree

ROUND = 4  # epochs after which the halves' probes are compared
HELD = 8  # epochs at the end with the probe that both confirm
LEAST_SHARE = 0.1
"""Of a probe's change over a round: what both halves confirm, if the probe is to move on."""


@pytree
class SharedProbe:
    """The probe that both halves confirm.

    Attributes:
        modes: after the last round, before the first that of the guess.
        free: whether it still moves.
    """

    modes: Complex[Array, "modes y x"]
    free: Bool[Array, ""]


@dataclasses.dataclass(frozen=True)
class HalfSetSolver(EnsembleSolver):
    """Pairs of members, each pair on both halves of the electrons; all have one probe in the end.

    Object and probe that are fitted to the same electrons fit their noise together: the probe takes up some of it, and
    slow structure of the object is exaggerated in return, in both halves alike. So the probe moves in rounds of
    ``ROUND`` epochs: then it becomes what both halves confirm of its change, and where that is too little it is held.

    Attributes:
        solver: of each member; its probe is one of pixels.
        members: twice the number of pairs.
        together: members that are mapped at once.
        epochs: that will be run; the probe is held for the last ``HELD``.
    """

    epochs: int = 0

    def init(self, params: Any, constants: Any) -> tuple[Any, Any]:
        """That of the members, and the probe of the first."""
        (memory, averages), mean = super().init(params, constants)
        first = jax.tree.map(lambda leaf: leaf[0], (params["probe"], constants["probe"]))
        probe = self.model.probe.apply(first[0], first[1], None)
        return (memory, averages, SharedProbe(probe, jnp.array(True))), mean

    def epoch(self, mesh: Mesh, state: State, constants: Any, data: ScanData) -> tuple[State, Metrics]:
        """An epoch of every member; after a round the probe that both halves confirm."""
        memory, averages, shared = state.optimiser
        gates = constants | {"probe": jnp.broadcast_to(shared.free, self.members)}
        before = dataclasses.replace(state, optimiser=(memory, averages))
        after, metrics = super().epoch(mesh, before, gates, data)
        shared, renewed = self._compared(after, gates, data, shared)
        representation = self.model.probe
        assert isinstance(representation, Assignable)
        probes = after.params["probe"]
        held = jax.vmap(representation.assign, in_axes=(0, 0, None))(probes, gates["probe"], shared.modes)
        probes = jax.tree.map(lambda new, old: jnp.where(renewed, new, old), held, probes)
        return dataclasses.replace(
            after, params=after.params | {"probe": probes}, optimiser=(*after.optimiser, shared)
        ), metrics

    def _compared(self, after: State, gates: Any, data: ScanData, shared: SharedProbe) -> tuple[SharedProbe, Array]:
        """The shared probe after an epoch, and whether the members must take it."""
        probes = jax.vmap(lambda own, gate: self.model.probe.apply(own, gate, None))(
            after.params["probe"], gates["probe"]
        )
        sampling = data.setup.grid.sampling
        every = [filter_probes(probes[n], probes[n + 1], shared.modes, sampling) for n in range(0, self.members, 2)]
        confirmed = jnp.mean(jnp.stack([probe for probe, _ in every]), axis=0)
        share = jnp.mean(jnp.stack([share for _, share in every]))
        due = shared.free & (after.epoch % ROUND == 0)
        another = (share >= LEAST_SHARE) & (after.epoch + ROUND + HELD <= self.epochs)
        modes = jnp.where(due, confirmed, shared.modes)
        return SharedProbe(modes, shared.free & (~due | another)), due | ~shared.free
