"""A reconstruction from a scan to a result: choose, start, optimise, collect."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jptycho.config import AUTO, Config, parse, to_toml
from jptycho.data.checkpoints import load_checkpoint, load_facts, remove_checkpoint, save_checkpoint
from jptycho.data.dataset import Dataset4D
from jptycho.data.readers.door import open_dataset
from jptycho.data.results import Result, read_result
from jptycho.errors import ConfigError
from jptycho.forward.model import Fields, predict_batch
from jptycho.parallel import make_mesh, replicate
from jptycho.preprocess.automatic import OBJECT_RATE, choose_batch, choose_loss, choose_preconditioner
from jptycho.preprocess.prepare import ObjectSpec, Problem, field_of_view, prepare
from jptycho.pretrain import Pretraining, pretrain
from jptycho.representations.base import Guess, ModelSpec, initialise, transmission
from jptycho.representations.generators import GeneratedObject, GeneratedProbe
from jptycho.representations.networks import UNetSpec
from jptycho.representations.pixels import PixelObject, PixelProbe, Preconditioner
from jptycho.scan import steps_per_epoch
from jptycho.solvers.base import State, distribute
from jptycho.solvers.gradient import GradientSolver, init_state
from jptycho.solvers.loop import DONE, Record, Stage, interruptible, run_epochs
from jptycho.types import Array

Say = Callable[[str], None]
Observer = Callable[[Record, Callable[[], Array]], None]
"""Called after each epoch with its record and a function that gives the object's channels then."""
REPORT_PATTERNS = 256  # of the scan, that the modelled mean pattern is taken over


@dataclasses.dataclass
class Run:
    """A run under way: what the stages share. The only mutable record of the package.

    Attributes:
        config: effective configuration.
        problem: the scan made ready.
        say: told in words what happens.
        observe: called after each epoch.
        stop: asked after each epoch.
        checkpoint: folder, or None for none.
        started: clock reading.
        history: of every epoch so far.
    """

    config: Config
    problem: Problem
    say: Say
    observe: Observer
    stop: Callable[[], bool]
    checkpoint: Path | None
    started: float
    history: list[Record] = dataclasses.field(default_factory=list)


def open_from_config(config: Config) -> Dataset4D:
    """The scan that a configuration names.

    Args:
        config: of the run.

    Returns:
        the scan, unread.
    """
    options = config.data.model_dump(exclude={"file"}, exclude_none=True)
    return open_dataset(config.data.file, **options)


def effective(config: Config, problem: Problem) -> Config:
    """Replace every ``auto`` by what was chosen.

    Args:
        config: as given.
        problem: the scan.

    Returns:
        a configuration without ``auto``.

    Raises:
        ConfigError: a batch larger than the scan.
    """
    patterns = len(problem.counts)
    pixels, chosen = config.pixels, choose_preconditioner(problem)
    if pixels.batch != AUTO and pixels.batch > patterns:
        raise ConfigError(f"pixels.batch: {pixels.batch}, but the scan has {patterns} patterns. Use at most {patterns}.")
    update = {
        "batch": choose_batch(patterns) if pixels.batch == AUTO else pixels.batch,
        "object_rate": OBJECT_RATE if pixels.object_rate == AUTO else pixels.object_rate,
        "amplitude": chosen.amplitude if pixels.amplitude == AUTO else pixels.amplitude,
        "corner": chosen.corner if pixels.corner == AUTO else pixels.corner,
    }
    loss = choose_loss(problem) if config.loss == AUTO else config.loss
    return config.model_copy(update={"loss": loss, "pixels": pixels.model_copy(update=update)})


def prepare_from_config(config: Config, dataset: Dataset4D | None = None) -> Problem:
    """Open and prepare the scan of a configuration.

    Args:
        config: of the run.
        dataset: the scan; the one that ``config.data`` names by default.

    Returns:
        the problem.
    """
    dataset = open_from_config(config) if dataset is None else dataset
    wanted = config.object
    spec = ObjectSpec(wanted.kind, wanted.slices, wanted.slice_thickness or 0.0, wanted.tilt, wanted.band_limit)
    return prepare(dataset, spec, config.probe.modes)


def effective_config(config: Config) -> Config:
    """The configuration with every ``auto`` replaced, as a run would.

    Args:
        config: as given.

    Returns:
        the complete configuration.
    """
    return effective(config, prepare_from_config(config))


