"""What a scan says of its own orientation, defocus and semiangle, in 40 simulated trials and on real scans.

    python benchmarks/calibrate.py [--trials N]

Ten gold particles on carbon, each recorded at another defocus without noise, from which four trials each are drawn:
1e3 and 1e4 e/Å², all eight orientations of the stored detector arrays (NumPy flips and transposes them) and a random
rotation of the scan's positions. Nothing but energy, reciprocal sampling and positions is known. Steps are chosen as a
microscopist would, so that neighbouring probes overlap. The true defocus is that at the mean depth of the atoms, each
weighted by its scattering power, for a particle of 20 Å in a single slice is seen from there.

Right is: transpose and sign of the defocus right, rotation within 0.5 degrees and defocus within 3 %, or within a tenth
of the depth of focus (4.9 Å) where that is more. Duck and rotavirus are looked for where ``JPTYCHO_DATA`` points.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

import numpy as np
from record import Clock, save

import jptycho
from jptycho.data import Calibration, from_arrays
from jptycho.data.readers.open import open_dataset
from jptycho.preprocess import calibrate_scan
from jptycho.simulate.scattering import scattering_factor

DEFOCI = {0.0: 0.6, 50.0: 0.8, -50.0: 0.8, 100.0: 1.0, -100.0: 1.0, 200.0: 1.5, -200.0: 1.5, 300.0: 1.5, -400.0: 1.5,
          500.0: 1.5}  # fmt: skip
"""Å, and the step in Å."""
DOSES = (1e3, 1e4)
DIAMETER, CARBON, SHAPE = 20.0, 6.0, (36, 36)
FIRST_SEED = 100
DEPTH = 49.2  # Å, of focus: λ / α²
DEGREES, SHARE, OF_DEPTH = 0.5, 0.03, 0.1


def main() -> None:
    """Run all and write ``results/calibrate.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=40, help="at most")
    trials = parser.parse_args().trials
    rows: list[dict[str, Any]] = []
    for number, (defocus, step) in enumerate(DEFOCI.items()):
        if len(rows) >= trials:
            break
        scan = jptycho.simulate_gold(
            dose=float("inf"), defocus=defocus, step=step, scan_shape=SHAPE, diameter=DIAMETER, carbon_thickness=CARBON,
            specimen_seed=FIRST_SEED + number, seed=FIRST_SEED + number,
        )  # fmt: skip
        for trial in range(4):
            rows.append(one_trial(scan, defocus, DOSES[trial % 2], 4 * number + trial))
            print(rows[-1], flush=True)
            save("calibrate", {"trials": rows, "right": sum(row["right"] for row in rows)})
    real = real_scans()
    save("calibrate", {"trials": rows, "right": sum(row["right"] for row in rows), "real": real})


def one_trial(scan: Any, defocus: float, dose: float, seed: int) -> dict[str, Any]:
    """Poisson counts, turned; and how what is found differs from the truth."""
    rng = np.random.default_rng([FIRST_SEED, seed])
    step = scan.calibration.step[0]
    expected = scan.read().reshape(scan.shape)
    counts = rng.poisson(np.maximum(expected, 0) * dose * step**2).astype(np.uint16)
    code, angle = seed % 8, float(rng.uniform(-180, 180))
    counts, positions, rotation, transpose = turned(counts, scan.positions, code, angle)
    known = Calibration(energy=scan.calibration.energy, reciprocal_sampling=scan.calibration.reciprocal_sampling)
    clock = Clock()
    found = calibrate_scan(from_arrays(counts, known, positions))
    row: dict[str, Any] = {"defocus": defocus, "dose": dose, "orientation": code, "rotation": rotation, **clock.read()}
    row |= {"transpose": transpose, "undecided": list(found.undecided), "semiangle": found.semiangle_cutoff[0]}
    if found.fit is None:
        return row | {"right": False}
    truth = defocus + effective_depth(step)
    turn = (found.fit.rotation - rotation + 180) % 360 - 180
    # In focus a twin differs from the other by 180 degrees and the phase's sign alone.
    off = found.fit.defocus - truth
    allowed = max(SHARE * abs(truth), OF_DEPTH * DEPTH)
    return row | {
        "found_transpose": found.fit.transpose,
        "rotation_error": turn,
        "stated_rotation_error": found.fit.errors["rotation"],
        "defocus_error": off,
        "stated_defocus_error": found.fit.errors["defocus"],
        "handed": found.handed,
        "positive": found.positive,
        "twin": abs(turn) > 90,
        "right": bool(found.fit.transpose == transpose and abs(turn) < DEGREES and abs(off) < allowed),
    }


