"""Whether the patterns of a scan are held in memory or read in every epoch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from jptycho.assembly.budget import budget_of
from jptycho.assembly.memory_plan import MemoryPlan, StageShape, fitted_configs, plan_memory
from jptycho.assembly.parts import chunk_bytes
from jptycho.assembly.placement import margin_of
from jptycho.assembly.placing import check_streamed, unstreamable
from jptycho.config.run import Config
from jptycho.data.counts import load_counts
from jptycho.data.dataset import Dataset4D
from jptycho.data.lazy_counts import LazyCounts, lazy_counts
from jptycho.preprocess.memory import counts_bytes
from jptycho.preprocess.prepare import Load, Problem, prepare
from jptycho.settings import AUTO

SMALL = 16.0
"""Copies of the counts, of which memory holds as many, so that nothing need be planned to know that a run fits."""


def sampled_problem(config: Config, dataset: Dataset4D) -> Problem:
    """A scan made ready by a sample of its patterns: enough to plan a run.

    Args:
        config: of the run.
        dataset: the scan; some megabytes of it are read.

    Returns:
        the problem.
    """
    load, margin = partial(lazy_counts, every=False), margin_of(config, dataset)
    return prepare(dataset, config.object.spec(), config.probe.modes, load, margin)


def choose_loading(config: Config, dataset: Dataset4D, planned: Callable[[Config, Problem], MemoryPlan]) -> Load:
    """How the counts of a scan are made.

    Args:
        config: as given.
        dataset: the scan.
        planned: what a run would take that holds all patterns.

    Returns:
        :func:`jptycho.data.counts.load_counts`, or :func:`jptycho.data.lazy_counts.lazy_counts` where the settings say
        so, or where memory does not hold the run and would hold one that reads patterns in every epoch.
    """
    lazily = partial(lazy_counts, chunk=chunk_bytes(config))
    if config.memory.stream != AUTO:
        return lazily if config.memory.stream else load_counts
    budget = budget_of(config)
    least = budget.host if budget.device is None else min(budget.host, budget.device)
    if SMALL * counts_bytes(dataset) < least:
        return load_counts
    found = planned(config, sampled_problem(config, dataset))
    return lazily if found.refusal and found.by_parts else load_counts


def fit_stages(
    stages: Sequence[StageShape], config: Config, problem: Problem, pairs: int, streamed: bool | None = None
) -> tuple[list[Config], MemoryPlan]:
    """Settings of the stages of a run with parts of a step that memory holds, and what they take.

    Args:
        stages: of the run.
        config: of the run.
        problem: the scan made ready.
        pairs: of half sets.
        streamed: whether patterns are read in every epoch; None for where they are not in memory.

    Returns:
        both.
    """
    streamed = isinstance(problem.counts, LazyCounts) if streamed is None else streamed
    if streamed:
        check_streamed(stages)
    memory = plan_memory(stages, problem, budget_of(config), pairs, streamed, streamable=not unstreamable(stages))
    return fitted_configs(stages, memory), memory
