"""How well two crystal layers are told apart along the beam."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from scipy import optimize, special

SHOWN = ("pixels", "pixels, depth tv 0.001", "pixels, depth slope 0.001", "dgp", "dgp, depth")


def layers(result: Any, scan: Any, size: str) -> dict[str, Any]:
    """Depth profile of each layer of a bilayer: its width, and the share of it that lies in the other's half.

    Each reconstructed slice is a sum of the two layers' projected structures, which the truth gives; the weights by
    least squares, structure slower than 4 Å left out, are the layers' depth profiles.
    """
    from recordings import CASES

    top, bottom, left, right = result.field_of_view
    sampling, origin = result.attributes["sampling"], result.attributes["origin"]
    rows = np.arange(top, bottom) * sampling[0] + origin[0]
    columns = np.arange(left, right) * sampling[1] + origin[1]
    found = np.asarray(result.phase)[:, top:bottom, left:right]
    weights = depth_weights(found, true_layers(scan, size, rows, columns), sampling)
    thickness = CASES["wse2", size].slice_thickness
    middle = len(found) // 2
    near, far = (np.maximum(w, 0) for w in weights)
    return {
        "layer widths": [round(_width(w, thickness), 3) for w in weights],
        "leakage": round(float((near[middle:].sum() + far[:middle].sum()) / (near.sum() + far.sum())), 4),
        "depth profiles": [[round(float(v), 4) for v in w] for w in weights],
    }


def true_layers(scan: Any, size: str, rows: np.ndarray, columns: np.ndarray, separate: bool = False) -> np.ndarray:
    """The projected phase of either layer where an object is sampled; or every slice of the truth."""
    from recordings import truth_slices

    from jptycho.diagnostics.truth import resample

    slices = truth_slices("wse2", size)
    half = len(slices) // 2
    stack = list(slices) if separate else [slices[:half].sum(axis=0), slices[half:].sum(axis=0)]
    return np.stack([resample(s, scan.truth.sampling, scan.truth.origin, rows, columns) for s in stack])


def depth_weights(slices: np.ndarray, structures: np.ndarray, sampling: tuple[float, float]) -> np.ndarray:
    """How much of each structure is in each slice (structures, slices), by least squares."""
    from jptycho.diagnostics.similarity import high_pass

    basis, found = (
        np.stack([high_pass(image, sampling, 4.0).ravel() for image in stack], axis=1) for stack in (structures, slices)
    )
    return np.linalg.lstsq(basis - basis.mean(axis=0), found - found.mean(axis=0), rcond=None)[0]


def picture(size: str, dose: float, file: Path, results: dict[str, Any]) -> None:
    """Both layers' depth profiles by the truth and by the first seed of the methods shown."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt
    from recordings import CASES, recording

    scan = recording("wse2", size, dose, 0)
    assert scan.truth is not None
    truth, sampling = scan.truth, scan.truth.sampling
    axes = [np.arange(n) * d + o for n, d, o in zip(truth.phase.shape, sampling, truth.origin, strict=True)]
    true = true_layers(scan, size, axes[0], axes[1], separate=True)
    start, chosen = f"{dose:g} e/A^2, seed 0: ", [row for row in results if row.split(": ")[-1] in SHOWN]
    shown = {"truth": depth_weights(true, true_layers(scan, size, axes[0], axes[1]), sampling)}
    shown |= {key.removeprefix(start): results[key]["depth profiles"] for key in chosen if key.startswith(start)}
    figure, panels = plt.subplots(1, len(shown), figsize=(2.6 * len(shown), 2.6), sharey=True)
    depth = CASES["wse2", size].slice_thickness * (np.arange(len(true)) + 0.5)
    for axis, (label, profiles) in zip(panels, shown.items(), strict=True):
        for profile in profiles:
            axis.plot(depth, np.asarray(profile) / np.sum(np.maximum(profile, 0)))
        axis.set(title=label.replace("pixels, ", ""), xlabel="depth (Å)")
    panels[0].set(ylabel="share of a layer")
    figure.tight_layout()
    figure.savefig(file, dpi=80)
    plt.close(figure)


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
