"""Atomic models: gold on carbon, a metal-organic framework, WSe2 twisted or with vacancies, protein in ice, a duck.

Every function returns atoms in an orthogonal cell (x, y, z) in Å; the beam travels along z and meets z = 0 first. x is
the fast scan axis (columns of an image), y the slow one (rows, downwards).
"""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.build import cut
from ase.cluster import Octahedron
from ase.spacegroup import crystal
from matplotlib.path import Path
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree
from scipy.spatial.distance import cdist
from scipy.spatial.transform import Rotation

from jptycho.simulate.specimens import GOLD_LATTICE, amorphous_carbon

VACUUM = 2.0  # Å above and below a specimen
UIO66_LATTICE = 20.70  # Å, Cavka et al., J. Am. Chem. Soc. 130 (2008) 13850
UIO66_SITES = {
    "C": [(0.5060, 0.2027, 0.2027), (0.0063, -0.1851, 0.2323), (0.4960, 0.1520, -0.1520)],
    "H": [(0.4060, 0.0940, 0.0940), (0.0062, 0.2201, -0.1340)],
    "O": [(0.0025, 0.3294, -0.0940), (0.4507, 0.0493, -0.0493), (-0.0672, 0.4328, -0.0672)],
    "Zr": [(0.0, 0.3798, 0.0)],
}
"""Fractional coordinates in F-43m with ordered hydroxyls: Redfern et al., Chem. Mater. 32 (2020) 5864, data set."""
MOF_TILT = (0.012, -0.010)  # Å along (x, y) that the crystal leans in each Å of depth
WSE2 = {"lattice": 3.28, "half_thickness": 1.68, "spacing": 6.5}  # Å
GRAPHENE_BOND, GRAPHENE_SPACING = 1.42, 3.35  # Å
HELIX = ((1.57, -26.7, -0.92), (2.29, 0.0, 0.0), (1.68, 26.9, 1.06), (1.93, 20.6, 2.25), (3.34, 16.7, -0.77))
"""Radius in Å, azimuth in degrees, height in Å of N, CA, C, O and CB in an α helix (φ = -57.8°, ψ = -47°)."""
HELIX_TURN, HELIX_RISE, HELIX_RESIDUES = 100.0, 1.5, 36
SIDE_CHAINS = ("", "O", "CC", "CC", "CCC", "CCO", "CCN", "CCCN")  # beyond the β carbon
ICE_DEPTH, SHELL_DIAMETER = 200.0, 135.0  # Å
EXCLUDED_VOLUME = {"H": 5.15, "C": 16.44, "N": 2.49, "O": 9.13}  # Å³, Fraser et al., J. Appl. Cryst. 11 (1978) 693


def gold(extent: tuple[float, float], seed: int = 6) -> Atoms:
    """A truncated octahedron of gold, 52 Å across, in a random orientation on 10 Å of amorphous carbon of 2 g/cm³.

    Args:
        extent: of the cell along (x, y) in Å.
        seed: of film and orientation.

    Returns:
        atoms; the beam meets the particle first.
    """
    rng = np.random.default_rng(seed)
    particle = Octahedron("Au", length=19, cutoff=6, latticeconstant=GOLD_LATTICE)
    points = particle.positions - particle.positions.mean(axis=0)
    points = points @ Rotation.random(random_state=int(rng.integers(2**31))).as_matrix().T
    points += [extent[0] / 2, extent[1] / 2, VACUUM - points[:, 2].min()]
    bottom = points[:, 2].max() + 1.5
    film = amorphous_carbon((10.0, extent[1], extent[0]), rng)[:, ::-1] + [0.0, 0.0, bottom]
    symbols = ["Au"] * len(points) + ["C"] * len(film)
    return Atoms(symbols, np.concatenate([points, film]), cell=[*extent, bottom + 10.0 + VACUUM])


