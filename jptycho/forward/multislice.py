"""Transmission through a stack of thin slices with free-space propagation between them."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jptycho.optics.propagation import propagate
from jptycho.types import Array, Complex


def transmit(wave: Complex[Array, "*modes y x"], transmission: Complex[Array, "y x"]) -> Complex[Array, "*modes y x"]:
    """Multiply a wave by a slice's transmission: ψ t.

    Args:
        wave: (..., y, x).
        transmission: t = exp(i phase - absorption), (y, x).

    Returns:
        the wave behind the slice.

    Example:
        >>> transmit(jnp.ones((2, 3, 3), complex), 1j * jnp.ones((3, 3)))[0, 0, 0].item()
        1j
    """
    return wave * jnp.broadcast_to(transmission, wave.shape)


def multislice(
    wave: Complex[Array, "*modes y x"],
    slices: Complex[Array, "slices y x"],
    kernel: Complex[Array, "*gaps y x"],
) -> Complex[Array, "*modes y x"]:
    """Exit wave ψ_S = t_S P[t_{S-1} ... P[t_1 ψ]]: no propagation after the last slice.

    Args:
        wave: incident wave (..., y, x).
        slices: transmissions in the order in which the beam meets them.
        kernel: Fresnel kernel of the distance between slices, in FFT order; or one for each gap.

    Returns:
        exit wave (..., y, x).

    Source:
        Cowley & Moodie, Acta Cryst. 10 (1957) 609; Maiden et al., JOSA A 29 (2012) 1606.

    Example:
        >>> wave = jnp.ones((4, 4), complex)
        >>> multislice(wave, jnp.ones((3, 4, 4), complex), jnp.ones((4, 4), complex)).shape
        (4, 4)
    """
    if slices.shape[0] > 1 and kernel.ndim == 3:
        gaps = (slices[:-1], kernel)
        wave, _ = jax.lax.scan(lambda psi, gap: (propagate(transmit(psi, gap[0]), gap[1]), None), wave, gaps)
    elif slices.shape[0] > 1:
        wave, _ = jax.lax.scan(lambda psi, t: (propagate(transmit(psi, t), kernel), None), wave, slices[:-1])
    return transmit(wave, slices[-1])


def incident_waves(
    wave: Complex[Array, "*modes y x"],
    slices: Complex[Array, "slices y x"],
    kernel: Complex[Array, "*gaps y x"],
) -> tuple[Complex[Array, "*modes y x"], Complex[Array, "slices *modes y x"]]:
    """:func:`multislice`, and the wave that meets each slice.

    Args:
        wave: incident wave (..., y, x).
        slices: transmissions in the order in which the beam meets them.
        kernel: Fresnel kernel of the distance between slices, in FFT order; or one for each gap.

    Returns:
        exit wave (..., y, x); waves before each slice (slices, ..., y, x).

    Source:
        Maiden et al., JOSA A 29 (2012) 1606, eq. 2 to 4.

    Example:
        >>> _, before = incident_waves(jnp.ones((4, 4), complex), 2j * jnp.ones((2, 4, 4)), jnp.ones((4, 4), complex))
        >>> before[:, 0, 0].round(5).tolist()
        [(1+0j), 2j]
    """
    if slices.shape[0] == 1:
        return transmit(wave, slices[0]), wave[None]
    if kernel.ndim == 3:
        gaps = (slices[:-1], kernel)
        last, before = jax.lax.scan(lambda psi, gap: (propagate(transmit(psi, gap[0]), gap[1]), psi), wave, gaps)
    else:
        last, before = jax.lax.scan(lambda psi, t: (propagate(transmit(psi, t), kernel), psi), wave, slices[:-1])
    return transmit(last, slices[-1]), jnp.concatenate([before, last[None]])
