"""What a step computes and forgets: waves of the patterns that are worked on at once, images, and features."""

from __future__ import annotations

import math

from jptycho.assembly.refinable import held_copies, wave_copies
from jptycho.config.run import Config
from jptycho.preprocess.network_memory import FEATURES, wave_bytes
from jptycho.preprocess.prepare import Problem


def working_bytes(config: Config, problem: Problem, patterns: int, networks: bool) -> int:
    """What a step of one member of an ensemble computes and forgets.

    Waves of every pattern that is worked on at once, and images of the canvas.

    Args:
        config: of the stage, without ``auto``.
        problem: the scan made ready; its counts are not read.
        patterns: that are worked on at once.
        networks: whether the object is that of one.

    Returns:
        bytes.
    """
    slices, channels, rows, columns = problem.estimate.object.shape
    copies, window = max(wave_copies(config), held_copies(problem)), math.prod(problem.setup.grid.shape)
    modes = problem.estimate.probe.shape[0] * copies
    canvas = 4 * rows * columns
    images = channels * (6 * slices + 5) * canvas
    if networks:
        stacks = slices if config.dgp.architecture == "depth" else 1
        images += int(FEATURES * config.dgp.base_channels * stacks * canvas)
    return int(patterns * wave_bytes(window, slices, modes) + images)
