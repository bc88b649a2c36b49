"""Settings of the pixels that follow a network."""

from __future__ import annotations

from jptycho.assembly.solver_checks import takes_whole_scan
from jptycho.config.pixels import PixelsConfig
from jptycho.config.run import Config
from jptycho.preprocess.automatic import choose_batch
from jptycho.representations.per_position import RATES


def polish_config(config: Config, patterns: int) -> Config:
    """Settings of the pixels that follow a network: Adam without preconditioner at a fraction of the rates.

    A network shows what it can predict and smooths away the rest, though the electrons have seen some of it: the
    texture of a film between lattice reflections, the finest structure at the lowest dose. A few short steps of pixels
    without preconditioner bring that back and leave slow structure, where networks are strong, as it is.

    Args:
        config: without ``auto``.
        patterns: of the scan.

    Returns:
        the settings.
    """
    given, share = config.pixels, config.dgp.polish_rate
    pixels = PixelsConfig.model_construct().model_copy(
        update={
            "micro_batch": given.micro_batch,
            "batch": choose_batch(patterns) if takes_whole_scan(config) else given.batch,
            "object_rate": share * float(given.object_rate),
            "probe_rate": share * float(given.probe_rate),
            "preconditioner": given.preconditioner.model_copy(update={"gain": 0.0}),
            "coverage_weighting": given.coverage_weighting,
        }
    )
    rates = {name: share * getattr(config.refine, name) for name in RATES}
    probe = config.probe.model_copy(update={"parametric_rate": share * config.probe.parametric_rate})
    return config.model_copy(
        update={"pixels": pixels, "probe": probe, "refine": config.refine.model_copy(update=rates)}
    )
