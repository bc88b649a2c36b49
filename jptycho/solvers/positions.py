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
from jptycho.solvers.displacements import Measured, Shared, extrapolate, solve
from jptycho.solvers.locate import Located, Prior, locate
from jptycho.solvers.stretch import gradients_of, likelihood_of
from jptycho.types import Array, Constants, Float, Number, Params, PyTree, pytree

SPREADS = tuple(10 ** (n / 20) for n in range(-40, 21))
"""Of the displacements that are compared, in the one that was expected; the least stands for none."""
BIAS = 5e-3
"""Of each number of a scan's stretch as patterns tell it while the object follows them, root mean square."""
LEAST_EXTENT = 1e-3  # of a scan across, in that along: below it is a line
AT_ONCE = 8  # patterns that are mapped together


@pytree
class Spread:
    """How far positions are off, and how well each is known.

    Attributes:
        rms: of the displacements along an axis, pixels: the prior of the next search.
        error: standard deviation of each free displacement, pixels (scan, 2), where object and probe are right and the
            minimum that was found is the right one.
        affine: standard deviation of each number of the affine part (2, 2), of :func:`affine_error`.
        shared: what displacements of different patterns have in common; None where it is not asked for.
        step: that led there as the patterns had it; likewise.
        stretch: affine part of the free displacements (2, 2), which was taken from them; zero where it was not.
    """

    rms: Float[Array, ""]
    error: Float[Array, "scan 2"]
    affine: Float[Array, "2 2"] | None = None
    shared: Shared | None = None
    step: Shared | None = None
    stretch: Float[Array, "2 2"] | None = None


