"""What of a probe's change two halves of the electrons confirm.

A probe that is fitted with the object to the same electrons fits their noise as well, and the object makes up for that
in its slow structure. So a probe is moved from where it was only as far as both halves agree.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from jptycho.forward.patches import shift_ramp
from jptycho.optics.frequencies import ring_numbers, ring_totals
from jptycho.optics.probe import probe_power
from jptycho.optics.waves import intensity, to_complex
from jptycho.types import Array, Complex, Float

NEWTON_STEPS = 6
DARK = 1e-6
"""Of the brightest amplitude, below which a reference has no phase."""
ROUNDING = 1e-8
"""Of a probe's power, below which a change is none."""
TINY = 1e-30


def filter_probes(
    first: Complex[Array, "modes y x"],
    second: Complex[Array, "modes y x"],
    reference: Complex[Array, "modes y x"],
    aspect: tuple[float, float],
) -> tuple[Complex[Array, "modes y x"], Float[Array, ""]]:
    """A probe and what two independent estimates have in common of their difference from it.

    Both are compared in one gauge: mixture of modes, phase, shift and power. Their changes are filtered twice on rings:
    first as waves refocused by the first mode of the reference, where aberrations that differ little lie close to the
    centre, by W = S / (S + N) with S the mean of Re(A B*) and N that of |A - B|² / 4; then what that leaves is added as
    far as it helps, in the aperture, where the rest follows the edge. The result has the mean shift and power of both,
    for the objects that belong to them have that shift too.

    Args:
        first: modes by one half of the electrons, centre at [0, 0].
        second: by the other.
        reference: what both were before.
        aspect: of the sampling (static): the rings do not depend on its unit.

    Returns:
        the reference changed by what is confirmed, and the power of that over the power of the mean change, which is
        the square of the weight; gauges do not count as change.

    Source:
        Unser et al., Ultramicroscopy 23 (1987) 39, for the weights.

    Example:
        >>> wave = jnp.fft.ifft2(jnp.ones((1, 8, 8), complex))
        >>> probe, share = filter_probes(1.5 * wave, 1.5 * wave, wave, (0.5, 0.5))
        >>> bool(jnp.allclose(probe, 1.5 * wave)), float(share)
        (True, 0.0)
    """
    aperture = jnp.fft.fft2(reference, norm="ortho")
    phase, power = _phase(aperture[0]), probe_power(reference)
    one = align_modes(first, reference)
    other = align_modes(second, one)  # a change that the reference does not have must not get phases of its own
    mixture = _mixture((one + other) / 2, reference)
    both = jnp.einsum("mn,hnij->hmij", mixture, jnp.stack([one, other]))
    powers = jax.vmap(probe_power)(both)
    spectra, shifts = jax.vmap(_shifted_to, in_axes=(0, None))(both, aperture)
    along = jax.vmap(lambda half: jnp.sum(jnp.conj(aperture) * half) / to_complex(power))(spectra)
    changes = (spectra - along[:, None, None, None] * aperture[None]) * jnp.conj(phase)[None, None]
    confirmed = _confirmed(changes, aspect)
    share = probe_power(confirmed) / (probe_power(jnp.mean(changes, axis=0)) + ROUNDING * power)
    shape = (reference.shape[-2], reference.shape[-1])
    found = to_complex(jnp.mean(along.real)) * aperture + confirmed * phase[None]
    probe = jnp.fft.ifft2(found * shift_ramp(shape, -jnp.mean(shifts, axis=0))[None], norm="ortho")
    probe = probe * to_complex(jnp.sqrt(jnp.mean(powers) / jnp.maximum(probe_power(probe), TINY)))
    return probe.astype(reference.dtype), share