def check_config(config: Config) -> None:
    """Refuse settings that contradict each other, before a file is read.

    Args:
        config: as given.

    Raises:
        ConfigError: what contradicts what.
    """
    dgp = config.dgp
    if config.method == "dgp" and dgp.pretrain_steps == 0 and dgp.start_file is None:
        raise ConfigError(
            "dgp.pretrain_steps: 0 and no dgp.start_file: an untrained network does not find the object by itself. "
            "Use pretrain_steps = 40, or name a result to start from."
        )
    if config.method == "dgp" and dgp.pretrain_steps == 0:
        raise ConfigError(
            "dgp.pretrain_steps: 0, so the networks would forget dgp.start_file at once. Use pretrain_steps = 40."
        )
    if config.method == "dgp" and dgp.start_epochs == 0 and dgp.start_file is None:
        raise ConfigError(
            "dgp.start_epochs: 0 and no dgp.start_file: there is no estimate to pre-train on. Use start_epochs = 6."
        )


def reconstruct(
    dataset: Dataset4D | None = None,
    config: Config | None = None,
    *,
    observe: Observer | None = None,
    say: Say | None = None,
    checkpoint: Path | None = None,
    **changes: Any,
) -> Result:
    """Reconstruct object and probe of a scan.

    Args:
        dataset: the scan; by default the one that ``config.data`` names.
        config: settings; by default those of :class:`jptycho.config.Config`.
        observe: called after each epoch with its record and a function that gives the object's channels then.
        say: told in words what happens.
        checkpoint: folder for checkpoints; where it holds one of equal settings, the run goes on from there.
        **changes: settings that replace the configuration's, tables as dictionaries, such as ``method="dgp"`` or
            ``object={"slices": 2, "slice_thickness": 26.0}``.

    Returns:
        the reconstruction, ``status`` ``"done"`` or ``"interrupted"`` (Ctrl-C, after the epoch).

    Raises:
        ConfigError: settings that cannot be.
        FormatError: data that cannot be read.
        DivergenceError: the loss is not finite.
    """
    started = time.perf_counter()
    config = with_changes(config, changes)
    check_config(config)
    problem = prepare_from_config(config, dataset)
    config = effective(config, problem)
    with interruptible() as stop:
        run = Run(config, problem, say or _silent, observe or _unobserved, stop, checkpoint, started)
        run.say(_summary(run))
        guess, status = problem.guess, DONE
        if config.method == "pixels":
            guess, status = run_pixels(run, guess, config.pixels.epochs)
        else:
            if config.dgp.start_file:
                guess = guess_from_result(problem, read_result(config.dgp.start_file))
            elif not _has_checkpoint(run, "dgp"):
                guess, status = run_pixels(run, guess, config.dgp.start_epochs)
            if status == DONE:
                guess, status = run_generators(run, guess)
    if checkpoint is not None and status == DONE:
        remove_checkpoint(checkpoint)
    return collect(run, guess, status)


def with_changes(config: Config | None, changes: dict[str, Any]) -> Config:
    """A configuration with some settings replaced.

    Args:
        config: to start from; the defaults where None.
        changes: keys, tables as dictionaries.

    Returns:
        the new configuration.

    Raises:
        ConfigError: an unknown key or a wrong value.

    Example:
        >>> with_changes(None, {"dgp": {"levels": 2}}).dgp.levels
        2
    """
    values = {"data": {"file": ""}} if config is None else config.model_dump(exclude_none=True)
    for name, change in changes.items():
        values[name] = {**values.get(name, {}), **change} if isinstance(change, dict) else change
    return parse(Config, values)


def run_pixels(run: Run, guess: Guess, epochs: int) -> tuple[Guess, str]:
    """Optimise pixels from a guess.

    Args:
        run: the run.
        guess: where to start.
        epochs: to run.

    Returns:
        the estimate reached, and the status.
    """
    settings, mesh = run.config.pixels, make_mesh()
    batch, patterns = int(settings.batch), len(run.problem.counts)
    steps = steps_per_epoch(patterns, batch, mesh.size)
    sampling = run.problem.setup.grid.sampling
    weight = Preconditioner(float(settings.amplitude), float(settings.corner), sampling)
    model = ModelSpec(PixelObject(run.config.object.kind, weight), PixelProbe())
    solver = GradientSolver(
        model,
        run.config.loss,
        object_rate=float(settings.object_rate),
        probe_rate=0.0 if run.config.probe.fixed else settings.probe_rate,
        steps=steps,
        decay_steps=steps * epochs,
    )
    params, constants = initialise(model, jax.random.key(run.config.seed), guess)
    return _optimise(run, "pixels", solver, mesh, guess, (params, constants), epochs)


