"""LSQ-ML: least-squares maximum likelihood, with the step of each pattern from a two-by-two linear problem."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from jptycho.forward.detector import modulus_constraint
from jptycho.forward.exit_waves import Window
from jptycho.forward.fields import Fields, ScanFields, Setup
from jptycho.forward.multislice import multislice
from jptycho.forward.patches import crop, fourier_shift
from jptycho.objective.data_term import as_fractions
from jptycho.objective.denoisers import Denoising
from jptycho.objective.projections import Projection
from jptycho.optics.waves import intensity, to_complex
from jptycho.parallel import sum_over_shards
from jptycho.representations.base import ModelSpec, render
from jptycho.representations.estimate import Estimate
from jptycho.scan import batch_plan, compact_plan
from jptycho.settings import Field, Positive, Section
from jptycho.solvers.base import Metrics, ScanData, State, epochs_after, rendered, rows_of, summarise_metrics
from jptycho.solvers.exit_wave_updates import (
    ExitWaves,
    add_windows,
    changed,
    in_parts,
    kind_of,
    of_kind,
    pattern_loss,
    propagate_exit_waves,
    with_probe,
)
from jptycho.types import Array, Complex, Constants, Float, Number, Params, PyTree


@dataclasses.dataclass(frozen=True)
class LSQMLSolver:
    """Least-squares maximum likelihood; hashable.

    For a batch of patterns j with exit-wave corrections χ_j (amplitude likelihood):
    ΔO = Σ P_j* χ_j / (Σ |P_j|² + δ max), ΔP = Σ O_j* χ_j / (Σ |O_j|² + δ max); each pattern then asks for the steps
    α that minimise |χ_j - α_O (ΔO P)_j - α_P (ΔP O)_j|², and O += β ΔO Σ α_O |P_j|² / (Σ |P_j|² + δ max),
    P += β ΔP mean α_P. Through several slices ΔO P stands for the derivative of the exit wave along ΔO.

    Attributes:
        model: its object is a :class:`jptycho.representations.pixels.ChannelObject`.
        steps: batches an epoch.
        damping: δ.
        beta: β.
        compact: batches of neighbours, whose windows overlap most; else at random.
        hold_probe: whether the probe stays.
        micro_batches: parts of a step.
        projections: after each epoch.
        denoisers: of the object, before the projections.

    Source:
        Odstrčil, Menzel & Guizar-Sicairos, Opt. Express 26 (2018) 3108; Tsai et al., Opt. Express 24 (2016) 29089, for
        several slices.
    """

    model: ModelSpec
    steps: int
    damping: Number = 0.1
    beta: Number = 0.9
    compact: bool = False
    hold_probe: bool = False
    micro_batches: int = 1
    projections: tuple[Projection, ...] = ()
    denoisers: tuple[Denoising, ...] = ()

    def init(self, params: Params, constants: Constants) -> tuple[PyTree, Array | None]:
        """Nothing is remembered."""
        del params, constants
        return None, None

    def epoch(self, mesh: Mesh, state: State, constants: Constants, data: ScanData) -> tuple[State, Metrics]:
        """Every batch of a plan corrects object and probe in turn."""
        return _epoch(self, mesh, state, constants, data)

    def estimate(self, params: Params, constants: Constants) -> Estimate:
        """The unknowns."""
        return render(self.model, params, constants)


class LSQMLSettings(Section):
    """``[lsqml]``: least-squares maximum likelihood."""

    damping: Positive = Field(LSQMLSolver.damping, description="of the illumination's inverse, relative to its largest")
    beta: float = Field(LSQMLSolver.beta, gt=0, le=1, description="share of the least-squares step that is taken")
    compact: bool = Field(LSQMLSolver.compact, description="batches of neighbours instead of random ones")


def _epoch(
    solver: LSQMLSolver, mesh: Mesh, state: State, constants: Constants, data: ScanData
) -> tuple[State, Metrics]:
    key, key_plan = jax.random.split(state.key)
    start = rendered(solver, state.params, constants)
    rows = rows_of(start.scan, data)
    if solver.compact:
        plan = compact_plan(key_plan, data.weight, rows.position, solver.steps)
    else:
        plan = batch_plan(key_plan, data.weight, solver.steps)
    directions = sum_over_shards(mesh, _directions(solver))
    steps = sum_over_shards(mesh, _steps(solver))
    kind = kind_of(solver.model)

    def step(carry: tuple[Array, Array], batch: PyTree) -> tuple[tuple[Array, Array], PyTree]:
        transmission, probe = carry
        index, weight = batch
        fields = with_probe(start, transmission, probe)
        scan = (rows, data.counts, index, weight)
        to_object, seen, to_probe, through, count, metrics = directions((fields, data.setup), *scan)
        damped = to_complex(seen + solver.damping * jnp.max(seen, axis=(1, 2), keepdims=True) + 1e-30)
        to_object = to_object / damped
        to_probe = to_probe / to_complex(through + solver.damping * jnp.max(through))[None]
        # Mean |ΔO P|² and |ΔP O|² over the batch, without another pass (of thin slices, where there are several).
        sizes = (jnp.sum(intensity(to_object) * seen) / count, jnp.sum(intensity(to_probe) * through[None]) / count)
        weighted, total = steps((fields, data.setup, to_object, to_probe, sizes), *scan)
        transmission = of_kind(kind, transmission + solver.beta * to_object * to_complex(weighted) / damped)
        if not solver.hold_probe:
            probe = probe + solver.beta * to_probe * to_complex(total) / to_complex(count)
        return (transmission, probe), metrics

    (transmission, probe), (losses, errors) = jax.lax.scan(step, (start.object, start.probe), plan)
    params = changed(solver.model, state.params, constants, transmission, probe)
    return State(params, None, None, key, epochs_after(state, data)), summarise_metrics(losses, errors, data.weight)


def _correction(waves: ExitWaves, fields: Fields, measured: Array, setup: Setup, row: ScanFields) -> Array:
    return modulus_constraint(waves.exit, measured, setup, row, fields.shared) - waves.exit


def _directions(solver: LSQMLSolver) -> Callable[..., PyTree]:
    """Σ P* χ, Σ |P|², Σ O* χ, Σ |O|², Σ weight and (Σ loss, Σ error) over a shard's batch."""

    def local_sums(shared: PyTree, rows: ScanFields, counts: Array, index: Array, weight: Array) -> PyTree:
        fields, setup = shared

        def one(item: PyTree, w: Array) -> PyTree:
            pattern, row = item
            measured = as_fractions(pattern, setup)
            waves = propagate_exit_waves(fields, setup, row)
            window = waves.window
            to_waves, to_patches = waves.adjoint(_correction(waves, fields, measured, setup, row))
            seen = jnp.sum(intensity(waves.before), axis=1)
            back = jnp.round(-window.shift).astype(int)
            through = jnp.roll(jnp.prod(intensity(window.patches), axis=0), back, axis=(0, 1))
            to_probe = fourier_shift(to_waves, -window.shift)
            sums = (to_patches, seen, to_probe, through, pattern_loss(waves.exit, measured, setup, row, fields.shared))
            return jax.tree.map(lambda x: w.astype(x.dtype) * x, sums), window.corner

        def gather(total: PyTree, part: PyTree) -> PyTree:
            (to_patches, seen, *others), corners = jax.vmap(one)(*part)
            numerator, denominator, *rest = total
            rest = jax.tree.map(lambda a, b: a + jnp.sum(b, axis=0), rest, others)
            return [add_windows(numerator, to_patches, corners), add_windows(denominator, seen, corners), *rest]

        zero, window = jnp.zeros(()), jnp.zeros(fields.probe.shape[1:])
        start = [fields.object * 0, jnp.zeros(fields.object.shape), fields.probe * 0, window, (zero, zero)]
        items = (counts[index], rows[index])
        *sums, metrics = in_parts(gather, start, items, weight, solver.micro_batches)
        return *sums, jnp.sum(weight), metrics

    return local_sums


