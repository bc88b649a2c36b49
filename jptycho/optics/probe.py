"""Probe formation: the soft aperture, the aberrated probe and a start for partially coherent modes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

import jax
import jax.numpy as jnp

from jptycho.errors import ConfigError
from jptycho.optics import electron
from jptycho.optics.aberrations import aberration_phase
from jptycho.optics.frequencies import scattering_angles, spatial_frequencies
from jptycho.optics.waves import cis, intensity, to_complex
from jptycho.types import Array, Complex, Float, Grid, Number

LEAST_REST = 1e-3  # of a mode's amplitude, that other modes leave of it: less is rounding
LEAST_WIDTH = 1e-4  # of a spectrum, in cycles a pixel: a plane wave's is rounding


@dataclasses.dataclass(frozen=True)
class Beam:
    """What the illumination is nominally; hashable.

    Attributes:
        energy: eV.
        semiangle_cutoff: mrad.
        aberrations: pairs of coefficient name and value, ``C_nm`` in Å and ``phi_nm`` in rad.
    """

    energy: float
    semiangle_cutoff: float
    aberrations: tuple[tuple[str, float], ...] = ()


def soft_aperture(
    grid: Grid,
    wavelength: Number,
    semiangle_cutoff: Number,
    centre: tuple[Number, Number] = (0.0, 0.0),
) -> Float[Array, "y x"]:
    """Aperture whose edge falls linearly over one detector pixel, so that its area is right on a coarse grid.

    A = clip((α_c - α) / δ + 1/2, 0, 1) with δ the angular width of a pixel along the direction of k.

    Args:
        grid: window of the probe.
        wavelength: Å.
        semiangle_cutoff: α_c in mrad.
        centre: of the disk, in detector pixels (y, x) from the zero frequency.

    Returns:
        A in [0, 1], shape (y, x), FFT order.

    Example:
        >>> A = soft_aperture(Grid((32, 32), (0.3, 0.3)), 0.02, 15.0)
        >>> float(A[0, 0]), float(A[16, 16])
        (1.0, 0.0)
    """
    alpha, phi = scattering_angles(grid, wavelength, centre)
    width_y = wavelength / (grid.shape[0] * grid.sampling[0])
    width_x = wavelength / (grid.shape[1] * grid.sampling[1])
    width = jnp.hypot(width_y * jnp.sin(phi), width_x * jnp.cos(phi))
    return jnp.clip((semiangle_cutoff * 1e-3 - alpha) / width + 0.5, 0.0, 1.0)


@jax.jit
def form_probe(
    grid: Grid,
    wavelength: Number,
    semiangle_cutoff: Number,
    aberrations: Mapping[str, Number],
    centre: tuple[Number, Number] = (0.0, 0.0),
) -> Complex[Array, "y x"]:
    """Probe of unit intensity: ψ = F⁻¹[A(k) exp(-iχ(k))], Σ|ψ|² = 1.

    Args:
        grid: window of the probe.
        wavelength: Å.
        semiangle_cutoff: mrad.
        aberrations: ``C_nm`` in Å, ``phi_nm`` in rad; ``C10 = -defocus``.
        centre: of the disk on the detector, in pixels (y, x) from the zero frequency.

    Returns:
        complex amplitude (y, x), its centre at index [0, 0].

    Source:
        Kirkland (2020), eq. 5.47.

    Example:
        >>> probe = form_probe(Grid((32, 48), (0.3, 0.3)), 0.02, 15.0, {"C10": -100.0})
        >>> round(float(jnp.sum(jnp.abs(probe) ** 2)), 5)
        1.0
    """
    alpha, phi = scattering_angles(grid, wavelength, centre)
    chi = aberration_phase(alpha, phi, wavelength, aberrations)
    aperture = soft_aperture(grid, wavelength, semiangle_cutoff, centre)
    probe = jnp.fft.ifft2(to_complex(aperture) * cis(-chi), norm="ortho")
    return probe / to_complex(jnp.sqrt(jnp.sum(intensity(probe))))


def beam_probe(grid: Grid, beam: Beam, centre: tuple[Number, Number] = (0.0, 0.0)) -> Complex[Array, "y x"]:
    """:func:`form_probe` for a :class:`Beam`.

    Args:
        grid: window of the probe.
        beam: energy, semiangle and aberrations.
        centre: of the disk on the detector, in pixels (y, x).

    Returns:
        unit-intensity probe (y, x), its centre at index [0, 0].

    Example:
        >>> beam_probe(Grid((16, 16), (0.4, 0.4)), Beam(300e3, 20.0)).shape
        (16, 16)
    """
    return form_probe(grid, electron.wavelength(beam.energy), beam.semiangle_cutoff, dict(beam.aberrations), centre)


def probe_power(modes: Complex[Array, "modes y x"]) -> Float[Array, ""]:
    """The incident intensity: Σ |ψ|² over modes and pixels.

    Args:
        modes: of the probe.

    Returns:
        the power; that of a probe of unit intensity is 1.

    Example:
        >>> float(probe_power(jnp.ones((2, 3, 3), complex)))
        18.0
    """
    return jnp.sum(intensity(modes))


def incoherent_modes(
    given: Complex[Array, "given y x"], modes: int, share: float = 0.05
) -> Complex[Array, "modes y x"]:
    """A start for mutually incoherent modes: those that are given, and derivatives of the first orthogonal to them all.

    A source of small width moves the probe about; to first order in that width the modes are its derivatives along y
    and x, whose spectra are that of the probe times 1, ky, kx, ky², ky kx, kx², ..., k counted from the spectrum's
    centre. Derivatives that the given modes hold already are left out.

    Args:
        given: coherent modes (given, y, x), their centre at index [0, 0].
        modes: how many in total.
        share: of the first mode's intensity that each further one has.

    Returns:
        modes (modes, y, x), with the intensity of ``given`` in total.

    Raises:
        ConfigError: the probe has not so many derivatives.

    Source:
        Thibault & Menzel, Nature 494 (2013) 68, for the decomposition.

    Example:
        >>> p = form_probe(Grid((16, 16), (0.4, 0.4)), 0.02, 20.0, {})
        >>> incoherent_modes(p[None], 3).shape
        (3, 16, 16)
    """
    basis: list[Array] = []
    for mode in given:
        basis += _rest_of(_normalised(mode), basis)
    start = len(basis)
    for derivative in _derivatives(given[0], modes + 1):
        if len(basis) - start == modes - len(given):
            break
        basis += _rest_of(derivative, basis)
    if len(basis) - start < modes - len(given):
        raise ConfigError(
            f"probe.modes: {modes}, but the probe gives a start for {len(given) + len(basis) - start} only. "
            "Ask for fewer."
        )
    strength = to_complex(jnp.sqrt(share) * jnp.linalg.norm(given[0]))
    together = jnp.concatenate([given, *(strength * mode[None] for mode in basis[start:])])
    return together * to_complex(jnp.linalg.norm(given) / jnp.linalg.norm(together))


def disk_radius(probe: Complex[Array, "modes y x"]) -> Float[Array, ""]:
    """Radius of the disk whose spread is that of a probe's spectrum: q² = 2 ⟨|k - ⟨k⟩|²⟩.

    Args:
        probe: modes, centre at [0, 0].

    Returns:
        q in cycles a pixel.

    Example:
        >>> ky, kx = spatial_frequencies(Grid((64, 64), (1.0, 1.0)))
        >>> disk = to_complex((ky**2 + kx**2 < 0.2**2).astype(float))
        >>> round(float(disk_radius(jnp.fft.ifft2(disk)[None])), 2)
        0.2
    """
    weight = jnp.sum(intensity(jnp.fft.fft2(probe, norm="ortho")), axis=0)
    return jnp.sqrt(2.0) * _width(weight / jnp.sum(weight))[0]


def _width(weight: Float[Array, "y x"]) -> tuple[Float[Array, ""], tuple[Array, Array]]:
    """√⟨|k - ⟨k⟩|²⟩ in cycles a pixel of a spectrum's intensity, whose sum is one, and k - ⟨k⟩ along (y, x)."""
    axes = spatial_frequencies(Grid((weight.shape[0], weight.shape[1]), (1.0, 1.0)))
    ky, kx = (axis - jnp.sum(axis * weight) for axis in axes)
    return jnp.sqrt(jnp.sum((ky**2 + kx**2) * weight)), (ky, kx)


