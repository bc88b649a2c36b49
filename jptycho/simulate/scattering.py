"""Projected potentials of atoms: electron scattering factors of Lobato & Van Dyck with thermal smearing."""

from __future__ import annotations

import math

import numpy as np

from jptycho.errors import ConfigError
from jptycho.optics.frequencies import host_frequencies
from jptycho.types import Float, Grid

POTENTIAL_PER_SCATTERING_FACTOR = 47.87801
"""h² / (2π m e) in V Å²: turns an electron scattering factor in Å into a projected potential in V Å."""

# I. Lobato & D. Van Dyck, Acta Cryst. A 70 (2014) 636, table of a_i (Å) and b_i (Å²) for neutral atoms.
LOBATO: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "C": (
        (124.466088621343, -220.352857078963, 195.235352280479, -98.1079361269799, 0.0142023041213623),
        (2.42120849256005, 2.30537943752425, 2.04851932106564, 1.93352552917547, 0.0768976818478339),
    ),
    "N": (
        (58.1327150702556, -147.542409087812, 130.143065649639, -39.6195674084154, 0.010595776333148),
        (1.70044856413471, 1.5590385260174, 1.41576827473146, 1.27841818205455, 0.0565587798474805),
    ),
    "O": (
        (29.9474045242362, -77.6101266255278, 99.8817764623144, -51.2127005505673, 0.00819618954446032),
        (1.3028398788001, 1.15794105258309, 1.00988549338025, 0.943327971433266, 0.0433197611321825),
    ),
    "Si": (
        (2.87189142611612, -2.06173501195173, 2.17114024204478, -0.0663073633058801, 0.00301070709670513),
        (5.08487103642989, 0.429178185305126, 0.366485434192162, 0.119710611296903, 0.0143994536128397),
    ),
    "S": (
        (2.67971415610199, -0.474252822230755, 0.514835948989687, -0.0958360024990722, 0.00248871963818935),
        (3.06889121199971, 0.378216702185809, 0.188721811902548, 0.0923370590031494, 0.0111920877241144),
    ),
    "Mo": (
        (2.83105968432053, 2.34858137489674, 0.245105888429696, 0.00235282108218515, 2.3127083834e-07),
        (10.435719575895, 1.60482868674597, 0.131696934774606, 0.00554977901383345, 0.0002227474637649),
    ),
    "Au": (
        (1.6759346706487, 3.00486602969729, 0.595340013161635, 0.0117163186623094, 4.296782976398e-05),
        (5.52231093211402, 1.38007223007196, 0.162229237655945, 0.00901814890416575, 0.00037927766747767),
    ),
}
"""Coefficients by element symbol."""


def scattering_factor(element: str, k: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Electron scattering factor f(k) = Σ a_i (2 + b_i k²) / (1 + b_i k²)².

    Args:
        element: symbol.
        k: spatial frequency in Å⁻¹.

    Returns:
        f in Å.

    Raises:
        ConfigError: an element without coefficients.

    Source:
        Lobato & Van Dyck, Acta Cryst. A 70 (2014) 636, eq. 15.

    Example:
        >>> round(float(scattering_factor("Au", np.array(0.0))), 2)
        10.58
    """
    if element not in LOBATO:
        raise ConfigError(f"element: no scattering factor for {element!r}; known: {', '.join(LOBATO)}")
    total = np.zeros_like(k)
    for a, b in zip(*LOBATO[element], strict=True):
        total = total + a * (2 + b * k**2) / (1 + b * k**2) ** 2
    return total


def projected_potential(
    atoms: dict[str, Float[np.ndarray, "atoms 3"]],
    grid: Grid,
    displacement: dict[str, float],
    max_frequency: float,
) -> Float[np.ndarray, "Y X"]:
    """Projected potential of atoms in a periodic cell, exact at every atom position (no interpolation).

    V(k) = 47.88 V Å² / area Σ_element f(k) exp(-2π² u² k²) Σ_j exp(-2πi k·r_j), summed as a product of two matrices.

    Args:
        atoms: element symbol to positions (z, y, x) in Å.
        grid: the cell.
        displacement: root mean square thermal displacement u along one axis in Å, by element.
        max_frequency: Å⁻¹ beyond which V is zero.

    Returns:
        potential in V Å (Y, X).

    Source:
        Kirkland (2020), eq. 5.19; Debye-Waller factor as in his section 5.4.

    Example:
        >>> V = projected_potential({"C": np.zeros((1, 3))}, Grid((32, 32), (0.2, 0.2)), {"C": 0.1}, 2.0)
        >>> round(float(V.mean() * 6.4**2) / POTENTIAL_PER_SCATTERING_FACTOR, 3)  # the mean is f(0)
        2.51
    """
    ny, nx = grid.shape
    ky, kx = (k.ravel() for k in host_frequencies(grid.shape, grid.sampling, half=True))
    rows, columns = np.abs(ky) <= max_frequency, kx <= max_frequency
    ky, kx = ky[rows], kx[columns]
    k = np.hypot(ky[:, None], kx[None, :])
    spectrum = np.zeros((ny, nx // 2 + 1), np.complex64)
    total = np.zeros((len(ky), len(kx)), np.complex64)
    for element, points in atoms.items():
        wave_y = np.exp(-2j * math.pi * np.outer(ky, points[:, 1])).astype(np.complex64)
        wave_x = np.exp(-2j * math.pi * np.outer(points[:, 2], kx)).astype(np.complex64)
        smearing = np.exp(-2 * (math.pi * displacement[element] * k) ** 2)
        total += scattering_factor(element, k) * smearing * (wave_y @ wave_x)
    total[k > max_frequency] = 0
    area = ny * nx * grid.sampling[0] * grid.sampling[1]
    spectrum[np.ix_(rows, columns)] = total * (POTENTIAL_PER_SCATTERING_FACTOR / area)
    return np.fft.irfft2(spectrum, s=(ny, nx), norm="forward").astype(np.float32)