def run_generators(run: Run, guess: Guess) -> tuple[Guess, str]:
    """Pre-train object and probe generators on an estimate, then optimise them jointly.

    Args:
        run: the run.
        guess: the estimate.

    Returns:
        the estimate reached, and the status.
    """
    settings, kind = run.config.dgp, run.config.object.kind
    # One device: convolutions use all cores of a CPU by themselves, and shards would each evaluate the whole network.
    mesh = make_mesh(jax.devices()[:1]) if jax.default_backend() == "cpu" else make_mesh()
    networks = [
        UNetSpec(levels, settings.filters, settings.upsampling) for levels in (settings.levels, settings.probe_levels)
    ]
    model = ModelSpec(
        GeneratedObject(kind, networks[0], settings.noise), GeneratedProbe(networks[1], settings.probe_noise)
    )
    patterns = len(run.problem.counts)
    steps = min(settings.steps, patterns)
    solver = GradientSolver(
        model,
        run.config.loss,
        object_rate=settings.object_rate,
        probe_rate=0.0 if run.config.probe.fixed else settings.probe_rate,
        steps=steps,
        micro_batches=max(1, -(-patterns // steps // settings.micro_batch)),
        warm_up=settings.warm_up,
        average=settings.average,
    )
    key, key_pretrain = jax.random.split(jax.random.key(run.config.seed + 1))
    guess = jax.device_put(guess, mesh.devices[0])
    params, constants = initialise(model, key, guess)
    if not _has_checkpoint(run, "dgp"):
        schedule = Pretraining(settings.pretrain_steps, settings.pretrain_rate, settings.pretrain_tolerance)
        for name, generator in (("object", model.object), ("probe", model.probe)):
            params[name], error, done = pretrain(generator, params[name], constants[name], key_pretrain, schedule)
            run.say(f"pre-trained the {name}'s network: {int(done)} steps, relative error {float(error):.3f}")
    return _optimise(run, "dgp", solver, mesh, guess, (params, constants), settings.epochs)


def _optimise(
    run: Run, name: str, solver: GradientSolver, mesh: Mesh, guess: Guess, start: tuple[Any, Any], epochs: int
) -> tuple[Guess, str]:
    params, constants = start
    constants = replicate(mesh, constants)
    data = distribute(run.problem.counts, run.problem.setup, mesh)
    state = init_state(solver, mesh, params, constants, jax.random.key(run.config.seed + 2))
    if _has_checkpoint(run, name):
        saved = load_checkpoint(_folder(run), {"state": state, "constants": constants})
        state, constants = saved["state"], saved["constants"]
        run.history[:] = [Record(**record) for record in (load_facts(_folder(run)) or {})["history"]]
        run.say(f"goes on from the checkpoint after epoch {int(state.epoch)} of {name}")
    stage = Stage(name, solver, mesh, constants, data, epochs, run.started)
    saved_at = time.perf_counter()

    def observe(record: Record, now: State) -> None:
        nonlocal saved_at
        run.history.append(record)
        run.observe(record, lambda: object_channels(solver, now, constants))
        due = time.perf_counter() - saved_at >= 60 * run.config.output.checkpoint_minutes
        if run.checkpoint is not None and (due or run.stop()):
            _save(run, name, now, constants)
            saved_at = time.perf_counter()

    state, status = run_epochs(stage, state, observe, run.stop)
    probe = jax.jit(solver.model.probe.apply)(state.params["probe"], constants["probe"], None)
    return dataclasses.replace(guess, object=object_channels(solver, state, constants), probe=probe), status


def object_channels(solver: GradientSolver, state: State, constants: Any) -> Array:
    """The object that a state stands for: the running mean where there is one.

    Args:
        solver: its settings.
        state: after some epochs.
        constants: of the representations.

    Returns:
        phase in rad and absorption (slices, channels, Y, X).
    """
    if state.average is not None:
        return state.average
    return solver.model.object.apply(state.params["object"], constants["object"], None)


def _folder(run: Run) -> Path:
    return run.checkpoint if run.checkpoint is not None else Path("/nonexistent")


def _facts(run: Run) -> dict[str, Any]:
    """What must be equal for a run to go on: everything but where the files are."""
    return {"configuration": run.config.model_dump(exclude={"output": True, "data": {"file"}}, mode="json")}


def _has_checkpoint(run: Run, stage: str) -> bool:
    facts = load_facts(_folder(run))
    if facts is None:
        return False
    if facts["configuration"] != _facts(run)["configuration"]:
        raise ConfigError(
            f"checkpoint: {str(run.checkpoint)!r} was made with other settings. Restore them to go on, "
            "or delete it to start from the beginning."
        )
    return facts["stage"] == stage


def _save(run: Run, stage: str, state: State, constants: Any) -> None:
    history = [dataclasses.asdict(record) for record in run.history]
    save_checkpoint(
        _folder(run), {"state": state, "constants": constants}, {**_facts(run), "stage": stage, "history": history}
    )


def guess_from_result(problem: Problem, result: Result) -> Guess:
    """Start from a previous result of the same scan.

    Args:
        problem: the scan.
        result: of an earlier reconstruction.

    Returns:
        the guess.

    Raises:
        ConfigError: the shapes do not agree.
    """
    channels = [result.phase] if result.absorption is None else [result.phase, result.absorption]
    wanted = problem.guess.object.shape
    stack = np.stack(channels[: wanted[1]], axis=1)
    stack = np.concatenate([stack, np.zeros((len(stack), wanted[1] - stack.shape[1], *stack.shape[2:]))], axis=1)
    if stack.shape != wanted or result.probe.shape != problem.guess.probe.shape:
        raise ConfigError(
            f"dgp.start_file: object {stack.shape} and probe {result.probe.shape}; expected {wanted} and "
            f"{problem.guess.probe.shape}. Name a result of the same scan, slices and modes."
        )
    probe = jnp.asarray(np.fft.ifftshift(result.probe, axes=(-2, -1)))
    return dataclasses.replace(problem.guess, object=jnp.asarray(stack, jnp.float32), probe=probe)


def collect(run: Run, guess: Guess, status: str) -> Result:
    """Everything that is worth keeping of a run.

    Args:
        run: the run.
        guess: the last estimate.
        status: ``"done"`` or ``"interrupted"``.

    Returns:
        the result, on the host.
    """
    problem, config = run.problem, run.config
    channels = np.asarray(guess.object)
    fov = field_of_view(problem)
    measured, modelled = _mean_patterns(problem, guess)
    sampling = problem.setup.grid.sampling
    calibration = problem.dataset.calibration
    return Result(
        phase=channels[:, 0],
        absorption=channels[:, 1] if channels.shape[1] == 2 else None,
        probe=np.fft.fftshift(np.asarray(guess.probe), axes=(-2, -1)),
        positions=np.asarray(problem.guess.positions, np.float64) * sampling + problem.origin,
        history={
            field.name: np.array([getattr(record, field.name) for record in run.history])
            for field in dataclasses.fields(Record)
            if field.name != "epochs"
        },
        measured=measured,
        modelled=modelled,
        field_of_view=(fov[0].start, fov[0].stop, fov[1].start, fov[1].stop),
        attributes={
            "method": config.method,
            "status": status,
            "seed": config.seed,
            "kind": config.object.kind,
            "sampling": sampling,
            "origin": problem.origin,
            "slice_thickness": config.object.slice_thickness or 0.0,
            "length_unit": "Å" if calibration.length_unit == "A" else "px",
            "dose": float(problem.setup.dose),
            "wavelength": problem.setup.wavelength,
            "energy": calibration.energy or 0.0,
            "configuration": to_toml(config),
        },
    )


def _mean_patterns(problem: Problem, guess: Guess) -> tuple[np.ndarray, np.ndarray]:
    fields = Fields(transmission(guess.object), guess.probe, guess.positions, guess.thickness, guess.tilt)
    chosen = np.linspace(0, len(problem.counts) - 1, min(REPORT_PATTERNS, len(problem.counts))).astype(int)

    @jax.jit
    def mean_over(positions: Array) -> Array:
        return jnp.mean(jax.lax.map(lambda p: predict_batch(fields, problem.setup, p[None])[0], positions), axis=0)

    modelled = np.asarray(mean_over(jnp.asarray(guess.positions)[chosen])) * float(problem.setup.dose)
    measured = problem.counts[chosen].mean(axis=0, dtype=np.float64)
    return np.fft.fftshift(measured).astype(np.float32), np.fft.fftshift(modelled).astype(np.float32)


def _summary(run: Run) -> str:
    problem, config = run.problem, run.config
    slices, _, rows, columns = problem.guess.object.shape
    sampling, unit = problem.setup.grid.sampling, problem.dataset.calibration.length_unit.replace("A", "Å")
    window = " x ".join(str(n) for n in problem.setup.grid.shape)
    return (
        f"{len(problem.counts)} patterns of {window}, {problem.electrons:.3g} electrons each\n"
        f"object {config.object.kind}, {slices} slice{'s' if slices > 1 else ''} of {rows} x {columns} pixels of "
        f"{sampling[0]:.4g} {unit}; {config.probe.modes} probe mode{'s' if config.probe.modes > 1 else ''}\n"
        f"{config.loss} loss; spectral preconditioner amplitude {config.pixels.amplitude:.3g}, "
        f"corner {config.pixels.corner:.3g}/{unit}; batch {config.pixels.batch}; {jax.device_count()} x {jax.devices()[0].device_kind}"
    )


def _silent(message: str) -> None:
    """Say nothing."""


def _unobserved(record: Record, channels: Callable[[], Array]) -> None:
    """Look at nothing."""
