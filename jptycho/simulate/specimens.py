"""Atomic models: a gold nanoparticle on amorphous carbon."""

from __future__ import annotations

import math

import numpy as np
from scipy.spatial import KDTree
from scipy.spatial.transform import Rotation

from jptycho.types import Float

GOLD_LATTICE = 4.0782  # Å, at 293 K
CARBON_DENSITY = 0.1  # atoms a cubic Å: 2.0 g/cm³
CARBON_SPACING = 1.35  # Å, no two atoms nearer
THERMAL_DISPLACEMENT = {"Au": 0.085, "C": 0.1}
"""Root mean square displacement along one axis at room temperature, Å (Au: B = 0.57 Å², Peng et al. 1996)."""


def gold_particle(
    diameter: float, rotation: tuple[float, float, float], height: float | None = None
) -> Float[np.ndarray, "atoms 3"]:
    """Ellipsoid cut from an fcc gold crystal in a given orientation, about the origin.

    Args:
        diameter: Å in the plane.
        rotation: intrinsic z-y-x Euler angles in degrees.
        height: Å along the beam; the diameter by default.

    Returns:
        positions (z, y, x) in Å.

    Example:
        >>> len(gold_particle(10.0, (0.0, 0.0, 0.0)))
        43
    """
    height = diameter if height is None else height
    cells = math.ceil(max(diameter, height) / GOLD_LATTICE) + 1
    base = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    index = np.stack(np.meshgrid(*[np.arange(-cells, cells + 1)] * 3, indexing="ij"), axis=-1).reshape(-1, 1, 3)
    points = ((index + base) * GOLD_LATTICE).reshape(-1, 3)
    points = points @ Rotation.from_euler("ZYX", rotation, degrees=True).as_matrix().T
    return points[np.sum((points / [height / 2, diameter / 2, diameter / 2]) ** 2, axis=1) <= 1]


def amorphous_carbon(extent: tuple[float, float, float], rng: np.random.Generator) -> Float[np.ndarray, "atoms 3"]:
    """Random atoms at the density of evaporated carbon, none nearer than a bond length, periodic in the plane.

    Args:
        extent: of the box along (z, y, x) in Å.
        rng: source of randomness.

    Returns:
        positions (z, y, x) in Å, within the box.

    Example:
        >>> len(amorphous_carbon((5.0, 20.0, 20.0), np.random.default_rng(0)))
        200
    """
    wanted = round(CARBON_DENSITY * math.prod(extent))
    box = np.array([1e6, extent[1], extent[2]])  # the box is not periodic along the beam
    points = np.empty((0, 3))
    while len(points) < wanted:
        points = np.concatenate([points, rng.uniform(0, 1, (wanted, 3)) * extent])
        pairs = KDTree(points, boxsize=box).query_pairs(CARBON_SPACING, output_type="ndarray")
        # Of two that are too near, the later goes: the earlier were accepted before.
        points = np.delete(points, np.unique(pairs.max(axis=1)), axis=0) if len(pairs) else points
    return points[:wanted]


def gold_on_carbon(
    extent: tuple[float, float],
    diameter: float,
    carbon_thickness: float,
    seed: int,
) -> dict[str, Float[np.ndarray, "atoms 3"]]:
    """A gold nanoparticle resting on a film of amorphous carbon, in the middle of a periodic cell.

    The beam meets the carbon last.

    Args:
        extent: of the cell along (y, x) in Å.
        diameter: of the particle in Å.
        carbon_thickness: of the film in Å.
        seed: of the film and of the particle's orientation.

    Returns:
        element symbol to positions (z, y, x) in Å, z from 0 at the particle's top.

    Example:
        >>> sorted(gold_on_carbon((30.0, 30.0), 12.0, 8.0, seed=0))
        ['Au', 'C']
    """
    rng = np.random.default_rng(seed)
    angles = rng.uniform(-180, 180, 3)
    gold = gold_particle(diameter, (float(angles[0]), float(angles[1]), float(angles[2])))
    gold += [diameter / 2, extent[0] / 2, extent[1] / 2]
    film = amorphous_carbon((carbon_thickness, *extent), rng)
    return {"Au": gold, "C": film + np.array([diameter + 1.5, 0, 0])}