@dataclasses.dataclass(frozen=True)
class PositionSolver:
    """Finds the displacement d of each pattern from its nominal position, with object and probe held; hashable.

    For each pattern, from the better of where it is now and of a grid of trial positions about the nominal one:
    d += (H + 1/s²)⁻¹ (g - d/s²), with g the gradient of the log-likelihood, H = Jᵀ ℓ'' J its expected curvature,
    J = ∂I/∂d, and s the spread of all displacements. After an epoch s is that which makes what was found most probable
    (empirical Bayes), and each d is shrunk by it: positions that are exactly known stay where they are. What the model
    leaves beyond noise widens all errors alike.

    An object has moved along with the patterns that formed it, so that d alone hardly tells of displacements that are
    slower than the probe is wide: of a wrong scale nothing but at the rim. How far it was stretched meanwhile each
    pattern tells, whose own scale is the detector's: :func:`jptycho.solvers.displacements.solve` knows of both.
    That is known to some tenths of a per cent, and of large scans less of it is in displacements that are independent:
    where those alone are searched for, scale, shear and rotation of such scans are what the file says.
    The constants are those of the model, ``neighbours``, ``structure``, ``shared``: what was found of it so far,
    ``last``: in the round before, and the ``step`` from there.

    Attributes:
        model: object and probe of pixels, and
            :class:`jptycho.representations.per_position.FreePositions` that are not centred.
        loss: of one pattern.
        spread: s of the first epoch, pixels.
        free: whether patterns are displaced independently; else by what they share only, and s is that of the search
            (static).
        spacing: of the trial positions, pixels.
        reach: trial positions on each side of the nominal one; 0 for patterns that are not moved by themselves at all
            (static).
        held: whether the free displacements are those of :func:`without_affine` (static).
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
    free: bool = True
    held: bool = False
    projections: tuple[Projection, ...] = ()
    denoisers: tuple[Denoising, ...] = ()

    def init(self, params: Params, constants: Constants) -> tuple[PyTree, Array | None]:
        """The spread that is expected."""
        none, shared, step = jnp.zeros_like(params["positions"]), constants["shared"], constants["step"]
        zero = jnp.zeros_like(shared.affine)
        return Spread(jnp.asarray(self.spread, none.dtype), none, zero, shared, step, zero), None

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
    expected, count = constants["positions"] + state.optimiser.shared.moved, len(fields.scan)
    rows, reference = (split_scan(each, *data.weight.shape) for each in (fields.scan, ScanFields(expected)))
    trials = trial_offsets(solver.reach, solver.spacing).astype(expected.dtype)

    def local(shared: PyTree, counts: Array, rows: ScanFields, expected: ScanFields) -> PyTree:
        now, gradients, setup, spread = shared

        def one(item: PyTree) -> PyTree:
            pattern, row, place = item
            found = locate(solver.loss, now, setup, pattern, row, Prior(place.position, spread), trials)
            if not solver.reach:  # where a weak pattern would go by itself its likelihood is no longer a parabola
                found = dataclasses.replace(found, displacement=row.position - place.position)
            there = dataclasses.replace(row, position=place.position + found.displacement)
            return found, likelihood_of(solver.loss, now, setup, pattern, there, gradients)

        return jax.lax.map(one, (counts, rows, expected), batch_size=AT_ONCE)

    shared = (fields, gradients_of(fields.object), data.setup, state.optimiser.rms)
    told = map_over_shards(mesh, local)(shared, data.counts, rows, reference)
    found, likelihood = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:])[:count], told)
    moved, spread = _settle(solver, found, likelihood, state, constants)
    weight = jnp.ones_like(found.loss)
    return (
        State(state.params | {"positions": moved}, spread, None, state.key, state.epoch + 1),
        summarise_metrics(jnp.sum(found.loss), jnp.sum(found.residual), weight),
    )


def _settle(
    solver: PositionSolver, found: Located, likelihood: tuple[Array, Array], state: State, constants: Constants
) -> tuple[Float[Array, "scan 2"], Spread]:
    """Displacements by what all patterns tell together, and how far positions are off."""
    before, memory, (force, information) = state.params["positions"], state.optimiser, likelihood
    _, spread = shrink(found, memory.rms)
    excess = misfit_of(found)
    at = jnp.concatenate([found.displacement + memory.shared.moved - before, jnp.zeros_like(force[:, 2:])], axis=1)
    measured = Measured(at, force / excess[:, None], information / excess[:, None, None])
    free = spread.rms if solver.free else jnp.zeros_like(spread.rms)
    solution = solve(measured, constants["neighbours"], constants["structure"], free, before)
    there = Shared(solution.shared, solution.affine[0])
    step = jax.tree.map(jnp.subtract, there, memory.shared)
    shared = extrapolate(memory.shared, step, constants["last"], memory.step)
    own, stretch = solution.total - solution.shared, jnp.zeros_like(shared.affine)
    if solver.held:
        own, stretch = without_affine(own, constants["structure"].place, spread.rms)
    error = affine_error(solution.affine[1], shared.affine - memory.shared.affine)
    return shared.moved + own, Spread(spread.rms, spread.error, error, shared, step, stretch)


def without_affine(
    moved: Float[Array, "scan 2"], place: Float[Array, "scan 2"], spread: Float[Array, ""]
) -> tuple[Float[Array, "scan 2"], Float[Array, "2 2"]]:
    """Displacements without as much of their affine part A p as is not likely to be theirs.

    Independent displacements of a spread s have s² / Σ p² of it by chance; what patterns tell of it has the variance
    ``BIAS``²: of every column the share that the second has of both is taken.

    Args:
        moved: displacements u, pixels.
        place: p, from the centre of the scan, pixels.
        spread: s, pixels.

    Returns:
        what is left; and what was taken of A, zero along an axis that the scan does not extend along.

    Example:
        >>> place = jnp.array([[-1.0, 0.0], [1.0, 0.0], [0.0, -1.0], [0.0, 1.0]])
        >>> left, taken = without_affine(0.5 * place, place, jnp.zeros(()))
        >>> bool(abs(left).max() < 1e-6), jnp.round(taken, 3).tolist()
        (True, [[0.5, 0.0], [0.0, 0.5]])
    """
    # Of a matrix as long as a scan the tolerance of a pseudo-inverse would be all there is.
    square = place.T @ place
    inverse = jnp.linalg.pinv(square, rtol=LEAST_EXTENT**2, hermitian=True)
    by_chance = spread**2 / jnp.maximum(jnp.diag(square), 1.0)
    taken = (inverse @ (place.T @ moved)).T * (BIAS**2 / (BIAS**2 + by_chance))[None]
    return moved - place @ taken.T, taken


def affine_error(noise: Float[Array, "2 2"], moved: Float[Array, "2 2"]) -> Float[Array, "2 2"]:
    """What the numbers of an affine part may be off: by noise, and by as much as the last round still changed them.

    Object and probe take up a part of a wrong scale, so that a round leaves some of it, far more than noise does. What
    both keep wrong in every round is in neither.

    Args:
        noise: standard deviation of each number where object and probe are right.
        moved: change of each in the last round, of which the root mean square stands for all.

    Returns:
        standard deviations; in the first round about as large as what was found, for nothing confirms it yet.

    Example:
        >>> affine_error(jnp.zeros((2, 2)), jnp.full((2, 2), 0.5)).tolist()
        [[0.5, 0.5], [0.5, 0.5]]
    """
    return jnp.sqrt(noise**2 + jnp.mean(moved**2, keepdims=True))


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
    misfit = misfit_of(found)
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


def misfit_of(found: Located) -> Float[Array, " scan"]:
    """How many times more a pattern differs than its noise has it.

    What the model does not explain is no smaller in one pattern than its noise, and half of them may be outliers.

    Args:
        found: of every pattern.

    Returns:
        at least one, and at least that of the median pattern.
    """
    return jnp.maximum(jnp.maximum(1.0, jnp.median(found.misfit)), found.misfit)
