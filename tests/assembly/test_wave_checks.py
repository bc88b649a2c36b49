"""Classical solvers beside a stage that changes the waves: refused before a file is read."""

import pytest

from jptycho.assembly.listed import check_stages
from jptycho.config.run import with_changes
from jptycho.errors import ConfigError

SPREAD, VARIES, STATES = {"focal_spread": True}, {"probe_variation": 1}, {"object_states": 2}
NETS = {"method": "dgp", "epochs": 1}


def by(solver, **more):
    return {"method": "pixels", "epochs": 1, "pixels": {"solver": solver}, **more}


@pytest.mark.parametrize(("stages", "message"), [
    ([{"refine": SPREAD}, by("epie")], r'stages\.2: pixels\.solver: "epie" .* stages\.1\.refine\.focal_spread changes'),
    ([by("lsqml"), {"refine": SPREAD}], r'stages\.1: pixels\.solver: "lsqml" .* stages\.2\.refine\.focal_spread'),
    ([{"refine": STATES}, NETS, by("dm")], r'stages\.3: .*"dm" .* stages\.1\.refine\.object_states'),
    ([{"refine": VARIES}, by("mpie")], r'stages\.2: .*"mpie" .*\.probe_variation .*let this stage come before'),
    ([NETS | {"refine": VARIES}, by("rpie")], r'stages\.2: .*"rpie" .* stages\.1\.refine\.probe_variation'),
])  # fmt: skip
def test_a_stage_whose_solver_does_not_follow_the_waves_of_another_is_named(stages, message):
    start = {"dgp": {"start": "dpc"}} if stages[0].get("method") == "dgp" else {}
    with pytest.raises(ConfigError, match=message) as caught:
        check_stages(with_changes(None, {"stages": stages, **start}))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("refine", [SPREAD, STATES, {"fly": True}])
def test_a_start_of_networks_likewise(refine):
    changes = {"method": "dgp", "pixels": {"solver": "lsqml"}, "refine": refine, "probe": {"fly": [0.0, 0.5]}}
    with pytest.raises(ConfigError, match=r'pixels\.solver: "lsqml", whose pixels the networks start from'):
        check_stages(with_changes(None, changes if "fly" in refine else changes | {"probe": {}}))


@pytest.mark.parametrize(("changes", "message"), [
    ({"probe": {"focal_points": 7}}, r"probe\.focal_points: has no effect without probe\.focal_spread"),
    ({"probe": {"fly_points": 7}, "stages": [{}, {"refine": VARIES}]}, r"probe\.fly_points: has no effect without"),
])  # fmt: skip
def test_points_of_a_sum_that_is_none(changes, message):
    with pytest.raises(ConfigError, match=message):
        check_stages(with_changes(None, changes))


@pytest.mark.parametrize("changes", [
    {"stages": [by("epie"), {"refine": VARIES}]},
    {"stages": [{"refine": SPREAD}, {"pixels": {"optimiser": "lbfgs"}}]},
    {"stages": [{"refine": {"descan": "plane", "flux": "free", "background": "pixels"}}, by("lsqml")]},
    {"pixels": {"solver": "epie"}, "stages": [
        {"pixels": {"solver": "gradient"}, "refine": SPREAD},
        {"method": "positions", "refine": {"position_error": 0.2}},
    ]},
    {"probe": {"focal_points": 7}, "stages": [{}, {"refine": SPREAD}]},
    {"method": "dgp", "pixels": {"solver": "lsqml"}, "refine": VARIES},
    {"method": "dgp", "pixels": {"solver": "lsqml"}, "refine": SPREAD, "dgp": {"start": "dpc"}},
])  # fmt: skip
def test_what_a_solver_follows_passes(changes):
    check_stages(with_changes(None, changes))
