"""How finely a spread of the focus is summed over: as the aperture needs, and a word where that is too few."""

import dataclasses
import math

import jax.numpy as jnp
import numpy as np
import pytest

import jptycho
from jptycho.assembly.auto import resolve_auto
from jptycho.assembly.focus import doubts_of_points, edge_phase
from jptycho.assembly.listed import listed, model_of
from jptycho.assembly.refinable import held_copies
from jptycho.assembly.unknowns import begun
from jptycho.assembly.working import working_bytes
from jptycho.config.run import with_changes
from jptycho.forward.beam import COHERENCE_ERROR, MOST_NODES, focal_nodes, largest_phase
from jptycho.preprocess.prepare import prepare

EDGE = math.pi * 0.02**2 / 0.0196875
"""rad that a Å of defocus makes at 20 mrad and 300 keV."""


@pytest.fixture(scope="module")
def plain():
    return prepare(jptycho.simulate_gold(scan_shape=(4, 4), detector=(32, 32), dose=1e4))


def nodes(problem, **changes):
    """Of the sum of a run that has begun, and of its settings."""
    config = with_changes(None, changes)
    made = begun(config, problem, model_of(config, jptycho.Extension()))
    assert resolve_auto(config, made).probe.focal_points == made.setup.beam[-1].nodes
    return made.setup.beam[-1].nodes


@pytest.mark.parametrize("phase", [0.3, 1.0, 2.2, 3.83, 6.0])
def test_as_many_nodes_as_give_the_coherence_of_a_fine_sum_over_defocus(phase):
    t = np.linspace(-8, 8, 4001)
    exact = np.trapezoid(np.exp(-0.5 * t**2) * np.cos(phase * t), t) / math.sqrt(2 * math.pi)

    def error(count):
        places, weights = np.polynomial.hermite_e.hermegauss(count)
        return abs(np.cos(phase * places) @ weights / weights.sum() - exact)

    wanted = focal_nodes(phase)
    assert error(wanted) <= COHERENCE_ERROR
    assert wanted == 2 or error(wanted - 1) > COHERENCE_ERROR


def test_nodes_follow_from_spread_and_aperture(plain):
    assert edge_phase(plain, 60.0) == pytest.approx(60 * EDGE, rel=1e-3)
    assert nodes(plain, probe={"focal_spread": 60.0}) == focal_nodes(60 * EDGE) == 10
    assert nodes(plain, probe={"focal_spread": 60.0, "focal_points": 4}) == 4
    wide = dataclasses.replace(plain.dataset.calibration, semiangle_cutoff=30.0)
    steep = dataclasses.replace(plain, dataset=dataclasses.replace(plain.dataset, calibration=wide))
    assert nodes(steep, probe={"focal_spread": 20.0}) == focal_nodes(45 * EDGE)
    # One that is found may come to be larger than where it begins.
    found = {"refine": {"focal_spread": True}}
    assert nodes(plain, **found) == nodes(plain, stages=[{}, found]) == focal_nodes(40 * EDGE)


def test_without_a_semiangle_the_probe_says_how_wide_the_aperture_is(plain):
    unknown = dataclasses.replace(plain.dataset.calibration, semiangle_cutoff=None)
    bare = dataclasses.replace(plain, dataset=dataclasses.replace(plain.dataset, calibration=unknown))
    assert edge_phase(bare, 60.0) == pytest.approx(edge_phase(plain, 60.0), rel=0.1)  # its edge is soft


def test_too_few_points_are_said_of_the_spread_that_was_found(plain):
    config = with_changes(None, {"probe": {"focal_spread": 20.0}, "refine": {"focal_spread": True}})
    made = begun(config, plain, model_of(config, jptycho.Extension()))
    assert doubts_of_points(made, made.estimate) == ()
    found = dataclasses.replace(made.estimate, shared={"focal_spread": jnp.float32(60.0)})
    (said,) = doubts_of_points(made, found)
    assert "spreads by 60 Å, and its sum has 6 points where 10 are needed: set probe.focal_points = 10" in said
    assert doubts_of_points(plain, found) == ()


def test_a_spread_that_no_sum_serves_is_said(plain):
    """33 points give 3 % up to 9 rad; at 10 rad the coherence of some rays comes back to .3."""
    edge = largest_phase(MOST_NODES)
    places, weights = np.polynomial.hermite_e.hermegauss(MOST_NODES)

    def coherence(phase):
        return np.cos(np.linspace(5.0, phase, 500)[:, None] * places) @ weights / weights.sum()

    assert np.abs(coherence(edge)).max() <= COHERENCE_ERROR + 1e-3
    assert np.abs(coherence(edge + 1.0)).max() > 0.2
    for spread, count in ((0.95 * edge / EDGE, 0), (1.1 * edge / EDGE, 1)):
        config = with_changes(None, {"probe": {"focal_spread": spread}})
        made = begun(config, plain, model_of(config, jptycho.Extension()))
        said = doubts_of_points(made, made.estimate)
        assert len(said) == count
        assert all("too coarse at this aperture" in line for line in said)


def test_a_stage_that_keeps_the_sums_of_another_needs_the_memory_of_their_waves(plain):
    beam = {"fly": [0.0, 0.5], "fly_points": 3}
    stages = [{"refine": {"focal_spread": True, "object_states": 2}}, {"probe": {"fixed": True}}]
    config = with_changes(None, {"probe": beam, "stages": stages})
    made = begun(config, plain, model_of(config, jptycho.Extension()))
    first, second = (own for _, _, own in listed(resolve_auto(config, made)))
    assert working_bytes(second, made, 16, False) == working_bytes(first, made, 16, False)
    assert held_copies(made) == 6 * 3 * 2
    assert held_copies(plain) == 1
