"""Unknowns of beam and detector that exclude each other: one line, with what to do."""

import pytest

from jptycho.assembly.beam_checks import check_beam
from jptycho.assembly.checks import check_config
from jptycho.assembly.extension import check_unknowns
from jptycho.assembly.listed import check_stages
from jptycho.assembly.unknowns import ramp_is_gauge
from jptycho.config.run import parse_config
from jptycho.errors import ConfigError
from jptycho.representations.base import Unknown
from jptycho.representations.per_pattern import Flux

SLICES = {"slices": 2, "slice_thickness": 10.0}
LINEAR = {"model": "parametric"}


@pytest.mark.parametrize(("settings", "message"), [
    ({"probe": {"free_cutoff": True}}, r'probe\.free_cutoff: has no effect on a probe of pixels'),
    ({"probe": {"aberrations": ["C10"]}}, r'probe\.aberrations: has no effect on a probe of pixels'),
    ({"probe": LINEAR | {"modes": 3}}, r"probe\.modes: 3, but the modes of a parametric probe are those of a source"),
    ({"refine": {"source_size": True}}, r"refine\.source_size: a source that is no point gives several modes"),
    ({"probe": {"source_size": 0.3}}, r"probe\.source_size: a source that is no point gives several modes"),
    ({"probe": LINEAR | {"fixed": True}}, r"probe\.fixed: keeps the probe as it is"),
    ({"refine": {"descan": "constant"}}, r'refine\.descan: "constant", which a ramp of a probe of pixels undoes'),
    ({"probe": LINEAR, "method": "dgp", "dgp": {"probe": "network"}}, r'dgp\.probe: "network", and probe\.model'),
    ({"probe": LINEAR, "pixels": {"solver": "epie"}}, r'probe\.model: solver "epie" knows pixels of the probe only'),
    ({"refine": {"descan": "free"}, "pixels": {"solver": "lsqml"}}, r'refine\.descan: solver "lsqml" optimises'),
    ({"refine": {"background": "pixels"}, "pixels": {"optimiser": "lbfgs"}}, r"refine\.background: lbfgs"),
    ({"refine": {"thickness": True}}, r"refine\.thickness: has no effect on one slice"),
    ({"refine": {"thickness": True}, "object": SLICES, "probe": LINEAR}, r"refine\.thickness: moves the object's"),
    ({"refine": {"background": "smooth"}, "probe": {"fixed": True}}, r"refine\.background: its electrons are those"),
    ({"probe": LINEAR, "method": "dgp", "dgp": {"object": "pixels"}}, r'dgp\.object: "pixels", and probe\.model'),
    ({"refine": {"fly": True}}, r"refine\.fly: begins at the line that probe\.fly says, found none"),
    ({"refine": {"probe_weights": "free"}}, r"refine\.probe_weights: has no effect without probe_variation"),
    ({"refine": {"probe_variation": 2}, "pixels": {"solver": "lsqml"}}, r"refine\.probe_variation: solver"),
    ({"probe": {"fly": [0.0, 1.0]}, "pixels": {"solver": "epie"}}, r'probe\.fly: solver "epie" knows the modes of'),
    ({"probe": {"focal_spread": 9.0}, "pixels": {"solver": "raar"}}, r'probe\.focal_spread: solver "raar" knows'),
    ({"refine": {"object_states": 1}}, r"refine\.object_states: 1 state is the object itself"),
    ({"refine": {"object_states": 2}, "pixels": {"solver": "mpie"}}, r'refine\.object_states: solver "mpie"'),
    ({"refine": {"slice_gaps": True}}, r"refine\.slice_gaps: has no effect on one slice"),
    ({"refine": {"slice_gaps": True}, "object": SLICES}, r"refine\.slice_gaps: two slices have one distance"),
    ({"object": SLICES | {"slice_gaps": [9.0]}}, r"object\.slice_gaps: each distance, and object\.slice_thickness"),
    ({"object": {"slices": 3, "slice_gaps": [9.0]}}, r"object\.slice_gaps: 1 distances, but 3 slices have 2 between"),
    ({"loss": "shared_charge"}, r'loss: "shared_charge" knows how far charge spreads from refine\.point_spread'),
    ({"refine": {"point_spread": 0.5}, "pixels": {"solver": "dm"}}, r'refine\.point_spread: solver "dm"'),
])  # fmt: skip
def test_what_cannot_be_is_refused(settings, message):
    with pytest.raises(ConfigError, match=message) as caught:
        check_config(parse_config({"data": {"file": "scan.h5"}, **settings}))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("values", "message"), [
    ({"probe": {"aberrations": ["C11"]}}, r"probe\.aberrations: 'C11' is no coefficient\. Did you mean"),
    ({"probe": {"aberrations": []}}, r"probe\.aberrations: expected at least one"),
    ({"refine": {"background": "flat"}}, r"refine\.background: expected 'none', 'constant', 'smooth' or 'pixels'"),
])  # fmt: skip
def test_values_that_are_none(values, message):
    with pytest.raises(ConfigError, match=message):
        parse_config({"data": {"file": "scan.h5"}, **values})


@pytest.mark.parametrize("settings", [
    {"probe": LINEAR | {"aberrations": ["C10", "C30"], "free_cutoff": True}, "refine": {"descan": "constant"}},
    {"probe": LINEAR | {"modes": 3}, "refine": {"source_size": True}, "method": "dgp"},
    {"probe": {"modes": 3, "source_size": 0.2}},
    {"refine": {"thickness": True, "background": "smooth", "flux": "free", "descan": "plane"}, "object": SLICES},
])  # fmt: skip
def test_what_can_be_passes(settings):
    config = parse_config({"data": {"file": "scan.h5"}, **settings})
    check_beam(config)
    check_config(config)


@pytest.mark.parametrize(("key", "value"), [
    ("source_size", 0.4), ("focal_spread", 20.0), ("focal_points", 7), ("fly", [0.0, 0.5]), ("fly_points", 7),
])  # fmt: skip
def test_a_stage_has_no_beam_of_its_own(key, value):
    stages = [{"method": "pixels", "epochs": 1, "probe": {key: value}, "modes": 3}]
    with pytest.raises(ConfigError, match=rf"stages\.1\.probe\.{key}: has no effect in a stage"):
        check_stages(parse_config({"data": {"file": "scan.h5"}, "stages": stages}))


@pytest.mark.parametrize("name", ["defocus", "C12", "phi12", "source_size", "coherent_probe", "semiangle_cutoff"])
def test_a_part_of_the_probe_is_no_name_for_an_unknown(name):
    unknown = Unknown(Flux(), 0.1)
    with pytest.raises(ConfigError, match=f"unknowns: '{name}' is what a part of the probe is called"):
        check_unknowns(parse_config({"data": {"file": "scan.h5"}}), {name: unknown})


@pytest.mark.parametrize(("settings", "expected"), [
    ({}, True),
    ({"probe": {"fixed": True}}, False),
    ({"probe": LINEAR}, False),
    ({"probe": LINEAR, "refine": {"descan": "plane"}}, False),
    ({"probe": LINEAR, "refine": {"descan": "constant"}}, True),
    ({"probe": {"fixed": True}, "refine": {"descan": "constant"}}, True),
])  # fmt: skip
def test_a_ramp_is_a_gauge_where_probe_or_detector_undo_it(settings, expected):
    assert ramp_is_gauge(parse_config({"data": {"file": "scan.h5"}, **settings})) is expected
