"""Ensembles of networks: what they need, and how many members fit at once."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from jptycho.config.run import Config
from jptycho.errors import ConfigError
from jptycho.parallel import memory_of_device
from jptycho.preprocess.prepare import Problem
from jptycho.types import PyTree

ACTIVATIONS = 24  # arrays of the size of the first level that a network keeps for its gradient, about
WEIGHTS = 4  # copies: weights, gradient, two of Adam
SHARE = 0.8  # of the memory that is offered


def members_together(config: Config, problem: Problem, weights: int, available: int | None = None) -> int:
    """How many members of an ensemble can be evaluated at once: one on a CPU, whose cores it keeps busy.

    Args:
        config: without ``auto``.
        problem: the scan made ready.
        weights: parameters of one member.
        available: bytes; those of the device by default.

    Raises:
        ConfigError: not even one fits beside what all members keep.
    """
    dgp, size, shape = config.dgp, int(config.dgp.ensemble_size), problem.estimate.object.shape
    available = int(SHARE * (memory_of_device() if available is None else available))
    images = shape[0] if dgp.architecture == "depth" else 1
    half_sets = 2 if dgp.half_sets else 1
    kept = half_sets * problem.counts.nbytes + 4 * (WEIGHTS * weights + (3 + 2 * half_sets) * int(np.prod(shape)))
    working = 4 * images * ACTIVATIONS * dgp.base_channels * shape[-2] * shape[-1]
    fit = (available - working) // max(kept, 1)
    if fit < size:
        raise ConfigError(
            f"dgp.ensemble_size: {size} members keep {size * kept / 2**30:.3g} GiB and "
            f"work on {working / 2**30:.3g} GiB, but {available / 2**30:.3g} GiB may be used. "
            + (f"Use at most {fit}." if fit >= 1 else "Use fewer patterns, slices or channels.")
        )
    if jax.default_backend() == "cpu":
        return 1
    return int(min(size, max(1, (available - size * kept) // working)))


@jax.jit
def stack(trees: list[PyTree]) -> PyTree:
    """Pytrees of equal structure as one with a leading axis.

    Example:
        >>> stack([{"a": jnp.ones(3)}, {"a": jnp.zeros(3)}])["a"].shape
        (2, 3)
    """
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)