def mof(extent: tuple[float, float], repeats: int = 6, missing: float = 0.08, seed: int = 0) -> Atoms:
    """UiO-66, Zr6O4(OH)4 clusters joined by terephthalate, 0.9° from [110]: channels and columns of clusters.

    Args:
        extent: of the cell along (x, y) in Å; x is [001].
        repeats: of 14.6 Å along the beam.
        missing: share of the linkers that are absent, as is usual in this material; it breaks the translation symmetry.
        seed: of what is missing.

    Returns:
        atoms.
    """
    sites = [(element, site) for element, places in UIO66_SITES.items() for site in places]
    cubic = crystal(
        [e for e, _ in sites], [s for _, s in sites], spacegroup=216, cellpar=[UIO66_LATTICE] * 3 + [90] * 3
    )
    unit = cut(cubic, a=(0, 0, 1), b=(0.5, -0.5, 0), c=(0.5, 0.5, 0))
    x, y, z = unit.cell.lengths()
    atoms = Atoms(unit.symbols, unit.positions @ np.linalg.inv(unit.cell.array) @ np.diag([x, y, z]), cell=[x, y, z])
    atoms = atoms * (int(np.ceil(extent[0] / x)) + 1, int(np.ceil(extent[1] / y)) + 1, repeats)
    atoms = atoms[~_some_linkers(atoms, missing, np.random.default_rng(seed))]
    atoms.positions[:, :2] += np.outer(atoms.positions[:, 2], MOF_TILT) - 5.0
    atoms = atoms[((atoms.positions[:, :2] >= 0) & (atoms.positions[:, :2] < extent)).all(axis=1)]
    atoms.set_cell([*extent, repeats * z])
    return atoms


def _some_linkers(atoms: Atoms, share: float, rng: np.random.Generator) -> np.ndarray:
    """Whether each atom is carbon or hydrogen of one of the linkers that are drawn."""
    carbon = np.flatnonzero(atoms.symbols == "C")
    hydrogen = np.flatnonzero(atoms.symbols == "H")
    tree = KDTree(atoms.positions[carbon])
    pairs = tree.query_pairs(1.7, output_type="ndarray")
    graph = coo_array((np.ones(len(pairs)), pairs.T), shape=(len(carbon), len(carbon)))
    count, linker = connected_components(graph, directed=False)
    drawn = rng.uniform(size=count) < share
    gone = np.zeros(len(atoms), bool)
    gone[carbon] = drawn[linker]
    distance, nearest = tree.query(atoms.positions[hydrogen])
    gone[hydrogen] = (distance < 1.3) & drawn[linker[nearest]]
    return gone


def wse2(extent: tuple[float, float], twist: float = 7.0, depth: float = 16.0) -> Atoms:
    """Two layers of WSe2, twisted, in the middle of the depth.

    Args:
        extent: of the cell along (x, y) in Å.
        twist: between the layers in degrees.
        depth: of the cell in Å.

    Returns:
        atoms.
    """
    basis = np.array([[1.0, 0.0], [0.5, np.sqrt(0.75)]]) * WSE2["lattice"]
    symbols, points = [], []
    for side, angle in ((-1, 11.0), (1, 11.0 + twist)):
        height = depth / 2 + side * WSE2["spacing"] / 2
        for element, place, z in (("W", 0.0, 0.0), ("Se", 1 / 3, -1.0), ("Se", 1 / 3, 1.0)):
            flat = _lattice(basis, side * place, angle, extent)
            column = np.full((len(flat), 1), height + z * WSE2["half_thickness"])
            points.append(np.hstack([flat, column]))
            symbols += [element] * len(flat)
    return Atoms(symbols, np.concatenate(points), cell=[*extent, depth])


def vacancies(extent: tuple[float, float], share: float = 0.15, depth: float = 8.0, seed: int = 1) -> Atoms:
    """A layer of WSe2 with selenium missing: both atoms of a third of the sites that lack any, one of the others.

    Args:
        extent: of the cell along (x, y) in Å.
        share: of the selenium sites that lack an atom.
        depth: of the cell in Å.
        seed: of the choice.

    Returns:
        atoms; ``info`` holds the places (n, 2) of sites that are ``whole``, lack ``one`` or ``both``.
    """
    rng = np.random.default_rng(seed)
    basis = np.array([[1.0, 0.0], [0.5, np.sqrt(0.75)]]) * WSE2["lattice"]
    metal, sites = (_lattice(basis, place, 11.0, extent) for place in (0.0, 1 / 3))
    lacks = np.where(rng.random(len(sites)) < share, np.where(rng.random(len(sites)) < 1 / 3, 2, 1), 0)
    parts = [("W", metal, 0.0), ("Se", sites[lacks < 2], -1.0), ("Se", sites[lacks < 1], 1.0)]
    heights = [np.full((len(flat), 1), depth / 2 + z * WSE2["half_thickness"]) for _, flat, z in parts]
    points = np.concatenate([np.hstack([flat, z]) for (_, flat, _), z in zip(parts, heights, strict=True)])
    symbols = [element for element, flat, _ in parts for _ in flat]
    info = {name: sites[lacks == number] for number, name in enumerate(("whole", "one", "both"))}
    return Atoms(symbols, points, cell=[*extent, depth], info=info)


