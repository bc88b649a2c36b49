"""A run in words: what it knows of beam and object beside what it finds."""

import pytest

import jptycho
from jptycho.assembly.summary import summarise_objective, summarise_run
from jptycho.config.run import with_changes

CHOSEN = {"batch": 16, "object_rate": 1e-2, "probe_rate": 1e-2, "preconditioner": {"gain": 1.0, "cutoff": 0.1}}
UNEVEN = {"slices": 3, "slice_gaps": [8.0, 16.0]}


def lines(**changes):
    plain = {"pixels": CHOSEN, "loss": "poisson", "validation": {"fraction": 0.0}}
    return summarise_objective(with_changes(None, plain | changes))


@pytest.mark.parametrize(("changes", "said"), [
    ({}, []),
    ({"object": UNEVEN}, ["known of the object: slice_gaps (8.0, 16.0)"]),
    ({"probe": {"fly": [0.0, 0.5]}, "object": UNEVEN},
     ["known of the beam: fly (0.0, 0.5)", "known of the object: slice_gaps (8.0, 16.0)"]),
    ({"probe": {"focal_spread": 30.0, "fly": [0.0, 0.5]}, "refine": {"fly": True}},
     ["known of the beam: focal_spread 30.0"]),
    ({"object": UNEVEN, "refine": {"slice_gaps": True}}, []),
])  # fmt: skip
def test_what_is_known_of_beam_and_object_is_said_where_it_is_no_unknown(changes, said):
    assert [line for line in lines(**changes) if line.startswith("known")] == said


def test_a_run_says_which_of_its_stages_lets_waves_leave_the_window(small_scan):
    problem = jptycho.prepare(small_scan)
    thing = {"slices": 4, "slice_thickness": 150.0}

    def said(*stages):
        plain = {"pixels": CHOSEN, "loss": "poisson", "validation": {"fraction": 0.0}}
        config = with_changes(None, plain | {"object": thing, "stages": list(stages)})
        return [line for line in summarise_run(config, problem, "") if "out of the window" in line]

    assert said({}) == []
    (line,) = said({}, {"slices": 2})
    assert line.startswith("look at this: over 300 Å (object.slice_thickness) waves of")