def _steps(solver: LSQMLSolver) -> Callable[..., PyTree]:
    """Σ α_O |P|² on the canvas and Σ α_P over a shard's batch."""

    def local_sums(shared: PyTree, rows: ScanFields, counts: Array, index: Array, weight: Array) -> PyTree:
        fields, setup, to_object, to_probe, sizes = shared

        def one(item: PyTree, w: Array) -> PyTree:
            pattern, row = item
            measured = as_fractions(pattern, setup)
            waves = propagate_exit_waves(fields, setup, row)
            u, v = _effects(waves.window, to_object, to_probe)
            v = jnp.zeros_like(v) if solver.hold_probe else v
            alpha = w * least_squares_steps(_correction(waves, fields, measured, setup, row), (u, v), sizes)
            return alpha[0] * jnp.sum(intensity(waves.before), axis=1), alpha[1], waves.window.corner

        def gather(total: PyTree, part: PyTree) -> PyTree:
            weighted, alpha, corners = jax.vmap(one)(*part)
            return add_windows(total[0], weighted, corners), total[1] + jnp.sum(alpha)

        start = (jnp.zeros(fields.object.shape), jnp.zeros(()))
        return in_parts(gather, start, (counts[index], rows[index]), weight, solver.micro_batches)

    return local_sums


def _effects(window: Window, to_object: Array, to_probe: Array) -> tuple[Array, Array]:
    """Derivatives of the exit waves along the object's and the probe's direction."""
    rows, columns = window.kernel.shape[-2:]  # of one propagator, or of one for each gap
    patches = crop(to_object, window.corner, (rows, columns))
    _, along = jax.linearize(lambda w, o: multislice(w, o, window.kernel), window.waves, window.patches)
    return (
        along(jnp.zeros_like(window.waves), patches),
        along(fourier_shift(to_probe, window.shift), jnp.zeros_like(window.patches)),
    )


def least_squares_steps(
    chi: Complex[Array, "modes y x"],
    effects: tuple[Complex[Array, "modes y x"], Complex[Array, "modes y x"]],
    sizes: tuple[Float[Array, ""], Float[Array, ""]],
) -> Float[Array, "2"]:
    """Steps that minimise |χ - α_O u - α_P w|², each diagonal element raised by a tenth of its mean over the batch.

    Args:
        chi: χ, correction of the exit waves.
        effects: u and w, what a full step of object and probe would do to them.
        sizes: mean |u|² and |w|² over the batch.

    Returns:
        (α_O, α_P), not negative.

    Source:
        Odstrčil et al. (2018), eq. 22.

    Example:
        >>> u, w = jnp.array([[[1.0, 0.0]]]), jnp.array([[[0.0, 1.0]]])
        >>> least_squares_steps(2 * u + 3 * w, (u, w), (jnp.zeros(()), jnp.zeros(()))).tolist()
        [2.0, 3.0]
    """
    u, w = effects
    a = jnp.sum(intensity(u)) + 0.1 * sizes[0] + 1e-30
    d = jnp.sum(intensity(w)) + 0.1 * sizes[1] + 1e-30
    b = jnp.sum((u * jnp.conj(w)).real)
    p, q = jnp.sum((jnp.conj(u) * chi).real), jnp.sum((jnp.conj(w) * chi).real)
    determinant = a * d - b * b
    return jnp.maximum(jnp.stack([d * p - b * q, a * q - b * p]) / jnp.maximum(determinant, 1e-30), 0.0)
