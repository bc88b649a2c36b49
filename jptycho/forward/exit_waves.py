"""From probe and object to the exit waves at one position."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jptycho.forward.fields import Fields, ScanFields, Setup, with_shared
from jptycho.forward.multislice import multislice
from jptycho.forward.patches import crop, fourier_shift
from jptycho.optics.propagation import fresnel_kernel
from jptycho.optics.waves import cis
from jptycho.types import Array, Complex, Float, Int, pytree

STATES, GAPS = "object_states", "slice_gaps"
"""Names of the unknowns of an object that is not the same for every electron, or whose slices are not evenly spaced."""


@pytree
class Window:
    """What meets at one position: the part of the object that the probe sees, and the probe in it.

    Attributes:
        corner: first row and column on the canvas.
        shift: of the probe from [0, 0] to its place in the window, pixels.
        waves: the modes there, as they meet the first slice.
        patches: transmission of each slice in the window.
        kernel: propagator between slices, FFT order; where they are not evenly spaced, of each gap.
    """

    corner: Int[Array, "2"]
    shift: Float[Array, "2"]
    waves: Complex[Array, "modes y x"]
    patches: Complex[Array, "slices y x"]
    kernel: Complex[Array, "*gaps y x"]


def exit_waves(fields: Fields, setup: Setup, row: ScanFields) -> Complex[Array, "modes y x"]:
    """Exit waves at one position: ψ_m = multislice(T_δ P_m, O[r - n/2 : r + n/2]).

    The integer part r of the position crops the object, the fraction δ shifts the probe by a Fourier ramp, and the
    object is never interpolated.

    Args:
        fields: the unknowns; ``fields.scan`` is not read here.
        setup: constants of the run.
        row: of the scan.

    Returns:
        one exit wave a probe mode (modes, y, x); of an object of several states, of each.

    Source:
        Rodenburg & Maiden, Springer Handbook of Microscopy (2019), ch. 17; Maiden et al., JOSA A 29 (2012) 1606.
    """
    window = window_at(fields, setup, row)
    if STATES in fields.shared:
        return _through_states(window, crop(fields.shared[STATES], window.corner, setup.grid.shape))
    return multislice(window.waves, window.patches, window.kernel)


def _through_states(window: Window, phases: Float[Array, "states slices y x"]) -> Complex[Array, "waves y x"]:
    """Exit waves of an object that is now in one state and now in another, each equally often: t_s = t exp(i φ_s)."""
    patches = window.patches[None] * cis(phases)
    waves = jax.vmap(multislice, in_axes=(None, 0, None))(window.waves, patches, window.kernel)
    return waves.reshape(-1, *waves.shape[-2:]) / len(phases) ** 0.5


def window_at(fields: Fields, setup: Setup, row: ScanFields) -> Window:
    """What meets at one position.

    Args:
        fields: the unknowns.
        setup: constants of the run.
        row: of the scan.

    Returns:
        the window.
    """
    corner, shift = window_of(setup, row.position, fields.object.shape)
    patches = crop(fields.object, corner, setup.grid.shape)
    probe = illuminate(fields, setup, row) if setup.beam else fields.probe
    return Window(corner, shift, fourier_shift(probe, shift), patches, kernel_of(fields, setup, row))


def illuminate(fields: Fields, setup: Setup, row: ScanFields) -> Complex[Array, "more y x"]:
    """The modes that meet the object at one position: those of the probe, changed by each effect of the beam in turn.

    Args:
        fields: the unknowns.
        setup: constants of the run.
        row: of the scan.

    Returns:
        modes, centre at [0, 0].
    """
    known, probe = with_shared(row, fields.shared), fields.probe
    for effect in setup.beam:
        probe = effect(probe, known, setup)
    return probe


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
        >>> from jptycho.types import Grid
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
    return corner, position - corner.astype(position.dtype)


def kernel_of(fields: Fields, setup: Setup, row: ScanFields) -> Complex[Array, "*gaps y x"]:
    """The propagator between slices.

    Args:
        fields: thickness, gaps and tilt.
        setup: constants of the run.
        row: of the scan; its tilt adds to that of the fields.

    Returns:
        Fresnel kernel in FFT order; where ``slice_gaps`` are known, in units of the mean distance, one for each.
    """
    tilt = fields.tilt if row.tilt is None else fields.tilt + row.tilt

    def over(distance: Float[Array, ""]) -> Complex[Array, "y x"]:
        return fresnel_kernel(setup.grid, setup.wavelength, distance, tilt, setup.band_limit, setup.centre)

    if GAPS in fields.shared:
        return jax.vmap(over)(fields.thickness * fields.shared[GAPS])
    return over(fields.thickness)
