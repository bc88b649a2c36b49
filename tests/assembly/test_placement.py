"""The search for positions from a configuration, and what it found in words, in a result and on another canvas."""

import dataclasses
import math

import jax.numpy as jnp
import numpy as np
import pytest

import jptycho
from jptycho.assembly.found_positions import (
    affine_of,
    corrected_raster,
    rows_of,
    summarise_affine,
    summarise_search,
    units_of,
)
from jptycho.assembly.placement import follow, margin_of, placement_of, probe_width, shared_of
from jptycho.assembly.start import estimate_from_result
from jptycho.config.run import Config, parse_config
from jptycho.data.dataset import Calibration, Dataset4D, from_arrays
from jptycho.optics import form_probe
from jptycho.representations.per_position import RefineSettings
from jptycho.scan import raster_positions
from jptycho.solvers.displacements import Shared
from jptycho.solvers.positions import Spread
from jptycho.types import Grid

SAMPLING = (0.4, 0.5)


def config(**refine: float) -> Config:
    return parse_config({"data": {"file": ""}, "method": "pixels", "refine": refine})


def scan(shape: tuple[int, int] = (3, 4), **values: object) -> Dataset4D:
    known = Calibration(300e3, 12.0, step=(1.5, 2.0), reciprocal_sampling=(0.1, 0.08))
    return from_arrays(np.ones((*shape, 24, 20), np.uint8), dataclasses.replace(known, **values))


@pytest.mark.parametrize("transpose", [False, True])
def test_step_and_rotation_are_those_of_the_raster_that_was_found(transpose: bool):
    """Scales that differ along slow and fast axis and a turn are exactly a raster again."""
    stated = ((1.5, 2.0), 30.0)
    truth = ((1.5 * 1.03, 2.0 * 0.98), 31.2)
    before, after = (raster_positions((3, 4), *given, transpose=transpose) for given in (stated, truth))
    affine = np.linalg.lstsq(before, after, rcond=None)[0].T - np.eye(2)
    dataset = scan(rotation=30.0, transpose=transpose)
    step, rotation = corrected_raster(affine, dataset)
    np.testing.assert_allclose((*step, rotation), (*truth[0], truth[1]), rtol=1e-7)
    placement = {"shared_affine": jnp.asarray(affine), "affine_error": jnp.full((2, 2), 3e-4)}
    words = summarise_affine(placement, dataset)
    assert words[1] == "as settings of [data]: step = [1.545, 1.96], rotation = 31.20"
    listed = dataclasses.replace(dataset, positions=before)
    assert len(summarise_affine(placement, listed)) == 1  # a file that lists its positions has no step


def test_scale_rotation_and_shear_are_told_apart():
    turn = math.radians(1.0)
    affine = 1.02 * np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]]) - np.eye(2)
    placement = {"shared_affine": jnp.asarray(affine), "affine_error": jnp.full((2, 2), 3e-4)}
    said = summarise_affine(placement, scan())[0]
    assert said.startswith(
        "scale +1.98 ± 0.02 %, rotation +1.020 ± 0.012°, shear +0.00 ± 0.02 %, rows less columns +0.00"
    )


def test_the_canvas_has_room_for_positions_that_move_outwards():
    dataset = scan()
    assert margin_of(config(), dataset) == 0
    assert margin_of(config(position_error=0.4), dataset) == pytest.approx(2.5 * 0.4)
    both = config(position_lines=0.3, position_drift=0.4, position_affine=0.02)
    assert margin_of(both, dataset) == pytest.approx(2.5 * 0.5 + 0.02 * 6.0)  # Å that the fast axis spans
    plain, wide = jptycho.prepare(dataset), jptycho.preprocess.prepare.prepare(dataset, margin=3.0)
    low = np.asarray(wide.estimate.positions).min(axis=0) - np.array(wide.setup.grid.shape) // 2
    high = np.array(wide.estimate.coverage.shape) - np.asarray(wide.estimate.positions).max(axis=0)
    assert np.all(low * wide.setup.grid.sampling >= 3.0)
    assert np.all((high - np.array(wide.setup.grid.shape) / 2) * wide.setup.grid.sampling >= 3.0)
    first = [np.asarray(p.estimate.positions[0]) * p.setup.grid.sampling + p.origin for p in (plain, wide)]
    np.testing.assert_allclose(*first, atol=1e-4)  # where they are in Å stays


