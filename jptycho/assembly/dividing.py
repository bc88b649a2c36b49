"""Whether the electrons of a pattern can be divided into parts that know nothing of each other."""

from __future__ import annotations

from jptycho.assembly.build import SHARED_CHARGE
from jptycho.config.run import Config
from jptycho.preprocess.prepare import Problem

CORRELATED = (
    f'loss = "{SHARED_CHARGE}" says that an electron leaves counts in several pixels, and both halves would hold some '
    "of the same electron"
)


def undivided_of(config: Config, problem: Problem) -> str:
    """Why electrons are not divided into half sets.

    Args:
        config: of the run, or of a stage.
        problem: the scan made ready.

    Returns:
        the reason; empty where they can be.
    """
    return problem.undivided or (CORRELATED if config.loss == SHARED_CHARGE else "")
