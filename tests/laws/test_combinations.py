"""Random combinations of what the model knows: finite, differentiable, null where null, and free where off."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jptycho.forward.detector import far_field
from jptycho.forward.effects import AddBackground, ScaleFlux
from jptycho.forward.exit_waves import window_at
from jptycho.forward.fields import Setup
from jptycho.forward.model import predict_batch
from jptycho.forward.multislice import multislice
from jptycho.representations.base import ModelSpec, initialise, render
from jptycho.representations.beam import BlurredProbe, ParametricProbe
from jptycho.representations.estimate import Estimate, fields_of
from jptycho.representations.per_pattern import Descan, Flux
from jptycho.representations.per_position import FreePositions, FreeTilt
from jptycho.representations.pixels import ChannelObject, PixelProbe
from jptycho.representations.shared import Background, FreeThickness
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
    "tilt": [None, FreeTilt(), FreeTilt(local=True)],
    "thickness": [None, FreeThickness()],
    "descan": [None, Descan("constant"), Descan("plane"), Descan("free")],
    "flux": [None, Flux(), Flux(3)],
    "background": [None, Background(), Background("smooth"), Background("pixels")],
}  # fmt: skip


def scene(slices, kind):
    rng = np.random.default_rng(7)
    channels = 2 if kind == "complex" else 1
    places = np.stack(np.meshgrid(10 + 5.3 * np.arange(4), 8 + 5.1 * np.arange(4), indexing="ij"), axis=-1)
    probe = rng.normal(size=(1, *GRID.shape)) + 1j * rng.normal(size=(1, *GRID.shape))
    return Estimate(
        jnp.asarray(0.3 * rng.uniform(size=(slices, channels, *CANVAS))), jnp.asarray(probe / np.linalg.norm(probe)),
        jnp.asarray(places.reshape(-1, 2)), jnp.asarray(9.0), jnp.asarray([4.0, -3.0]), jnp.ones(CANVAS),
    )  # fmt: skip


def drawn(seed):
    """A combination: the model, its estimate and the setup with the effects that it needs."""
    rng = np.random.default_rng(seed)
    chosen = {name: options[rng.integers(len(options))] for name, options in OPTIONS.items()}
    slices, kind = int(rng.integers(1, 4)), ("phase", "complex")[rng.integers(2)]
    effects = (*([ScaleFlux()] if chosen["flux"] else []), *([AddBackground()] if chosen["background"] else []))
    spec = ModelSpec(
        ChannelObject(kind), chosen["probe"], chosen["positions"], chosen["tilt"],
        tuple((name, chosen[name]) for name in ("descan", "flux") if chosen[name]), chosen["thickness"],
        (("background", chosen["background"]),) if chosen["background"] else (),
    )  # fmt: skip
    band_limit = (None, 2 / 3)[rng.integers(2)]
    setup = Setup(jnp.ones(GRID.shape), jnp.ones(()), GRID, WAVELENGTH, band_limit, effects=effects)
    return spec, scene(slices, kind), dataclasses.replace(setup, centre=jnp.array([0.04, -0.03]))


def patterns(spec, params, constants, setup):
    fields = fields_of(render(spec, params, constants))
    return predict_batch(fields, setup, fields.scan)


def moved(params, name, direction, step):
    return params | {name: jax.tree.map(lambda p, d: p + step * d, params[name], direction)}


@pytest.mark.parametrize("seed", [1, 2, *(pytest.param(n, marks=pytest.mark.slow) for n in (0, *range(3, 16)))])
def test_values_are_finite_and_gradients_those_of_finite_differences(seed):
    spec, estimate, setup = drawn(seed)
    params, constants = initialise(spec, jax.random.key(0), estimate)
    rng = np.random.default_rng(seed)
    params = jax.tree.map(lambda leaf: leaf + 0.05 * jnp.asarray(rng.normal(size=leaf.shape)), params)
    weight = jnp.asarray(rng.normal(size=(SCAN, *GRID.shape)))
    value = jax.jit(lambda p: jnp.sum(weight * patterns(spec, p, constants, setup)))
    gradient = jax.grad(value)(params)
    assert np.isfinite(patterns(spec, params, constants, setup)).all()
    for name in params:
        direction = jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape)), params[name])
        slope = (value(moved(params, name, direction, STEP)) - value(moved(params, name, direction, -STEP))) / (
            2 * STEP
        )
        found = sum(
            float(jnp.sum(g * d))
            for g, d in zip(jax.tree.leaves(gradient[name]), jax.tree.leaves(direction), strict=True)
        )
        assert found == pytest.approx(float(slope), rel=CLOSE, abs=CLOSE * 1e-2), name


def null(name, estimate):
    """An estimate with an unknown that does nothing."""
    extra = {"descan": jnp.zeros((SCAN, 2)), "flux": jnp.ones(SCAN)}
    shared = {"background": jnp.zeros(())}
    if name in extra:
        return dataclasses.replace(estimate, extra={name: extra[name]})
    return dataclasses.replace(estimate, shared={name: shared[name]})


@pytest.mark.parametrize(
    ("name", "effects"), [("descan", ()), ("flux", (ScaleFlux(),)), ("background", (AddBackground(),))]
)
def test_an_effect_at_its_null_value_changes_nothing(name, effects):
    estimate, setup = scene(2, "complex"), drawn(0)[2]
    plain = fields_of(estimate)
    without = predict_batch(plain, dataclasses.replace(setup, effects=()), plain.scan)
    fields = fields_of(null(name, estimate))
    found = predict_batch(fields, dataclasses.replace(setup, effects=effects), fields.scan)
    np.testing.assert_allclose(found, without, atol=EXACT)


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
    estimate, setup = scene(2, "phase"), dataclasses.replace(drawn(0)[2], effects=())
    fields = fields_of(estimate)
    plain = text(lambda f, s: predict_batch(f, s, f.scan), fields, setup)
    assert plain == text(ideal, fields, setup)
    for name, effects in (("descan", ()), ("flux", (ScaleFlux(),)), ("background", (AddBackground(),))):
        on = dataclasses.replace(setup, effects=effects)
        assert len(text(lambda f, s: predict_batch(f, s, f.scan), fields_of(null(name, estimate)), on)) > len(plain)
