"""From a configuration to one without ``auto``."""

from __future__ import annotations

from collections.abc import Callable

from jptycho.assembly.dividing import undivided_of
from jptycho.assembly.focus import focal_points, spreads
from jptycho.assembly.listed import listed
from jptycho.assembly.placement import margin_of
from jptycho.assembly.solver_checks import reads_rate, takes_whole_scan
from jptycho.assembly.unknowns import composed
from jptycho.config.deep_prior import DGPConfig
from jptycho.config.pixels import GRADIENT
from jptycho.config.run import Config, merged
from jptycho.config.stages import StageConfig
from jptycho.data.counts import load_counts
from jptycho.data.dataset import Dataset4D
from jptycho.data.readers.open import open_dataset
from jptycho.errors import ConfigError
from jptycho.preprocess.automatic import (
    HELD_OUT,
    SPLIT_NOISE,
    choose_batch,
    choose_ensemble_size,
    choose_input_noise,
    choose_loss,
    choose_object_rate,
    choose_preconditioner,
    choose_probe,
    choose_probe_rate,
)
from jptycho.preprocess.object_spec import check_object
from jptycho.preprocess.prepare import Load, Problem, prepare
from jptycho.settings import AUTO, Section, Table


def open_from_config(config: Config) -> Dataset4D:
    """The scan that a configuration names.

    Args:
        config: of the run.

    Returns:
        the scan, unread.
    """
    options = config.data.model_dump(exclude={"file"}, exclude_none=True)
    return open_dataset(config.data.file, **options)


def prepare_from_config(
    config: Config, dataset: Dataset4D | None = None, loading: Callable[[Dataset4D], Load] = lambda dataset: load_counts
) -> Problem:
    """Open and prepare the scan of a configuration.

    Args:
        config: of the run.
        dataset: the scan; the one that ``config.data`` names by default.
        loading: how a scan's counts are made; all of them are held in memory by default.

    Returns:
        the problem.
    """
    if dataset is None and not config.data.file:
        raise ConfigError("dataset: missing; give a scan, or a configuration whose data.file names one.")
    dataset = open_from_config(config) if dataset is None else dataset
    load, margin, probe = loading(dataset), margin_of(config, dataset), config.probe
    return prepare(dataset, config.object.spec(), probe.modes, load, margin, probe.source_size)


def resolve_auto(config: Config, problem: Problem) -> Config:
    """Replace every ``auto`` by what was chosen.

    Args:
        config: as given.
        problem: the scan.

    Returns:
        a configuration without ``auto``, but for settings that its solver does not read; where stages are listed, each
        has its own choices in its entry, and the run's tables stay as given.

    Raises:
        ConfigError: a batch larger than the scan, a filter beyond what the detector holds, a loss that needs electrons.
    """
    if spreads(config):
        probe = config.probe.model_copy(update={"focal_points": focal_points(config, problem)})
        config = config.model_copy(update={"probe": probe})
    if not config.stages:
        return _resolve(config, problem)
    _check_slices(config, problem)
    config = _with_method(config, problem)
    share = _resolve(config.model_copy(update={"stages": ()}), problem).validation
    config = config.model_copy(update={"validation": share})
    stages = tuple(_entry(entry, own, problem) for _, entry, own in listed(config))
    return config.model_copy(update={"stages": stages})


def _check_slices(config: Config, problem: Problem) -> None:
    """Refuse stages whose slices, merged, are too far apart."""
    for number, (_, _, own) in enumerate(listed(config), 1):
        try:
            check_object(own.object.spec(), problem.dataset)
        except ConfigError as error:
            raise ConfigError(f"stages.{number}.slices: {own.object.slices}, but {error}") from None


def _entry(entry: StageConfig, own: Config, problem: Problem) -> StageConfig:
    """A stage of a list with what it chooses for itself."""
    chosen, found = _resolve(own, problem), {}
    for table in ("pixels", "dgp") if own.method == "dgp" else ("pixels",):
        found[table] = merged(getattr(entry, table), _differs(getattr(own, table), getattr(chosen, table)))
    return entry.model_copy(update=found | {"loss": chosen.loss})