def _confirmed(changes: Complex[Array, "2 modes y x"], aspect: tuple[float, float]) -> Complex[Array, "modes y x"]:
    """What both halves have in common of their changes in the aperture."""
    shape = (changes.shape[-2], changes.shape[-1])
    extent = (1 / (shape[0] * aspect[0]), 1 / (shape[1] * aspect[1]))
    near, edge = (ring_numbers(shape, step)[0] for step in (extent, aspect))
    refocused = jnp.fft.ifft2(changes, norm="ortho")
    signal = jnp.maximum(_smooth_totals(_real_product(*refocused), near), 0.0)
    noise = _smooth_totals(intensity(refocused[0] - refocused[1]), near) / 4
    kept = to_complex(signal / (signal + noise + TINY))[:, near]
    slow = jnp.fft.fft2(refocused * kept[None], norm="ortho")
    left = changes - slow
    mean, rest = jnp.mean(slow, axis=0), jnp.mean(left, axis=0)
    # The least-squares weight of the rest; each half's noise meets only the other's.
    true = (_real_product(changes[0], left[1]) + _real_product(changes[1], left[0])) / 2
    missing = _smooth_totals(true - _real_product(mean, rest), edge)
    weight = jnp.clip(missing / (_smooth_totals(intensity(rest), edge) + TINY), 0.0, 1.0)
    return mean + rest * to_complex(weight)[:, edge]


def _real_product(a: Complex[Array, "modes y x"], b: Complex[Array, "modes y x"]) -> Float[Array, "modes y x"]:
    return jnp.real(a * jnp.conj(b))


def _smooth_totals(values: Float[Array, "modes y x"], rings: np.ndarray) -> Float[Array, "modes rings"]:
    """Sums over rings, each with its neighbours."""
    triangle = jnp.array([0.25, 0.5, 0.25], values.dtype)
    return jax.vmap(lambda one: jnp.convolve(ring_totals(one, rings), triangle, mode="same"))(values)


def align_modes(
    modes: Complex[Array, "modes y x"], reference: Complex[Array, "modes y x"]
) -> Complex[Array, "modes y x"]:
    """The unitary mixture of modes that is nearest to a reference: no pattern tells one mixture from another.

    Args:
        modes: of one estimate.
        reference: of another.

    Returns:
        U modes with U = X Yᴴ from the singular value decomposition reference · modesᴴ = X S Yᴴ; of one mode, its phase
        turned.

    Source:
        Schönemann, Psychometrika 31 (1966) 1 (orthogonal Procrustes problem).

    Example:
        >>> wave = jnp.ones((1, 2, 2), complex)
        >>> align_modes(1j * wave, wave)[0, 0, 0].item()
        (1+0j)
    """
    return jnp.einsum("mn,nij->mij", _mixture(modes, reference), modes)


def _mixture(
    modes: Complex[Array, "modes y x"], reference: Complex[Array, "modes y x"]
) -> Complex[Array, "modes modes"]:
    """U of :func:`align_modes`."""
    overlap = jnp.einsum("mij,nij->mn", reference, jnp.conj(modes))
    left, _, right = jnp.linalg.svd(overlap)
    return left @ right


def _phase(wave: Complex[Array, "y x"]) -> Complex[Array, "y x"]:
    """exp(i arg) of a wave, one where it is dark."""
    size = jnp.abs(wave)
    bright = size > DARK * jnp.max(size)
    return jnp.where(bright, wave / to_complex(jnp.where(bright, size, 1.0)), 1.0)


def _shifted_to(modes: Complex[Array, "modes y x"], target: Complex[Array, "modes y x"]) -> tuple[Array, Array]:
    """Modes in the aperture, moved and turned to be as near to a target there as they can; by which shift in pixels."""
    shape = (modes.shape[-2], modes.shape[-1])
    frequencies = jnp.meshgrid(*[2 * jnp.pi * jnp.fft.fftfreq(n) for n in shape], indexing="ij")
    k = jnp.stack(frequencies).astype(target.real.dtype)
    curvature = jnp.einsum("iyx,jyx,myx->ij", k, k, intensity(target))

    def nearer(carry: tuple[Array, Array], _: None) -> tuple[tuple[Array, Array], None]:
        spectra, shift = carry
        slope = jnp.einsum("iyx,myx->i", k, jnp.imag(spectra * jnp.conj(target)))
        step = jnp.linalg.solve(curvature + TINY * jnp.eye(2), slope)
        spectra = spectra * shift_ramp(shape, step)[None]
        overlap = jnp.sum(spectra * jnp.conj(target))
        return (spectra * jnp.conj(_phase(overlap[None, None]))[0, 0], shift + step), None

    return jax.lax.scan(nearer, (jnp.fft.fft2(modes, norm="ortho"), jnp.zeros(2, k.dtype)), None, NEWTON_STEPS)[0]
