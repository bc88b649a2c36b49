"""Signal and noise of an image at every spatial frequency, from two estimates of it by halves of the electrons.

What both halves have in common is signal, what they differ in is noise. The cross-spectrum and the spectrum of the
difference therefore give the Wiener filter without a weight to choose.

Source: Saxton & Baumeister, J. Microscopy 127 (1982) 127 (correlation of halves); Unser et al., Ultramicroscopy 23
(1987) 39 (spectral signal-to-noise ratio); Ramlaul, Palmer & Aylett, J. Struct. Biol. 205 (2019) 30 (local filter).
"""

from __future__ import annotations

import itertools
import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from scipy.fft import dct

from jptycho.errors import ConfigError
from jptycho.forward.patches import shift_ramp
from jptycho.optics.frequencies import aspect_of, ring_numbers, ring_totals
from jptycho.optics.waves import to_complex
from jptycho.representations.object_kinds import weighted_plane
from jptycho.types import Array, Float, Number, pytree

RADIUS = 2.5
"""Standard deviation, in pixels of the transform, over which the cross-spectrum is smoothed: a lattice reflection keeps
its own weight."""
MARGIN = 1.3
"""Times the coverage, in that of a typical pixel, at which a pixel counts in full."""
BANDS = 6
OCTAVES = 0.7
"""Width of the bands of the local gain; they begin at Nyquist."""
PERIODS = 2.0
"""Of a band, over which its local gain is averaged."""
LARGEST = 1.3
"""Local gain, relative to its mean in a band."""
NEWTON_STEPS = 3
LARGEST_SHIFT = 1.0
"""Pixels by which halves can differ."""
ROUNDING = 1e-5
"""Of a band's mean power, below which there is none where no electron was."""
TINY = 1e-30


@pytree
class HalfSets:
    """Two estimates of one object, filtered by what they have in common.

    Attributes:
        mean: their mean with the weights S / (S + N), (slices, channels, Y, X).
        half_sets: each with the weights S / (S + 2 N), for it has twice the noise of the mean.
        frequency: of each ring in Å⁻¹.
        correlation: Fourier ring correlation of the halves, of the phase summed over slices.
        ssnr: spectral signal-to-noise ratio of their mean, 2 FRC / (1 - FRC), zero where the correlation is negative.
    """

    mean: Float[Array, "slices channels Y X"]
    half_sets: Float[Array, "2 slices channels Y X"]
    frequency: Float[Array, "rings"]
    correlation: Float[Array, "rings"]
    ssnr: Float[Array, "rings"]


def half_set_filter(
    first: Array | np.ndarray,
    second: Array | np.ndarray,
    coverage: Array | np.ndarray,
    sampling: tuple[float, float],
    local: bool = True,
) -> HalfSets:
    """Wiener filter of two independent estimates of one object.

    W = S / (S + N) for every frequency of the canvas and of depth: S is the cross-spectrum Re(A B*), smoothed over
    neighbouring frequencies, and N, the noise of the mean, the mean of \\|A - B\\|² / 4 over a ring. With ``local`` the
    filtered bands are then weighted from place to place by p / (p + n), p and n being the local product of the halves
    and a quarter of their squared difference, relative to the same over the whole field: of all gains that depend on
    the place this has the least squared error.

    Args:
        first: channels by one half of the electrons, (slices, channels, Y, X): phase in rad, absorption.
        second: by the other, of the same scan.
        coverage: illumination of each pixel (Y, X), not negative.
        sampling: Å a pixel along (y, x).
        local: whether the weights depend on the place too.

    Returns:
        the filtered mean and halves, in the gauge of their mean, and what the filter was made from.

    Raises:
        ConfigError: shapes that differ, or a coverage of zero.

    Source:
        Ramlaul, Palmer & Aylett, J. Struct. Biol. 205 (2019) 30; Unser et al., Ultramicroscopy 23 (1987) 39.

    Example:
        >>> image, noise = np.random.default_rng(0).normal(size=(2, 1, 1, 16, 16))
        >>> filtered = half_set_filter(image, image, np.ones((16, 16)), (0.5, 0.5))
        >>> bool(np.allclose(filtered.mean, image, atol=1e-5))
        True
    """
    if np.shape(first) != np.shape(second) or np.ndim(first) != 4:
        raise ConfigError(
            f"first, second: shapes {np.shape(first)} and {np.shape(second)}; expected two equal ones (slices, "
            "channels, Y, X). Give estimates of one scan on one canvas."
        )
    if np.shape(coverage) != np.shape(first)[2:]:
        raise ConfigError(
            f"coverage: shape {np.shape(coverage)}, expected that of the canvas, {np.shape(first)[2:]}. "
            "Give the coverage of the scan that made the estimates."
        )
    if not np.isfinite(coverage).all() or np.min(coverage) < 0 or not np.max(coverage) > 0:
        raise ConfigError(
            "coverage: expected numbers that are not negative, some above zero. No pixel was illuminated."
        )
    half_sets = jnp.stack([jnp.asarray(first, float), jnp.asarray(second, float)])
    aspect = aspect_of((float(sampling[0]), float(sampling[1])))
    return _filtered(half_sets, jnp.asarray(coverage, half_sets.dtype), float(sampling[0]), aspect, local)


