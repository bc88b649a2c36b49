"""Random combinations of what the model knows: finite, differentiable, null where null, and free where off."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from jptycho.forward.beam import MoveBeam, SpreadFocus, VaryProbe
from jptycho.forward.detector import far_field
from jptycho.forward.effects import AddBackground, BlurPattern, ScaleFlux
from jptycho.forward.exit_waves import window_at
from jptycho.forward.fields import Setup
from jptycho.forward.model import predict_batch
from jptycho.forward.multislice import multislice
from jptycho.representations.base import ModelSpec, initialise, render
from jptycho.representations.beam import BlurredProbe, ParametricProbe
from jptycho.representations.estimate import Estimate, fields_of
from jptycho.representations.lengths import FreeVector, PositiveNumber
from jptycho.representations.per_pattern import Descan, Flux
from jptycho.representations.per_position import FreePositions, FreeTilt
from jptycho.representations.pixels import ChannelObject, PixelProbe
from jptycho.representations.shared import Background, FreeThickness
from jptycho.representations.states import ObjectStates, SliceGaps
from jptycho.representations.variation import ProbeVariation, VariationWeights
from jptycho.types import Grid

pytestmark = pytest.mark.usefixtures("x64")
GRID, WAVELENGTH, SCAN, CANVAS = Grid((16, 12), (0.5, 0.6)), 0.025, 16, (40, 34)
STEP, CLOSE = 1e-5, 2e-4
"""Of finite differences in double precision, and how near the gradient must come, relative to its largest."""
EXACT = 1e-10
LENS = ParametricProbe(
    GRID.shape, GRID.sampling, WAVELENGTH, 25.0, (0.3, -0.2), 8.0, ("C10", "C12"), (("C10", -50.0),), True
)
OPTIONS = {
    "probe": [PixelProbe(), LENS, *(BlurredProbe(inner, 3, GRID.sampling, 0.2) for inner in (PixelProbe(), LENS))],
    "positions": [None, FreePositions()],
    "tilt": [None, FreeTilt(local=True, smooth=True), FreeTilt(), FreeTilt(local=True)],
    "thickness": [None, FreeThickness()],
    "descan": [None, Descan("constant"), Descan("plane"), Descan("free")],
    "flux": [None, Flux(), Flux(3)],
    "background": [None, Background(), Background("smooth"), Background("pixels")],
    "probe_variation": [None, 0, 3],
    "focal_spread": [None, PositiveNumber("focal_spread", 30.0)],
    "fly": [None, FreeVector("fly")],
    "point_spread": [None, PositiveNumber("point_spread", 0.6)],
    "object_states": [None, ObjectStates(2)],
    "slice_gaps": [False, True],
    "slices": [1, 3, 2],
    "kind": ["phase", "complex"],
    "band_limit": [None, 2 / 3],
}  # fmt: skip
EFFECTS = {"flux": ScaleFlux(), "point_spread": BlurPattern(), "background": AddBackground()}
BEAM = {"probe_variation": VaryProbe(), "focal_spread": SpreadFocus(2), "fly": MoveBeam(2)}


def scene(slices, kind):
    rng = np.random.default_rng(7)
    channels = 2 if kind == "complex" else 1
    places = np.stack(np.meshgrid(10 + 5.3 * np.arange(4), 8 + 5.1 * np.arange(4), indexing="ij"), axis=-1)
    probe = rng.normal(size=(1, *GRID.shape)) + 1j * rng.normal(size=(1, *GRID.shape))
    return Estimate(
        jnp.asarray(0.3 * rng.uniform(size=(slices, channels, *CANVAS))), jnp.asarray(probe / np.linalg.norm(probe)),
        jnp.asarray(places.reshape(-1, 2)), jnp.asarray(9.0), jnp.asarray([4.0, -3.0]), jnp.ones(CANVAS),
    )  # fmt: skip


def built(chosen):
    """A combination: the model, its estimate and the setup with the effects that it needs."""
    extra = {name: chosen[name] for name in ("descan", "flux")}
    shared = {name: chosen[name] for name in ("background", "focal_spread", "fly", "point_spread", "object_states")}
    if chosen["probe_variation"] is not None:
        shared["probe_variation"] = ProbeVariation(2)
        extra["probe_weights"] = VariationWeights(2, chosen["probe_variation"])
    if chosen["slice_gaps"] and chosen["slices"] > 1:
        shared["slice_gaps"] = SliceGaps((1.0, 2.0)[: chosen["slices"] - 1])
    pairs = [tuple((name, rep) for name, rep in many.items() if rep is not None) for many in (extra, shared)]
    spec = ModelSpec(
        ChannelObject(chosen["kind"]), chosen["probe"], chosen["positions"], chosen["tilt"], pairs[0],
        chosen["thickness"], pairs[1],
    )  # fmt: skip
    on = {name for many in pairs for name, _ in many}
    setup = Setup(
        jnp.ones(GRID.shape), jnp.ones(()), GRID, WAVELENGTH, chosen["band_limit"], centre=jnp.array([0.04, -0.03]),
        effects=tuple(effect for name, effect in EFFECTS.items() if name in on),
        beam=tuple(effect for name, effect in BEAM.items() if name in on),
    )  # fmt: skip
    estimate = scene(chosen["slices"], chosen["kind"])
    return spec, dataclasses.replace(estimate, shared={"fly": jnp.array([0.2, 0.7])} if "fly" in on else {}), setup


def plain_setup():
    return built({name: options[0] for name, options in OPTIONS.items()})[2]


def patterns(spec, params, constants, setup):
    fields = fields_of(render(spec, params, constants))
    return predict_batch(fields, setup, fields.scan)


def moved(params, name, direction, step):
    return params | {name: jax.tree.map(lambda p, d: p + step * d, params[name], direction)}


def check(chosen):
    spec, estimate, setup = built(chosen)
    params, constants = initialise(spec, jax.random.key(0), estimate)
    rng = np.random.default_rng(1)
    params = jax.tree.map(lambda leaf: leaf + 0.05 * jnp.asarray(rng.normal(size=leaf.shape)), params)
    weight = jnp.asarray(rng.normal(size=(SCAN, *GRID.shape)))

    def weighted(p):
        found = patterns(spec, p, constants, setup)
        return jnp.sum(weight * found), found

    both = jax.jit(jax.value_and_grad(weighted, has_aux=True))
    (_, found), gradient = both(params)
    assert np.isfinite(found).all()
    for name in params:
        direction = jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape)), params[name])
        ahead, behind = (both(moved(params, name, direction, step))[0][0] for step in (STEP, -STEP))
        pairs = zip(jax.tree.leaves(gradient[name]), jax.tree.leaves(direction), strict=True)
        slope = sum(float(jnp.sum(g * d)) for g, d in pairs)
        assert slope == pytest.approx(float(ahead - behind) / (2 * STEP), rel=CLOSE, abs=CLOSE * 1e-2), name


@pytest.mark.parametrize("number", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_all_at_once_is_finite_and_its_gradients_are_those_of_finite_differences(number):
    """Every unknown at once, of each its second choice or its last."""
    check({name: options[1 if number == 0 else -1] for name, options in OPTIONS.items()})


@pytest.mark.slow
@settings(
    max_examples=12, deadline=None, derandomize=True, phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(st.fixed_dictionaries({name: st.sampled_from(options) for name, options in OPTIONS.items()}))
def test_any_combination_is_finite_and_its_gradients_are_those_of_finite_differences(chosen):
    check(chosen)


NULL = {
    "descan": ({"descan": jnp.zeros((SCAN, 2))}, {}),
    "flux": ({"flux": jnp.ones(SCAN)}, {}),
    "background": ({}, {"background": jnp.zeros(())}),
    "probe_variation": (
        {"probe_weights": jnp.zeros((SCAN, 2))}, {"probe_variation": jnp.ones((2, *GRID.shape), complex)}
    ),
    "focal_spread": ({}, {"focal_spread": jnp.zeros(())}),
    "fly": ({}, {"fly": jnp.zeros(2)}),
    "point_spread": ({}, {"point_spread": jnp.zeros(())}),
    "object_states": ({}, {"object_states": jnp.zeros((2, 2, *CANVAS))}),
    "slice_gaps": ({}, {"slice_gaps": jnp.ones(1)}),
}  # fmt: skip
"""What an estimate has of an unknown that does nothing: of each row, and of all."""


def with_null(names, estimate, setup):
    """The fields and the setup of effects that are on and do nothing."""
    extra, shared = ({key: value for name in names for key, value in NULL[name][part].items()} for part in (0, 1))
    double = jax.tree.map(lambda leaf: leaf.astype(complex if leaf.dtype.kind == "c" else float), (extra, shared))
    effects = tuple(effect for name, effect in EFFECTS.items() if name in names)
    beam = tuple(effect for name, effect in BEAM.items() if name in names)
    fields = fields_of(dataclasses.replace(estimate, extra=double[0], shared=double[1]))
    return fields, dataclasses.replace(setup, effects=effects, beam=beam)


BATCH = jax.jit(lambda fields, setup: predict_batch(fields, setup, fields.scan))


@pytest.mark.parametrize("names", [tuple(NULL), *(pytest.param((name,), marks=pytest.mark.slow) for name in NULL)])
def test_effects_at_their_null_values_change_nothing(names):
    estimate, setup = scene(2, "complex"), plain_setup()
    without = BATCH(fields_of(estimate), setup)
    np.testing.assert_allclose(BATCH(*with_null(names, estimate, setup)), without, atol=EXACT)


def ideal(fields, setup):
    """The model without any effect, put together by hand."""

    def one(fields, setup, row):
        window = window_at(fields, setup, row)
        return far_field(multislice(window.waves, window.patches, window.kernel))

    return jax.vmap(one, in_axes=(None, None, 0))(fields, setup, fields.scan)


def text(model, fields, setup):
    def program(fields):
        return model(fields, setup)

    return jax.jit(program).lower(fields).as_text()


def test_what_is_off_is_not_in_the_program():
    estimate, setup = scene(2, "phase"), plain_setup()
    fields = fields_of(estimate)
    plain = text(lambda f, s: predict_batch(f, s, f.scan), fields, setup)
    assert plain == text(ideal, fields, setup)
    for name in NULL:
        on = with_null((name,), estimate, setup)
        assert len(text(lambda f, s: predict_batch(f, s, f.scan), *on)) > len(plain), name
