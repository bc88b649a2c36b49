"""The one forward model: a diffraction pattern from the unknowns."""

from __future__ import annotations

import jax

from jptycho.forward.detector import detect
from jptycho.forward.exit_waves import exit_waves
from jptycho.forward.fields import Fields, ScanFields, Setup
from jptycho.types import Array, Float


def predict(fields: Fields, setup: Setup, row: ScanFields) -> Float[Array, "ky kx"]:
    """Diffraction pattern at one position, as a fraction of the incident intensity: I = detect(exit_waves).

    Differentiable with respect to every field and the row; ``vmap`` over rows.

    Args:
        fields: the unknowns; ``fields.scan`` is not read here.
        setup: constants of the run.
        row: of the scan: the position of the probe's centre on the canvas in pixels (y, x), and what else differs.

    Returns:
        intensity (ky, kx), zero frequency at [0, 0]; times ``setup.dose`` it is the expected counts.

    Source:
        Rodenburg & Maiden, Springer Handbook of Microscopy (2019), ch. 17; Maiden et al., JOSA A 29 (2012) 1606.

    Example:
        >>> import jax.numpy as jnp
        >>> from jptycho.types import Grid
        >>> setup = Setup(jnp.ones((8, 8)), jnp.array(1.0), Grid((8, 8), (0.5, 0.5)), 0.02)
        >>> fields = Fields(jnp.ones((1, 20, 20), complex), jnp.ones((1, 8, 8), complex) / 8,
        ...                 ScanFields(jnp.array([[9.0, 9.5]])), jnp.array(0.0), jnp.zeros(2))
        >>> round(float(predict(fields, setup, fields.scan[0]).sum()), 5)
        1.0
    """
    return detect(exit_waves(fields, setup, row), setup, row, fields.shared)


def predict_batch(fields: Fields, setup: Setup, rows: ScanFields) -> Float[Array, "batch ky kx"]:
    """:func:`predict` over a batch of rows.

    Args:
        fields: the unknowns.
        setup: constants of the run.
        rows: of the scan.

    Returns:
        intensities (batch, ky, kx).

    Example:
        >>> import jax.numpy as jnp
        >>> from jptycho.types import Grid
        >>> setup = Setup(jnp.ones((8, 8)), jnp.array(1.0), Grid((8, 8), (0.5, 0.5)), 0.02)
        >>> fields = Fields(jnp.ones((1, 20, 20), complex), jnp.ones((1, 8, 8), complex) / 8,
        ...                 ScanFields(jnp.array([[9.0, 9.5]])), jnp.array(0.0), jnp.zeros(2))
        >>> predict_batch(fields, setup, fields.scan).shape
        (1, 8, 8)
    """
    return jax.vmap(predict, in_axes=(None, None, 0))(fields, setup, rows)
