"""Several members of a solver, of different seeds and electrons, in one compiled program."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from jptycho.objective.denoisers import Denoising
from jptycho.objective.projections import Projection
from jptycho.optics.aberrations import SYMMETRIES
from jptycho.optics.probe import probe_power
from jptycho.optics.waves import to_complex
from jptycho.representations.base import ModelSpec
from jptycho.representations.beam import COHERENT
from jptycho.representations.estimate import Estimate
from jptycho.solvers.base import Metrics, ScanData, Solver, State, constrained_at_end, epochs_after
from jptycho.solvers.probe_filter import align_modes
from jptycho.types import Array, Complex, Constants, Float, Params, PyTree


@dataclasses.dataclass(frozen=True)
class EnsembleSolver:
    """Members that differ in weights, noise, batches and halves of the electrons; their mean is the estimate.

    Parameters and constants carry a leading axis of members. So do the counts of each pattern, of length one where
    members share them.

    Attributes:
        solver: of each member.
        ensemble_size: how many.
        together: members that are mapped at once by ``vmap``; the others wait their turn.
    """

    solver: Solver
    ensemble_size: int
    together: int = 1

    @property
    def model(self) -> ModelSpec:
        """Representations of a member."""
        return self.solver.model

    @property
    def projections(self) -> tuple[Projection, ...]:
        """None of the mean; each member obeys its own."""
        return ()

    @property
    def denoisers(self) -> tuple[Denoising, ...]:
        """None of the mean, likewise."""
        return ()

    def init(self, params: Params, constants: Constants) -> tuple[PyTree, Array | None]:
        """What the members' solvers remember and the members' objects; the mean of those."""
        memory, averages = jax.vmap(self.solver.init)(params, constants)
        if averages is None:
            averages = jax.vmap(self._object)(params, constants)
        return (memory, averages), jnp.mean(averages, axis=0)

    def _object(self, params: Params, constants: Constants) -> Float[Array, "slices channels Y X"]:
        """A member's object where its solver keeps no running mean."""
        return self.model.object.apply(params["object"], constants["object"], None)

    def epoch(self, mesh: Mesh, state: State, constants: Constants, data: ScanData) -> tuple[State, Metrics]:
        """An epoch of every member."""
        keys = jax.random.split(state.key, self.ensemble_size + 1)
        memory, averages = state.optimiser

        def one(member: PyTree) -> tuple[State, Metrics]:
            params, opt, average, own, key, number = member
            counts = jnp.take(data.counts, number, axis=2, mode="clip")
            keeps_mean = jax.eval_shape(self.solver.init, params, own)[1] is not None
            mine = State(params, opt, average if keeps_mean else None, key, state.epoch)
            after, metrics = self.solver.epoch(mesh, mine, own, dataclasses.replace(data, counts=counts))
            after = dataclasses.replace(after, params=constrained_at_end(self.solver, after.params, own, data))
            if not keeps_mean:
                after = dataclasses.replace(after, average=self._object(after.params, own))
            return after, metrics

        numbers = jnp.arange(self.ensemble_size)
        after, metrics = self._map(one, (state.params, memory, averages, constants, keys[1:], numbers))
        mean = jnp.mean(after.average, axis=0)
        state = State(after.params, (after.optimiser, after.average), mean, keys[0], epochs_after(state, data))
        finite = jnp.all(metrics.finite)
        return state, Metrics(jnp.mean(metrics.loss), jnp.mean(metrics.amplitude_error), finite)

    def estimate(self, params: Params, constants: Constants) -> Estimate:
        """The mean of the members' estimates."""
        return mean_of_members(self.every(params, constants))

    def every(self, params: Params, constants: Constants) -> Estimate:
        """That of each member, with a leading axis."""
        return self._map(lambda member: self.solver.estimate(*member), (params, constants))

    def _map(self, function: Callable[..., PyTree], members: PyTree) -> PyTree:
        return jax.lax.map(function, members, batch_size=min(self.together, self.ensemble_size))


LEAST_POWER = 1e-12
"""Of a mean probe, so that one that vanishes stays finite."""


def mean_of_members(every: Estimate) -> Estimate:
    """The mean of the members' objects and of their probes, those in the gauge of the first, and of all else.

    An aberration and its azimuth are averaged as the vector that they are: C cos(m φ) and C sin(m φ).

    Args:
        every: that of each member, with a leading axis.

    Returns:
        the estimate.
    """
    mean = jax.tree.map(lambda leaf: jnp.mean(leaf, axis=0), every)
    parts = mean.shared | _mean_aberrations(every.shared)
    if COHERENT in parts:
        parts[COHERENT] = _mean_probe(every.shared[COHERENT][:, None])[0]
    return dataclasses.replace(mean, probe=_mean_probe(every.probe), shared=parts)


def _mean_probe(every: Complex[Array, "members modes y x"]) -> Complex[Array, "modes y x"]:
    """The mean in the gauge of the first, of the mean power."""
    probe = jnp.mean(jax.vmap(align_modes, in_axes=(0, None))(every, every[0]), axis=0)
    power = jnp.mean(jax.vmap(probe_power)(every)) / jnp.maximum(probe_power(probe), LEAST_POWER)
    return probe * to_complex(jnp.sqrt(power))


def _mean_aberrations(every: dict[str, Array]) -> dict[str, Array]:
    """Means of the coefficients that have an azimuth, and their azimuths: angles at a period's ends are near."""
    found = {}
    for name, (_, m) in SYMMETRIES.items():
        azimuth = f"phi{name[1:]}"
        if name in every and azimuth in every:
            size, angle = every[name], m * every[azimuth]
            x, y = jnp.mean(size * jnp.cos(angle), axis=0), jnp.mean(size * jnp.sin(angle), axis=0)
            found |= {name: jnp.hypot(x, y), azimuth: jnp.arctan2(y, x) / m}
    return found


def member_channels(state: State) -> Float[Array, "members slices channels Y X"]:
    """The object of every member of an ensemble.

    Args:
        state: of an :class:`EnsembleSolver`.

    Returns:
        phase in rad and absorption of each.
    """
    return state.optimiser[1]