@partial(jax.jit, static_argnames=("aspect", "local"))
def _filtered(
    half_sets: Float[Array, "2 slices channels Y X"],
    coverage: Array,
    unit: Number,
    aspect: tuple[float, float],
    local: bool,
) -> HalfSets:
    """The filter at a sampling of ``unit`` times ``aspect``."""
    window = coverage_window(coverage)
    half_sets = align_halves(half_sets, window)
    depth = jnp.asarray(depth_modes(half_sets.shape[1]), half_sets.dtype)
    modes = jnp.einsum("ds,hscyx->dchyx", depth, half_sets)
    every = jax.vmap(jax.vmap(lambda pair: _filter_images(pair, window, aspect, local)))
    mean, filtered = every(modes)
    frequency, correlation = _ring_correlation(jnp.sum(half_sets[:, :, 0], axis=1), window, aspect)
    positive = jnp.clip(correlation, 0.0, 1 - 1e-6)
    return HalfSets(
        jnp.einsum("ds,dcyx->scyx", depth, mean),
        jnp.einsum("ds,dchyx->hscyx", depth, filtered),
        frequency / unit,
        correlation,
        2 * positive / (1 - positive),
    )


def depth_modes(slices: int) -> Float[np.ndarray, "modes slices"]:
    """The orthonormal cosines that tell depth frequencies apart, the constant first.

    Args:
        slices: of the object.

    Returns:
        rows of the discrete cosine transform: its own inverse transposed, without a jump from the last slice to the
        first.

    Example:
        >>> bool(np.allclose(depth_modes(5) @ depth_modes(5).T, np.eye(5)))
        True
    """
    return np.asarray(dct(np.eye(slices), axis=0, norm="ortho"))


def coverage_window(coverage: Float[Array, "Y X"]) -> Float[Array, "Y X"]:
    """One where the object is seen, falling to zero with the coverage beyond.

    Args:
        coverage: illumination of each pixel.

    Returns:
        the coverage over its median where it is above half its maximum, times ``MARGIN``, at most one.
    """
    typical = jnp.nanmedian(jnp.where(coverage > 0.5 * jnp.max(coverage), coverage, jnp.nan))
    return jnp.clip(MARGIN * coverage / typical, 0.0, 1.0)


def align_halves(
    half_sets: Float[Array, "2 slices channels Y X"], window: Float[Array, "Y X"]
) -> Float[Array, "2 slices channels Y X"]:
    """Bring two estimates into one gauge: that in the middle between theirs.

    A constant and a ramp of the phase, and a shift of object and probe, are determined by no pattern.

    Args:
        half_sets: both.
        window: weight of each pixel.

    Returns:
        both, moved by half of their difference.
    """
    slices, shape = half_sets.shape[1], (half_sets.shape[-2], half_sets.shape[-1])
    mean, ramp = weighted_plane(jnp.sum(half_sets[0, :, 0] - half_sets[1, :, 0], axis=0), window)
    sign = jnp.array([-0.5, 0.5], half_sets.dtype)[:, None, None, None]
    half_sets = half_sets.at[:, :, 0].add(sign * (mean + ramp)[None, None] / slices)
    spectra = _windowed_spectra(jnp.sum(half_sets[:, :, 0], axis=1), window)[0]
    cross = spectra[0] * jnp.conj(spectra[1])
    frequencies = jnp.meshgrid(*[jnp.fft.fftfreq(n) for n in shape], indexing="ij")
    k = 2 * math.pi * jnp.stack(frequencies).astype(half_sets.dtype)

    def improve(shift: Array, _: None) -> tuple[Array, None]:
        turned = cross * jnp.conj(shift_ramp(shape, shift))
        slope = jnp.sum(k * turned.imag[None], axis=(1, 2))
        curvature = jnp.einsum("iyx,jyx,yx->ij", k, k, jnp.maximum(turned.real, 0.0))
        scale = jnp.trace(curvature) + TINY
        step = jnp.linalg.solve(curvature / scale + 1e-6 * jnp.eye(2), -slope / scale)
        return jnp.clip(shift + step, -LARGEST_SHIFT, LARGEST_SHIFT), None

    shift, _ = jax.lax.scan(improve, jnp.zeros(2, half_sets.dtype), None, NEWTON_STEPS)
    both = jnp.stack([shift_ramp(shape, sign * shift / 2) for sign in (-1, 1)])[:, None, None]
    return jnp.real(jnp.fft.ifft2(jnp.fft.fft2(half_sets) * both)).astype(half_sets.dtype)


def _windowed_spectra(images: Float[Array, "2 Y X"], window: Array) -> tuple[Array, Array]:
    """Spectra of both images under the window, and the constant that was removed before."""
    constant = jnp.sum(window * jnp.mean(images, axis=0)) / jnp.sum(window)
    return jnp.fft.fft2((images - constant) * window[None], norm="ortho"), constant


