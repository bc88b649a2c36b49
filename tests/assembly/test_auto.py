"""What a run chooses, written down, is a configuration that gives the same run."""

import math
import tomllib

import pytest

import jptycho
from jptycho.assembly.auto import resolve_auto
from jptycho.assembly.checks import check_config
from jptycho.assembly.listed import check_stages
from jptycho.automatic.checks import check_automatic
from jptycho.config.run import parse_config, with_changes
from jptycho.reconstruction.plan import pairs_of_half_sets, plan
from jptycho.settings import AUTO, to_toml

SOLVERS = ("gradient", "epie", "rpie", "mpie", "lsqml", "dm", "raar")
NETS = {"method": "dgp", "epochs": 1}
LISTS = (
    [{}, {"pixels": {"solver": "lsqml"}}],
    [{"pixels": {"solver": "epie"}}, {"pixels": {"optimiser": "lbfgs"}}],
    [{"method": "half_sets"}, NETS, {"pixels": {"preconditioner": {"gain": 0.0}}}],
)


@pytest.fixture(scope="module")
def problem(small_scan):
    return jptycho.prepare(small_scan)


@pytest.mark.parametrize(
    "changes",
    [
        *({"pixels": {"solver": name}} for name in SOLVERS),
        {"pixels": {"optimiser": "lbfgs"}},
        {"method": "dgp"},
        {"method": "dgp", "pixels": {"optimiser": "lbfgs"}},
        {"method": "dgp", "pixels": {"solver": "lsqml"}},
        *({"stages": stages, "validation": {"fraction": 0.1}} for stages in LISTS),
        {"stages": LISTS[0], "pixels": {"object_rate": 0.01}, "lsqml": {"beta": 0.5}},
        {"method": "dgp", "pixels": {"optimiser": "lbfgs"}, "dgp": {"polish_epochs": 0}},
        {
            "stages": [{"method": "half_sets"}, {**NETS, "projections": {"probe_power": False}}],
            "projections": {"probe_power": True},
        },
    ],
)
def test_what_was_chosen_gives_the_same_run(problem, changes):
    chosen = resolve_auto(with_changes(None, changes), problem)
    again = parse_config(tomllib.loads(to_toml(chosen)))
    check_config(again)
    check_stages(again)
    assert again == chosen
    assert resolve_auto(again, problem) == chosen
    for stage in plan(chosen, problem):
        assert isinstance(stage.config.pixels.batch, int)
        assert AUTO not in (stage.config.loss, stage.config.validation.fraction)
        assert stage.config.method == "pixels" or stage.config.dgp.ensemble_size in (1, 2)


def test_a_solver_that_reads_no_rate_chooses_none(problem):
    def rates(**pixels):
        chosen = resolve_auto(with_changes(None, {"pixels": pixels}), problem).pixels
        return chosen.object_rate == AUTO, chosen.probe_rate == AUTO, chosen.preconditioner.gain == AUTO

    assert rates(solver="lsqml") == (True, True, True)
    assert rates(optimiser="lbfgs") == (True, False, False)
    assert rates() == (False, False, False)


def test_each_stage_of_a_list_reads_what_its_solver_does(problem):
    """The run's rate in the stage of the gradient, the run's damping in that of LSQ-ML, the stage's own before both."""
    given = with_changes(None, {
        "pixels": {"object_rate": 0.01}, "lsqml": {"beta": 0.5},
        "stages": [{}, {"pixels": {"solver": "lsqml"}}, {"pixels": {"object_rate": 0.02}}],
    })  # fmt: skip
    check_config(given)
    check_stages(given)
    first, second, third = (stage.config for stage in plan(resolve_auto(given, problem), problem))
    assert (first.pixels.object_rate, second.pixels.object_rate, third.pixels.object_rate) == (0.01, AUTO, 0.02)
    assert (first.lsqml.beta, second.lsqml.beta) == (0.9, 0.5)


LSQML = {"pixels": {"solver": "lsqml"}}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"lsqml": {"beta": 0.5}, "stages": [{}]}, r"lsqml\.beta: has no effect, for no stage reads it"),
        (
            {"pixels": {"object_rate": 0.1}, "stages": [LSQML, NETS]},
            r"pixels\.object_rate: has no effect, for no stage",
        ),
        ({"pixels": {"half_sets": True}, "stages": [{}]}, r"pixels\.half_sets: has no effect, for no stage reads it"),
        ({"dgp": {"start_file": "a.h5"}, "stages": [{}]}, r"dgp\.start_file: has no effect, for no stage reads it"),
        ({"dgp": {"half_sets": False}, "stages": [{"method": "half_sets"}, NETS]}, r"dgp\.half_sets: false, but netw"),
        ({"stages": [{"pixels": {"half_sets": True}}]}, r'stages\.1\.pixels\.half_sets: .* Use method = "half_sets"'),
        (
            {"stages": [{"projections": {"field_of_view": None}}]},
            r"stages\.1\.projections\.field_of_view: None\. Leave",
        ),
    ],
)
def test_what_no_stage_reads_is_refused(changes, words):
    with pytest.raises(jptycho.ConfigError, match=words):
        check_stages(with_changes(None, changes))