def _differs(before: Section, after: Section) -> Table:
    """Keys of a table whose values differ, with the new ones; of a table in it likewise."""
    found: Table = {}
    for key in type(before).model_fields:
        old, new = getattr(before, key), getattr(after, key)
        if old != new:
            found[key] = _differs(old, new) if isinstance(old, Section) else new
    return found


def _resolve(config: Config, problem: Problem) -> Config:
    """Replace every ``auto`` of one stage, or of a run that lists none."""
    patterns = len(problem.counts)
    pixels = config.pixels
    _check_batch(config, patterns)
    _check_frequencies(config, problem)
    automatic = patterns if takes_whole_scan(config) else choose_batch(patterns)
    update = {
        "batch": automatic if pixels.batch == AUTO else pixels.batch,
        "half_sets": _half_sets(config, problem),
        **_steps(config, problem),
    }
    loss = _loss(config, problem)
    instead = problem.undivided and pixels.half_sets == AUTO and pixels.solver == GRADIENT
    validated = config.method == "dgp" or instead
    share = (HELD_OUT if validated else 0.0) if config.validation.fraction == AUTO else config.validation.fraction
    return config.model_copy(
        update={
            "loss": loss,
            "pixels": pixels.model_copy(update=update),
            "dgp": _priors(config, problem),
            "validation": config.validation.model_copy(update={"fraction": share}),
        }
    )


def _steps(config: Config, problem: Problem) -> Table:
    """Rates and preconditioner of the gradient's steps; what the pixels' solver does not read stays as it is."""
    pixels, by_pixels, wanted = config.pixels, config.method == "pixels", config.pixels.preconditioner
    if by_pixels and pixels.solver != GRADIENT:
        return {}
    found: Table = {}
    if pixels.object_rate == AUTO and reads_rate(config):
        found["object_rate"] = choose_object_rate(problem)
    if pixels.probe_rate == AUTO:
        found["probe_rate"] = choose_probe_rate(problem)
    chosen = choose_preconditioner(problem)
    automatic = {name: getattr(chosen, name) for name in ("gain", "cutoff") if getattr(wanted, name) == AUTO}
    return found | {"preconditioner": wanted.model_copy(update=automatic)}


def _with_method(config: Config, problem: Problem) -> Config:
    """Where stages are listed, the method that they come to, and half sets only where a stage asks for them."""
    methods = [entry.method for entry in config.stages]
    for number, (_, entry, own) in enumerate(listed(config), 1):
        if entry.method == "half_sets" and (why := undivided_of(own, problem)):
            raise ConfigError(
                f'stages.{number}.method: "half_sets", but electrons cannot be divided: {why}. Use "pixels".'
            )
    pixels = config.pixels.model_copy(update={"half_sets": False})
    dgp = config.dgp.model_copy(update={"half_sets": "half_sets" in methods})
    method = "dgp" if "dgp" in methods else "pixels"
    return config.model_copy(update={"method": method, "pixels": pixels, "dgp": dgp})


def _priors(config: Config, problem: Problem) -> DGPConfig:
    """The table of the priors without ``auto``."""
    dgp, used = config.dgp, config.method == "dgp"
    split = _splits(config, problem) if used else dgp.half_sets
    noise = SPLIT_NOISE if split else choose_input_noise(problem)
    held = config.probe.fixed or composed(config)
    probe = choose_probe(problem, held, dgp.object) if dgp.probe == AUTO else dgp.probe
    few = choose_ensemble_size(problem) if split and dgp.ema_decay else 1
    update = {
        "half_sets": split,
        "probe": probe,
        "input_noise": noise if dgp.input_noise == AUTO else dgp.input_noise,
        "ensemble_size": few if dgp.ensemble_size == AUTO else dgp.ensemble_size,
    }
    dgp = dgp.model_copy(update=update)
    if used:
        _check_levels(dgp, problem)
    return dgp


def _half_sets(config: Config, problem: Problem) -> bool | str:
    """Whether pixels are reconstructed from half sets; refused where that is asked for and cannot be.

    As given for the priors, which have ``dgp.half_sets`` for that.
    """
    wanted = config.pixels.half_sets
    if config.method != "pixels":
        return wanted
    undivided = undivided_of(config, problem)
    if wanted is True and undivided:
        raise ConfigError(f"pixels.half_sets: electrons cannot be divided: {undivided}. Set half_sets = false.")
    held_out = config.validation.fraction not in (AUTO, 0)
    seen = config.pixels.start_file is not None
    cannot = bool(undivided) or held_out or seen or config.pixels.solver != GRADIENT
    return not cannot if wanted == AUTO else wanted


