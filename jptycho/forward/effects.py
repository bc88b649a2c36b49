"""What beam and detector do to an intensity: a flux that varies between patterns, a point spread, a background."""

from __future__ import annotations

import dataclasses
import math

import jax.numpy as jnp

from jptycho.forward.fields import ScanFields
from jptycho.optics.waves import to_complex
from jptycho.types import Array, Float

BACKGROUND, FLUX, POINT_SPREAD = "background", "flux", "point_spread"
"""Names of the unknowns that these effects read."""


@dataclasses.dataclass(frozen=True)
class ScaleFlux:
    """I f: the electrons of a pattern are f times those of an average one; ``flux`` of its row."""

    def __call__(self, intensity: Float[Array, "ky kx"], row: ScanFields) -> Float[Array, "ky kx"]:
        """The intensity, scaled."""
        return intensity * row.extra[FLUX]


@dataclasses.dataclass(frozen=True)
class AddBackground:
    """I + b: what falls on the detector beside the pattern; ``background``, one number or one for each pixel."""

    def __call__(self, intensity: Float[Array, "ky kx"], row: ScanFields) -> Float[Array, "ky kx"]:
        """The intensity and the background."""
        return intensity + jnp.broadcast_to(row.extra[BACKGROUND], intensity.shape)


@dataclasses.dataclass(frozen=True)
class BlurPattern:
    """I ∗ g: an electron is counted in pixels beside its own; ``point_spread``, standard deviation in detector pixels.

    g is the discrete Gaussian, periodic in the window: its transform is exp(-σ² (2 - cos 2πq_y - cos 2πq_x)), so that
    no pixel becomes negative however narrow it is.

    Source:
        Lindeberg, IEEE Trans. Pattern Anal. Mach. Intell. 12 (1990) 234.
    """

    def __call__(self, intensity: Float[Array, "ky kx"], row: ScanFields) -> Float[Array, "ky kx"]:
        """The intensity, blurred; its sum stays."""
        kept = to_complex(transfer((intensity.shape[0], intensity.shape[1]), row.extra[POINT_SPREAD]))
        return jnp.fft.irfft2(jnp.fft.rfft2(intensity) * kept, s=intensity.shape)


def transfer(shape: tuple[int, int], width: Float[Array, ""]) -> Float[Array, "y K"]:
    """What a point spread leaves of each frequency, for :func:`jax.numpy.fft.rfft2`.

    Args:
        shape: of the detector (static).
        width: σ, standard deviation in detector pixels.

    Returns:
        exp(-σ² (2 - cos 2πq_y - cos 2πq_x)), (y, x // 2 + 1).

    Example:
        >>> [round(float(share), 3) for share in transfer((4, 4), jnp.array(1.0))[0]]
        [1.0, 0.368, 0.135]
    """
    y, x = (jnp.cos(2 * math.pi * jnp.fft.fftfreq(n).astype(width.dtype)) for n in shape)
    return jnp.exp(-(width**2) * (2 - y[:, None] - x[None, : shape[1] // 2 + 1]))
