"""Difference map and RAAR: iterated projections of all exit waves between the patterns and their overlap."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from jptycho.errors import ConfigError
from jptycho.forward.detector import modulus_constraint
from jptycho.forward.exit_waves import exit_waves, window_at
from jptycho.forward.fields import Fields, Setup
from jptycho.forward.patches import fourier_shift
from jptycho.objective.data_term import as_fractions
from jptycho.objective.denoisers import Denoising
from jptycho.objective.projections import Projection
from jptycho.optics.waves import intensity, to_complex
from jptycho.representations.base import ModelSpec, render
from jptycho.representations.estimate import Estimate
from jptycho.settings import Count, Field, Section
from jptycho.solvers.base import Metrics, ScanData, State, rendered, summarise_metrics
from jptycho.solvers.exit_wave_updates import add_windows, changed, in_parts, kind_of, of_kind, pattern_loss, with_probe
from jptycho.types import Array, Constants, Number, Params, PyTree

PARTS = 8  # patterns that are worked on together
RELAXATION = 0.7  # β by default


@dataclasses.dataclass(frozen=True)
class DifferenceMapSolver:
    """ψ ← (1 - a - b) ψ + a Π_O ψ + b Π_F (c Π_O ψ + (1 - c) ψ) for the exit waves of all patterns; hashable.

    Π_F gives every exit wave its measured modulus, Π_O ψ = P O of the object and probe that fit all of them best. The
    difference map is a = -β, b = 1, c = 1 + β; RAAR is a = 1 - 2 β, b = β, c = 2.

    Attributes:
        model: its object is a :class:`jptycho.representations.pixels.ChannelObject` of one slice.
        a: weight of Π_O.
        b: weight of Π_F.
        c: how far it reflects.
        passes: alternations of object and probe in Π_O.
        damping: of the object's and probe's denominators, relative to their largest.
        hold_probe: whether the probe stays.
        projections: after each epoch.
        denoisers: of the object, before the projections.

    Source:
        Thibault et al., Ultramicroscopy 109 (2009) 338, eq. 9 (difference map, β = 1; for other β as in ptypy, Enders &
        Thibault, Proc. R. Soc. A 472 (2016) 20160640); Luke, Inverse Problems 21 (2005) 37 (RAAR); Thibault & Menzel,
        Nature 494 (2013) 68 (modes).
    """

    model: ModelSpec
    a: Number
    b: Number
    c: Number
    passes: int = 1
    damping: Number = 1e-3
    hold_probe: bool = False
    projections: tuple[Projection, ...] = ()
    denoisers: tuple[Denoising, ...] = ()

    def init(self, params: Params, constants: Constants) -> tuple[PyTree, Array | None]:
        """The exit waves, filled in the first epoch.

        Raises:
            ConfigError: more than one slice, for which exit waves do not factorise.
        """
        fields = rendered(self, params, constants)
        if len(fields.object) > 1:
            raise ConfigError(
                f"solver: difference map and RAAR know one slice, found {len(fields.object)}. "
                'Use solver = "lsqml", "epie" or "gradient".'
            )
        return jnp.zeros((len(fields.scan), *fields.probe.shape), fields.probe.dtype), None

    def epoch(self, mesh: Mesh, state: State, constants: Constants, data: ScanData) -> tuple[State, Metrics]:
        """One iteration over all exit waves."""
        if mesh.size > 1:
            raise ConfigError("solver: difference map and RAAR run on one device. Use make_mesh(jax.devices()[:1]).")
        return _epoch(self, state, constants, data)

    def estimate(self, params: Params, constants: Constants) -> Estimate:
        """The unknowns."""
        return render(self.model, params, constants)


class DifferenceMapSettings(Section):
    """``[difference_map]``: difference map and RAAR, all patterns at once."""

    beta: float = Field(
        RELAXATION, gt=0, le=1, description="relaxation; 1 is the textbook's, which noise keeps from settling"
    )
    passes: Count = Field(
        DifferenceMapSolver.passes, description="alternations of object and probe in the overlap projection"
    )


def difference_map(model: ModelSpec, beta: float = RELAXATION, **settings: Any) -> DifferenceMapSolver:
    """The difference map.

    Args:
        model: representations.
        beta: β; 1 is the textbook's, which noise keeps from settling; 0 is alternating projections.
        **settings: of :class:`DifferenceMapSolver`.

    Returns:
        the solver.
    """
    return DifferenceMapSolver(model, -beta, 1.0, 1 + beta, **settings)


def raar(model: ModelSpec, beta: float = RELAXATION, **settings: Any) -> DifferenceMapSolver:
    """Relaxed averaged alternating reflections.

    Args:
        model: representations.
        beta: β; 1 is the difference map with β = 1.
        **settings: of :class:`DifferenceMapSolver`.

    Returns:
        the solver.
    """
    return DifferenceMapSolver(model, 1 - 2 * beta, beta, 2.0, **settings)


def _epoch(solver: DifferenceMapSolver, state: State, constants: Constants, data: ScanData) -> tuple[State, Metrics]:
    fields, setup = rendered(solver, state.params, constants), data.setup
    counts, weight = data.counts[0], data.weight[0]

    def advance(item: PyTree) -> tuple[Array, Array, Array]:
        wave, pattern, row = item
        measured = as_fractions(pattern, setup)
        model = exit_waves(fields, setup, row)
        wave = jnp.where(state.epoch == 0, model, wave)
        target = modulus_constraint(solver.c * model + (1 - solver.c) * wave, measured, setup, row, fields.shared)
        after = (1 - solver.a - solver.b) * wave + solver.a * model + solver.b * target
        return after, *pattern_loss(model, measured, setup, row, fields.shared)

    waves, losses, errors = jax.lax.map(advance, (state.optimiser, counts, fields.scan), batch_size=PARTS)
    for _ in range(solver.passes):
        fields = _overlap(solver, fields, setup, waves, weight)
    params = changed(solver.model, state.params, constants, fields.object, fields.probe)
    metrics = summarise_metrics(weight * losses, weight * errors, weight)
    return State(params, waves, None, state.key, state.epoch + 1), metrics


def _overlap(solver: DifferenceMapSolver, fields: Fields, setup: Setup, waves: Array, weight: Array) -> Fields:
    """Object, then probe, that fit all exit waves best: O = Σ P* ψ / Σ |P|², P = Σ O* ψ / Σ |O|²."""
    parts = math.ceil(len(weight) / PARTS)

    def to_object(item: PyTree, w: Array) -> PyTree:
        wave, row = item
        window = window_at(fields, setup, row)
        top, bottom = jnp.conj(window.waves) * wave, intensity(window.waves)
        return to_complex(w) * jnp.sum(top, axis=0)[None], w * jnp.sum(bottom, axis=0)[None], window.corner

    def add(total: PyTree, part: PyTree) -> PyTree:
        top, bottom, corners = jax.vmap(to_object)(*part)
        return add_windows(total[0], top, corners), add_windows(total[1], bottom, corners)

    zero = (fields.object * 0, jnp.zeros(fields.object.shape))
    top, bottom = in_parts(add, zero, (waves, fields.scan), weight, parts)
    floor = solver.damping * jnp.max(bottom)
    transmission = of_kind(
        kind_of(solver.model), (top + to_complex(floor) * fields.object) / to_complex(bottom + floor)
    )
    fields = with_probe(fields, transmission, fields.probe)
    if solver.hold_probe:
        return fields

    def to_probe(item: PyTree, w: Array) -> PyTree:
        wave, row = item
        window = window_at(fields, setup, row)
        seen = jnp.roll(intensity(window.patches[0]), jnp.round(-window.shift).astype(int), axis=(0, 1))
        back = fourier_shift(jnp.conj(window.patches[:1]) * wave, -window.shift)
        return to_complex(w) * back, w * seen

    def add_probe(total: PyTree, part: PyTree) -> PyTree:
        return jax.tree.map(lambda a, b: a + jnp.sum(b, axis=0), total, jax.vmap(to_probe)(*part))

    zero = (fields.probe * 0, jnp.zeros(fields.probe.shape[1:]))
    top, bottom = in_parts(add_probe, zero, (waves, fields.scan), weight, parts)
    floor = solver.damping * jnp.max(bottom)
    probe = (top + to_complex(floor) * fields.probe) / to_complex(bottom + floor)[None]
    return with_probe(fields, transmission, probe)
