"""Pixels by both halves of the electrons, with one probe most of the time: what both halves confirm of it."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from jptycho.optics.source import source_modes
from jptycho.representations.base import Assignable, Representation
from jptycho.representations.beam import COHERENT, SOURCE, BlurredProbe
from jptycho.representations.estimate import Estimate
from jptycho.solvers.base import Metrics, ScanData, State
from jptycho.solvers.ensemble import EnsembleSolver
from jptycho.solvers.gradient import PROBE_MOVES
from jptycho.solvers.probe_filter import filter_probes
from jptycho.types import Array, Bool, Complex, Constants, Integer, Params, PyTree, pytree

ROUND = 4  # epochs after which the halves' probes are compared
HELD = 4  # epochs at least with the probe that both confirm
LAST = 4  # epochs at the end, in which each half fits a probe of its own again
LEAST_SHARE = 0.1
"""Of a probe's change over a round: what both halves confirm, if the probe is to move on."""


@pytree
class SharedProbe:
    """The probe that both halves confirm.

    Attributes:
        modes: after the last round, before the first that of the guess.
        moving: whether another round follows.
    """

    modes: Complex[Array, "modes y x"]
    moving: Bool[Array, ""]


@dataclasses.dataclass(frozen=True)
class HalfSetSolver(EnsembleSolver):
    """Pairs of members, each pair on both halves of the electrons.

    Object and probe that are fitted to the same electrons fit their noise together: the probe takes up some of it, and
    slow structure of the object is exaggerated in return, in both halves alike. So the probe moves in rounds of
    ``ROUND`` epochs: then it becomes what both halves confirm of its change, and where that is too little, or ``HELD``
    and ``LAST`` epochs remain, it is held. In the last epochs each half has its own probe again, so that the other
    half's electrons can validate both together; the rates of a cosine begin again for them. In a run of fewer epochs
    than these three it moves all the time.

    Attributes:
        solver: of each member: descent by gradients, its probe of pixels.
        members: twice the number of pairs.
        together: members that are mapped at once.
        epochs: that will be run.
        aspect: of the sampling, of :func:`jptycho.optics.frequencies.aspect_of`.
    """

    epochs: Integer = 0
    aspect: tuple[float, float] = (1.0, 1.0)

    def init(self, params: Params, constants: Constants) -> tuple[PyTree, Array | None]:
        """That of the members, and the probe of the first."""
        (memory, averages), mean = super().init(params, constants)
        first = jax.tree.map(lambda leaf: leaf[0], (params["probe"], constants["probe"]))
        return (memory, averages, SharedProbe(self._modes(*first), jnp.array(True))), mean

    @property
    def pixels(self) -> Representation:
        """What of the probe may fit noise: the modes, or the wave of a point source of which they are made."""
        probe = self.model.probe
        return probe.inner if isinstance(probe, BlurredProbe) else probe

    def _modes(self, params: PyTree, constants: PyTree) -> Complex[Array, "modes y x"]:
        """The modes of these pixels."""
        blurred = isinstance(self.model.probe, BlurredProbe)
        own = (params["inner"], constants[0]) if blurred else (params, constants)
        return self.pixels.apply(*own, None)

    def epoch(self, mesh: Mesh, state: State, constants: Constants, data: ScanData) -> tuple[State, Metrics]:
        """An epoch of every member; after a round the probe that both halves confirm."""
        memory, averages, shared = state.optimiser
        if not isinstance(self.pixels, Assignable):  # few numbers, which fit no noise
            after, metrics = super().epoch(
                mesh, dataclasses.replace(state, optimiser=(memory, averages)), constants, data
            )
            return dataclasses.replace(after, optimiser=(*after.optimiser, shared)), metrics
        free = shared.moving | (state.epoch >= self.epochs - LAST)
        own = constants | {PROBE_MOVES: jnp.broadcast_to(free, self.ensemble_size)}
        after, metrics = super().epoch(mesh, dataclasses.replace(state, optimiser=(memory, averages)), own, data)
        due = (
            shared.moving
            & (after.epoch > state.epoch)
            & (after.epoch % ROUND == 0)
            & (after.epoch + HELD + LAST <= self.epochs)
        )

        def compared(probes: PyTree) -> tuple[SharedProbe, PyTree]:
            modes = jax.vmap(self._modes)(probes, constants["probe"])
            confirmed, share = self._common(modes, shared)
            another = (share >= LEAST_SHARE) & (after.epoch + ROUND + HELD + LAST <= self.epochs)
            return SharedProbe(confirmed, another), self._assigned(probes, constants["probe"], confirmed)

        shared, probes = jax.lax.cond(due, compared, lambda probes: (shared, probes), after.params["probe"])
        params = after.params | {"probe": probes}
        return dataclasses.replace(after, params=params, optimiser=(*after.optimiser, shared)), metrics

    def _assigned(self, probes: PyTree, constants: Constants, modes: Complex[Array, "modes y x"]) -> PyTree:
        """Parameters of the members that all give these modes."""
        pixels = self.pixels
        assert isinstance(pixels, Assignable)
        assigned = jax.vmap(pixels.assign, in_axes=(0, 0, None))
        if isinstance(self.model.probe, BlurredProbe):
            return probes | {"inner": assigned(probes["inner"], constants[0], modes)}
        return assigned(probes, constants, modes)

    def confirmed(self, state: State, every: Estimate, mean: Estimate) -> Estimate:
        """The mean of the members with what the halves confirm of their own probes' change from the one they shared."""
        probe, shared = self.model.probe, state.optimiser[2]
        if not isinstance(self.pixels, Assignable):
            return mean
        if not isinstance(probe, BlurredProbe):
            return dataclasses.replace(mean, probe=self._common(every.probe, shared)[0])
        wave = self._common(every.shared[COHERENT][:, None], shared)[0][0]
        modes = source_modes(wave, mean.shared[SOURCE], probe.sampling, probe.modes)
        return dataclasses.replace(mean, probe=modes, shared=mean.shared | {COHERENT: wave})

    def _common(self, probes: Complex[Array, "members modes y x"], shared: SharedProbe) -> tuple[Array, Array]:
        """Means over the pairs of :func:`jptycho.solvers.probe_filter.filter_probes`."""
        pairs = range(0, self.ensemble_size, 2)
        every = [filter_probes(probes[n], probes[n + 1], shared.modes, self.aspect) for n in pairs]
        modes, shares = (jnp.stack(part) for part in zip(*every, strict=True))
        return jnp.mean(modes, axis=0), jnp.mean(shares)
