"""What a run takes over from an earlier result beside object and positions, and what a fresh start takes back."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jptycho
from jptycho.assembly.listed import model_of
from jptycho.assembly.start import estimate_from_result
from jptycho.assembly.unknowns import begun, pixel_probe, unknowns_at, without_stale_parts
from jptycho.config.run import Config, with_changes
from jptycho.data.results import Result
from jptycho.preprocess.prepare import Problem, prepare
from jptycho.preprocess.thinning import hold_out
from jptycho.reconstruction import pixels
from jptycho.reconstruction.outcome import further_of
from jptycho.representations.per_pattern import Flux
from jptycho.settings import to_toml

SLICES = {"slices": 2, "slice_thickness": 20.0}


@pytest.fixture(scope="module")
def scan() -> jptycho.Dataset4D:
    return jptycho.simulate_gold(
        dose=3e3, diameter=12.0, scan_shape=(6, 5), step=1.2, detector=(32, 32), defocus=100.0, jitter=0.0
    )


def settled(scan: jptycho.Dataset4D, **settings: Any) -> tuple[Config, Problem]:
    """A configuration, and a scan with its unknowns where they begin."""
    config = with_changes(None, settings)
    whole = prepare(scan, config.object.spec(), config.probe.modes, source_size=config.probe.source_size)
    return config, begun(config, whole, model_of(config, jptycho.Extension()))


def result_of(config: Config, problem: Problem) -> Result:
    """The start of a run as if it had ended there."""
    estimate, pixel = problem.estimate, np.asarray(problem.setup.grid.sampling)
    blank = np.zeros(problem.setup.grid.shape)
    further = further_of(problem, estimate)
    return Result(
        phase=np.asarray(estimate.object[:, 0]),
        absorption=None,
        probe=np.fft.fftshift(np.asarray(estimate.probe), axes=(-2, -1)),
        positions=np.asarray(estimate.positions) * pixel + problem.origin,
        history={},
        measured=blank,
        modelled=blank,
        field_of_view=(0, 1, 0, 1),
        attributes={
            "origin": problem.origin,
            "sampling": problem.setup.grid.sampling,
            "slice_thickness": float(estimate.thickness),
            "configuration": to_toml(config),
        },
        extra=further["extra"],
        shared=further["shared"],
        units=further["units"],
    )


def test_a_background_in_electrons_is_the_same_share_of_those_that_are_left(scan):
    config, whole = settled(scan, refine={"background": "constant"})
    left, _, _ = hold_out(whole, 0.2, 0)
    assert left.electrons == pytest.approx(0.8 * whole.electrons, rel=0.02)
    found = estimate_from_result(left, result_of(config, whole), whole.electrons).shared["background"]
    assert float(found) == pytest.approx(float(whole.estimate.shared["background"]), rel=1e-5)


@pytest.mark.parametrize(("refine", "expected"), [({"thickness": True}, 23.0), ({}, 20.0)])
@pytest.mark.parametrize("listed", [False, True])
def test_a_thickness_that_was_refined_is_where_a_later_run_starts(scan, refine, expected, listed):
    settings = {"stages": [{"method": "pixels", "epochs": 1, "refine": refine}]} if listed else {"refine": refine}
    config, problem = settled(scan, object=SLICES, **settings)
    made = result_of(config, problem)
    made.attributes["slice_thickness"] = 23.0
    assert float(estimate_from_result(problem, made).thickness) == pytest.approx(expected)


def test_a_probe_of_pixels_is_not_hidden_by_the_nominal_one_of_a_point_source(scan):
    blurred = {"probe": {"modes": 3}, "refine": {"source_size": True}}
    config, problem = settled(scan, **blurred)
    assert "coherent_probe" in estimate_from_result(problem, result_of(config, problem)).shared
    plain = result_of(*settled(scan, probe={"modes": 3}))
    assert "coherent_probe" not in estimate_from_result(problem, plain).shared


def test_what_begins_anew_has_the_first_parts_of_its_probe_again(scan, monkeypatch):
    config, problem = settled(scan, probe={"model": "parametric"}, refine={"background": "constant"})
    off = {"defocus": jnp.float32(55.0), "background": jnp.float32(0.3)}
    now = dataclasses.replace(problem.estimate, shared=problem.estimate.shared | off)
    seen = []

    class SeenError(Exception):
        pass

    def look(context, stage, estimate, *rest):
        seen.append(estimate)
        raise SeenError

    monkeypatch.setattr(pixels, "_fit", look)
    context = pixels.Context(config, problem, problem, print, print, print, lambda: False, None, 0.0)
    stage = pixels.Stage("pixels", config, 1, pixels.begin_pixels, pixels.conclude_pixels)
    with pytest.raises(SeenError):
        pixels.begin_anew(context, stage, pixels.Progress(now, now), False)
    assert float(seen[0].shared["defocus"]) == pytest.approx(float(problem.estimate.shared["defocus"]))
    assert float(seen[0].shared["background"]) == pytest.approx(0.3)


def test_a_flux_of_the_users_own_stays_where_refine_turns_on_none(scan):
    mine = jptycho.Unknown(Flux(3), 0.1)
    config = with_changes(None, {"refine": {"background": "constant"}})
    model = model_of(config, jptycho.Extension({"flux": mine}))
    problem = begun(config, prepare(scan), model)
    assert unknowns_at(config, problem)["flux"] == mine
    held = with_changes(config, {"refine": {"background": "none"}})
    assert list(unknowns_at(held, problem)) == ["flux"]


@pytest.mark.parametrize(("settings", "kept"), [
    ({"probe": {"model": "pixels"}}, False),
    ({"probe": {"model": "pixels", "fixed": True}}, True),
    ({"probe": {"model": "pixels", "fixed": True}, "refine": {"thickness": True}}, False),
    ({"probe": {"model": "parametric"}}, True),
])  # fmt: skip
def test_parts_of_a_probe_that_a_stage_changes_otherwise_are_not_kept(scan, settings, kept):
    config, problem = settled(scan, object=SLICES, probe={"model": "parametric"}, refine={"background": "constant"})
    stage = with_changes(config, settings)
    shared = without_stale_parts(stage, problem, problem.estimate).shared
    assert ("defocus" in shared) is kept
    assert "background" in shared


def test_the_middle_of_the_object_is_that_of_the_thickness_so_far(scan):
    config, problem = settled(scan, object=SLICES, probe={"model": "parametric"})
    thicker = dataclasses.replace(problem.estimate, thickness=jnp.float32(26.0))
    representation = pixel_probe(config, problem)
    found = [
        representation.apply(*representation.init(jax.random.key(0), e), None) for e in (problem.estimate, thicker)
    ]
    expected = [
        prepare(scan, dataclasses.replace(config.object.spec(), thickness=t)).estimate.probe for t in (20.0, 26.0)
    ]
    np.testing.assert_allclose(found[0], expected[0], atol=1e-4)
    np.testing.assert_allclose(found[1], expected[1], atol=1e-4)


@pytest.mark.parametrize(("settings", "key"), [
    ({"probe": {"modes": 3, "source_size": 0.3}}, r"probe\.source_size"),
    ({"probe": {"modes": 3}, "refine": {"source_size": True}}, r"refine\.source_size"),
])  # fmt: skip
def test_modes_of_a_source_are_not_made_of_several_that_are_given(scan, settings, key):
    wave = np.asarray(prepare(scan, modes=2).estimate.probe)
    given = dataclasses.replace(scan, probe=np.fft.fftshift(wave, axes=(-2, -1)))
    with pytest.raises(jptycho.ConfigError, match=f"{key}: makes the modes of .* data\\.probe has 2"):
        settled(given, **settings)
