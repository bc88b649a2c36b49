"""Probes made of few numbers: aberrations and cutoff of the lens, size of the source."""

from __future__ import annotations

import dataclasses
import math

import jax.numpy as jnp

from jptycho.forward.patches import shift_ramp
from jptycho.optics.aberrations import COEFFICIENTS, SYMMETRIES, aberration_phase
from jptycho.optics.frequencies import scattering_angles
from jptycho.optics.probe import probe_power, soft_aperture
from jptycho.optics.source import source_modes
from jptycho.optics.waves import cis, intensity, to_complex
from jptycho.representations.base import Composed, Representation
from jptycho.representations.estimate import Estimate
from jptycho.types import Array, Complex, Constants, Grid, Number, Params

DEFOCUS, CUTOFF, SOURCE, COHERENT = "defocus", "semiangle_cutoff", "source_size", "coherent_probe"
LEAST_SOURCE = 0.02
"""Å at which the size of a source begins that was taken for a point: zero has no logarithm."""


def unit_of(name: str) -> str:
    """The unit of a part of a probe.

    Args:
        name: of the part.

    Returns:
        the unit, or nothing.

    Example:
        >>> unit_of("C12"), unit_of("phi12"), unit_of("semiangle_cutoff")
        ('Å', 'rad', 'mrad')
    """
    if name == CUTOFF:
        return "mrad"
    if name in (DEFOCUS, SOURCE) or name in SYMMETRIES:
        return "Å"
    return "rad" if name.startswith("phi") else ""


@dataclasses.dataclass(frozen=True)
class ParametricProbe:
    """The probe of a lens: aberrations and cutoff are the unknowns, and the power.

    A coefficient moves in units of the phase that it gives at the aperture's edge, and with its azimuth as two
    components, C cos(m φ) and C sin(m φ), so that one learning rate, in rad, fits all; the cutoff moves in detector
    pixels, the power in its logarithm.

    Attributes:
        shape: of the window.
        sampling: Å a pixel.
        wavelength: Å.
        cutoff: mrad.
        centre: of the disk, detector pixels from the zero frequency.
        depth: Å from where the beam meets the first slice to the object's middle, where defocus is quoted; None for
            that of the estimate's slices.
        free: coefficients ``C_nm`` that are unknown.
        coefficients: pairs of name and value, ``C_nm`` in Å at the object's middle and ``phi_nm`` in rad.
        free_cutoff: whether the cutoff is unknown.
    """

    shape: tuple[int, int]
    sampling: tuple[Number, Number]
    wavelength: Number
    cutoff: Number
    centre: tuple[Number, Number]
    depth: Number | None
    free: tuple[str, ...] = ("C10",)
    coefficients: tuple[tuple[str, Number], ...] = ()
    free_cutoff: bool = False

    def init(self, key: Array, estimate: Estimate) -> tuple[Params, Constants]:
        """No step from the coefficients of the estimate, or from its own; those are the constants."""
        del key
        dtype = estimate.probe.real.dtype
        given = {name: jnp.asarray(value, dtype) for name, value in self.coefficients}
        given |= {name: value for name, value in estimate.shared.items() if name in COEFFICIENTS}
        if DEFOCUS in estimate.shared:
            given["C10"] = -estimate.shared[DEFOCUS]
        zero = jnp.zeros((), dtype)
        names = {"C10", *self.free, *(name for name in given if name in SYMMETRIES)}
        polar = {name: (given.get(name, zero), given.get(f"phi{name[1:]}", zero)) for name in sorted(names)}
        along = {name: size * jnp.cos(SYMMETRIES[name][1] * angle) for name, (size, angle) in polar.items()}
        round_ = {name for name in names if not SYMMETRIES[name][1]}
        across = {n: size * jnp.sin(SYMMETRIES[n][1] * angle) for n, (size, angle) in polar.items() if n not in round_}
        cutoff = estimate.shared.get(CUTOFF, jnp.asarray(self.cutoff, dtype))
        steps = {name: zero if name in round_ else jnp.zeros(2, dtype) for name in self.free}
        steps |= {CUTOFF: jnp.zeros((), dtype)} if self.free_cutoff else {}
        depth = 0.5 * (estimate.object.shape[0] - 1) * estimate.thickness if self.depth is None else self.depth
        constants = (along, across), cutoff, jnp.asarray(depth, dtype)
        return steps | {"log_power": jnp.log(probe_power(estimate.probe))}, constants

    def apply(self, params: Params, constants: Constants, key: Array | None) -> Complex[Array, "1 y x"]:
        """One mode of the power that is learned."""
        del key
        grid = Grid(self.shape, self.sampling)
        aperture = soft_aperture(grid, self.wavelength, self._cutoff(params, constants))
        along, across = self._components(params, constants)
        along["C10"] = along["C10"] - constants[2]
        alpha, phi = scattering_angles(grid, self.wavelength)
        turned = {f"phi{name[1:]}": 0.5 * math.pi / SYMMETRIES[name][1] for name in across}
        chi = aberration_phase(alpha, phi, self.wavelength, along)
        chi = chi + aberration_phase(alpha, phi, self.wavelength, across | turned)
        ramp = shift_ramp(self.shape, -jnp.stack([jnp.asarray(c, chi.dtype) for c in self.centre]))
        wave = jnp.fft.ifft2(to_complex(aperture) * cis(-chi), norm="ortho")
        power = jnp.exp(params["log_power"]) / jnp.sum(intensity(wave))
        return (wave * ramp * to_complex(jnp.sqrt(power)))[None]

    def parts(self, params: Params, constants: Constants) -> dict[str, Array]:
        """Defocus at the object's middle and coefficients in Å, azimuths in rad, cutoff in mrad."""
        along, across = self._components(params, constants)
        found = {DEFOCUS: -jnp.asarray(along.pop("C10")), CUTOFF: jnp.asarray(self._cutoff(params, constants))}
        for name, x in along.items():
            found[name] = jnp.asarray(x)
            if name in across:
                y = across[name]
                found[name] = jnp.hypot(x, y)
                found[f"phi{name[1:]}"] = jnp.arctan2(y, x) / SYMMETRIES[name][1]
        return found

    def _cutoff(self, params: Params, constants: Constants) -> Number:
        if CUTOFF not in params:
            return constants[1]
        pixel = 1e3 * self.wavelength / math.prod(n * s for n, s in zip(self.shape, self.sampling, strict=True)) ** 0.5
        return constants[1] + pixel * params[CUTOFF]

    def _components(self, params: Params, constants: Constants) -> tuple[dict[str, Number], dict[str, Number]]:
        """C cos(m φ) of every coefficient, and C sin(m φ) of those that have an azimuth."""
        along, across = (dict(part) for part in constants[0])
        for name in self.free:
            n, m = SYMMETRIES[name]
            unit = (n + 1) * self.wavelength / (2 * math.pi * (1e-3 * self.cutoff) ** (n + 1))
            step = unit * jnp.atleast_1d(params[name])
            along[name] = along[name] + step[0]
            if m:
                across[name] = across[name] + step[1]
        return along, across


