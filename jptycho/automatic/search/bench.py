"""A scan made ready once for all trials of a search: each begins at its own start, all on one canvas, and is judged."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np

from jptycho.assembly.advice import DIVIDE, READ, memory_named
from jptycho.assembly.auto import open_from_config, prepare_from_config, resolve_auto
from jptycho.assembly.build import SHARED_CHARGE, loss_of
from jptycho.assembly.checks import check_config
from jptycho.assembly.extension import PLAIN
from jptycho.assembly.listed import check_stages, model_of
from jptycho.assembly.loading import choose_loading
from jptycho.assembly.memory_plan import MemoryPlan
from jptycho.assembly.unknowns import begun
from jptycho.automatic.judge import losses_by_pattern
from jptycho.automatic.search.ranges import Range, with_values
from jptycho.compilation import use_compilation_cache
from jptycho.config.run import Config, with_changes
from jptycho.data.dataset import Dataset4D, sampling_of
from jptycho.errors import ConfigError
from jptycho.parallel import on_one_device
from jptycho.preprocess.automatic import HELD_OUT
from jptycho.preprocess.object_spec import check_object
from jptycho.preprocess.prepare import Load, Problem, scan_positions
from jptycho.preprocess.recalibrate import recalibrated
from jptycho.preprocess.thinning import hold_out
from jptycho.reconstruction.context import Context, Log
from jptycho.reconstruction.plan import plan
from jptycho.reconstruction.reconstruct import divide, plan_run, run_stages
from jptycho.representations.estimate import fields_of
from jptycho.scan import place_on_canvas
from jptycho.solvers.epochs import DONE, Announce
from jptycho.types import Float

TURN = 0.25
"""Degrees between rotations for which the canvas is measured."""


@dataclasses.dataclass(frozen=True)
class Told:
    """Who is told, and asked, while trials run.

    Attributes:
        log: told in words what happens.
        announce: told what is done while no epoch is reported.
        stop: asked after each epoch.
    """

    log: Log
    announce: Announce
    stop: Callable[[], bool]


@dataclasses.dataclass(frozen=True)
class Bench:
    """What all trials share.

    Attributes:
        config: without ``auto``: what the settings as given come to holds for every trial.
        dataset: the scan.
        rest: by the electrons that are reconstructed.
        unseen: by those that judge, and nothing else.
        half_sets: of the rest; none where a run has none.
        canvas: that holds the scan at every rotation.
        told: who is told.
    """

    config: Config
    dataset: Dataset4D
    rest: Problem
    unseen: Problem
    half_sets: tuple[tuple[Problem, Problem], ...]
    canvas: tuple[int, int]
    told: Told

    def losses(self, values: Mapping[str, float]) -> Float[np.ndarray, "scan"] | None:
        """How a short run with some values predicts the unseen electrons of every pattern.

        Args:
            values: of what is searched over.

        Returns:
            the loss of each pattern; None where the run was interrupted.

        Raises:
            DivergenceError: the run diverged.
            ConfigError: values that cannot be.
        """
        config, dataset = with_values(self.config, self.dataset, values)
        spec, probe = config.object.spec(), config.probe
        moved = recalibrated(self.rest, dataset, spec, probe.modes, self.canvas, probe.source_size)
        moved = begun(config, moved, model_of(config, PLAIN))
        halves = tuple((_seen(moved, one), _seen(moved, other)) for one, other in self.half_sets)
        told = (_silent, _unobserved, self.told.announce, self.told.stop, None, time.perf_counter())
        context = Context(config, moved, moved, *told, None, halves)
        _, progress = run_stages(context, plan(config, moved))
        if progress.status != DONE:
            return None
        judge = _seen(moved, self.unseen)
        fields = fields_of(on_one_device(progress.estimate))
        return np.asarray(losses_by_pattern(loss_of(config), fields, judge.setup, judge.counts))


def _seen(moved: Problem, part: Problem) -> Problem:
    """The start of a trial, seen by a part of the electrons."""
    setup = dataclasses.replace(moved.setup, dose=part.setup.dose, noise=part.setup.noise)
    return dataclasses.replace(moved, counts=part.counts, setup=setup, electrons=part.electrons)


def pixels_of(config: Config, epochs: int) -> Config:
    """The settings of a run as those of a trial: pixels alone, of few epochs, and nothing else is held out.

    Args:
        config: as given.
        epochs: of a trial, at most.

    Returns:
        the settings.

    Raises:
        ConfigError: a start that has seen what would judge, or electrons that several pixels share.
    """
    if config.pixels.start_file is not None:
        raise ConfigError("pixels.start_file: that result has seen the electrons that judge. Remove it for the search.")
    if config.loss == SHARED_CHARGE:
        raise ConfigError(
            f'loss: "{SHARED_CHARGE}", but a search is judged by electrons that are held out, and what one leaves in '
            "several pixels is on both sides. Use another loss for the search."
        )
    if config.memory.stream is True:
        raise ConfigError("memory.stream: true, but a search holds every pattern. Leave it out.")
    blank = {name: field.default for name, field in type(config.automatic).model_fields.items()}
    fewer = {"epochs": min(config.pixels.epochs, epochs)}
    values = config.model_dump(exclude_none=True) | {"method": "pixels", "automatic": blank, "stages": []}
    return with_changes(type(config).model_validate(values), {"pixels": fewer, "validation": {"fraction": 0}})


def check_extremes(config: Config, dataset: Dataset4D, ranges: Sequence[Range]) -> Config:
    """Refuse ranges of which an end cannot be, and say what takes most memory.

    Args:
        config: of :func:`pixels_of`.
        dataset: the scan.
        ranges: of what is searched over.

    Returns:
        the settings with the most modes.

    Raises:
        ConfigError: why.
    """
    largest = config
    for one in ranges:
        ends = (one.low, one.high) if not one.whole else range(int(one.low), int(one.high) + 1)
        for end in ends:
            own, scan = with_values(config, dataset, {one.name: end})
            check_config(own)
            check_stages(own)
            check_object(own.object.spec(), scan)
            largest = own if one.name == "modes" else largest
    return largest


def make_bench(config: Config, dataset: Dataset4D, ranges: Sequence[Range], told: Told) -> Bench:
    """Read a scan, divide its electrons, and choose what is ``auto`` once.

    Args:
        config: of :func:`pixels_of`.
        dataset: the scan.
        ranges: of what is searched over.
        told: who is told.

    Returns:
        what all trials share.

    Raises:
        ConfigError: electrons that cannot be divided, settings that cannot be, or a range of which an end cannot be.
        OutOfMemoryError: memory does not hold the scan.
    """
    largest = check_extremes(config, dataset, ranges)
    use_compilation_cache(config.compilation_cache, told.log)
    told.announce("reading the scan", 0, 0)
    with memory_named("reading the scan", READ):
        whole = prepare_from_config(config, dataset, partial(_loading, largest))
    if whole.undivided:
        raise ConfigError(
            f"search: nothing can be held out to judge by: {whole.undivided}. Set data.counts_per_electron to what the "
            "detector is known for."
        )
    told.announce("dividing the electrons", 0, 0)
    with memory_named("dividing the electrons", DIVIDE):
        rest, unseen, _ = hold_out(whole, HELD_OUT, config.seed, "judging")
        config = resolve_auto(config, begun(config, rest, model_of(config, PLAIN)))
        _, _, halves, _ = divide(config, rest, plan(config, rest), PLAIN)
    return Bench(config, dataset, rest, unseen, halves, _canvas(whole, dataset, ranges), told)


def opened(config: Config, dataset: Dataset4D | None) -> Dataset4D:
    """The scan that is given, or the one that a configuration names."""
    if dataset is None and not config.data.file:
        raise ConfigError("dataset: missing; give a scan, or a configuration whose data.file names one.")
    return open_from_config(config) if dataset is None else dataset


def _loading(largest: Config, dataset: Dataset4D) -> Load:
    return choose_loading(largest, dataset, _planned)


def _planned(config: Config, problem: Problem) -> MemoryPlan:
    """What the largest trial takes; refused where memory does not hold that."""
    found = plan_run(config, problem)
    if found.refusal:
        raise ConfigError(found.refusal)
    return found


def _canvas(whole: Problem, dataset: Dataset4D, ranges: Sequence[Range]) -> tuple[int, int]:
    """The smallest canvas that holds the scan at every rotation."""
    grid, turned = whole.setup.grid, [one for one in ranges if one.name == "rotation"]
    angles = [dataset.calibration.rotation]
    for one in turned:
        angles = [*np.linspace(one.low, one.high, 2 + math.ceil((one.high - one.low) / TURN))]
    shapes = []
    for angle in angles:
        calibration = dataclasses.replace(dataset.calibration, rotation=float(angle))
        positions = scan_positions(dataclasses.replace(dataset, calibration=calibration))
        shapes.append(place_on_canvas(positions, sampling_of(dataset), grid.shape, whole.margin)[1])
    rows, columns = np.max(shapes, axis=0)
    return int(rows), int(columns)


def _silent(message: str) -> None:
    """Say nothing."""


def _unobserved(record: object, channels: object) -> None:
    """Look at nothing."""
