"""What a run of networks takes: more the more it does, and about what the plan of a run says."""

import dataclasses

import numpy as np
import pytest

from jptycho.config.run import with_changes
from jptycho.data.dataset import Dataset4D
from jptycho.preprocess.memory import RunShape, counts_bytes
from jptycho.preprocess.network_memory import NetworkShape, estimate_network_memory
from jptycho.preprocess.prepare import prepare

from ..diagnostics.test_inspection import GOOD

ABOUT = 0.4
"""Relative difference of an estimate by shapes and a plan that knows the run's settings and its counts."""


def host(dataset: Dataset4D, canvas: tuple[int, int] = (300, 310), streamed: bool = False, **changes: int) -> int:
    shape = dataclasses.replace(NetworkShape(), **changes)
    return estimate_network_memory(dataset, canvas, RunShape(), shape, False, streamed).host


def test_networks_take_more_the_more_they_do():
    dataset = Dataset4D((64, 64, 64, 64), np.dtype(np.uint16), lambda: np.zeros(0), GOOD)
    plain = host(dataset)
    for change in ({"base_channels": 32}, {"levels": 4}, {"members": 2}, {"stacks": 3}, {"micro_batch": 512}):
        assert host(dataset, **change) > plain
    assert host(dataset, (600, 620)) > plain
    # Two halves beside the whole, and both again on the device.
    assert plain - host(dataset, half_sets=False) >= 2 * counts_bytes(dataset)


def test_patterns_that_are_read_in_every_epoch_need_no_room():
    short, long = (Dataset4D((n, 64, 64, 64), np.dtype(np.uint16), lambda: np.zeros(0), GOOD) for n in (2000, 4000))
    assert host(long) - host(short) > 3 * counts_bytes(short)
    assert host(long, streamed=True) == host(short, streamed=True)


@pytest.mark.slow
@pytest.mark.parametrize("channels", [16, 64])
def test_it_agrees_with_the_plan_of_a_run(small_scan, channels):
    from jptycho.reconstruction.reconstruct import plan_run  # noqa: PLC0415

    config = with_changes(None, {"method": "dgp", "dgp": {"base_channels": channels, "ensemble_size": 1}})
    problem = prepare(small_scan)
    planned = max(stage.host for stage in plan_run(config, problem).stages)
    canvas = problem.estimate.object.shape[-2:]
    assert abs(host(small_scan, canvas, base_channels=channels) / planned - 1) < ABOUT
