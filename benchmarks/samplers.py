"""Which sampler of Optuna finds the minimum of a search in the fewest trials.

    python benchmarks/samplers.py [--trials 16 30] [--seeds 20]

The case ``orientation`` of ``search.py`` is run on a grid of 13 x 13 values, 4 epochs each; losses of every pattern
between them are splines. So a trial costs nothing, and each sampler is run with many seeds: with the last two trials at
the minimum of a parabola through the others, and without. Distances are from the minimum of the splines' mean.
"""

from __future__ import annotations

import argparse
import dataclasses
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import optuna
from scipy.interpolate import RectBivariateSpline, make_interp_spline

FIRST = 8  # trials at random
LOW, HIGH = np.array([40.0, -6.0]), np.array([220.0, 6.0])
GIVEN = {"defocus": 160.0, "rotation": 3.0}
KINDS = {
    name: optuna.distributions.FloatDistribution(*pair)
    for name, *pair in zip(GIVEN, LOW.tolist(), HIGH.tolist(), strict=True)
}
SAMPLERS: dict[str, Callable[[int], Any]] = {
    "random": lambda seed: optuna.samplers.RandomSampler(seed=seed),
    "Sobol": lambda seed: optuna.samplers.QMCSampler(seed=seed, scramble=True),
    "TPE": lambda seed: optuna.samplers.TPESampler(seed=seed, multivariate=False, n_startup_trials=FIRST),
    "TPE, all together": lambda seed: optuna.samplers.TPESampler(seed=seed, multivariate=True, n_startup_trials=FIRST),
    "CMA-ES": lambda seed: optuna.samplers.CmaEsSampler(seed=seed, n_startup_trials=FIRST),
}
"""That of a Gaussian process needs PyTorch."""


def main() -> None:
    """Print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", nargs="+", type=int, default=[16, 30])
    parser.add_argument("--seeds", type=int, default=20)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    axes, losses = grid()
    lowest = minimum(axes, losses.mean(axis=-1))
    print("minimum", lowest.round(2))
    for trials in options.trials:
        for name, make in SAMPLERS.items():
            for last in (0, 2):
                found = [one(make(seed), (axes, losses), trials, last) for seed in range(options.seeds)]
                off = np.abs(np.array(found) - lowest)
                middle, worst = np.median(off, axis=0).round(2), off.max(axis=0).round(2)
                print(f"{trials} trials, {name}, {last} by parabola: median {middle}, worst {worst}", flush=True)


def grid() -> tuple[list[np.ndarray], np.ndarray]:
    """Defocus and rotation, and the losses of every pattern there."""
    from search import CASES

    import jptycho
    from jptycho.automatic.search.bench import Told, make_bench, pixels_of
    from jptycho.automatic.search.ranges import Range
    from jptycho.config.run import with_changes

    case = CASES["orientation"]
    scan = jptycho.simulate_gold(**case["scan"])
    scan = dataclasses.replace(scan, calibration=dataclasses.replace(scan.calibration, **case["stated"]))
    ranges = [Range(name, *pair) for name, pair in case["over"].items()]
    told = Told(print, lambda *_: None, lambda: False)
    bench = make_bench(pixels_of(with_changes(None, {}), 4), scan, ranges, told)
    axes = [np.linspace(low, high, 13) for low, high in zip(LOW, HIGH, strict=True)]
    values = [[dict(zip(GIVEN, (x, y), strict=True)) for y in axes[1]] for x in axes[0]]
    return axes, np.array([[bench.losses(each) for each in row] for row in values], float)


def minimum(axes: list[np.ndarray], scores: np.ndarray) -> np.ndarray:
    """Where the spline is lowest."""
    fine = [np.linspace(axis[0], axis[-1], 721) for axis in axes]
    dense = RectBivariateSpline(*axes, scores, kx=3, ky=3)(*fine)
    return np.array([fine[i][n] for i, n in enumerate(np.unravel_index(dense.argmin(), dense.shape))])


def one(sampler: Any, known: tuple[list[np.ndarray], np.ndarray], trials: int, last: int) -> np.ndarray:
    """The best of so many trials, by score alone."""
    from jptycho.automatic.search.parabola import find_vertex

    (first, second), losses = known
    along = make_interp_spline(first, losses, k=3, axis=0)
    study, points, seen = optuna.create_study(sampler=sampler), [], []
    study.enqueue_trial(GIVEN)
    for number in range(trials):
        vertex, trial = None, None
        if trials - number <= last:
            vertex = find_vertex((np.array(points) - LOW) / (HIGH - LOW), np.array(seen))
        if vertex is None:
            trial = study.ask(KINDS)
            point = np.array([trial.params[name] for name in GIVEN])
        else:
            point = LOW + (HIGH - LOW) * vertex.place
        seen.append(make_interp_spline(second, along(point[0]), k=3, axis=0)(point[1]))
        points.append(point)
        if trial is not None:
            study.tell(trial, float(seen[-1].mean()))
    return points[int(np.argmin(np.mean(seen, axis=1)))]


if __name__ == "__main__":
    main()
