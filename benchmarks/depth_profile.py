"""How well two crystal layers are told apart along the beam."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import optimize, special


def layers(result: Any, scan: Any, size: str) -> dict[str, Any]:
    """Depth profile of each layer of a bilayer: its width, and the share of it that lies in the other's half.

    Each reconstructed slice is a sum of the two layers' projected structures, which the truth gives; the weights by
    least squares, structure slower than 4 Å left out, are the layers' depth profiles.
    """
    from acquire import CASES, truth_slices

    from jptycho.diagnostics.similarity import high_pass
    from jptycho.diagnostics.truth import resample

    top, bottom, left, right = result.field_of_view
    sampling, origin = result.attributes["sampling"], result.attributes["origin"]
    rows = np.arange(top, bottom) * sampling[0] + origin[0]
    columns = np.arange(left, right) * sampling[1] + origin[1]
    true = truth_slices("wse2", size)
    half = len(true) // 2
    sides = [
        resample(side.sum(axis=0), scan.truth.sampling, scan.truth.origin, rows, columns)
        for side in (true[:half], true[half:])
    ]
    basis = np.stack([high_pass(side, sampling, 4.0).ravel() for side in sides], axis=1)
    basis -= basis.mean(axis=0)
    found = np.asarray(result.phase)[:, top:bottom, left:right]
    slices = np.stack([high_pass(s, sampling, 4.0).ravel() for s in found], axis=1)
    weights = np.linalg.lstsq(basis, slices - slices.mean(axis=0), rcond=None)[0]
    thickness = CASES["wse2", size].slice_thickness
    middle = len(found) // 2
    near, far = (np.maximum(w, 0) for w in weights)
    return {
        "layer widths": [round(_width(w, thickness), 3) for w in weights],
        "leakage": round(float((near[middle:].sum() + far[:middle].sum()) / (near.sum() + far.sum())), 4),
        "depth profiles": [[round(float(v), 4) for v in w] for w in weights],
    }


def _width(profile: np.ndarray, thickness: float) -> float:
    """σ in Å of the error function that fits the running sum of a profile best."""
    total = np.cumsum(profile)
    edges = thickness * np.arange(1, len(profile) + 1)

    def step(z: np.ndarray, height: float, centre: float, sigma: float) -> np.ndarray:
        return height / 2 * (1 + special.erf((z - centre) / (np.sqrt(2) * abs(sigma))))

    start = (total[-1], thickness * (int(np.argmax(profile)) + 0.5), 2.0)
    try:
        best, _ = optimize.curve_fit(step, edges, total, p0=start, maxfev=5000)
    except RuntimeError:
        return float("nan")
    return float(abs(best[2]))
