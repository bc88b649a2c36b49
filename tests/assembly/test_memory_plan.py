"""What a run will take of memory: it grows with what is done, fits what is asked, or is refused with what would fit."""

import dataclasses
import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jptycho
from jptycho.assembly import ensembles, memory_plan
from jptycho.assembly.auto import resolve_auto
from jptycho.assembly.budget import Budget, budget_of
from jptycho.assembly.devices import networks_mesh, parts_of_step, pixel_mesh
from jptycho.assembly.ensembles import members_together
from jptycho.assembly.loading import choose_loading, fit_stages, sampled_problem
from jptycho.assembly.memory_plan import (
    MemoryPlan,
    check_plan,
    fitted_configs,
    plan_memory,
    stage_memory,
    summarise_plan,
)
from jptycho.assembly.parts import chunk_bytes, most_patterns, parts_of_scan
from jptycho.assembly.placing import check_streamed, place, side_by_side, unstreamable
from jptycho.assembly.polish import polish_config
from jptycho.assembly.stage_solvers import half_set_solver, members_at_once, networks_solver
from jptycho.config.run import Config, with_changes
from jptycho.data.counts import load_counts
from jptycho.data.lazy_counts import LazyCounts, lazy_counts
from jptycho.errors import ConfigError
from jptycho.parallel import make_mesh
from jptycho.preprocess.memory import PROGRAM
from jptycho.preprocess.prepare import prepare
from jptycho.preprocess.thinning import make_half_sets
from jptycho.reconstruction.plan import plan as stages_of
from jptycho.solvers.base import ScanData, epoch, init_state
from jptycho.solvers.gradient import GradientSolver
from jptycho.solvers.streaming import StreamedScan

WITHIN = 0.15
"""Of what XLA's own analysis says of a step's working memory."""


@dataclasses.dataclass(frozen=True)
class Shape:
    name: str
    config: Config
    epochs: int | None = 3
    window: tuple[int, int] | None = None


@pytest.fixture(scope="module")
def problem(small_scan):
    return jptycho.prepare(small_scan)


def config_of(problem, **changes):
    return resolve_auto(with_changes(None, {"pixels": {"half_sets": False}, **changes}), problem)


def enlarged(problem, patterns):
    """As many patterns, of which nothing is stored."""
    counts = LazyCounts((patterns, 32, 32), np.dtype(np.uint8), lambda rows: np.zeros(0), np.ones((32, 32)), 0.0, 1.0)
    return dataclasses.replace(problem, counts=counts)


def test_a_stage_takes_more_the_more_it_does(problem):
    config = config_of(problem)

    def host(name="pixels", patterns=10**6, part=16, own=config, pairs=0, streamed=False):
        return stage_memory(Shape(name, own), enlarged(problem, patterns), pairs, streamed, part).host

    plain = host()
    counts = 10**6 * 32 * 32
    assert plain > PROGRAM + 2 * counts  # on the host, and on a device that is the host
    assert plain + 3 * counts < host("half sets", pairs=1) < plain + 4 * counts  # both halves, and on the device
    assert host(part=32) > plain
    assert host(streamed=True) < PROGRAM + 2 * counts
    assert host(streamed=True, patterns=2 * 10**6) == host(streamed=True)
    assert host(own=config_of(problem, pixels={"half_sets": False, "solver": "raar"})) > plain + 20 * counts


