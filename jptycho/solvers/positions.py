"""Positions that are found: a search around where the scan says they are, then Gauss-Newton, pattern by pattern.

The likelihood of one pattern has a minimum at about every lattice spacing, so steps along its gradient end in the
wrong one where a position is further off than a quarter of that. Object and probe are held meanwhile.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from jptycho.forward.fields import ScanFields
from jptycho.objective.denoisers import Denoising
from jptycho.objective.losses import Loss
from jptycho.objective.projections import Projection
from jptycho.parallel import map_over_shards
from jptycho.representations.base import ModelSpec, render
from jptycho.representations.estimate import Estimate
from jptycho.solvers.base import Metrics, ScanData, State, rendered, split_scan, summarise_metrics
from jptycho.solvers.locate import Located, Prior, locate
from jptycho.types import Array, Constants, Float, Number, Params, PyTree, pytree

SPREADS = tuple(10 ** (n / 20) for n in range(-40, 21))
"""Of the displacements that are compared, in the one that was expected; the least stands for none."""
AT_ONCE = 8  # patterns that are mapped together


@pytree
class Spread:
    """How far positions are off, and how well each is known.

    Attributes:
        rms: of the displacements along an axis, pixels: the prior of the next search.
        error: standard deviation of each displacement, pixels (scan, 2), where object and probe are right and the
            minimum that was found is the right one.
    """

    rms: Float[Array, ""]
    error: Float[Array, "scan 2"]


@dataclasses.dataclass(frozen=True)
class PositionSolver:
    """Finds the displacement d of each pattern from its nominal position, with object and probe held; hashable.

    For each pattern, from the better of where it is now and of a grid of trial positions about the nominal one:
    d += (H + 1/s²)⁻¹ (g - d/s²), with g the gradient of the log-likelihood, H = Jᵀ ℓ'' J its expected curvature,
    J = ∂I/∂d, and s the spread of all displacements. After an epoch s is that which makes what was found most probable
    (empirical Bayes), and each d is shrunk by it: positions that are exactly known stay where they are. What the model
    leaves beyond noise widens all errors alike.

    Attributes:
        model: object and probe of pixels, and
            :class:`jptycho.representations.per_position.FreePositions` that are not centred.
        loss: of one pattern.
        spread: s of the first epoch, pixels.
        spacing: of the trial positions, pixels.
        reach: trial positions on each side of the nominal one (static).
        projections: none.
        denoisers: none.

    Source:
        Zhang et al., Opt. Express 21 (2013) 13592, and Maiden et al., Ultramicroscopy 120 (2012) 64, for searches;
        Dwivedi et al., Ultramicroscopy 192 (2018) 29, for gradients of intensity; Efron & Morris, J. Am. Stat. Assoc.
        68 (1973) 117, for the shrinkage.
    """

    model: ModelSpec
    loss: Loss
    spread: Number
    spacing: Number
    reach: int = 3
    projections: tuple[Projection, ...] = ()
    denoisers: tuple[Denoising, ...] = ()

    def init(self, params: Params, constants: Constants) -> tuple[PyTree, Array | None]:
        """The spread that is expected."""
        del constants
        displacement = params["positions"]
        return Spread(jnp.asarray(self.spread, displacement.dtype), jnp.zeros_like(displacement)), None

    def epoch(self, mesh: Mesh, state: State, constants: Constants, data: ScanData) -> tuple[State, Metrics]:
        """Locate every pattern; then what all of them tell of the spread."""
        return _epoch(self, mesh, state, constants, data)

    def estimate(self, params: Params, constants: Constants) -> Estimate:
        """The unknowns."""
        return render(self.model, params, constants)


def _epoch(
    solver: PositionSolver, mesh: Mesh, state: State, constants: Constants, data: ScanData
) -> tuple[State, Metrics]:
    fields = rendered(solver, state.params, constants)
    nominal, count = constants["positions"], len(fields.scan)
    rows, reference = (split_scan(each, *data.weight.shape) for each in (fields.scan, ScanFields(nominal)))
    trials = trial_offsets(solver.reach, solver.spacing).astype(nominal.dtype)

    def local(shared: PyTree, counts: Array, rows: ScanFields, nominal: ScanFields) -> Located:
        now, setup, spread = shared

        def one(item: PyTree) -> Located:
            pattern, row, place = item
            return locate(solver.loss, now, setup, pattern, row, Prior(place.position, spread), trials)

        return jax.lax.map(one, (counts, rows, nominal), batch_size=AT_ONCE)

    shared = (fields, data.setup, state.optimiser.rms)
    found = map_over_shards(mesh, local)(shared, data.counts, rows, reference)
    found = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:])[:count], found)
    displacement, spread = shrink(found, state.optimiser.rms)
    params = state.params | {"positions": displacement}
    weight = jnp.ones_like(found.loss)
    return (
        State(params, spread, None, state.key, state.epoch + 1),
        summarise_metrics(jnp.sum(found.loss), jnp.sum(found.residual), weight),
    )


def trial_offsets(reach: int, spacing: Number | Array) -> Float[Array, "trials 2"]:
    """A square grid of offsets.

    Args:
        reach: on each side of zero (static).
        spacing: between neighbours.

    Returns:
        the (2 reach + 1)² offsets along (y, x).

    Example:
        >>> trial_offsets(1, 0.5).tolist()[:3]
        [[-0.5, -0.5], [-0.5, 0.0], [-0.5, 0.5]]
    """
    steps = jnp.arange(-reach, reach + 1, dtype=jnp.result_type(0.0)) * spacing
    return jnp.stack(jnp.meshgrid(steps, steps, indexing="ij"), axis=-1).reshape(-1, 2)


def shrink(found: Located, prior: Float[Array, ""]) -> tuple[Float[Array, "scan 2"], Spread]:
    """Displacements by what all of them tell of their spread: d = (H + 1/s²)⁻¹ H m, m each pattern's own best.

    s maximises the probability of what was found, up to a constant Σ ½ bᵀ (H + 1/s²)⁻¹ b - ½ log |1 + s² H|, b = H m.

    Args:
        found: of every pattern, with a prior.
        prior: standard deviation that it had, pixels.

    Returns:
        displacements, pixels; their spread and errors.
    """
    # What the model does not explain is no smaller in one pattern than its noise; half of the patterns may be outliers.
    misfit = jnp.maximum(jnp.maximum(1.0, jnp.median(found.misfit)), found.misfit)
    unit = jnp.eye(2, dtype=found.information.dtype)[None]
    information = found.information / misfit[:, None, None]
    pull = jnp.einsum("nab,nb->na", found.information + unit / prior**2, found.displacement) / misfit[:, None]

    def posterior(spread: Array) -> tuple[Array, Array]:
        covariance = jnp.linalg.inv(information + unit / spread**2)
        return jnp.einsum("nab,nb->na", covariance, pull), covariance

    def evidence(spread: Array) -> Array:
        volume = jnp.linalg.slogdet(unit + spread**2 * information)[1]
        return 0.5 * jnp.sum(pull * posterior(spread)[0]) - 0.5 * jnp.sum(volume)

    spreads = prior * jnp.asarray(SPREADS, prior.dtype)
    spread = spreads[jnp.argmax(jax.lax.map(evidence, spreads))]
    mean, covariance = posterior(spread)
    error = jnp.sqrt(jnp.diagonal(covariance, axis1=1, axis2=2))
    return mean, Spread(spread, error)
