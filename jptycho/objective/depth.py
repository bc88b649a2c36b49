"""Projections along depth: the missing wedge in its two definitions, equal slices, blur."""

from __future__ import annotations

import math

import jax.numpy as jnp

from jptycho.objective.reference import Channels, Modes, Reference
from jptycho.optics.frequencies import spatial_frequencies
from jptycho.types import Array, Float, Grid


def wedge_weight(
    kz: Float[Array, "..."], square: Float[Array, "..."], beta: float, softness: float = 0.0
) -> Float[Array, "..."]:
    """W = 1 - (2/π) atan(β² kz² / kr²), and W(0) = 1.

    Args:
        kz: frequency along depth.
        square: kr², of the frequency in the plane, in the same unit squared.
        beta: β; larger removes more.
        softness: added to kr².

    Returns:
        weight between 0 and 1.

    Example:
        >>> wedge_weight(jnp.array([0.0, 1.0]), jnp.array([0.0, 1.0]), 1.0).tolist()
        [1.0, 0.5]
    """
    # atan2 is atan of the quotient for what is not negative, and knows what to do with kr = 0.
    return 1 - 2 / math.pi * jnp.arctan2(beta**2 * kz**2, square + softness)


def missing_wedge(
    channels: Channels, probe: Modes, reference: Reference, values: tuple[float, ...]
) -> tuple[Channels, Modes]:
    """Damp what the aperture cannot tell along depth: W of :func:`wedge_weight` in physical units, depth padded.

    Args:
        channels: phase and absorption; half as many slices again are added at each side, equal to the outer ones.
        probe: left alone.
        reference: sampling and slice thickness.
        values: (β,), a pure number: the missing wedge begins at kz = kr / β.

    Returns:
        both.

    Source:
        Lee et al., py4DSTEM's "kz regularisation"; Ophus, lecture notes on multislice ptychography.
    """
    pad = -(-len(channels) // 2)
    padded = jnp.pad(channels, ((pad, pad), (0, 0), (0, 0), (0, 0)), mode="edge")
    return _wedge(padded, (reference.thickness, *reference.sampling), values[0])[pad : pad + len(channels)], probe


def missing_wedge_ptychoshelves(
    channels: Channels, probe: Modes, reference: Reference, values: tuple[float, ...]
) -> tuple[Channels, Modes]:
    """The same in cycles a voxel, with kr² + 1e-3 and a factor exp(-α kr²); not interchangeable with it.

    Args:
        channels: phase and absorption.
        probe: left alone.
        reference: not used.
        values: (β, α).

    Returns:
        both.

    Source:
        Chen et al., Science 372 (2021) 826, and PtychoShelves.
    """
    del reference
    return _wedge(channels, (1.0, 1.0, 1.0), values[0], 1e-3, values[1]), probe


def _wedge(stack: Array, voxel: tuple[float, ...], beta: float, softness: float = 0.0, alpha: float = 0.0) -> Array:
    kz = jnp.fft.fftfreq(stack.shape[0], voxel[0])[:, None, None, None]
    ky, kx = spatial_frequencies(Grid((stack.shape[2], stack.shape[3]), (voxel[1], voxel[2])), half=True)
    square = jnp.broadcast_to(ky**2 + kx**2, (1, 1, stack.shape[2], stack.shape[3] // 2 + 1))
    weight = (wedge_weight(kz, square, beta, softness) * jnp.exp(-alpha * square)).astype(stack.dtype)
    spectrum = jnp.fft.fft(jnp.fft.rfft2(stack), axis=0)
    return jnp.fft.irfft2(jnp.fft.ifft(spectrum * weight, axis=0), s=stack.shape[2:])


def identical_slices(
    channels: Channels, probe: Modes, reference: Reference, values: tuple[float, ...]
) -> tuple[Channels, Modes]:
    """Every slice is the mean of all.

    Args:
        channels: phase and absorption.
        probe: left alone.
        reference: not used.
        values: none.

    Returns:
        both.
    """
    del reference, values
    return jnp.broadcast_to(jnp.mean(channels, axis=0), channels.shape), probe


def depth_blur(
    channels: Channels, probe: Modes, reference: Reference, values: tuple[float, ...]
) -> tuple[Channels, Modes]:
    """A Gaussian along depth; weights that would fall outside go to the slices that are there, so the sum stays.

    Args:
        channels: phase and absorption.
        probe: left alone.
        reference: slice thickness.
        values: (standard deviation in Å,).

    Returns:
        both.
    """
    z = reference.thickness * jnp.arange(len(channels))
    weight = jnp.exp(-0.5 * ((z[:, None] - z[None, :]) / values[0]) ** 2)
    # Columns add up to one: each slice hands out what it has.
    weight = (weight / jnp.sum(weight, axis=0)).astype(channels.dtype)
    return jnp.einsum("st,tcyx->scyx", weight, channels), probe