def _filter_images(
    pair: Float[Array, "2 Y X"], window: Array, aspect: tuple[float, float], local: bool
) -> tuple[Float[Array, "Y X"], Float[Array, "2 Y X"]]:
    """The filtered mean and halves of one depth frequency of one channel."""
    spectra, constant = _windowed_spectra(pair, window)
    signal = jnp.maximum(_smooth(jnp.real(spectra[0] * jnp.conj(spectra[1])), RADIUS), 0.0)
    noise = _ring_mean(jnp.abs(spectra[0] - spectra[1]) ** 2 / 4, aspect)
    whole = jnp.fft.fft2(pair - constant)
    weights = to_complex(jnp.stack([signal / (signal + factor * noise + TINY) for factor in (1, 2)]))
    images = jnp.concatenate([jnp.mean(whole, axis=0, keepdims=True) * weights[:1], whole * weights[1:]])
    gains = _local_gains(whole * weights[:1], window) if local else None
    filtered = constant + jax.vmap(lambda spectrum: _weighted_bands(spectrum, gains))(images)
    return filtered[0], filtered[1:]


def _weighted_bands(spectrum: Array, gains: Float[Array, "bands Y X"] | None) -> Float[Array, "Y X"]:
    """The image of a spectrum, each band weighted from place to place."""
    if gains is None:
        return jnp.real(jnp.fft.ifft2(spectrum))
    bands = jnp.real(jnp.fft.ifft2(spectrum[None] * jnp.asarray(_bands(spectrum.shape), spectrum.dtype)))
    return bands[-1] + jnp.sum(bands[:-1] * gains, axis=0)


def _local_gains(spectra: Array, window: Array) -> Float[Array, "bands Y X"]:
    """p / (p + n) of each band around each pixel, relative to that of the whole field."""
    masks = jnp.asarray(_bands(spectra.shape[-2:])[:-1], spectra.dtype)
    bands, found = jnp.real(jnp.fft.ifft2(spectra[:, None] * masks[None])) * window[None, None], []
    for number in range(BANDS):
        first, second = bands[:, number]
        reach = PERIODS / _edges()[number]
        common = jnp.maximum(_smooth(first * second, reach), 0.0)
        total = common + jnp.maximum(_smooth((first - second) ** 2, reach), 0.0) / 4
        everywhere = jnp.sum(total * window) + TINY
        average = jnp.sum(common * window) / everywhere
        dark = 1 - jnp.clip(_smooth(window, reach), 0.0, 1.0)
        total = total + jnp.maximum(ROUNDING * dark * everywhere / jnp.sum(window), TINY)
        found.append(jnp.minimum(common / total / (average + TINY), LARGEST))
    return jnp.stack(found)


def _edges() -> list[float]:
    """Upper frequencies of the bands in cycles a pixel."""
    return [0.5 * 2 ** (-OCTAVES * number) for number in range(BANDS)]


def _bands(shape: tuple[int, ...]) -> Float[np.ndarray, "bands Y X"]:
    """Weights of the bands of the spectrum, from fine to coarse; the last is what remains. They add up to one."""
    k2 = sum(np.meshgrid(*[np.fft.fftfreq(n) ** 2 for n in shape], indexing="ij"))
    passed = [np.ones(shape), *[np.exp(-0.5 * k2 / (0.6 * edge) ** 2) for edge in _edges()]]
    return np.stack([*[a - b for a, b in itertools.pairwise(passed)], passed[-1]])


def _smooth(image: Float[Array, "Y X"], deviation: float) -> Float[Array, "Y X"]:
    """Convolution with a Gaussian, periodic."""
    rows, columns = (2 * (math.pi * deviation * np.fft.fftfreq(n)) ** 2 for n in image.shape)
    gauss = np.exp(-(rows[:, None] + columns[None]))
    spectrum = jnp.fft.fft2(image)
    return jnp.real(jnp.fft.ifft2(spectrum * jnp.asarray(gauss, spectrum.dtype)))


def _ring_mean(values: Float[Array, "Y X"], aspect: tuple[float, float]) -> Float[Array, "Y X"]:
    """At each frequency the mean over three rings."""
    rings, _, _ = ring_numbers(values.shape, aspect)
    three = np.ones(3)
    count = np.convolve(np.bincount(rings.ravel()), three, mode="same")
    total = jnp.convolve(ring_totals(values, rings), jnp.asarray(three, values.dtype), mode="same")
    return (total / jnp.asarray(count, values.dtype))[rings]


def _ring_correlation(
    pair: Float[Array, "2 Y X"], window: Array, aspect: tuple[float, float]
) -> tuple[Float[Array, "rings"], Float[Array, "rings"]]:
    """Frequencies of the rings up to Nyquist and the correlation of the images on each."""
    rings, width, last = ring_numbers(pair.shape[1:], aspect)
    (first, second), _ = _windowed_spectra(pair, window)
    cross = ring_totals(jnp.real(first * jnp.conj(second)), rings)
    powers = [ring_totals(jnp.abs(spectrum) ** 2, rings) for spectrum in (first, second)]
    correlation = cross / jnp.maximum(jnp.sqrt(powers[0] * powers[1]), TINY)
    return jnp.asarray(width * np.arange(1, last), pair.dtype), correlation[1:last]