def _lattice(basis: np.ndarray, place: float, angle: float, extent: tuple[float, float]) -> np.ndarray:
    """Points (n, 2) of a plane lattice at (place, place) of its cell, turned by degrees about the middle, in a box."""
    reach = int(np.ceil(max(extent) / np.linalg.norm(basis, axis=1).min())) + 2
    index = np.stack(np.meshgrid(*[np.arange(-reach, reach + 1)] * 2), axis=-1).reshape(-1, 2)
    turn = Rotation.from_euler("z", angle, degrees=True).as_matrix()[:2, :2]
    points = (index + place) @ basis @ turn.T + np.asarray(extent) / 2
    return points[((points >= 0) & (points < extent)).all(axis=1)]


def duck(extent: tuple[float, float], layers: int = 10) -> Atoms:
    """Graphite (AB stacking) cut to the outline of a rubber duck 130 Å wide with a hole for its eye.

    Args:
        extent: of the cell along (x, y) in Å.
        layers: of graphene, each in the middle of its 3.35 Å of depth.

    Returns:
        atoms.
    """
    basis = np.array([[1.5, -np.sqrt(0.75)], [1.5, np.sqrt(0.75)]]) * GRAPHENE_BOND
    planes = []
    for layer in range(layers):
        flat = [_lattice(basis, (layer % 2 + site) / 3, 7.0, extent) for site in (0, 1)]
        points = np.concatenate(flat)
        points = points[in_duck(points - np.asarray(extent) / 2)]
        planes.append(np.hstack([points, np.full((len(points), 1), (layer + 0.5) * GRAPHENE_SPACING)]))
    positions = np.concatenate(planes)
    return Atoms(f"C{len(positions)}", positions, cell=[*extent, layers * GRAPHENE_SPACING])


def in_duck(points: np.ndarray) -> np.ndarray:
    """Whether points (n, 2), Å along (x, y) from the middle of the field, lie in the duck."""

    def ellipse(x: float, y: float, a: float, b: float) -> np.ndarray:
        return ((points[:, 0] - x) / a) ** 2 + ((points[:, 1] - y) / b) ** 2 <= 1

    beak = Path([(44, -40), (66, -27), (65, -20), (44, -16)]).contains_points(points)
    tail = Path([(-52, 30), (-66, -10), (-52, -8), (-20, 0), (-20, 30)]).contains_points(points)
    neck = Path([(2, -20), (46, -14), (46, 20), (2, 10)]).contains_points(points)
    inside = ellipse(-4, 24, 54, 32) | ellipse(26, -30, 25, 25) | beak | tail | neck
    return inside & ~ellipse(33, -35, 4.5, 4.5) & ~(ellipse(-12, 20, 26, 13) & ~ellipse(-14, 16, 26, 13))


def apoferritin(extent: tuple[float, float], seed: int = 0) -> Atoms:
    """Hollow shells of 24 four-helix bundles in octahedral symmetry, a crowded layer in 200 Å of depth.

    The arrangement is that of ferritin (Lawson et al., Nature 349 (1991) 541): the faces of a rhombic dodecahedron
    hold two antiparallel bundles each, parallel to an edge. Helices are ideal, side chains random; there are no loops.

    Args:
        extent: of the cell along (x, y) in Å.
        seed: of places, orientations and side chains.

    Returns:
        atoms, without the ice, see :func:`displaced`.
    """
    rng = np.random.default_rng(seed)
    group = Rotation.create_group("O").as_matrix()
    symbols, unit = _subunit(group, rng)
    shell = np.concatenate([unit @ turn.T for turn in group])
    basis = np.array([[1.0, 0.0], [0.5, np.sqrt(0.75)]]) * (SHELL_DIAMETER + 7.0)
    centres = _lattice(basis, 0.4, 15.0, extent)
    room = np.minimum(centres, np.asarray(extent) - centres).min(axis=1) - 2.0
    centres = centres[room > SHELL_DIAMETER / 2]
    centres += rng.uniform(-2.0, 2.0, centres.shape)
    heights = rng.uniform(SHELL_DIAMETER / 2, ICE_DEPTH - SHELL_DIAMETER / 2, len(centres))
    turns = Rotation.random(len(centres), random_state=seed).as_matrix()
    placed = [shell @ t.T + [*c, h] for t, c, h in zip(turns, centres, heights, strict=True)]
    return Atoms(list(symbols) * (len(group) * len(centres)), np.concatenate(placed), cell=[*extent, ICE_DEPTH])


