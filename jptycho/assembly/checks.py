"""What contradicts what in a configuration, before a file is read."""

from __future__ import annotations

from pathlib import Path

from jptycho.assembly.beam_checks import check_beam
from jptycho.assembly.solver_checks import check_engine
from jptycho.config.constraints import check_constraints
from jptycho.config.run import Config
from jptycho.errors import ConfigError
from jptycho.settings import AUTO


def check_config(config: Config) -> None:
    """Refuse settings that contradict each other, before a file is read; of listed stages see ``check_stages``.

    Args:
        config: as given.

    Raises:
        ConfigError: what contradicts what.
    """
    dgp = config.dgp
    sources = {config.data.file, *(name for name in (dgp.start_file, config.pixels.start_file) if name)}
    if config.data.file and Path(config.output.file).resolve() in {Path(source).resolve() for source in sources}:
        raise ConfigError(f"output.file: {config.output.file!r} is what the run reads. Choose another name.")
    _check_pixel_start(config)
    if config.stages:
        return  # each is checked with what it replaces of the run's settings
    check_engine(config)
    check_beam(config)
    check_constraints(config)
    if config.method == "pixels" and config.pixels.half_sets is True and config.validation.fraction not in (AUTO, 0):
        raise ConfigError(
            "pixels.half_sets: the halves validate each other, found validation.fraction = "
            f"{config.validation.fraction:g} as well. Remove one of them."
        )
    if config.method == "dgp":
        _check_dgp(config)
    _check_search(config)


def _check_pixel_start(config: Config) -> None:
    """Refuse pixels that go on from a result where they would begin otherwise."""
    if config.pixels.start_file is None:
        return
    others = {
        f'method = "{config.method}"': config.method != "pixels",
        "[[stages]]": bool(config.stages),
        "pixels.half_sets, whose halves must not have seen each other's electrons": config.pixels.half_sets is True,
        "the search for positions, which begins with an empty object": bool(config.refine.searched),
    }
    for what, there in others.items():
        if there:
            raise ConfigError(f"pixels.start_file: has no effect with {what}. Remove one of them.")


def _check_search(config: Config) -> None:
    """Refuse a search for positions that no pixels would come before."""
    dgp = config.dgp
    rounds = type(config.refine).model_fields["position_rounds"].default
    if config.refine.position_rounds != rounds and not config.refine.searched:
        raise ConfigError("refine.position_rounds: has no effect without position_error. Remove it, or set both.")
    check_searched(config, config.method == "pixels" or (dgp.start == "pixels" and dgp.start_file is None))


def check_searched(config: Config, formed: bool) -> None:
    """Refuse a search for positions that no pixels come before.

    Args:
        config: of a run that lists no stages.
        formed: whether pixels come first.

    Raises:
        ConfigError: there is one.
    """
    if config.refine.searched and not formed:
        key = config.refine.searched[0]
        raise ConfigError(
            f"refine.{key}: positions are searched for between rounds of pixels, and this run begins without. "
            'Search in a run of method = "pixels", and give what it found as dgp.start_file.'
        )


def _check_dgp(config: Config) -> None:
    dgp = config.dgp
    if (dgp.object, dgp.probe) == ("pixels", "pixels"):
        raise ConfigError('dgp.object, dgp.probe: both "pixels", so there is no network. Use method = "pixels".')
    if dgp.object == "pixels" and config.probe.fixed:
        raise ConfigError(
            'dgp.object: "pixels", and probe.fixed keeps the probe, so there is no network. Remove one of them.'
        )
    _check_input(config)
    if dgp.ensemble_size not in (AUTO, 1) and not dgp.ema_decay:
        raise ConfigError("dgp.ema_decay: 0, but an ensemble's mean is that of running means. Use 0.9, or one member.")
    if dgp.architecture == "depth" and config.object.slices == 1:
        raise ConfigError('dgp.architecture: "depth" needs slices to relate. Use "unet", or raise object.slices.')
    _check_start(config)


def _check_input(config: Config) -> None:
    """Settings of what the object's network sees, that it does not see."""
    dgp = config.dgp
    if dgp.random_input or dgp.start == "random":
        hides = "dgp.random_input" if dgp.random_input else 'dgp.start = "random"'
        if dgp.residual is True:
            raise ConfigError(f"dgp.residual: adds to the estimate, which {hides} hides. Remove one of them.")
        if dgp.augment:
            raise ConfigError(f"dgp.augment: moves the estimate, which {hides} hides. Remove one of them.")
    if dgp.augment and (dgp.object == "pixels" or dgp.architecture == "decoder"):
        blind = 'object = "pixels"' if dgp.object == "pixels" else 'architecture = "decoder"'
        raise ConfigError(f"dgp.augment: moves what the network sees, and with dgp.{blind} it sees nothing. Remove it.")


def _check_start(config: Config) -> None:
    """Settings that leave no estimate to start from."""
    dgp = config.dgp
    if dgp.start != "pixels" and dgp.start_file is not None:
        raise ConfigError(f'dgp.start: "{dgp.start}", so dgp.start_file would have no effect. Remove one of them.')
    if dgp.start == "random":
        return
    if dgp.pretrain_steps == 0:
        raise ConfigError(
            "dgp.pretrain_steps: 0, so the networks would forget the estimate at once. Use pretrain_steps = 40, "
            'or dgp.start = "random" to begin without one.'
        )
    if dgp.start == "pixels" and dgp.start_epochs == 0 and (dgp.start_file is None or dgp.half_sets):
        raise ConfigError(
            "dgp.start_epochs: 0, so there is no estimate to pre-train on. Use start_epochs = 12; with dgp.start_file, "
            "they estimate the object from halves of the electrons: dgp.half_sets = false does without."
        )
