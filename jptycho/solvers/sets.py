"""Difference map and RAAR: iterated projections of all exit waves between the patterns and their overlap."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from jptycho.errors import ConfigError
from jptycho.forward.detector import far_field
from jptycho.forward.model import Fields, Setup, window_of
from jptycho.forward.patches import crop, fourier_shift
from jptycho.objective.compose import as_fractions, noise_of
from jptycho.objective.losses import amplitude_loss, squared_error
from jptycho.objective.projections import Projection
from jptycho.optics.waves import intensity
from jptycho.representations.base import ModelSpec
from jptycho.solvers.base import Metrics, ScanData, State, rendered, summarised
from jptycho.solvers.waves import add_windows, changed, corrected, in_parts, kind_of, of_kind, with_probe
from jptycho.types import Array

PARTS = 8  # patterns that are worked on together


@dataclasses.dataclass(frozen=True)
class SetSolver:
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

    Source:
        Thibault et al., Ultramicroscopy 109 (2009) 338, eq. 9 (difference map, β = 1; for other β as in ptypy, Enders &
        Thibault, Proc. R. Soc. A 472 (2016) 20160640); Luke, Inverse Problems 21 (2005) 37 (RAAR); Thibault & Menzel,
        Nature 494 (2013) 68 (modes).
    """

    model: ModelSpec
    a: float
    b: float
    c: float
    passes: int = 1
    damping: float = 1e-3
    hold_probe: bool = False
    projections: tuple[Projection, ...] = ()

    def init(self, params: Any, constants: Any) -> tuple[Any, Any]:
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
        return jnp.zeros((len(fields.positions), *fields.probe.shape), fields.probe.dtype), None

    def epoch(self, mesh: Mesh, state: State, constants: Any, data: ScanData) -> tuple[State, Metrics]:
        """One iteration over all exit waves."""
        if mesh.size > 1:
            raise ConfigError("solver: difference map and RAAR run on one device. Use make_mesh(jax.devices()[:1]).")
        return _epoch(self, state, constants, data)

    def fields(self, params: Any, constants: Any) -> Fields:
        """Everything the physics sees."""
        return rendered(self, params, constants)


def difference_map(model: ModelSpec, beta: float = 0.7, **settings: Any) -> SetSolver:
    """The difference map.

    Args:
        model: representations.
        beta: β; 1 is the textbook's, which noise keeps from settling; 0 is alternating projections.
        **settings: of :class:`SetSolver`.

    Returns:
        the solver.
    """
    return SetSolver(model, -beta, 1.0, 1 + beta, **settings)


def raar(model: ModelSpec, beta: float = 0.7, **settings: Any) -> SetSolver:
    """Relaxed averaged alternating reflections.

    Args:
        model: representations.
        beta: β; 1 is the difference map with β = 1.
        **settings: of :class:`SetSolver`.

    Returns:
        the solver.
    """
    return SetSolver(model, 1 - 2 * beta, beta, 2.0, **settings)


def _epoch(solver: SetSolver, state: State, constants: Any, data: ScanData) -> tuple[State, Metrics]:
    fields, setup = rendered(solver, state.params, constants), data.setup
    kind = kind_of(solver.model)
    counts, weight = data.counts[0], data.weight[0]

    def advance(item: Any) -> tuple[Array, Array, Array]:
        wave, pattern, position = item
        measured = as_fractions(pattern, setup)
        model = _product(fields, setup, position)
        wave = jnp.where(state.epoch == 0, model, wave)
        target = corrected(solver.c * model + (1 - solver.c) * wave, measured, setup.mask)
        after = (1 - solver.a - solver.b) * wave + solver.a * model + solver.b * target
        predicted = far_field(model)
        loss = amplitude_loss(predicted, measured, noise_of(setup))
        return after, jnp.sum(setup.mask * loss), jnp.sum(setup.mask * squared_error(predicted, measured))

    waves, losses, errors = jax.lax.map(advance, (state.optimiser, counts, fields.positions), batch_size=PARTS)
    for _ in range(solver.passes):
        fields = _overlap(solver, fields, setup, kind, waves, weight)
    params = changed(solver.model, state.params, constants, fields.object, fields.probe)
    metrics = summarised(weight * losses, weight * errors, weight)
    return State(params, waves, None, state.key, state.epoch + 1), metrics


def _product(fields: Fields, setup: Setup, position: Array) -> Array:
    corner, shift = window_of(setup, position, fields.object.shape)
    return fourier_shift(fields.probe, shift) * crop(fields.object, corner, setup.grid.shape)[0]


def _overlap(solver: SetSolver, fields: Fields, setup: Setup, kind: str, waves: Array, weight: Array) -> Fields:
    """Object, then probe, that fit all exit waves best: O = Σ P* ψ / Σ |P|², P = Σ O* ψ / Σ |O|²."""
    parts = math.ceil(len(weight) / PARTS)

    def to_object(item: Any, w: Array) -> Any:
        wave, position = item
        corner, shift = window_of(setup, position, fields.object.shape)
        probe = fourier_shift(fields.probe, shift)
        return w * jnp.sum(jnp.conj(probe) * wave, axis=0)[None], w * jnp.sum(intensity(probe), axis=0)[None], corner

    def add(total: Any, part: Any) -> Any:
        top, bottom, corners = jax.vmap(to_object)(*part)
        return add_windows(total[0], top, corners), add_windows(total[1], bottom, corners)

    zero = (fields.object * 0, jnp.zeros(fields.object.shape))
    top, bottom = in_parts(add, zero, (waves, fields.positions), weight, parts)
    floor = solver.damping * jnp.max(bottom)
    transmission = of_kind(kind, (top + floor * fields.object) / (bottom + floor))
    if solver.hold_probe:
        return with_probe(fields, transmission, fields.probe)

    def to_probe(item: Any, w: Array) -> Any:
        wave, position = item
        corner, shift = window_of(setup, position, fields.object.shape)
        patch = crop(transmission, corner, setup.grid.shape)[0]
        seen = jnp.roll(intensity(patch), jnp.round(-shift).astype(int), axis=(0, 1))
        return w * fourier_shift(jnp.conj(patch) * wave, -shift), w * seen

    def add_probe(total: Any, part: Any) -> Any:
        return jax.tree.map(lambda a, b: a + jnp.sum(b, axis=0), total, jax.vmap(to_probe)(*part))

    zero = (fields.probe * 0, jnp.zeros(fields.probe.shape[1:]))
    top, bottom = in_parts(add_probe, zero, (waves, fields.positions), weight, parts)
    floor = solver.damping * jnp.max(bottom)
    return with_probe(fields, transmission, (top + floor * fields.probe) / (bottom + floor))
