"""Settings that the pixels' solver cannot follow are refused with what to use instead."""

import pytest

from jptycho.assembly.solver_checks import check_engine, takes_whole_scan
from jptycho.config.run import Config, with_changes
from jptycho.errors import ConfigError
from jptycho.settings import Table

SOLVERS = ("gradient", "epie", "rpie", "mpie", "lsqml", "dm", "raar")
SLICES = {"slices": 3, "slice_thickness": 5.0}


def config(solver: str = "gradient", **tables: Table | str) -> Config:
    pixels = tables.pop("pixels", {})
    assert isinstance(pixels, dict)
    return with_changes(None, {"pixels": {"solver": solver, **pixels}, **tables})


@pytest.mark.parametrize("solver", SOLVERS)
def test_every_solver_is_good_by_default(solver: str):
    check_engine(config(solver))
    check_engine(config(solver, loss="amplitude", method="dgp"))


def test_sets_and_line_searches_see_all_patterns_at_once():
    assert [name for name in SOLVERS if takes_whole_scan(config(name))] == ["dm", "raar"]
    assert takes_whole_scan(config(pixels={"optimiser": "lbfgs"}))
    assert not takes_whole_scan(config("epie", pixels={"optimiser": "lbfgs"}))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (config("epie", refine={"position_rate": 0.1}), r'refine\.position_rate: solver "epie" optimises object and'),
        (config("lsqml", refine={"tilt": "global"}, object=SLICES), r'refine\.tilt: solver "lsqml"'),
        (config(refine={"tilt": "local"}), r"refine\.tilt: has no effect on one slice\. .* raise object\.slices"),
        (config(object={"tilt": (0.0, 2.0)}), r"object\.tilt: has no effect on one slice"),
        (
            config("epie", pixels={"object_rate": 0.1}),
            r'pixels\.object_rate: has no effect with pixels\.solver = "epie"\.',
        ),
        (config("raar", pixels={"schedule": "constant"}), r"pixels\.schedule: has no effect"),
        (config("lsqml", pixels={"optimiser_options": {"b1": 0.8}}), r"pixels\.optimiser_options: has no effect"),
        (config("dm", pixels={"preconditioner": {"gain": 3.0}}), r'pixels\.preconditioner\.gain: .* use "gradient"'),
        (config("rpie", loss="poisson"), r'loss: solver "rpie" corrects amplitudes, found "poisson"\. Use loss = "amp'),
        (config("dm", object=SLICES), r'pixels\.solver: "dm" knows one slice, found object\.slices = 3\. Use "gradi'),
        (config(pixels={"optimiser": "adamm"}), r"pixels\.optimiser: .* 'adamm'\. Did you mean 'adam"),
        (config(pixels={"optimiser_options": {"b3": 0.1}}), r"pixels\.optimiser_options: adam has no argument 'b3'"),
        (config(pixels={"optimiser": "lbfgs", "object_rate": 0.1}), r"pixels\.object_rate: lbfgs finds one step"),
        (config(pixels={"optimiser": "lbfgs", "schedule": "plateau"}), r"pixels\.schedule: lbfgs .* use adam"),
        (config(refine={"position_rate": 0.1}, pixels={"optimiser": "lbfgs"}), r"refine\.position_rate: lbfgs"),
        (config(pie={"alpha": 0.5}), r'pie\.alpha: has no effect with pixels\.solver = "gradient"\. Remove it'),
        (config("epie", pie={"alpha": 0.5}), r"pie\.alpha: has no effect"),
        (config("rpie", pie={"momentum": 0.7}), r"pie\.momentum: has no effect"),
        (config("raar", lsqml={"compact": True}), r"lsqml\.compact: has no effect"),
        (config("lsqml", difference_map={"passes": 2}), r"difference_map\.passes: has no effect"),
    ],
)
def test_what_a_solver_cannot_do_is_named(given: Config, message: str):
    with pytest.raises(ConfigError, match=message):
        check_engine(given)


@pytest.mark.parametrize(
    ("solver", "tables"),
    [
        ("gradient", {"refine": {"position_rate": 0.1, "tilt": "local"}, "object": SLICES, "loss": "poisson"}),
        ("mpie", {"pie": {"alpha": 0.5, "momentum": 0.7, "period": 3}}),
        ("lsqml", {"object": {**SLICES, "tilt": (1.0, 0.0)}, "lsqml": {"compact": True}}),
        ("raar", {"difference_map": {"passes": 2, "beta": 0.9}}),
    ],
)
def test_what_a_solver_reads_passes(solver: str, tables: Table):
    check_engine(config(solver, **tables))