@pytest.mark.parametrize(
    ("refine", "shape", "message"),
    [
        ({"position_error": 30.0}, (3, 4), r"refine\.position_error: 30 Å, but the probe's window is 10 Å wide"),
        ({"position_drift": 4.0}, (3, 4), r"refine\.position_drift: .* Expected at most 2 Å; check the unit"),
        ({"position_lines": 0.5}, (1, 12), r"refine\.position_lines: the scan is of 1 x 12 positions and has no lines"),
    ],
)
def test_what_cannot_be_found_is_refused(refine: dict[str, float], shape: tuple[int, int], message: str):
    with pytest.raises(jptycho.ConfigError, match=message):
        margin_of(config(**refine), scan(shape))


def test_a_probe_is_as_wide_as_its_intensity():
    """A Gaussian amplitude of standard deviation s has an intensity of s / √2."""
    y, x = (np.fft.fftfreq(n) * n for n in (40, 36))
    wave = np.exp(-(y[:, None] ** 2 + x**2) / (2 * 4.0**2))
    assert probe_width(jnp.asarray(wave[None], complex)) == pytest.approx(4.0 / math.sqrt(2), rel=1e-3)


def estimate_with(places: np.ndarray, channels: np.ndarray) -> jptycho.Estimate:
    probe = form_probe(Grid((24, 20), SAMPLING), 0.0251, 25.0, {"C10": -50.0})
    canvas = jnp.ones(channels.shape[-2:])
    return jptycho.Estimate(
        jnp.asarray(channels, jnp.float32)[None, None], probe[None], jnp.asarray(places, jnp.float32), jnp.zeros(()),
        jnp.zeros(2), canvas, half_sets=jnp.asarray(channels, jnp.float32)[None, None, None].repeat(2, 0),
    )  # fmt: skip


def test_the_object_moves_along_with_its_patterns_but_for_a_common_shift():
    """A stretched scan stretches its object about the middle; waves that are smooth can be compared with themselves."""
    axes = np.arange(16.0, 49.0, 2.0)
    places = np.stack(np.meshgrid(axes, axes, indexing="ij"), -1).reshape(-1, 2)
    affine, middle = np.array([[0.03, -0.02], [0.01, 0.02]]), 32.0
    moved = places + (places - middle) @ affine.T + np.array([0.7, -0.4])
    y, x = np.indices((64, 64), float)
    wave = lambda y, x: np.cos(0.5 * y) + np.sin(0.4 * x + 0.2 * y)  # noqa: E731
    found = follow(estimate_with(places, wave(y, x)), jnp.asarray(moved, jnp.float32), jnp.asarray(places), 2.0)
    back = np.einsum("ab,byx->ayx", np.linalg.inv(np.eye(2) + affine), np.stack([y, x]) - middle) + middle
    inner = (slice(22, 43),) * 2  # where patterns lie on all sides
    np.testing.assert_allclose(found.object[0, 0][inner], wave(*back)[inner], atol=0.03)
    assert np.abs(wave(y, x)[inner] - wave(*back)[inner]).max() > 0.1
    np.testing.assert_array_equal(found.half_sets[1], found.object)
    np.testing.assert_allclose(found.positions, moved, rtol=1e-6)