def _subunit(group: np.ndarray, rng: np.random.Generator) -> tuple[list[str], np.ndarray]:
    """Elements and positions (atoms, 3) in Å of one bundle, whose copies under ``group`` make the shell."""
    normal, axis = np.array([1, 1, 0]) / np.sqrt(2), np.array([1, -1, 1]) / np.sqrt(3)
    across = np.cross(normal, axis)
    middle = 48.0 * normal + 11.0 * across + 5.0 * axis
    symbols: list[str] = []
    parts: list[np.ndarray] = []
    for sign, radial, lateral in ((1, 1, 1), (-1, 1, -1), (1, -1, -1), (-1, -1, 1)):
        frame = np.stack([normal, sign * across, sign * axis])
        centre = middle + 4.8 * (radial * normal + lateral * across)
        parts.append(_helix_points() @ frame + centre)
        symbols += ["N", "C", "C", "O", "C"] * HELIX_RESIDUES
    points = np.concatenate(parts)
    hydrogens = [1, 1, 0, 0, 2] * (4 * HELIX_RESIDUES)
    for beta in range(4, 20 * HELIX_RESIDUES, 5):
        parent = beta
        for element in rng.choice(SIDE_CHAINS):
            points = np.vstack([points, _grown(points, parent, 1.5, group, rng)])
            symbols.append(str(element))
            hydrogens.append({"C": 2, "N": 2, "O": 1}[str(element)])
            parent = len(points) - 1
        hydrogens[parent] += symbols[parent] == "C"
    for parent, count in enumerate(hydrogens):
        for _ in range(count):
            points = np.vstack([points, _grown(points, parent, 1.05, group, rng)])
    return symbols + ["H"] * sum(hydrogens), points


def _helix_points() -> np.ndarray:
    """N, CA, C, O, CB of every residue of a helix along z about the origin (atoms, 3) in Å."""
    radius, azimuth, height = np.array(HELIX).T
    residue = np.arange(HELIX_RESIDUES)[:, None]
    angle = np.radians(azimuth + HELIX_TURN * residue)
    z = height + HELIX_RISE * (residue - (HELIX_RESIDUES - 1) / 2)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), z], axis=-1).reshape(-1, 3)


def _grown(points: np.ndarray, parent: int, bond: float, group: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A place one bond from a parent: of ten random ones that which is farthest from all atoms and their copies."""
    direction = rng.normal(size=(10, 3))
    trial = points[parent] + bond * direction / np.linalg.norm(direction, axis=1, keepdims=True)
    others = np.delete(points, parent, axis=0)
    images = np.einsum("gij,tj->tgi", group, trial).reshape(-1, 3)
    clear = cdist(images, others).reshape(len(trial), -1).min(axis=1)
    return trial[np.argmax(clear)]


def displaced(atoms: Atoms, gpts: tuple[int, int], count: int) -> np.ndarray:
    """Depth in Å from which atoms drive the solvent: projected Gaussians of their volumes, in slices (count, x, y).

    Fraser, MacRae & Suzuki, J. Appl. Cryst. 11 (1978) 693: an atom of volume v excludes exp(-π r² / v^(2/3)).
    """
    lengths = atoms.cell.lengths()
    index = np.floor(atoms.positions / lengths * [*gpts, count] + [0.5, 0.5, 0.0]).astype(int) % [*gpts, count]
    kx, ky = (np.fft.fftfreq(n, length / n) for n, length in zip(gpts, lengths, strict=False))
    squared = kx[:, None] ** 2 + ky**2
    spectrum = np.zeros((count, *gpts), np.complex64)
    for element in sorted(set(atoms.symbols)):
        x, y, z = index[atoms.symbols == element].T
        number = np.zeros((count, *gpts), np.float32)
        np.add.at(number, (z, x, y), 1.0)
        volume = EXCLUDED_VOLUME[element]
        spectrum += np.fft.fft2(number) * (volume * np.exp(-np.pi * volume ** (2 / 3) * squared))
    pixel = lengths[0] * lengths[1] / (gpts[0] * gpts[1])
    return (np.fft.ifft2(spectrum).real / pixel).astype(np.float32)
