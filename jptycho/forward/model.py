"""Everything the physics sees of the unknowns, the constants of a run, and the one forward model."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jptycho.forward.detector import far_field
from jptycho.forward.multislice import multislice
from jptycho.forward.patches import crop, fourier_shift
from jptycho.optics.propagation import fresnel_kernel
from jptycho.types import Array, Complex, Float, Grid, Int, pytree, static


@pytree
class Fields:
    """The unknowns as the physics sees them.

    Attributes:
        object: complex transmission (slices, Y, X).
        probe: complex modes (modes, y, x), centre at [0, 0]; intensities sum to about one.
        positions: of the probe's centre on the object canvas, in pixels (scan, 2).
        thickness: distance between slices in Å, scalar.
        tilt: of the specimen in mrad: slice by slice the beam walks along (y, x); (2,), or (scan, 2) where each
            position has its own.
    """

    object: Complex[Array, "slices Y X"]
    probe: Complex[Array, "modes y x"]
    positions: Float[Array, "scan 2"]
    thickness: Float[Array, ""]
    tilt: Float[Array, "2"] | Float[Array, "scan 2"]


@pytree
class Noise:
    """What a loss must know of the detector.

    Attributes:
        electrons: of an average pattern, scalar.
        read_out: standard deviation of the read-out noise of a pixel in electrons, scalar.
    """

    electrons: Float[Array, ""]
    read_out: Float[Array, ""]


@pytree
class Setup:
    """What is known and never optimised.

    Attributes:
        mask: weight of each detector pixel (ky, kx), FFT order; zero for a dead one.
        dose: counts an average pattern holds, scalar: expected counts = dose x intensity.
        grid: window of probe and detector (static).
        wavelength: Å (static).
        band_limit: of the propagator, as a fraction of Nyquist, or None (static).
        noise: of the detector; None where a count is an electron and the read-out adds none.
        centre: of the disk, Å⁻¹ along (y, x) from the zero frequency: a shift of the detector, not a tilt of the beam,
            so that waves propagate about it; None for none.
    """

    mask: Float[Array, "ky kx"]
    dose: Float[Array, ""]
    grid: Grid = static()
    wavelength: float = static()
    band_limit: float | None = static(default=None)
    noise: Noise | None = None
    centre: Float[Array, "2"] | None = None


def predict(fields: Fields, setup: Setup, position: Float[Array, "2"]) -> Float[Array, "ky kx"]:
    """Diffraction pattern at one position, as a fraction of the incident intensity.

    I(k) = Σ_m |F[multislice(T_δ ψ_m, O[r - n/2 : r + n/2])]|²: the integer part r of the position crops the object,
    the fraction δ shifts the probe by a Fourier ramp, and the object is never interpolated.
    Differentiable with respect to every field and the position; ``vmap`` over positions.

    Args:
        fields: object, probe, thickness, tilt (``fields.positions`` is not read here, and the tilt is one pair).
        setup: constants of the run.
        position: of the probe's centre on the canvas in pixels (y, x).

    Returns:
        intensity (ky, kx), zero frequency at [0, 0]; times ``setup.dose`` it is the expected counts.

    Source:
        Rodenburg & Maiden, Springer Handbook of Microscopy (2019), ch. 17; Maiden et al., JOSA A 29 (2012) 1606.

    Example:
        >>> setup = Setup(jnp.ones((8, 8)), jnp.array(1.0), Grid((8, 8), (0.5, 0.5)), 0.02)
        >>> fields = Fields(jnp.ones((1, 20, 20), complex), jnp.ones((1, 8, 8), complex) / 8,
        ...                 jnp.array([[9.0, 9.5]]), jnp.array(0.0), jnp.zeros(2))
        >>> round(float(predict(fields, setup, fields.positions[0]).sum()), 5)
        1.0
    """
    corner, shift = window_of(setup, position, fields.object.shape)
    patches = crop(fields.object, corner, setup.grid.shape)
    return far_field(multislice(fourier_shift(fields.probe, shift), patches, kernel_of(fields, setup)))


def window_of(
    setup: Setup, position: Float[Array, "2"], canvas: tuple[int, ...]
) -> tuple[Int[Array, "2"], Float[Array, "2"]]:
    """Which pixels of the canvas a position sees, and how far the probe moves from [0, 0] to its place among them.

    A window that would leave the canvas stays at its edge, and the probe moves within it instead.

    Args:
        setup: constants of the run.
        position: of the probe's centre on the canvas in pixels (y, x).
        canvas: shape whose last two numbers are the canvas's (static).

    Returns:
        first row and column; shift in pixels.

    Example:
        >>> setup = Setup(jnp.ones((8, 8)), jnp.array(1.0), Grid((8, 8), (0.5, 0.5)), 0.02)
        >>> corner, shift = window_of(setup, jnp.array([9.0, 9.25]), (20, 20))
        >>> corner.tolist(), shift.tolist()
        ([5, 5], [4.0, 4.25])
    """
    shape = setup.grid.shape
    half = jnp.array([shape[0] // 2, shape[1] // 2])
    wanted = jax.lax.stop_gradient(jnp.round(position)).astype(int) - half
    corner = jnp.clip(wanted, 0, jnp.array([canvas[-2] - shape[0], canvas[-1] - shape[1]]))
    # The window's centre, where the probe belongs, is at n // 2: one shift does both.
    return corner, position - corner


def kernel_of(fields: Fields, setup: Setup) -> Complex[Array, "y x"]:
    """The propagator between slices.

    Args:
        fields: thickness and tilt.
        setup: constants of the run.

    Returns:
        Fresnel kernel in FFT order.
    """
    return fresnel_kernel(setup.grid, setup.wavelength, fields.thickness, fields.tilt, setup.band_limit, setup.centre)


def predict_batch(fields: Fields, setup: Setup, positions: Float[Array, "batch 2"]) -> Float[Array, "batch ky kx"]:
    """:func:`predict` over a batch of positions.

    Args:
        fields: the unknowns.
        setup: constants of the run.
        positions: (batch, 2) in pixels of the canvas.

    Returns:
        intensities (batch, ky, kx).

    Example:
        >>> setup = Setup(jnp.ones((8, 8)), jnp.array(1.0), Grid((8, 8), (0.5, 0.5)), 0.02)
        >>> fields = Fields(jnp.ones((1, 20, 20), complex), jnp.ones((1, 8, 8), complex) / 8,
        ...                 jnp.array([[9.0, 9.5]]), jnp.array(0.0), jnp.zeros(2))
        >>> predict_batch(fields, setup, fields.positions).shape
        (1, 8, 8)
    """
    return jax.vmap(predict, in_axes=(None, None, 0))(fields, setup, positions)
