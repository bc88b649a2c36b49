"""Pixels: each unknown is its own array, the object's seen through a spectral preconditioner."""

from __future__ import annotations

import dataclasses
import math
from typing import Literal

import jax
import jax.numpy as jnp

from jptycho.optics.frequencies import spatial_frequencies
from jptycho.optics.waves import to_complex
from jptycho.representations.estimate import Estimate
from jptycho.representations.object_kinds import constrain, unconstrain
from jptycho.settings import AUTO, Field, NotNegative, Positive, Section
from jptycho.tracing import is_zero, jit_settings
from jptycho.types import Array, Complex, Constants, Float, Grid, Number, Params


@dataclasses.dataclass(frozen=True)
class Preconditioner:
    """w(k) = 1 + gain / (1 + (k / cutoff)²); hashable.

    Attributes:
        gain: how much faster than a fine detail the whole field of view moves; 0 is plain pixels.
        cutoff: frequency in Å⁻¹ below which that holds.
        sampling: Å a pixel along (y, x).
    """

    gain: Number
    cutoff: Number
    sampling: tuple[Number, Number]


class PreconditionerSettings(Section):
    """``[pixels.preconditioner]``: of the gradient: slow structure moves faster, by 1 + gain / (1 + (k / cutoff)²)."""

    gain: NotNegative | Literal["auto"] = Field(AUTO, description="for the whole field of view; 0 for none")
    cutoff: Positive | Literal["auto"] = Field(AUTO, description="Å⁻¹ below which that holds")


def spectral_weight(spec: Preconditioner, shape: tuple[int, int]) -> Float[Array, "Y K"]:
    """The preconditioner's multiplier for :func:`jax.numpy.fft.rfft2`.

    Args:
        spec: its constants.
        shape: of the image.

    Returns:
        w (Y, X // 2 + 1).

    Example:
        >>> float(spectral_weight(Preconditioner(30.0, 0.02, (0.3, 0.3)), (8, 8))[0, 0])
        31.0
    """
    ky, kx = spatial_frequencies(Grid(shape, spec.sampling), half=True)
    return 1 + spec.gain / (1 + (ky**2 + kx**2) / spec.cutoff**2)


@jit_settings("spec")
def precondition(spec: Preconditioner, phase: Float[Array, "slices Y X"]) -> Float[Array, "slices Y X"]:
    """Filter the mean over slices by w(k) and leave what distinguishes the slices alone.

    Slow structure has no depth resolution: only its projection is determined, so only that is made to move faster.

    Args:
        spec: constants of w.
        phase: θ of each slice.

    Returns:
        θ_s + F⁻¹[(w(k) - 1) F[mean θ]]; θ itself where the gain is 0.

    Example:
        >>> precondition(Preconditioner(30.0, 0.02, (0.3, 0.3)), jnp.ones((1, 8, 8))).mean().item()
        31.0
    """
    if is_zero(spec.gain):
        return phase
    weight = spectral_weight(spec, (phase.shape[1], phase.shape[2])).astype(phase.dtype)
    spectrum = jnp.fft.rfft2(jnp.mean(phase, axis=0, keepdims=True))
    return phase + jnp.fft.irfft2(spectrum * to_complex(weight - 1)[None], s=phase.shape[1:])


@jit_settings("spec")
def uncondition(spec: Preconditioner, phase: Float[Array, "slices Y X"]) -> Float[Array, "slices Y X"]:
    """The inverse of :func:`precondition`.

    Args:
        spec: constants of w.
        phase: of each slice.

    Returns:
        θ of each slice.

    Example:
        >>> spec = Preconditioner(30.0, 0.02, (0.3, 0.3))
        >>> uncondition(spec, 31 * jnp.ones((1, 8, 8))).mean().round(4).item()
        1.0
    """
    if is_zero(spec.gain):
        return phase
    weight = spectral_weight(spec, (phase.shape[1], phase.shape[2])).astype(phase.dtype)
    spectrum = jnp.fft.rfft2(jnp.mean(phase, axis=0, keepdims=True))
    return phase + jnp.fft.irfft2(spectrum * to_complex(1 / weight - 1)[None], s=phase.shape[1:])