def turned(
    counts: np.ndarray, positions: np.ndarray, code: int, angle: float
) -> tuple[np.ndarray, np.ndarray, float, bool]:
    """Arrays flipped along rows (2), columns (1) and transposed (4), the scan's axes turned by an angle in degrees.

    Returns them with the rotation and transpose that lead from the scan's axes to the detector's.
    """
    matrix = np.eye(2)
    for bit, axis in ((2, 2), (1, 3)):
        if code & bit:
            # The zero frequency of an even detector lies right of the middle: it stays where it is.
            counts = np.roll(np.flip(counts, axis), 1, axis)
            matrix = np.diag([-1.0, 1.0] if axis == 2 else [1.0, -1.0]) @ matrix
    if code & 4:
        counts, matrix = counts.swapaxes(2, 3), matrix[::-1]
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    turn = np.array([[cos, -sin], [sin, cos]])
    matrix = matrix @ turn.T
    transpose = bool(np.linalg.det(matrix) < 0)
    rest = matrix[:, ::-1] if transpose else matrix
    rotation = float(np.degrees(np.arctan2(rest[1, 0], rest[0, 0])))
    return np.ascontiguousarray(counts), positions @ turn.T, rotation, transpose


def effective_depth(step: float) -> float:
    """Å from the mean depth of the atoms that are seen, weighted by scattering power, to the specimen's middle."""
    gold, carbon = (float(scattering_factor(element, np.array([0.4]))[0]) ** 2 for element in ("Au", "C"))
    atoms = np.pi / 6 * DIAMETER**3 * 4 / 4.0782**3, 0.1 * CARBON * (SHAPE[0] * step) ** 2
    weight = np.array([gold * atoms[0], carbon * atoms[1]])
    depth = np.array([DIAMETER / 2, DIAMETER + 1.5 + CARBON / 2])
    return float((DIAMETER + CARBON) / 2 - weight @ depth / weight.sum())


def real_scans() -> dict[str, Any]:
    """Duck and rotavirus, with what is known of them."""
    folder = os.environ.get("JPTYCHO_DATA")
    if not folder:
        return {}
    duck = {"energy": 80e3, "step": 5.0, "reciprocal_sampling": 0.025, "semiangle_cutoff": 20.0}
    virus = {"energy": 300e3, "step": 31.25, "reciprocal_sampling": 0.0016801075268817202, "semiangle_cutoff": 1.03}
    out: dict[str, Any] = {}
    for file, options in (
        ("ducky/ducky_25x25x128x128_u16.h5", duck),
        ("rotavirus_crop/rotavirus_40x40x96x96_u8.npz", virus),
    ):
        clock = Clock()
        scan = open_dataset(Path(folder) / file, counts="dp", **options)
        found = calibrate_scan(scan)
        fit = found.fit
        row: dict[str, Any] = {**clock.read(), "semiangle_cutoff": found.semiangle_cutoff}
        row["centre"] = [c + n // 2 for c, n in zip(found.disk.centre, scan.shape[-2:], strict=True)]
        if fit is not None:
            row |= {"rotation": fit.rotation, "transpose": fit.transpose, "defocus": fit.defocus, "errors": fit.errors}
            row |= {"astigmatism": fit.astigmatism, "handed": found.handed, "positive": found.positive}
        out[file.split("/")[0]] = row | {"undecided": list(found.undecided)}
        print(out, flush=True)
    return out


if __name__ == "__main__":
    main()
