"""From exit waves to what a detector records of them."""

from __future__ import annotations

import math
from collections.abc import Mapping

import jax.numpy as jnp

from jptycho.forward.fields import NOTHING, ScanFields, Setup, with_shared
from jptycho.optics.waves import cis, intensity, to_complex
from jptycho.types import Array, Complex, Float


def detect(
    exit_waves: Complex[Array, "modes y x"], setup: Setup, row: ScanFields, shared: Mapping[str, Array] = NOTHING
) -> Float[Array, "ky kx"]:
    """What the detector records of exit waves: their far field at its place, changed by each of its effects in turn.

    Args:
        exit_waves: one exit wave a probe mode (modes, y, x).
        setup: constants of the run.
        row: of the scan.
        shared: what all patterns share, ``fields.shared``.

    Returns:
        intensity (ky, kx), zero frequency at [0, 0]; times ``setup.dose`` it is the expected counts.
    """
    seen = jnp.sum(intensity(_in_far_field(exit_waves, row)), axis=0)
    known = with_shared(row, shared)
    for effect in setup.effects:
        seen = effect(seen, known)
    return seen


def far_field(exit_waves: Complex[Array, "modes y x"]) -> Float[Array, "ky kx"]:
    """Far-field intensity of mutually incoherent exit waves: I = Σ_m |F[ψ_m]|².

    Args:
        exit_waves: one exit wave a probe mode (modes, y, x).

    Returns:
        intensity (ky, kx), zero frequency at [0, 0]; its sum equals that of the exit waves (Parseval).

    Source:
        Thibault & Menzel, Nature 494 (2013) 68, eq. 2.

    Example:
        >>> float(far_field(jnp.ones((1, 4, 4), complex))[0, 0])
        16.0
    """
    return jnp.sum(intensity(jnp.fft.fft2(exit_waves, norm="ortho")), axis=0)


def _in_far_field(exit_waves: Complex[Array, "modes y x"], row: ScanFields) -> Complex[Array, "modes ky kx"]:
    moved = exit_waves
    if row.descan is not None:
        moved = exit_waves * descan_ramp((exit_waves.shape[-2], exit_waves.shape[-1]), row.descan)[None]
    return jnp.fft.fft2(moved, norm="ortho")


def descan_ramp(shape: tuple[int, int], shift: Float[Array, "2"]) -> Complex[Array, "y x"]:
    """The ramp exp(2πi d·(r - c) / n) of an exit wave that moves its pattern by d, about the window's centre c.

    Args:
        shape: of the window (static).
        shift: d in detector pixels along (y, x).

    Returns:
        ramp (y, x) of modulus one.

    Example:
        >>> moved = far_field(descan_ramp((4, 4), jnp.array([1.0, 0.0]))[None])
        >>> moved.round(3).tolist()[1]
        [16.0, 0.0, 0.0, 0.0]
    """
    along_y, along_x = (
        cis(2 * math.pi / n * shift[axis] * (jnp.arange(n) - n // 2).astype(shift.dtype))
        for axis, n in enumerate(shape)
    )
    return along_y[:, None] * along_x[None, :]


TINY = 1e-20
"""Predicted intensity below which a detector pixel counts as dark."""


def modulus_constraint(
    exit_waves: Complex[Array, "modes y x"],
    measured: Float[Array, "ky kx"],
    setup: Setup,
    row: ScanFields,
    shared: Mapping[str, Array] = NOTHING,
) -> Complex[Array, "modes y x"]:
    """The nearest exit waves that give a pattern: Ψ' = Ψ √(y / I) where the detector sees.

    Where the detector changes the intensity, I is what it records; then Ψ' gives the pattern only once Ψ = Ψ'. That
    converges for local effects, such as a narrow blur or a gain of pixels, and not for one that moves the pattern.

    Args:
        exit_waves: ψ of each mode.
        measured: y, as a fraction of the average pattern.
        setup: constants of the run; where its mask is zero Ψ stays.
        row: of the scan.
        shared: what all patterns share.

    Returns:
        ψ' of each mode.

    Source:
        Maiden & Rodenburg, Ultramicroscopy 109 (2009) 1256, eq. 4; Thibault & Menzel, Nature 494 (2013) 68, for modes;
        Clark et al., Nat. Commun. 3 (2012) 993, for a blurred intensity.

    Example:
        >>> from jptycho.types import Grid
        >>> setup = Setup(jnp.ones((2, 2)), jnp.array(1.0), Grid((2, 2), (0.5, 0.5)), 0.02)
        >>> row = ScanFields(jnp.zeros(2))
        >>> waves = modulus_constraint(jnp.ones((1, 2, 2), complex), jnp.full((2, 2), 9.0).at[0, 1:].set(0), setup, row)
        >>> far_field(waves).round(5).tolist()
        [[9.0, 0.0], [0.0, 0.0]]
    """
    predicted = detect(exit_waves, setup, row, shared)
    ratio = jnp.sqrt(jnp.maximum(measured, 0.0) / jnp.maximum(predicted, TINY))
    waves = _in_far_field(exit_waves, row)
    waves = jnp.fft.ifft2(waves * to_complex(1 + setup.mask * (ratio - 1))[None], norm="ortho")
    if row.descan is None:
        return waves
    return waves * descan_ramp(setup.grid.shape, -row.descan)[None]
