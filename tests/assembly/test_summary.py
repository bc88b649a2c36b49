"""A run in words: what it knows of beam and object beside what it finds."""

import pytest

from jptycho.assembly.summary import summarise_objective
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