def _normalised(mode: Complex[Array, "y x"]) -> Complex[Array, "y x"]:
    return mode / to_complex(jnp.linalg.norm(mode))


def _derivatives(probe: Complex[Array, "y x"], orders: int) -> Iterator[Complex[Array, "y x"]]:
    """Derivatives of a probe by rising order: its spectrum, of unit intensity, times powers of k - ⟨k⟩ by its width."""
    spectrum = _normalised(jnp.fft.fft2(probe, norm="ortho"))
    width, (ky, kx) = _width(intensity(spectrum))
    ky, kx = (axis / jnp.maximum(width, LEAST_WIDTH) for axis in (ky, kx))
    for order in range(1, orders):
        for power in range(order + 1):
            factors = to_complex(ky ** (order - power)), to_complex(kx**power)
            yield jnp.fft.ifft2(spectrum * factors[0] * factors[1], norm="ortho")


def _rest_of(mode: Complex[Array, "y x"], basis: list[Array]) -> list[Array]:
    """The part of a mode of about unit intensity that is orthogonal to others; nothing where there is next to none.

    Twice, for what rounding leaves of a small rest is not orthogonal.
    """
    for _ in range(2):
        for other in basis:
            mode = mode - jnp.vdot(other, mode) * other
    return [_normalised(mode)] if jnp.linalg.norm(mode) > LEAST_REST else []
