"""Asymmetric problems: non-square odd windows, unequal sampling, unequal modes, one strong slice."""

import jax.numpy as jnp
import numpy as np

from jptycho.forward.fields import Fields, ScanFields, Setup
from jptycho.types import Grid

GRID = Grid((9, 14), (0.31, 0.47))
WAVELENGTH = 0.0251


def random_fields(slices=3, modes=2, grid=GRID, canvas=(27, 33), positions=4, seed=0, dtype=float):
    """Random fields; the second slice is the strong one, the first mode the strong one."""
    rng = np.random.default_rng(seed)
    strength = np.full(slices, 0.3)
    strength[min(1, slices - 1)] = 1.5
    phase = rng.normal(size=(slices, *canvas)) * strength[:, None, None]
    absorption = rng.uniform(0, 0.2, (slices, *canvas))
    probe = rng.normal(size=(modes, *grid.shape)) + 1j * rng.normal(size=(modes, *grid.shape))
    probe *= np.array([1.0, 0.3, 0.1])[:modes, None, None]
    probe /= np.sqrt((np.abs(probe) ** 2).sum())
    waves = jnp.complex64 if jnp.dtype(dtype) == jnp.float32 else complex
    half = np.array([n // 2 + 1 for n in grid.shape])
    where = rng.uniform(half, np.array(canvas) - half - 1, (positions, 2))
    return Fields(
        jnp.asarray(np.exp(1j * phase - absorption), waves),
        jnp.asarray(probe, waves),
        ScanFields(jnp.asarray(where, dtype)),
        jnp.asarray(7.3, dtype),
        jnp.asarray([3.0, -5.0], dtype),
    )


def setup_for(grid=GRID, dose=1.0, band_limit=None, dtype=float, noise=None, mask=None):
    mask = jnp.ones(grid.shape, dtype) if mask is None else jnp.asarray(mask, dtype)
    return Setup(mask, jnp.asarray(dose, dtype), grid, WAVELENGTH, band_limit, noise)
