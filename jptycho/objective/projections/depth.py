"""Projections along depth: the missing wedge in its two definitions, equal slices, blur."""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar

import jax.numpy as jnp

from jptycho.objective.projections.base import OBJECT
from jptycho.objective.reference import Channels, Modes, Reference
from jptycho.optics.frequencies import spatial_frequencies
from jptycho.optics.waves import to_complex
from jptycho.types import Array, Float, Grid, Number

SLOPE_ALONG_DEPTH = "penalties.tikhonov_depth_phase"


def wedge_weight(
    kz: Float[Array, "..."], square: Float[Array, "..."], beta: Number, softness: float = 0.0
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


def _wedge(stack: Array, voxel: tuple[Number, ...], beta: Number, softness: float = 0.0, alpha: Number = 0.0) -> Array:
    kz = jnp.fft.fftfreq(stack.shape[0], voxel[0])[:, None, None, None]
    ky, kx = spatial_frequencies(Grid((stack.shape[2], stack.shape[3]), (voxel[1], voxel[2])), half=True)
    square = jnp.broadcast_to(ky**2 + kx**2, (1, 1, stack.shape[2], stack.shape[3] // 2 + 1))
    weight = (wedge_weight(kz, square, beta, softness) * jnp.exp(-alpha * square)).astype(stack.dtype)
    spectrum = jnp.fft.fft(jnp.fft.rfft2(stack), axis=0)
    return jnp.fft.irfft2(jnp.fft.ifft(spectrum * to_complex(weight), axis=0), s=stack.shape[2:])


@dataclasses.dataclass(frozen=True)
class MissingWedge:
    """Damp what the aperture cannot tell along depth: W of :func:`wedge_weight` in physical units, depth padded.

    Half as many slices again are added at each side, equal to the outer ones.

    Attributes:
        beta: β, a pure number: the missing wedge begins at kz = kr / β.

    Source:
        Lee et al., py4DSTEM's "kz regularisation"; Ophus, lecture notes on multislice ptychography.
    """

    beta: Number
    touches: ClassVar[tuple[str, ...]] = OBJECT
    instead: ClassVar[str] = SLOPE_ALONG_DEPTH

    def __call__(self, channels: Channels, probe: Modes, reference: Reference) -> tuple[Channels, Modes]:
        """Phase and absorption, filtered; the probe is left alone."""
        pad = -(-len(channels) // 2)
        padded = jnp.pad(channels, ((pad, pad), (0, 0), (0, 0), (0, 0)), mode="edge")
        filtered = _wedge(padded, (reference.thickness, *reference.sampling), self.beta)
        return filtered[pad : pad + len(channels)], probe


@dataclasses.dataclass(frozen=True)
class MissingWedgePtychoShelves:
    """The same in cycles a voxel, with kr² + 1e-3 and a factor exp(-α kr²); not interchangeable with it.

    Attributes:
        beta: β.
        alpha: α.

    Source:
        Chen et al., Science 372 (2021) 826, and PtychoShelves.
    """

    beta: Number
    alpha: Number
    touches: ClassVar[tuple[str, ...]] = OBJECT
    instead: ClassVar[str] = SLOPE_ALONG_DEPTH

    def __call__(self, channels: Channels, probe: Modes, reference: Reference) -> tuple[Channels, Modes]:
        """Phase and absorption, filtered; the probe is left alone."""
        del reference
        return _wedge(channels, (1.0, 1.0, 1.0), self.beta, 1e-3, self.alpha), probe


@dataclasses.dataclass(frozen=True)
class IdenticalSlices:
    """Every slice is the mean of all."""

    touches: ClassVar[tuple[str, ...]] = OBJECT
    instead: ClassVar[str] = "penalties.similar_slices"

    def __call__(self, channels: Channels, probe: Modes, reference: Reference) -> tuple[Channels, Modes]:
        """The mean, repeated; the probe is left alone."""
        del reference
        return jnp.broadcast_to(jnp.mean(channels, axis=0), channels.shape), probe


@dataclasses.dataclass(frozen=True)
class DepthBlur:
    """A Gaussian along depth; weights that would fall outside go to the slices that are there, so the sum stays.

    Attributes:
        width: standard deviation in Å.
    """

    width: Number
    touches: ClassVar[tuple[str, ...]] = OBJECT
    instead: ClassVar[str] = SLOPE_ALONG_DEPTH

    def __call__(self, channels: Channels, probe: Modes, reference: Reference) -> tuple[Channels, Modes]:
        """Phase and absorption, blurred; the probe is left alone."""
        z = reference.thickness * jnp.arange(float(len(channels)))
        weight = jnp.exp(-0.5 * ((z[:, None] - z[None, :]) / self.width) ** 2)
        # Columns add up to one: each slice hands out what it has.
        weight = (weight / jnp.sum(weight, axis=0, keepdims=True)).astype(channels.dtype)
        return jnp.einsum("st,tcyx->scyx", weight, channels), probe
