"""A scan that was made ready, under another calibration: its patterns need not be read or divided again."""

from __future__ import annotations

import dataclasses

import numpy as np

from jptycho.data.dataset import Dataset4D
from jptycho.preprocess.calibrate import check_calibration
from jptycho.preprocess.nominal_probe import nominal_probe
from jptycho.preprocess.object_spec import ObjectSpec, check_object
from jptycho.preprocess.prepare import Problem, scan_positions, vacuum
from jptycho.scan import place_on_canvas


def recalibrated(
    problem: Problem,
    dataset: Dataset4D,
    spec: ObjectSpec,
    modes: int = 1,
    canvas: tuple[int, int] = (0, 0),
    source_size: float = 0.0,
) -> Problem:
    """A scan whose positions, probe or object are said otherwise; patterns, detector and electrons stay.

    Args:
        problem: the scan made ready.
        dataset: the same scan with another defocus, rotation, ...; sampling and energy stay.
        spec: what the object is to be.
        modes: of the probe.
        canvas: that it shall have at least, so that programs of several calibrations have equal shapes.
        source_size: as for :func:`jptycho.prepare`.

    Returns:
        the scan with a blank object; its further unknowns are gone.

    Raises:
        ConfigError: an impossible calibration or object.

    Example:
        >>> from jptycho.preprocess.prepare import prepare
        >>> from jptycho.simulate.scan import simulate_gold
        >>> scan = simulate_gold(scan_shape=(4, 4), detector=(32, 32))
        >>> recalibrated(prepare(scan), scan, ObjectSpec(), 2, (64, 64)).estimate.object.shape
        (1, 1, 64, 64)
    """
    check_calibration(dataset)
    check_object(spec, dataset)
    grid, positions = problem.setup.grid, scan_positions(dataset)
    pixels, own = place_on_canvas(positions, grid.sampling, grid.shape, problem.margin)
    shape = max(own[0], canvas[0]), max(own[1], canvas[1])
    pixels = pixels + [(wanted - needed) // 2 for wanted, needed in zip(shape, own, strict=True)]
    centre = (0.0, 0.0)
    if problem.setup.centre is not None:
        y, x = np.asarray(problem.setup.centre, float) * grid.shape * grid.sampling
        centre = float(y), float(x)
    probe = nominal_probe(dataset, grid, spec, centre, modes, source_size)
    origin = positions[0] - pixels[0] * np.asarray(grid.sampling)
    return dataclasses.replace(
        problem,
        estimate=vacuum(spec, probe, pixels, shape),
        origin=(float(origin[0]), float(origin[1])),
        dataset=dataset,
        unknowns={},
    )
