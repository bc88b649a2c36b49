"""The loss of a detector on which an electron leaves counts in several pixels, whose noise is therefore correlated."""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp

from jptycho.forward.effects import transfer
from jptycho.forward.fields import Noise
from jptycho.objective.losses import FLOOR
from jptycho.optics.waves import to_complex
from jptycho.types import Array, Float, Number

LEAST_TRANSFER = 0.1
"""Of the detector: below it read-out noise is taken to be as strong as what is left of the electrons'."""


@dataclasses.dataclass(frozen=True)
class SharedChargeLoss:
    """2 (W[√(I + ε) - √(y + ε)])²: the noise of roots has the spectrum |g(q)|², and W divides by it.

    An electron that is counted in several pixels is one electron. To a loss of each pixel alone it is several, so that
    coarse structure seems better known than it is and fine structure worse; here the covariance is the one that a
    point spread g gives where the pattern is smooth, g ∗ diag(I) ∗ g. A dead pixel would spoil its neighbours.

    What it cannot do: the mean of a root is less than the root of the mean, so that of an intensity of I electrons a
    pixel I - Σ g² / 4 is found, where I is large against one, and less yet where it is not. The Poisson loss, whose
    slope is linear in the counts, has no such bias. And counts that share electrons are not divided into independent
    parts by thinning, so neither half sets nor what is held out of them tells noise from signal.

    Attributes:
        width: of the point spread, as of :class:`jptycho.forward.effects.BlurPattern`, detector pixels. It stays what
            it is, that of the covariance, also where the width by which the pattern is blurred is an unknown.

    Source:
        McCullagh & Nelder, Generalized Linear Models (1989), ch. 9, for quasi-likelihoods of correlated counts.
    """

    width: Number

    def __call__(
        self, predicted: Float[Array, "ky kx"], measured: Float[Array, "ky kx"], noise: Noise
    ) -> Float[Array, "ky kx"]:
        """The loss of each pixel; times the electrons of a pattern, half a square of variance one."""
        del noise
        floor = FLOOR / predicted.size
        residual = jnp.sqrt(predicted + floor) - jnp.sqrt(jnp.maximum(measured, 0.0) + floor)
        spectrum = transfer((residual.shape[0], residual.shape[1]), jnp.asarray(self.width, residual.dtype))
        whitened = jnp.fft.rfft2(residual) / to_complex(jnp.sqrt(spectrum**2 + LEAST_TRANSFER**2))
        return 2 * jnp.fft.irfft2(whitened, s=residual.shape) ** 2
