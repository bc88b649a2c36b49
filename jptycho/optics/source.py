"""The modes of a probe whose source is not a point: eigenmodes of the blurred density matrix."""

from __future__ import annotations

import math
from functools import partial

import jax
import jax.numpy as jnp

from jptycho.optics.frequencies import spatial_frequencies
from jptycho.optics.waves import intensity, to_complex
from jptycho.types import Array, Complex, Float, Grid, Number

ORDER = 8
"""Of the expansion in powers of source size times frequency: beyond it lies less than 1e-3 of the intensity up to
2π σ k = 1.6 at the aperture's edge."""
LEAST_GAP = 1e-6
"""Of eigenvalues, in the largest: those that are nearer are taken for equal, and do not turn into each other."""


def source_modes(
    wave: Complex[Array, "y x"], size: Number | Array, sampling: tuple[Number, Number], modes: int
) -> Complex[Array, "modes y x"]:
    """The strongest modes of the probe of a Gaussian source.

    The density matrix ρ(k, k') = ψ(k) ψ*(k') exp(-2π²σ²|k - k'|²) is the sum over a and b of f_ab ψ (f_ab ψ)* with
    f_ab = κy^a κx^b exp(-|κ|²/2) / √(a! b!), κ = 2πσ(k - k₀). Its eigenmodes are those of the small matrix of overlaps.

    Args:
        wave: ψ, the probe of a point source, its centre at [0, 0].
        size: σ, standard deviation of the source along each axis at the specimen, in Å.
        sampling: Å a pixel.
        modes: how many to keep (static).

    Returns:
        modes (modes, y, x), the strongest first, orthogonal, with the intensity of ``wave`` in total.

    Source:
        Mandel & Wolf, Optical Coherence and Quantum Optics (1995), section 4.7, for the modes of a density matrix.

    Example:
        >>> wave = jnp.zeros((16, 16), complex).at[0, 0].set(1.0)
        >>> found = source_modes(wave, 0.3, (0.5, 0.5), 3)
        >>> [round(float(x), 2) for x in jnp.sum(jnp.abs(found) ** 2, axis=(1, 2))]
        [0.48, 0.26, 0.26]
    """
    spectrum = jnp.fft.fft2(wave, norm="ortho")
    weight = intensity(spectrum)
    factors = _factors(weight, size, sampling)
    flat = factors.reshape(len(factors), -1)
    overlaps = (flat * weight.reshape(1, -1)) @ flat.T
    mixed = jnp.tensordot(leading_eigenvectors(overlaps, modes).T, factors, 1)
    kept = jnp.fft.ifft2(spectrum[None] * to_complex(mixed), norm="ortho")
    share = jnp.sum(weight) / jnp.sum(intensity(kept))
    return kept * to_complex(jnp.sqrt(share))


def _factors(
    weight: Float[Array, "y x"], size: Number | Array, sampling: tuple[Number, Number]
) -> Float[Array, "terms y x"]:
    """f_ab for a + b up to ``ORDER``, about the spectrum's centre, which no mode depends on."""
    axes = spatial_frequencies(Grid((weight.shape[0], weight.shape[1]), sampling))
    share = weight / jnp.sum(weight)
    ky, kx = (2 * math.pi * size * (axis - jnp.sum(axis * share)) for axis in axes)
    ky, kx = ky.astype(weight.dtype), kx.astype(weight.dtype)
    along_y, along_x = (
        [jnp.exp(-0.5 * k**2) * k**power / math.sqrt(math.factorial(power)) for power in range(ORDER + 1)]
        for k in (ky, kx)
    )
    return jnp.stack([along_y[a] * along_x[b] for a in range(ORDER + 1) for b in range(ORDER + 1 - a)])


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def leading_eigenvectors(matrix: Float[Array, "n n"], count: int) -> Float[Array, "n count"]:
    """Eigenvectors of the largest eigenvalues of a symmetric matrix.

    Their derivative turns them only towards those that are left out: what is made of all that are kept does not depend
    on how they are turned among themselves, where equal eigenvalues leave that open.

    Args:
        matrix: symmetric.
        count: how many (static).

    Returns:
        columns, the largest eigenvalue's first.

    Example:
        >>> jnp.abs(leading_eigenvectors(jnp.diag(jnp.array([1.0, 3.0])), 1)).tolist()
        [[0.0], [1.0]]
    """
    return jnp.linalg.eigh(matrix)[1][:, ::-1][:, :count]


@leading_eigenvectors.defjvp
def _leading_jvp(count: int, primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    (matrix,), (change,) = primals, tangents
    values, vectors = jnp.linalg.eigh(matrix)
    values, vectors = values[::-1], vectors[:, ::-1]
    kept, rest = vectors[:, :count], vectors[:, count:]
    gap = values[None, :count] - values[count:, None]
    wide = gap > LEAST_GAP * values[0]
    turn = jnp.where(wide, (rest.T @ change @ kept) / jnp.where(wide, gap, 1.0), 0.0)
    return kept, rest @ turn
