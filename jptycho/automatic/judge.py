"""Whether one estimate predicts electrons that it has not seen better than another, beyond what chance would do."""

from __future__ import annotations

import dataclasses
import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from jptycho.forward.fields import Fields, ScanFields, Setup
from jptycho.objective.data_term import batch_loss
from jptycho.objective.losses import Loss
from jptycho.types import Array, Float, Shaped


@dataclasses.dataclass(frozen=True)
class Comparison:
    """By how much one estimate predicts held-out electrons better than another.

    Attributes:
        difference: mean over patterns of the loss of the old less that of the new: positive where the new is better.
        error: its standard error.
    """

    difference: float
    error: float

    @property
    def significance(self) -> float:
        """The difference in its standard errors; 0 where both predict alike."""
        if not self.difference:
            return 0.0
        return self.difference / self.error if self.error else math.copysign(math.inf, self.difference)

    def __str__(self) -> str:
        """In words."""
        return f"{self.difference:+.3g} ± {self.error:.2g} a pattern ({self.significance:+.1f} standard errors)"


@partial(jax.jit, static_argnames="loss")
def losses_by_pattern(
    loss: Loss, fields: Fields, setup: Setup, counts: Shaped[Array, "scan ky kx"]
) -> Float[Array, "scan"]:
    """The loss of every pattern by itself.

    Args:
        loss: of one pattern (static).
        fields: everything the physics sees.
        setup: constants of the run.
        counts: one pattern for each position of the fields.

    Returns:
        one number a pattern, whose mean is the loss of the scan.

    Example:
        >>> from jptycho.objective import poisson_loss
        >>> from jptycho.preprocess.prepare import prepare
        >>> from jptycho.representations import fields_of
        >>> from jptycho.simulate.scan import simulate_gold
        >>> problem = prepare(simulate_gold(scan_shape=(4, 4), detector=(32, 32)))
        >>> losses_by_pattern(poisson_loss, fields_of(problem.estimate), problem.setup, problem.counts).shape
        (16,)
    """

    def one(place: tuple[Array, ScanFields]) -> Array:
        pattern, row = place
        rows = jax.tree.map(lambda leaf: leaf[None], row)
        return batch_loss(loss, fields, setup, pattern[None], rows, jnp.ones(1, setup.dose.dtype))[0]

    return jax.lax.map(one, (counts, fields.scan))


def compare(before: Float[np.ndarray, "scan"], after: Float[np.ndarray, "scan"]) -> Comparison:
    """The paired difference of two estimates' losses: the shot noise that both see alike drops out.

    Args:
        before: loss of each pattern by the one.
        after: by the other.

    Returns:
        mean of the differences and its standard error.

    Example:
        >>> compare(np.array([1.0, 2.0, 3.0]), np.array([0.5, 1.0, 2.0])).difference.__round__(3)
        0.833
    """
    difference = np.asarray(before, np.float64) - np.asarray(after, np.float64)
    error = difference.std(ddof=1) / np.sqrt(len(difference)) if len(difference) > 1 else np.inf
    return Comparison(float(difference.mean()), float(error))