@dataclasses.dataclass(frozen=True)
class ChannelObject:
    """An object whose channels are the parameters themselves, as the classical solvers change them.

    Attributes:
        kind: one of ``OBJECT_KINDS``.
    """

    kind: str

    def init(self, key: Array, estimate: Estimate) -> tuple[Params, Constants]:
        """The guess."""
        del key
        return estimate.object, None

    def apply(self, params: Params, constants: Constants, key: Array | None) -> Float[Array, "slices channels Y X"]:
        """Phase in rad and absorption."""
        del constants, key
        return params

    def assign(self, params: Params, constants: Constants, value: Array) -> Params:
        """Parameters that give these channels."""
        del params, constants
        return value


@dataclasses.dataclass(frozen=True)
class PixelObject:
    """An object of pixels.

    Attributes:
        kind: one of ``OBJECT_KINDS``.
        preconditioner: of the phase; gain 0 for plain pixels.
        coverage_weighting: whether a pixel moves less the fewer electrons it sees, by :func:`visibility`.
        ramp_is_gauge: whether the probe is free, so that no pattern determines a phase ramp.
    """

    kind: str
    preconditioner: Preconditioner
    coverage_weighting: bool = True
    ramp_is_gauge: bool = True

    def init(self, key: Array, estimate: Estimate) -> tuple[Params, Constants]:
        """Steps away from the guess, all zero; the constants are the guess and the coverage."""
        del key
        return jnp.zeros_like(estimate.object), (unconstrain(self.kind, estimate.object), estimate.coverage)

    def apply(self, params: Params, constants: Constants, key: Array | None) -> Float[Array, "slices channels Y X"]:
        """Phase in rad and absorption: guess + F⁻¹[w F[visibility · θ]]."""
        del key
        start, coverage = constants
        steps = params * visibility(coverage)[None, None] if self.coverage_weighting else params
        phase = precondition(self.preconditioner, steps[:, 0])
        return constrain(self.kind, start + steps.at[:, 0].set(phase), coverage, self.ramp_is_gauge)

    def assign(self, params: Params, constants: Constants, value: Float[Array, "slices channels Y X"]) -> Params:
        """Parameters that give these channels, up to gauges, wherever the object is seen at all."""
        del params
        start, coverage = constants
        steps = unconstrain(self.kind, value) - start
        steps = steps.at[:, 0].set(uncondition(self.preconditioner, steps[:, 0]))
        seen = (visibility(coverage) if self.coverage_weighting else jnp.ones_like(coverage))[None, None]
        return jnp.where(seen > LEAST_SEEN, steps / jnp.maximum(seen, LEAST_SEEN), 0.0)


LEAST_SEEN = 1e-3
"""Visibility below which a pixel stays as the guess has it."""


def visibility(coverage: Float[Array, "Y X"]) -> Float[Array, "Y X"]:
    """How far a pixel may move a step: c / (c + 0.1), so that what no electron saw stays as it was.

    Adam's steps do not depend on the size of a gradient; without this the dark border would fill with noise.

    Args:
        coverage: illumination of each pixel, of mean one.

    Returns:
        between 0 and 1.

    Example:
        >>> visibility(jnp.array([0.0, 0.1])).tolist()
        [0.0, 0.5]
    """
    return coverage / (coverage + 0.1)


@dataclasses.dataclass(frozen=True)
class PixelProbe:
    """A probe of pixels: real and imaginary part of each mode are the leaves.

    The leaves are of order one whatever the window, so that one learning rate fits all.
    """

    def init(self, key: Array, estimate: Estimate) -> tuple[Params, Constants]:
        """Pixels that give the guess."""
        del key
        return jnp.stack([estimate.probe.real, estimate.probe.imag]) * probe_scale(estimate.probe.shape), None

    def apply(self, params: Params, constants: Constants, key: Array | None) -> Complex[Array, "modes y x"]:
        """Complex modes."""
        del constants, key
        return jax.lax.complex(params[0], params[1]) / probe_scale(params.shape)

    def assign(self, params: Params, constants: Constants, value: Complex[Array, "modes y x"]) -> Params:
        """Pixels that give this probe."""
        del params, constants
        return jnp.stack([value.real, value.imag]) * probe_scale(value.shape)


def probe_scale(shape: tuple[int, ...]) -> float:
    """√(pixels): turns a probe of unit intensity into one of unit mean square.

    Args:
        shape: whose last axes are (y, x).

    Returns:
        the factor.

    Example:
        >>> probe_scale((2, 4, 9))
        6.0
    """
    return math.sqrt(shape[-1] * shape[-2])