@dataclasses.dataclass(frozen=True)
class BlurredProbe:
    """The modes that a Gaussian source makes of the probe of a point source.

    Attributes:
        inner: gives that probe, one mode.
        modes: to keep.
        sampling: Å a pixel.
        size: of the source, standard deviation along each axis in Å, where the estimate does not say.
        free: whether it is unknown.
        speed: of the size's logarithm, in that of the probe's parameters.
    """

    inner: Representation
    modes: int
    sampling: tuple[Number, Number]
    size: Number = LEAST_SOURCE
    free: bool = True
    speed: Number = 1.0

    def init(self, key: Array, estimate: Estimate) -> tuple[Params, Constants]:
        """Those of the probe of a point source, and the size's logarithm, from what the estimate says of them."""
        first = estimate.shared.get(COHERENT, estimate.probe[0])[None]
        first = first * to_complex(jnp.sqrt(probe_power(estimate.probe) / probe_power(first)))
        params, constants = self.inner.init(key, dataclasses.replace(estimate, probe=first))
        size = estimate.shared.get(SOURCE, jnp.asarray(self.size, first.real.dtype))
        start = jnp.log(jnp.maximum(size, LEAST_SOURCE))
        return {"inner": params} | ({SOURCE: jnp.zeros_like(start)} if self.free else {}), (constants, start)

    def apply(self, params: Params, constants: Constants, key: Array | None) -> Complex[Array, "modes y x"]:
        """The strongest modes, orthogonal."""
        wave = self.inner.apply(params["inner"], constants[0], key)[0]
        return source_modes(wave, self._size(params, constants), self.sampling, self.modes)

    def parts(self, params: Params, constants: Constants) -> dict[str, Array]:
        """The size in Å, the probe of a point source, and what that is made of."""
        found = {
            SOURCE: self._size(params, constants),
            COHERENT: self.inner.apply(params["inner"], constants[0], None)[0],
        }
        inner = self.inner.parts(params["inner"], constants[0]) if isinstance(self.inner, Composed) else {}
        return inner | found

    def _size(self, params: Params, constants: Constants) -> Array:
        return jnp.exp(constants[1] + self.speed * params[SOURCE] if self.free else constants[1])
