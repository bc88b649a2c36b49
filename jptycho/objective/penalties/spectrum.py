"""What the spectrum of a specimen is, and where its charge: amorphous matter, Poisson's equation."""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp

from jptycho.objective.penalties.roughness import magnitude
from jptycho.objective.reference import Reference, illuminated_mean
from jptycho.optics.frequencies import spatial_frequencies
from jptycho.optics.waves import intensity
from jptycho.representations.estimate import Estimate
from jptycho.representations.pixels import visibility
from jptycho.types import Array, Float, Grid, Number


@dataclasses.dataclass(frozen=True)
class Amorphous:
    """S Σ_s ⟨|F[φ_s]|² (1 + (k / k0)²)²⟩: negative logarithm of a Gaussian prior with the spectrum of amorphous matter.

    Random atoms scatter like one: the power spectrum is the squared scattering factor, which of a hydrogen-like charge
    cloud falls as 1 / (1 + (k / k0)²)². Noise is white and pays for all that lies beyond k0.

    Attributes:
        corner: k0 in Å⁻¹.

    Source:
        Kirkland, Advanced Computing in Electron Microscopy (2020), ch. 5, for the scattering factor.
    """

    corner: Number = 0.35

    def __call__(self, estimate: Estimate, reference: Reference) -> Float[Array, ""]:
        """The penalty of the phase, the first of the channels."""
        phase = estimate.object[:, 0]
        phase = phase - illuminated_mean(phase, reference)[:, None, None]
        weight = visibility(reference.coverage)
        seen = phase * jnp.sqrt(weight)[None]
        ky, kx = spatial_frequencies(Grid((phase.shape[1], phase.shape[2]), reference.sampling))
        rise = ((1 + (ky**2 + kx**2) / self.corner**2) ** 2).astype(phase.dtype)
        power = intensity(jnp.fft.fft2(seen, norm="ortho"))
        return len(estimate.object) * jnp.sum(power * rise[None]) / jnp.sum(weight)


def charge_density(estimate: Estimate, reference: Reference) -> Float[Array, ""]:
    """Σ_s ⟨|∇²φ_s|⟩: by Poisson's equation ρ = -ε₀ ∇²V, and charge sits at the atoms and nowhere else.

    Args:
        estimate: phase, proportional to the projected potential V, is the first.
        reference: holds the coverage.

    Returns:
        the penalty; second differences a pixel.
    """
    phase = jnp.pad(estimate.object[:, 0], ((0, 0), (1, 1), (1, 1)), mode="edge")
    middle = phase[:, 1:-1, 1:-1]
    around = phase[:, :-2, 1:-1] + phase[:, 2:, 1:-1] + phase[:, 1:-1, :-2] + phase[:, 1:-1, 2:]
    return jnp.sum(illuminated_mean(magnitude(4 * middle - around, 1 / len(estimate.object)), reference))
