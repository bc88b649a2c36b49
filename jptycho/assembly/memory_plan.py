"""What the stages of a run will take of memory, in which parts a step fits, and whether all does."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import jax

from jptycho.assembly.budget import Budget
from jptycho.assembly.devices import networks_mesh, parts_of_step, pixel_mesh
from jptycho.assembly.parts import chunk_bytes
from jptycho.assembly.solver_checks import WHOLE_SCAN
from jptycho.assembly.working import working_bytes
from jptycho.config.run import Config
from jptycho.config.stages import HALF_SETS, NETWORKS, POSITIONS
from jptycho.errors import ConfigError
from jptycho.preprocess.memory import PROGRAM, in_bytes
from jptycho.preprocess.network_memory import weight_bytes
from jptycho.preprocess.prepare import Problem

COMPILING = 0.2e9  # bytes of the machine that compilation takes at its peak, and compiled programs keep
FILTERING = 0.3e9  # bytes in which the filter of half sets is compiled and computed after their epochs
MOMENTS = 4.0  # copies of what is optimised: itself, two moments, and what it began with


@runtime_checkable
class StageShape(Protocol):
    """What of a stage decides what it takes: its name, which begins with what it does, settings and epochs."""

    @property
    def name(self) -> str:
        """As in the history."""
        ...

    @property
    def config(self) -> Config:
        """Without ``auto``."""
        ...

    @property
    def epochs(self) -> int | None:
        """At most; None for as many as were best in the stage before."""
        ...

    @property
    def window(self) -> tuple[int, int] | None:
        """Detector pixels that are kept, or padded to; None for all as they are."""
        ...


@dataclasses.dataclass(frozen=True)
class StageMemory:
    """What a stage will take, in bytes.

    Attributes:
        name: of the stage.
        epochs: at most; None where another stage says.
        part: patterns that a device works on at once; of networks all devices together.
        counts: patterns, which the devices share.
        state: what is optimised and what is remembered of it, on each device.
        working: what a step computes and forgets, on all devices.
        host: peak of the machine, everything that the run keeps included.
        device: peak of each device.
    """

    name: str
    epochs: int | None
    part: int
    counts: int
    state: int
    working: int
    host: int
    device: int


@dataclasses.dataclass(frozen=True)
class MemoryPlan:
    """What a run will take.

    Attributes:
        stages: one after another.
        budget: that there is.
        streamed: whether patterns are read in every epoch.
        refusal: what does not fit and what would; empty where all does.
        by_parts: where it does not, whether a run would fit that reads patterns in every epoch.
    """

    stages: tuple[StageMemory, ...]
    budget: Budget
    streamed: bool
    refusal: str
    by_parts: bool = True


def plan_memory(
    shapes: Sequence[StageShape],
    problem: Problem,
    budget: Budget,
    pairs: int,
    streamed: bool = False,
    streamable: bool = True,
) -> MemoryPlan:
    """What every stage of a run takes, its steps divided into parts so that it fits.

    Args:
        shapes: of the stages.
        problem: the scan made ready; of its counts only shape and type are read.
        budget: bytes that there are.
        pairs: of half sets.
        streamed: whether patterns are read in every epoch.
        streamable: whether they can be.

    Returns:
        the plan.
    """
    needs = [_fitted(shape, problem, budget, pairs, streamed) for shape in shapes]
    too_much = [need for need in needs if _excess(need, budget) > 0]
    worst = max(too_much, key=lambda need: _excess(need, budget), default=None)
    if worst is None:
        return MemoryPlan(tuple(needs), budget, streamed, "")
    by_parts = streamable and not streamed
    by_parts &= all(_excess(_fitted(shape, problem, budget, pairs, True), budget) <= 0 for shape in shapes)
    return MemoryPlan(tuple(needs), budget, streamed, _refusal(worst, budget, by_parts), by_parts)


def check_plan(plan: MemoryPlan) -> None:
    """Refuse a run that memory does not hold.

    Args:
        plan: of the run.

    Raises:
        ConfigError: which stage needs how much, what there is, and the setting that would fit.
    """
    if plan.refusal:
        raise ConfigError(plan.refusal)


def summarise_plan(plan: MemoryPlan) -> str:
    """A plan in one line.

    Args:
        plan: of the run.

    Returns:
        the largest of its stages, and what there is.
    """
    most = max(plan.stages, key=lambda need: need.host)
    line = f"memory: about {in_bytes(most.host)} of {in_bytes(plan.budget.host)}, most in {most.name}"
    if plan.budget.device is not None:
        largest = max(plan.stages, key=lambda need: need.device)
        line += f"; of the device {in_bytes(largest.device)} of {in_bytes(plan.budget.device)}"
    return line + ("; patterns are read in every epoch" if plan.streamed else "")


def fitted_configs(shapes: Sequence[StageShape], plan: MemoryPlan) -> list[Config]:
    """The settings of every stage, with parts of a step that fit.

    Args:
        shapes: of the stages.
        plan: of them.

    Returns:
        a configuration for each.
    """
    return [_with_part(shape, need.part) for shape, need in zip(shapes, plan.stages, strict=True)]


def _with_part(shape: StageShape, part: int) -> Config:
    config = shape.config
    if part == _usual_part(shape):
        return config
    if shape.name.startswith(NETWORKS):
        return config.model_copy(update={"dgp": config.dgp.model_copy(update={"micro_batch": part})})
    return config.model_copy(update={"pixels": config.pixels.model_copy(update={"micro_batch": part})})


def _devices(shape: StageShape) -> int:
    if shape.name.startswith(POSITIONS):
        return jax.device_count()
    return networks_mesh().size if shape.name.startswith(NETWORKS) else pixel_mesh(shape.config).size


def _working(shape: StageShape, problem: Problem, part: int) -> tuple[int, int]:
    """What a step computes and forgets: on each device, and on all of them, which a CPU's share."""
    devices, networks = _devices(shape), shape.name.startswith(NETWORKS)
    each = -(-part // devices) if networks else part
    together = 2 if shape.name.startswith(HALF_SETS) and jax.default_backend() != "cpu" else 1
    one, every = (working_bytes(shape.config, problem, n, networks) for n in (each, each * devices))
    return together * one, together * every


def _usual_part(shape: StageShape) -> int:
    """Patterns that a device works on at once where memory does not matter."""
    config = shape.config
    if shape.name.startswith(NETWORKS):
        return config.dgp.micro_batch
    if shape.name.startswith(POSITIONS) or config.pixels.solver in WHOLE_SCAN:
        return 1
    devices = _devices(shape)
    return -(-max(1, int(config.pixels.batch) // devices) // parts_of_step(config, devices))


def _fitted(shape: StageShape, problem: Problem, budget: Budget, pairs: int, streamed: bool) -> StageMemory:
    """What a stage takes, with the largest part up to the usual one that fits; with one pattern where none does."""
    part = _usual_part(shape)
    need = stage_memory(shape, problem, pairs, streamed, part)
    while part > 1 and _excess(need, budget) > 0:
        part = part // 2
        need = stage_memory(shape, problem, pairs, streamed, part)
    return need if _excess(need, budget) <= 0 else stage_memory(shape, problem, pairs, streamed, _usual_part(shape))


def _excess(need: StageMemory, budget: Budget) -> int:
    """Bytes that are missing."""
    return max(need.host - budget.host, 0 if budget.device is None else need.device - budget.device)


def stage_memory(shape: StageShape, problem: Problem, pairs: int, streamed: bool, part: int) -> StageMemory:
    """What a stage takes.

    Args:
        shape: of the stage.
        problem: the scan made ready; of its counts only shape and type are read.
        pairs: of half sets that the run keeps.
        streamed: whether patterns are read in every epoch.
        part: patterns that a device works on at once.

    Returns:
        bytes, of a computer without a device of its own within about 15 %.
    """
    config, whole = shape.config, problem.counts.nbytes
    sets, held = _sets(shape, pairs), config.validation.fraction not in ("auto", 0)
    validated = held and not shape.name.startswith((HALF_SETS, POSITIONS, "all electrons"))
    divided = 2 * pairs + (2 if held and not problem.undivided else 0)
    kept, counts = (1 + divided) * whole, (sets + validated) * whole
    stacked = sets * whole if sets > 2 else 0  # the halves of one pair lie side by side from the start
    if streamed:
        chunk = min(chunk_bytes(config), whole)
        kept, counts, stacked = 2 * sets * chunk, 2 * sets * chunk, 0
    state = _state(shape, problem, max(1, sets), validated)
    own, working = _working(shape, problem, part)
    device = -(-counts // _devices(shape)) + state + own
    shared = jax.default_backend() == "cpu"
    host = PROGRAM + COMPILING + kept + (counts + state + max(stacked, working) if shared else stacked + state)
    host += FILTERING if shape.name.startswith(HALF_SETS) else 0
    return StageMemory(shape.name, shape.epochs, part, counts, state, working, int(host), device)


def _sets(shape: StageShape, pairs: int) -> int:
    """How many times the electrons of a stage are on its devices: once, or once for every half."""
    if shape.name.startswith(HALF_SETS):
        return 2 * pairs
    split = shape.name.startswith(NETWORKS) and shape.config.dgp.half_sets
    return 2 * int(shape.config.dgp.ensemble_size) if split else 1


def _state(shape: StageShape, problem: Problem, members: int, validated: bool) -> int:
    """What is optimised, its moments, what it began with and the best epoch; and the estimates of the run."""
    image, probe = problem.estimate.object.nbytes, problem.estimate.probe.nbytes
    further = sum(array.nbytes for array in (problem.estimate.shared | problem.estimate.extra).values())
    config = shape.config
    copies = MOMENTS + (3 if validated else 0)
    if shape.name.startswith(NETWORKS):
        weights, size = weight_bytes(config.dgp.base_channels, config.dgp.levels), int(config.dgp.ensemble_size)
        return int(size * (copies * (weights + further) + 6 * image) + 4 * image)
    if config.pixels.solver in WHOLE_SCAN and not shape.name.startswith(POSITIONS):
        window = math.prod(problem.setup.grid.shape)
        return int(3 * 8 * len(problem.counts) * config.probe.modes * window + copies * image)
    return int(members * copies * (image + probe + further) + 4 * image)


def _refusal(need: StageMemory, budget: Budget, by_parts: bool) -> str:
    """What does not fit, and the setting that would: to read the patterns by parts, where that is enough."""
    by_host = need.host > budget.host
    wanted, there = (need.host, budget.host) if by_host else (need.device, budget.device or 0)
    of = "of the machine" if by_host else "of the device"
    most = max(need.host, 0 if budget.device is None else need.device)
    raised = f"raise memory.limit to {math.ceil(most / 1e8) / 10:g}"
    if not by_host and (budget.device or 0) < budget.host:  # all that the device has
        raised = "use a device with more memory"
    if by_parts:
        advice = f"Set memory.stream = true, or {raised}."
    elif need.working > 0.5 * wanted:
        advice = f"Use fewer slices or modes or a smaller window, or {raised}."
    else:
        advice = f"{raised[0].upper()}{raised[1:]}{' or use a larger machine' if by_host else ''}."
    return f"memory: {need.name} needs {in_bytes(wanted)} {of}, and {in_bytes(there)} may be used. {advice}"
