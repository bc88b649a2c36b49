"""What a weak phase does to the bright disk, and how well that explains what a scan shows there."""

from __future__ import annotations

import dataclasses
import math

import jax
import jax.numpy as jnp

from jptycho.types import Array, Complex, Float

STRONG = 30.0  # evidence of a spatial frequency, above which it counts less and less
MOST = 0.999  # of the power, that a model may explain
LEAST = 1e-3  # of a transfer's power, added so that one that vanishes gives nothing


@dataclasses.dataclass(frozen=True)
class Lens:
    """Aperture of the fit.

    Attributes:
        wavelength: Å.
        cutoff: radius of the aperture in Å⁻¹.
        edge: width of its edge in Å⁻¹.
    """

    wavelength: float
    cutoff: float
    edge: float

    @property
    def depth(self) -> float:
        """Depth of focus λ/α² in Å."""
        return 1 / (self.wavelength * self.cutoff**2)


def transfer(
    params: Float[Array, "4"], q: Float[Array, "2"], k: Float[Array, "k 2"], lens: Float[Array, "3"]
) -> Complex[Array, "k"]:
    """What a weak phase of one spatial frequency does to the patterns of the bright disk, in FFT over positions.

    Γ(q, k) = Ψ*(k) Ψ(k - q) - Ψ(k) Ψ*(k + q), Ψ = A exp(-iχ), for an object 1 + i φ; q = R(θ) q_scan.

    Args:
        params: θ in rad; C10, C12 cos 2φ12, C12 sin 2φ12 in Å.
        q: along the scan's axes, swapped where they are transposed.
        k: of the detector.
        lens: wavelength, cutoff and edge.

    Returns:
        Γ / i.

    Source:
        Rodenburg, McCallum & Nellist, Ultramicroscopy 48 (1993) 304.
    """
    turned = turn_frequency(params[0], q)
    below, above, _ = beams(params[0], q, k, lens)

    def chi(at: Float[Array, "k 2"]) -> Array:
        y, x = at[:, 0], at[:, 1]
        lens_phase = params[1] * (y**2 + x**2) + params[2] * (x**2 - y**2) + params[3] * 2 * x * y
        return math.pi * lens[0] * lens_phase

    low, high = chi(k) - chi(k - turned), chi(k + turned) - chi(k)
    return jax.lax.complex(below * jnp.cos(low) - above * jnp.cos(high), below * jnp.sin(low) - above * jnp.sin(high))


def turn_frequency(angle: Float[Array, ""], q: Float[Array, "2"]) -> Float[Array, "1 2"]:
    """R(θ) q."""
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    return jnp.stack([cos * q[0] - sin * q[1], sin * q[0] + cos * q[1]])[None]


def beams(
    angle: Float[Array, ""], q: Float[Array, "2"], k: Float[Array, "k 2"], lens: Float[Array, "3"]
) -> tuple[Float[Array, "k"], Float[Array, "k"], Float[Array, "k"]]:
    """A(k) A(k - q), A(k) A(k + q) and k·q, q turned by an angle."""
    turned = turn_frequency(angle, q)

    def aperture(at: Float[Array, "k 2"]) -> Array:
        radius = jnp.sqrt(jnp.maximum(jnp.sum(at**2, axis=1), 1e-12))
        return jnp.clip((lens[1] - radius) / lens[2] + 0.5, 0.0, 1.0)

    here = aperture(k)
    return here * aperture(k - turned), here * aperture(k + turned), jnp.sum(k * turned, axis=1)


def filled_bins(height: Float[Array, "k"]) -> Float[Array, ""]:
    """How many bins see anything."""
    return jnp.sum((height > 0).astype(height.dtype))


def limited_gain(share: Float[Array, "*q"], bins: Float[Array, ""]) -> Float[Array, "*q"]:
    """Evidence of a share of the power, of which a few strong spatial frequencies give no more than many weak ones."""
    gain = -bins * jnp.log1p(-jnp.minimum(share, MOST))
    return STRONG * jnp.log1p(gain / STRONG)


@jax.jit
def evidence(
    params: Float[Array, "4"],
    q: Float[Array, "q 2"],
    values: Complex[Array, "q k"],
    k: Float[Array, "k 2"],
    height: Float[Array, "k"],
    lens: Float[Array, "3"],
) -> Float[Array, "q"]:
    """How much more likely a weak phase makes what each spatial frequency shows, its size and the noise both unknown.

    g = -K ln(1 - |Σ Γ* G|² / Σ |Γ|² Σ |G|²) with K bins is about one where there is nothing; s ln(1 + g / s) lets no
    Bragg reflection outvote the rest.

    Args:
        params: as :func:`transfer` takes them.
        q: along the scan's axes, swapped where they are transposed.
        values: of :class:`Interference`.
        k: likewise.
        height: likewise.
        lens: as :func:`transfer` takes it.

    Returns:
        logarithm of the likelihood's ratio.
    """

    bins = filled_bins(height)

    def one(place: tuple[Array, Array]) -> Array:
        model = transfer(params, place[0], k, lens)
        model = jax.lax.complex(model.real * height, model.imag * height)
        power = jnp.sum(model.real**2 + model.imag**2) + LEAST
        overlap = jnp.sum(model.conj() * place[1])
        whole = jnp.sum(place[1].real ** 2 + place[1].imag ** 2)
        share = (overlap.real**2 + overlap.imag**2) / (power * whole + LEAST)
        return limited_gain(share, bins)

    return jax.vmap(one)((q, values))
