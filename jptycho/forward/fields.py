"""Everything the physics sees of the unknowns, one row for each pattern, and the constants of a run."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from types import MappingProxyType

import jax
import numpy as np

from jptycho.types import Array, Complex, Float, Grid, Number, Shaped, pytree, static

NOTHING: Mapping[str, Array] = MappingProxyType({})


@pytree
class ScanFields:
    """What differs from pattern to pattern: one row for each; solvers shard, index and batch the rows as one pytree.

    Attributes:
        position: of the probe's centre on the object canvas, in pixels (scan, 2).
        tilt: of the specimen there beyond that of all positions, mrad (scan, 2); None where they share one.
        extra: whatever else the detector's effects read, by name (scan, ...).
        descan: how far the pattern lies off its place, detector pixels (scan, 2); None for nowhere.
    """

    position: Float[Array, "*scan 2"]
    tilt: Float[Array, "*scan 2"] | None = None
    extra: dict[str, Shaped[Array, "*scan_and_more"]] = dataclasses.field(default_factory=dict)
    descan: Float[Array, "*scan 2"] | None = None

    def __len__(self) -> int:
        """Patterns."""
        return self.position.shape[0]

    def __getitem__(self, which: int | slice | np.ndarray | Array) -> ScanFields:
        """The rows that an index, a slice or an array of indices chooses."""
        return jax.tree.map(lambda rows: rows[which], self)


def with_shared(row: ScanFields, shared: Mapping[str, Array]) -> ScanFields:
    """A row in whose ``extra`` an effect finds its unknown whether it is the row's own or shared by all.

    Args:
        row: of the scan.
        shared: what all patterns share, ``fields.shared``.

    Returns:
        the row.

    Example:
        >>> with_shared(ScanFields(jax.numpy.zeros(2)), {"gain": jax.numpy.ones(())}).extra["gain"].item()
        1.0
    """
    return dataclasses.replace(row, extra={**shared, **row.extra}) if shared else row


@pytree
class Fields:
    """The unknowns as the physics sees them.

    Attributes:
        object: complex transmission (slices, Y, X).
        probe: complex modes (modes, y, x), centre at [0, 0]; intensities sum to about one.
        scan: a row for each pattern.
        thickness: distance between slices in Å, scalar.
        tilt: of the specimen in mrad, that all positions share: slice by slice the beam walks along (y, x).
        shared: whatever else all patterns share, by name; the detector's effects find it beside their row's.
    """

    object: Complex[Array, "slices Y X"]
    probe: Complex[Array, "modes y x"]
    scan: ScanFields
    thickness: Float[Array, ""]
    tilt: Float[Array, "2"]
    shared: dict[str, Shaped[Array, "..."]] = dataclasses.field(default_factory=dict)


@pytree
class Noise:
    """What a loss must know of the detector.

    Attributes:
        electrons: of an average pattern, scalar.
        read_out: standard deviation of the read-out noise of a pixel in electrons, scalar.
    """

    electrons: Float[Array, ""]
    read_out: Float[Array, ""]


DetectorEffect = Callable[[Float[Array, "ky kx"], ScanFields], Float[Array, "ky kx"]]
"""What a detector makes of an intensity; its row of the scan is known, and in ``row.extra`` also what all patterns
share, so that an effect does not ask which of both its unknown is. Hashable, its settings static."""


@pytree
class Setup:
    """What is known and never optimised.

    Attributes:
        mask: weight of each detector pixel (ky, kx), FFT order; zero for a dead one.
        dose: counts an average pattern holds, scalar: expected counts = dose x intensity.
        grid: window of probe and detector.
        wavelength: Å.
        band_limit: of the propagator, as a fraction of Nyquist, or None.
        noise: of the detector; None where a count is an electron and the read-out adds none.
        centre: of the disk, Å⁻¹ along (y, x) from the zero frequency: a shift of the detector, not a tilt of the beam,
            so that waves propagate about it; None for none.
        effects: of the detector on the intensity, in their order (static).
        beam: effects on the waves that meet the object, likewise.
    """

    mask: Float[Array, "ky kx"]
    dose: Float[Array, ""]
    grid: Grid
    wavelength: Number
    band_limit: Number | None = None
    noise: Noise | None = None
    centre: Float[Array, "2"] | None = None
    effects: tuple[DetectorEffect, ...] = static(default=())
    beam: tuple[BeamEffect, ...] = static(default=())


BeamEffect = Callable[[Complex[Array, "modes y x"], ScanFields, Setup], Complex[Array, "more y x"]]
"""What the beam makes of the modes of the probe, centre at [0, 0], before they move to their place in the window: as
many, or more that are incoherent. It finds unknowns as the detector's effects do. Hashable, its settings static."""
