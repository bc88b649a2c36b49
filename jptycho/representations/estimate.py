"""An estimate of the unknowns: where a run starts, what is rendered, penalised, validated, saved and written."""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp

from jptycho.forward.fields import Fields, ScanFields
from jptycho.optics.waves import cis, to_complex
from jptycho.types import Array, Complex, Float, Shaped, pytree

DESCAN = "descan"
"""What the pattern's shift is called among an estimate's further unknowns."""


@pytree
class Estimate:
    """An estimate of the unknowns, and those of them that are held fixed.

    Attributes:
        object: real channels (slices, channels, Y, X): phase in rad, then for kind ``complex`` absorption.
        probe: complex modes (modes, y, x), centre at [0, 0].
        positions: canvas pixels (scan, 2).
        thickness: Å between slices, scalar.
        tilt: mrad (2,), or (scan, 2) where each position has its own.
        coverage: how much each canvas pixel is illuminated, (Y, X), mean one over the canvas.
        half_sets: the object as each half of the electrons alone gives it; None where they were not divided.
        members: the object as each member of an ensemble has it; None where there is one estimate.
        member_probes: the probe likewise.
        extra: further unknowns by name, a row for each pattern (scan, ...); ``descan`` in detector pixels.
        shared: further unknowns by name, which all patterns share.
        placement: what a search for positions found beside them, Å: ``shared``, of their displacements what patterns
            have in common, ``error``, the standard deviation of the rest (scan, 2); ``shared_affine``, A of the part
            u = A p, and ``affine_error``, that of its numbers (2, 2); likewise ``step`` that led there from ``last``;
            ``stretch``, A of what was taken from displacements of single patterns. Empty before a search.
    """

    object: Float[Array, "slices channels Y X"]
    probe: Complex[Array, "modes y x"]
    positions: Float[Array, "scan 2"]
    thickness: Float[Array, ""]
    tilt: Float[Array, "2"] | Float[Array, "scan 2"]
    coverage: Float[Array, "Y X"]
    half_sets: Float[Array, "2 slices channels Y X"] | None = None
    members: Float[Array, "members slices channels Y X"] | None = None
    member_probes: Complex[Array, "members modes y x"] | None = None
    extra: dict[str, Shaped[Array, "scan ..."]] = dataclasses.field(default_factory=dict)
    shared: dict[str, Shaped[Array, "..."]] = dataclasses.field(default_factory=dict)
    placement: dict[str, Shaped[Array, "..."]] = dataclasses.field(default_factory=dict)


def transmission(channels: Float[Array, "slices channels Y X"]) -> Complex[Array, "slices Y X"]:
    """t = exp(i phase - absorption).

    Args:
        channels: phase, and absorption where there is a second channel.

    Returns:
        complex transmission of each slice.

    Example:
        >>> transmission(jnp.zeros((1, 1, 2, 2)))[0, 0, 0].item()
        (1+0j)
    """
    wave = cis(channels[:, 0])
    return wave * to_complex(jnp.exp(-channels[:, 1])) if channels.shape[1] == 2 else wave


def fields_of(estimate: Estimate) -> Fields:
    """Everything the physics sees of an estimate.

    Args:
        estimate: the estimate.

    Returns:
        the fields; a tilt of every position lies in its row.

    Example:
        >>> flat, wave = jnp.zeros((1, 1, 6, 8)), jnp.ones((1, 4, 4), complex)
        >>> tilts = jnp.ones((3, 2))
        >>> fields = fields_of(Estimate(flat, wave, jnp.zeros((3, 2)), jnp.zeros(()), tilts, jnp.ones((6, 8))))
        >>> fields.object.shape, fields.scan.tilt.shape, fields.tilt.tolist()
        ((1, 6, 8), (3, 2), [0.0, 0.0])
    """
    tilt = estimate.tilt
    shared, own = (tilt, None) if tilt.ndim == 1 else (jnp.zeros_like(tilt[0]), tilt)
    extra = {name: rows for name, rows in estimate.extra.items() if name != DESCAN}
    rows = ScanFields(estimate.positions, own, extra, estimate.extra.get(DESCAN))
    return Fields(transmission(estimate.object), estimate.probe, rows, estimate.thickness, shared, estimate.shared)