def _check_levels(dgp: DGPConfig, problem: Problem) -> None:
    """Refuse a network whose poolings leave less than two pixels of what it renders."""
    for name, side, levels, used in (
        ("levels", min(problem.estimate.object.shape[-2:]), dgp.levels, dgp.object == "network"),
        ("probe_levels", min(problem.setup.grid.shape), dgp.probe_levels, dgp.probe == "network"),
    ):
        fit = side.bit_length() - 2
        if used and levels > fit:
            what = "object canvas" if name == "levels" else "detector, and so the probe's window,"
            advice = (
                f"Use at most {fit}" if fit >= 1 else f'Use dgp.{"object" if name == "levels" else "probe"} = "pixels"'
            )
            raise ConfigError(
                f"dgp.{name}: {levels} poolings need {2 ** (levels + 1)} pixels; the {what} has {side}. {advice}."
            )


def _splits(config: Config, problem: Problem) -> bool:
    """Whether halves of the electrons validate each other: not where they cannot be divided, or none is estimated."""
    dgp = config.dgp
    estimated = dgp.object == "network" and dgp.start != "random" and not dgp.random_input
    return dgp.half_sets and estimated and not undivided_of(config, problem)


def _check_batch(config: Config, patterns: int) -> None:
    batch = config.pixels.batch
    if batch == AUTO:
        return
    if batch > patterns:
        raise ConfigError(f"pixels.batch: {batch}, but the scan has {patterns} patterns. Use at most {patterns}.")
    if batch < patterns and takes_whole_scan(config):
        what = config.pixels.optimiser if config.pixels.solver == GRADIENT else config.pixels.solver
        raise ConfigError(f"pixels.batch: {batch}, but {what} takes all {patterns} patterns a step. Leave it out.")


def _check_frequencies(config: Config, problem: Problem) -> None:
    nyquist = 0.5 / min(problem.setup.grid.sampling)
    butterworth = config.projections.butterworth
    for name, cutoff in (("low_pass", config.projections.low_pass), ("butterworth", butterworth and butterworth[0])):
        if cutoff and cutoff > nyquist:
            raise ConfigError(
                f"projections.{name}: {cutoff:g} Å⁻¹ lies beyond the object's Nyquist frequency, {nyquist:.4g} Å⁻¹. "
                "It would cut the spectrum's corners at most: lower or remove it."
            )


def _loss(config: Config, problem: Problem) -> str:
    known = problem.unit.source != "estimated"
    read_noise = problem.dataset.calibration.read_noise
    classical = config.method == "pixels" and config.pixels.solver != GRADIENT
    automatic = "amplitude" if classical else choose_loss(not problem.undivided, read_noise if known else 0.0)
    loss = automatic if config.loss == AUTO else config.loss
    if loss == "shared_charge" and not bool((problem.setup.mask > 0).all()):
        raise ConfigError(
            'loss: "shared_charge" relates each pixel to its neighbours, and data.mask has dead ones. Crop them away, '
            'or use loss = "amplitude".'
        )
    if loss == "mixed" and not read_noise:
        raise ConfigError("data.read_noise: missing; the mixed loss needs the read-out noise in electrons. Add it.")
    if loss in ("poisson", "anscombe") and problem.counts.min() < 0:
        raise ConfigError(f'loss: "{loss}" on counts below zero. Use loss = "mixed".')
    if loss in ("poisson", "anscombe", "mixed") and problem.unit.source == "estimated":
        raise ConfigError(
            f'loss: "{loss}" needs electrons, but {problem.undivided}. '
            'Set data.counts_per_electron to what the detector is known for, or use loss = "amplitude".'
        )
    return loss


def resolve_auto_of_file(config: Config) -> Config:
    """The configuration with every ``auto`` replaced, as a run would.

    Args:
        config: as given.

    Returns:
        the complete configuration.
    """
    return resolve_auto(config, prepare_from_config(config))
