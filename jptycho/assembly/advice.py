"""What to do where a run fails: where a stage diverges, where memory does not hold it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import jax

from jptycho.assembly.solver_checks import WHOLE_SCAN
from jptycho.config.pixels import GRADIENT
from jptycho.config.run import Config
from jptycho.config.stages import POSITIONS
from jptycho.errors import OutOfMemoryError

EXHAUSTED = "RESOURCE_EXHAUSTED"
"""What XLA calls it."""
READ = "Reconstruct a part of the scan, or store its counts in a smaller type."
DIVIDE = f"Set pixels.half_sets = false, dgp.half_sets = false or dgp.ensemble_size = 1. {READ}"


def advice(config: Config, stage: str) -> str:
    """What to do where a stage diverges.

    Args:
        config: of the run.
        stage: such as ``"pixels"``, ``"positions"``, ``"dgp"`` or ``"polish"``.

    Returns:
        a sentence.
    """
    if stage.startswith(POSITIONS):
        return "Lower refine.position_error."
    if stage == "all electrons":
        return "Set validation.all_electrons = false."
    if stage == "polish":
        return "Lower dgp.polish_rate, or set dgp.polish_epochs = 0."
    if stage.startswith("dgp") or config.pixels.solver == GRADIENT:
        stage = "dgp" if stage.startswith("dgp") else "pixels"
        return f"Lower {stage}.object_rate or {stage}.probe_rate, and any weight of [penalties]."
    if config.pixels.solver == "lsqml":
        return "Lower lsqml.beta, or raise lsqml.damping."
    return (
        "Lower difference_map.beta."
        if config.pixels.solver in WHOLE_SCAN
        else "Lower pie.object_step or pie.probe_step."
    )


def memory_advice(config: Config, stage: str) -> str:
    """What to do where memory does not hold a stage.

    Args:
        config: of the stage, without ``auto``.
        stage: such as ``"half sets"``, ``"pixels"`` or ``"dgp"``.

    Returns:
        a sentence.

    Example:
        >>> from jptycho.config.run import parse_config
        >>> memory_advice(parse_config({"data": {"file": ""}, "dgp": {"ensemble_size": 1}}), "dgp")
        'Lower dgp.micro_batch (128) or dgp.base_channels (16), or use fewer slices or modes.'
    """
    if stage.startswith("dgp"):
        several = config.dgp.ensemble_size not in (1, "auto")
        fewer = f"Set dgp.ensemble_size = 1 ({config.dgp.ensemble_size}), lower" if several else "Lower"
        return (
            f"{fewer} dgp.micro_batch ({config.dgp.micro_batch}) or dgp.base_channels ({config.dgp.base_channels}), "
            "or use fewer slices or modes."
        )
    if stage.startswith(POSITIONS):
        return "Use fewer slices or modes."
    if config.pixels.solver in WHOLE_SCAN:
        return f'pixels.solver = "{config.pixels.solver}" keeps every exit wave: use "gradient" or "lsqml".'
    halves = " or set pixels.half_sets = false," if config.pixels.half_sets is True else ""
    return f"Lower pixels.batch ({config.pixels.batch}),{halves} or use fewer slices or modes."


@contextmanager
def memory_named(what: str, advice: str) -> Iterator[None]:
    """Say in one line what memory did not hold, and what to do, in place of what NumPy or XLA say.

    Args:
        what: was done.
        advice: a sentence.

    Yields:
        nothing.

    Raises:
        OutOfMemoryError: memory did not hold it.

    Example:
        >>> with memory_named("reading", "Read less."):
        ...     raise MemoryError
        Traceback (most recent call last):
        jptycho.errors.OutOfMemoryError: reading: memory does not hold it. Read less.
    """
    try:
        yield
    except OutOfMemoryError:
        raise
    except (MemoryError, jax.errors.JaxRuntimeError) as error:
        if isinstance(error, jax.errors.JaxRuntimeError) and EXHAUSTED not in str(error):
            raise
        raise OutOfMemoryError(f"{what}: memory does not hold it. {advice}") from error