@pytest.mark.parametrize(("slices", "modes"), [(1, 1), (4, 2)])
def test_the_working_memory_is_what_the_compiler_says(problem, slices, modes):
    """Of the epoch's own program, which is compiled and not run."""
    thick = {"slices": slices, "slice_thickness": 5.0} if slices > 1 else {}
    changes = {
        "object": thick,
        "probe": {"modes": modes},
        "pixels": {"half_sets": False, "batch": 64, "micro_batch": 64},
    }
    config = with_changes(None, changes)
    scan = problem.dataset
    own = prepare(scan, config.object.spec(), config.probe.modes)
    config = resolve_auto(config, own)
    from jptycho.assembly.build import build_solver  # noqa: PLC0415

    mesh = networks_mesh()
    solver = build_solver(config, own, mesh, 3)
    params, constants = jptycho.initialise(solver.model, jax.random.key(0), own.estimate)
    state = init_state(solver, mesh, params, constants, jax.random.key(1))
    data = place(own.counts, own.setup, mesh)
    analysis = epoch.lower(solver, mesh, state, constants, data).compile().memory_analysis()
    devices = pixel_mesh(config).size
    found = stage_memory(Shape("pixels", config), own, 0, False, 64 // devices).working
    assert found == pytest.approx(analysis.temp_size_in_bytes, rel=WITHIN)


def test_a_step_is_divided_until_it_fits(problem):
    config = config_of(problem, pixels={"half_sets": False, "batch": 256, "micro_batch": 128})
    usual = stage_memory(Shape("pixels", config), problem, 0, False, 128)
    budget = Budget(usual.host - usual.working // 2, None)
    plan = plan_memory([Shape("pixels", config)], problem, budget, 0)
    assert plan.stages[0].host <= budget.host
    assert 1 <= plan.stages[0].part < 128
    (fitted,) = fitted_configs([Shape("pixels", config)], plan)
    devices = pixel_mesh(fitted).size
    assert fitted.pixels.micro_batch == plan.stages[0].part
    assert parts_of_step(fitted, devices) == math.ceil(256 // devices / plan.stages[0].part)
    solver = half_set_solver(fitted, problem, pixel_mesh(fitted), 2, 3).solver
    assert isinstance(solver, GradientSolver)
    assert solver.micro_batches == parts_of_step(fitted, devices)


def test_what_fits_is_left_as_it_is_and_said_in_one_line(problem):
    config = config_of(problem)
    plan = plan_memory([Shape("pixels", config)], problem, budget_of(config), 0)
    assert fitted_configs([Shape("pixels", config)], plan) == [config]
    check_plan(plan)
    assert summarise_plan(plan).startswith("memory: about")
    assert "\n" not in summarise_plan(plan)
    assert "of the device 2 GB of 3 GB" in summarise_plan(
        MemoryPlan((dataclasses.replace(plan.stages[0], device=2 * 10**9),), Budget(10**10, 3 * 10**9), True, "")
    )


def test_what_does_not_fit_is_refused_with_the_setting_that_would(problem):
    config = config_of(problem, memory={"limit": 3.0})
    assert budget_of(config).host == 3e9
    large = enlarged(problem, 10**7)
    plan = plan_memory([Shape("pixels", config)], large, budget_of(config), 0)
    with pytest.raises(
        ConfigError, match=r"memory: pixels needs .* GB of the machine, and 3 GB .*memory\.stream = true"
    ):
        check_plan(plan)
    check_plan(plan_memory([Shape("pixels", config)], large, budget_of(config), 0, streamed=True))
    alone = plan_memory([Shape("pixels", config)], large, budget_of(config), 0, streamable=False)
    assert not alone.by_parts
    assert "stream" not in alone.refusal
    assert "Raise memory.limit to " in alone.refusal
    tiny = plan_memory([Shape("pixels", config)], problem, Budget(10**8, None), 0)
    assert "Raise memory.limit to 0." in tiny.refusal


def test_of_several_devices_each_holds_its_share(problem, monkeypatch):
    """The tests' two CPU devices stand for two that have memories of their own."""
    config = config_of(problem, pixels={"half_sets": False, "batch": 64})
    need = stage_memory(Shape("pixels", config), enlarged(problem, 10**6), 0, False, 32)
    assert pixel_mesh(config).size == 2
    assert need.counts // 2 + need.state < need.device < need.counts // 2 + need.state + need.working
    network = Shape("dgp", config_of(problem, method="dgp", dgp={"levels": 1, "probe_levels": 1, "half_sets": False}))
    working = []
    for devices in (1, 2):
        monkeypatch.setattr(memory_plan, "networks_mesh", lambda: make_mesh(jax.devices()[: len(working) + 1]))
        found = stage_memory(network, problem, 0, False, 128)
        working.append(found.device - found.state - found.counts // devices)
    waves = 2 * (working[0] - working[1])
    assert waves == pytest.approx(8 * 32**2 * 7.2 * 128, rel=0.01)  # a micro-batch is that of all devices together
    halves = partial(stage_memory, Shape("half sets", config), problem, 1, False)
    one = halves(32).working
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")  # where both halves are mapped together
    assert halves(32).working == 2 * one


def test_a_scan_is_read_in_parts_only_where_it_does_not_fit(small_scan):
    def chosen(refusal="", by_parts=True, **memory):
        config = with_changes(None, {"memory": memory})
        plan = MemoryPlan((), Budget(1, None), False, refusal, by_parts)
        found = choose_loading(config, small_scan, lambda config, problem: plan)
        return getattr(found, "func", found)

    assert chosen(stream=True) is lazy_counts
    assert chosen(stream=False, limit=0.001) is load_counts
    assert chosen() is load_counts
    assert chosen(limit=0.001) is load_counts
    assert chosen(limit=0.001, refusal="too much") is lazy_counts
    assert chosen(limit=0.001, refusal="too much", by_parts=False) is load_counts


def test_a_sample_is_enough_for_a_plan(small_scan, problem):
    config = with_changes(None, {})
    some = sampled_problem(config, small_scan)
    assert isinstance(some.counts, LazyCounts)
    assert some.counts.shape == problem.counts.shape
    assert some.undivided == problem.undivided
    assert some.electrons == pytest.approx(problem.electrons, rel=0.1)
    chosen = resolve_auto(config, some)
    configs, plan = fit_stages([Shape("half sets", chosen)], chosen, some, 1)
    assert (plan.streamed, plan.refusal, configs[0].loss) == (True, "", "poisson")


def test_parts_of_a_scan_and_of_its_divisions_are_of_the_same_patterns(small_scan, problem):
    config = with_changes(None, {"memory": {"chunk": 0.1}})
    lazy = prepare(small_scan, load=partial(lazy_counts, chunk=chunk_bytes(config))).counts
    assert lazy.chunk == 100_000
    most = most_patterns(lazy)
    assert most == 100_000 // (32 * 32 * lazy.dtype.itemsize)
    pair = side_by_side([lazy, lazy])
    assert (pair.shape, most_patterns(pair)) == ((256, 2, 32, 32), most)
    np.testing.assert_array_equal(pair[[3, 4]][:, 1], problem.counts[[3, 4]])
    halves = [half.counts for half in make_half_sets(problem, 0)]
    both = side_by_side(halves)
    assert all(np.shares_memory(both, half) for half in halves)  # nothing is stored twice
    assert np.shares_memory(side_by_side([both]), both)
    for order in (halves, halves[::-1], [*halves, *halves]):
        np.testing.assert_array_equal(side_by_side(order), np.stack(order, axis=1))
    parts, patterns = parts_of_scan(lazy)
    assert parts * patterns >= 256 > (parts - 1) * patterns
    assert parts_of_scan(problem.counts) == (1, 256)
    placing = partial(place, setup=problem.setup, mesh=networks_mesh())
    assert isinstance(placing(lazy), StreamedScan)
    assert isinstance(placing(problem.counts), ScanData)


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("positions", {}, "refine.position_error"),
        ("pixels", {"pixels": {"solver": "dm"}}, 'pixels.solver: "dm" sees all patterns'),
        ("dgp", {"method": "dgp", "dgp": {"start": "dpc"}}, 'dgp.start: "dpc"'),
    ],
)
def test_what_needs_all_patterns_at_once_is_not_streamed(name, changes, said):
    config = with_changes(None, changes)
    assert not unstreamable([Shape("pixels", with_changes(None, {}))])
    with pytest.raises(ConfigError, match=f"{said}.*memory.stream = false"):
        check_streamed([Shape(name, config)])


def test_a_listed_stage_with_a_window_is_not_streamed(problem):
    listed = [{"method": "pixels", "window": 24}, {"method": "pixels"}]
    stages = stages_of(resolve_auto(with_changes(None, {"stages": listed}), problem), problem)
    assert stages[0].window == (24, 24)
    assert unstreamable(stages).startswith("stages: a window changes patterns in memory only.")
    assert not unstreamable(stages[1:])


def test_a_run_that_cannot_be_streamed_is_not_advised_to_be(problem):
    """Nor are its patterns left unread: the search for positions would refuse them."""
    config = config_of(problem, memory={"limit": 3.0}, refine={"position_error": 0.5})
    large, stages = enlarged(problem, 10**7), [Shape("pixels", config), Shape("positions, round 1", config)]
    _, alone = fit_stages(stages, config, large, 0, streamed=False)
    _, divisible = fit_stages(stages[:1], config, large, 0, streamed=False)
    assert (alone.by_parts, divisible.by_parts) == (False, True)
    assert "stream" not in alone.refusal


def test_networks_are_one_solver_or_several(problem, monkeypatch):
    config = with_changes(None, {"method": "dgp", "dgp": {"ensemble_size": 2, "levels": 1, "probe_levels": 1}})
    config = resolve_auto(config, problem)
    assert members_at_once(config, problem) == 1
    assert networks_solver(config, problem).ensemble_size == 2
    need = stage_memory(Shape("dgp", config), problem, 1, False, config.dgp.micro_batch)
    monkeypatch.setattr(ensembles, "networks_mesh", lambda: make_mesh(jax.devices()[:1]))
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")  # which maps as many as its memory holds
    assert members_together(config, problem, 1000, available=int(2.9 * need.working / ensembles.SHARE)) == 2
    assert polish_config(config, 256).pixels.preconditioner.gain == 0
    assert jnp.isfinite(problem.setup.dose)
