"""Ensembles of networks: what they need, and how many members fit at once."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from jptycho.assembly.budget import budget_of
from jptycho.assembly.devices import networks_mesh
from jptycho.assembly.working import working_bytes
from jptycho.config.run import Config
from jptycho.data.lazy_counts import LazyCounts
from jptycho.errors import ConfigError
from jptycho.parallel import memory_of_device
from jptycho.preprocess.prepare import Problem
from jptycho.types import PyTree

WEIGHTS = 4  # copies: weights, gradient, two of Adam
SHARE = 0.8  # of the memory that is offered


def members_together(config: Config, problem: Problem, weights: int, available: int | None = None) -> int:
    """How many members of an ensemble can be evaluated at once: one on a CPU, whose cores it keeps busy.

    Args:
        config: without ``auto``.
        problem: the scan made ready.
        weights: parameters of one member.
        available: bytes of each device; those that a run may take by default.

    Raises:
        ConfigError: not even one fits beside what all members keep.
    """
    dgp, size, shape = config.dgp, int(config.dgp.ensemble_size), problem.estimate.object.shape
    if available is None:
        available = budget_of(config).device or memory_of_device()
    available, devices, half_sets = int(SHARE * available), networks_mesh().size, 2 if dgp.half_sets else 1
    counts = problem.counts.nbytes
    if isinstance(problem.counts, LazyCounts):  # of which two parts are held at once
        counts = min(counts, 2 * problem.counts.chunk)
    kept = -(-half_sets * counts // devices) + 4 * (WEIGHTS * weights + (3 + 2 * half_sets) * int(np.prod(shape)))
    working = working_bytes(config, problem, -(-min(dgp.micro_batch, len(problem.counts)) // devices), True)
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