def test_what_was_found_is_kept_in_units_of_length_and_comes_back():
    estimate = estimate_with(np.zeros((3, 2)) + 30.0, np.zeros((64, 64)))
    rng = np.random.default_rng(0)
    part = lambda: Shared(*(jnp.asarray(rng.normal(size=n), jnp.float32) for n in ((3, 2), (2, 2))))  # noqa: E731
    shared, step, error = part(), part(), jnp.asarray(rng.uniform(0.1, 1, (3, 2)), jnp.float32)
    stretch = jnp.asarray(rng.normal(size=(2, 2)), jnp.float32)
    memory = Spread(jnp.ones(()), error, jnp.full((2, 2), 0.01), shared, step, stretch)
    kept = dataclasses.replace(
        estimate, placement=placement_of(memory, estimate, config(position_affine=0.02).refine, SAMPLING)
    )
    for name, put in (("shared", shared), ("step", step), ("last", Shared(jnp.zeros((3, 2)), jnp.zeros((2, 2))))):
        back = shared_of(kept, name, SAMPLING)
        np.testing.assert_allclose(back.moved, put.moved, rtol=1e-5)
        np.testing.assert_allclose(back.affine, put.affine, rtol=1e-5)
    # A p in Å: what the matrix in pixels gives, times the sampling.
    place = rng.normal(size=2)
    turned = np.asarray(kept.placement["shared_affine"]) @ (place * SAMPLING)
    np.testing.assert_allclose(turned, (np.asarray(shared.affine) @ place) * SAMPLING, rtol=1e-4)
    np.testing.assert_allclose(rows_of(kept)["position_error"], np.asarray(error) * SAMPLING, rtol=1e-5)
    assert set(rows_of(kept)) == {"position_error", "position_shared"}
    assert units_of(jptycho.prepare(scan()), kept) == dict.fromkeys(("position_error", "position_shared"), "Å")
    assert set(affine_of(kept)) == {"scan_affine", "scan_affine_error"}
    free = placement_of(memory, kept, config(position_error=0.3).refine, SAMPLING)
    np.testing.assert_array_equal(free["shared"], kept.placement["shared"])  # a later search of free ones keeps it
    turned = np.asarray(free["stretch"]) @ (place * SAMPLING)
    np.testing.assert_allclose(turned, (np.asarray(stretch) @ place) * SAMPLING, rtol=1e-4)
    assert rows_of(estimate) == affine_of(estimate) == {}


def test_every_kind_of_search_is_said():
    said = summarise_search(RefineSettings(position_lines=0.5, position_drift=1.0))
    assert said == "each line by 0.5 Å, drift by 1 Å"


def test_a_result_on_a_wider_canvas_starts_a_run_on_a_narrow_one(small_scan):
    wide = jptycho.reconstruct(small_scan, pixels={"epochs": 1, "half_sets": False})
    problem = jptycho.prepare(small_scan)
    at = np.round(np.subtract(problem.origin, wide.attributes["origin"]) / problem.setup.grid.sampling).astype(int)
    assert tuple(at) == (0, 0)
    sides, pixel = (3, 5), problem.setup.grid.sampling
    padded = np.pad(wide.phase, ((0, 0), (sides[0], 4), (sides[1], 2)))
    origin = tuple(o - n * s for o, n, s in zip(problem.origin, sides, pixel, strict=True))
    moved = dataclasses.replace(wide, phase=padded, attributes=wide.attributes | {"origin": origin})
    np.testing.assert_array_equal(estimate_from_result(problem, moved).object[:, 0], wide.phase)
    cut = dataclasses.replace(
        wide, phase=wide.phase[:, 2:-1, 1:],
        attributes=wide.attributes | {"origin": (problem.origin[0] + 2 * pixel[0], problem.origin[1] + pixel[1])},
    )  # fmt: skip
    found = np.asarray(estimate_from_result(problem, cut).object[:, 0])
    np.testing.assert_array_equal(found[:, 2:-1, 1:], cut.phase)
    assert not found[:, :2].any()
