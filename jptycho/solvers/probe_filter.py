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
from jptycho.optics.waves import intensity
from jptycho.types import Array, Complex, Float

NEWTON_STEPS = 3
DARK = 1e-6
"""Of the brightest amplitude, below which a reference has no phase."""
ROUNDING = 1e-8
"""Of a probe's power, below which a change is none."""
TINY = 1e-30


def filter_probes(
    first: Complex[Array, "modes y x"],
    second: Complex[Array, "modes y x"],
    reference: Complex[Array, "modes y x"],
    sampling: tuple[float, float],
) -> tuple[Complex[Array, "modes y x"], Float[Array, ""]]:
    """A probe and what two independent estimates have in common of their difference from it.

    Both are compared in the reference's gauge: mixture of modes, phase, shift and power. Their changes are filtered by
    W = S / (S + N) twice, S the mean of Re(A B*) over a ring and N that of |A - B|² / 4: first as waves refocused by
    the first mode of the reference, where aberrations that differ little lie close to the centre, then what that leaves
    in the aperture, where the rest follows the edge. The result has the mean shift and power of both, for the objects
    that belong to them have that shift too.

    Args:
        first: modes by one half of the electrons, centre at [0, 0].
        second: by the other.
        reference: what both were before.
        sampling: Å a pixel along (y, x).

    Returns:
        the reference changed by what is confirmed, and the power of that over the power of the mean change; gauges do
        not count as change.

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
    both = jnp.stack([first, second])
    powers = jax.vmap(probe_power)(both)
    spectra, shifts = jax.vmap(_in_gauge, in_axes=(0, None))(both, reference)
    spectra = spectra * jnp.sqrt(power / jnp.maximum(powers, TINY))[:, None, None, None]
    changes = jax.vmap(lambda one: one - aperture * jnp.sum(jnp.conj(aperture) * one) / power)(spectra)
    changes = changes * jnp.conj(phase)
    shape = (reference.shape[-2], reference.shape[-1])
    extent = (1 / (shape[0] * sampling[0]), 1 / (shape[1] * sampling[1]))
    refocused = jnp.fft.ifft2(changes, norm="ortho")
    slow = jnp.fft.fft2(refocused * _weights(refocused, ring_numbers(shape, extent)[0]), norm="ortho")
    left = changes - slow
    confirmed = jnp.mean(slow + left * _weights(left, ring_numbers(shape, sampling)[0]), axis=0)
    share = probe_power(confirmed) / (probe_power(jnp.mean(changes, axis=0)) + ROUNDING * power)
    probe = jnp.fft.ifft2((aperture + confirmed * phase) * shift_ramp(shape, -jnp.mean(shifts, axis=0)), norm="ortho")
    probe = probe * jnp.sqrt(jnp.mean(powers) / jnp.maximum(probe_power(probe), TINY))
    return probe.astype(reference.dtype), share


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
    overlap = jnp.einsum("mij,nij->mn", reference, jnp.conj(modes))
    left, _, right = jnp.linalg.svd(overlap)
    return jnp.einsum("mn,nij->mij", left @ right, modes)


def _phase(wave: Complex[Array, "y x"]) -> Complex[Array, "y x"]:
    """exp(i arg) of a wave, one where it is dark."""
    size = jnp.abs(wave)
    bright = size > DARK * jnp.max(size)
    return jnp.where(bright, wave / jnp.where(bright, size, 1.0), 1.0)


def _in_gauge(modes: Complex[Array, "modes y x"], reference: Complex[Array, "modes y x"]) -> tuple[Array, Array]:
    """Modes in the aperture, mixed and shifted to be as near to a reference as they can; by which shift in pixels."""
    target = jnp.fft.fft2(reference, norm="ortho")
    shape = (modes.shape[-2], modes.shape[-1])
    k = jnp.stack(jnp.meshgrid(*[2 * jnp.pi * jnp.fft.fftfreq(n) for n in shape], indexing="ij")).astype(
        target.real.dtype
    )
    curvature = jnp.einsum("iyx,jyx,myx->ij", k, k, intensity(target))

    def nearer(carry: tuple[Array, Array], _: None) -> tuple[tuple[Array, Array], None]:
        spectra, shift = carry
        slope = jnp.einsum("iyx,myx->i", k, jnp.imag(spectra * jnp.conj(target)))
        step = jnp.linalg.solve(curvature + TINY * jnp.eye(2), slope)
        spectra = spectra * shift_ramp(shape, step)
        overlap = jnp.sum(spectra * jnp.conj(target))
        return (spectra * jnp.conj(_phase(overlap[None, None]))[0, 0], shift + step), None

    start = (jnp.fft.fft2(align_modes(modes, reference), norm="ortho"), jnp.zeros(2, k.dtype))
    return jax.lax.scan(nearer, start, None, NEWTON_STEPS)[0]


def _weights(pair: Complex[Array, "2 modes y x"], rings: np.ndarray) -> Float[Array, "modes y x"]:
    """S / (S + N) of each mode on rings, each smoothed with its neighbours."""
    triangle = jnp.array([0.25, 0.5, 0.25], pair.real.dtype)

    def totals(values: Array) -> Array:
        return jax.vmap(lambda one: jnp.convolve(ring_totals(one, rings), triangle, mode="same"))(values)

    signal = jnp.maximum(totals(jnp.real(pair[0] * jnp.conj(pair[1]))), 0.0)
    noise = totals(intensity(pair[0] - pair[1])) / 4
    return (signal / (signal + noise + TINY))[:, rings]