def test_a_line_search_has_no_rate_but_that_of_the_polish():
    lbfgs = {"method": "dgp", "pixels": {"optimiser": "lbfgs", "object_rate": 0.1}}
    check_config(with_changes(None, lbfgs))
    with pytest.raises(jptycho.ConfigError, match=r"pixels\.object_rate: lbfgs finds one step"):
        check_config(with_changes(None, lbfgs | {"dgp": {"polish_epochs": 0}}))
    with pytest.raises(jptycho.ConfigError, match=r"pixels\.schedule: lbfgs finds one step"):
        check_config(with_changes(None, {"method": "dgp", "pixels": {"optimiser": "lbfgs", "schedule": "plateau"}}))


def test_networks_that_follow_a_stage_start_from_it(problem):
    """Though those that nothing came before began without an estimate."""
    given = with_changes(None, {"dgp": {"start": "random"}, "stages": [NETS, {}, NETS]})
    check_stages(given)
    stages = plan(resolve_auto(given, problem), problem)
    assert [stage.config.dgp.start for stage in stages[::2]] == ["random", "pixels"]


@pytest.mark.parametrize(
    ("stages", "pairs"),
    [
        ([{}], 0),
        ([{"method": "half_sets"}, {}], 1),
        ([{"method": "half_sets"}, NETS], 1),
        ([{"method": "half_sets"}, {**NETS, "dgp": {"ensemble_size": 3}}], 3),
        ([{}, {**NETS, "dgp": {"ensemble_size": 3}}], 0),
    ],
)
def test_half_sets_are_as_many_as_the_networks_that_read_them(problem, stages, pairs):
    assert pairs_of_half_sets(plan(resolve_auto(with_changes(None, {"stages": stages}), problem), problem)) == pairs


def test_a_stage_whose_slices_are_merged_too_far_apart(problem):
    """The disk's edge walks out of the window over two of the run's gaps, not over one."""
    half = 0.5 * min(n * pixel for n, pixel in zip(problem.setup.grid.shape, problem.setup.grid.sampling, strict=True))
    thickness = 0.7 * half / math.tan(1e-3 * problem.dataset.calibration.semiangle_cutoff)
    thing = {"slices": 4, "slice_thickness": thickness}
    resolve_auto(with_changes(None, {"object": thing, "stages": [{}, {"epochs": 2}]}), problem)
    with pytest.raises(jptycho.ConfigError, match=r"stages\.2\.slices: 2, but object\.slice_thickness: .* the disk's"):
        resolve_auto(with_changes(None, {"object": thing, "stages": [{}, {"slices": 2}]}), problem)


SHARED = {"loss": "shared_charge", "refine": {"point_spread": 0.6}}


def test_counts_that_share_electrons_are_not_divided(problem):
    """As counts that are no electrons are not: no half sets where that is left open, refused where it is asked for."""
    assert resolve_auto(with_changes(None, {}), problem).pixels.half_sets is True
    assert resolve_auto(with_changes(None, SHARED), problem).pixels.half_sets is False
    assert resolve_auto(with_changes(None, SHARED | {"method": "dgp"}), problem).dgp.half_sets is False
    with pytest.raises(
        jptycho.ConfigError, match=r'pixels\.half_sets: electrons cannot .* loss = "shared_charge" says'
    ):
        resolve_auto(with_changes(None, SHARED | {"pixels": {"half_sets": True}}), problem)
    stages = [{"epochs": 1}, {"method": "half_sets", "loss": "shared_charge"}]
    with pytest.raises(
        jptycho.ConfigError, match=r'stages\.2\.method: "half_sets", but electrons cannot be divided: loss'
    ):
        resolve_auto(with_changes(None, {"refine": {"point_spread": 0.6}, "stages": stages}), problem)
    with pytest.raises(jptycho.ConfigError, match=r'loss: "shared_charge", but method = "auto" chooses by electrons'):
        check_automatic(with_changes(None, SHARED | {"method": "auto"}))
