"""Every default stands once, beside the code that uses it: the tables of a configuration take theirs from there."""

import pytest

from jptycho.config import parse_config
from jptycho.representations.generated import GeneratedObject
from jptycho.representations.networks import Pretraining, UNetSpec
from jptycho.solvers import DifferenceMapSolver, LSQMLSolver, PIESolver

PARTS = {
    "pie": (PIESolver, ("object_step", "probe_step", "period")),
    "lsqml": (LSQMLSolver, ("damping", "beta", "compact")),
    "difference_map": (DifferenceMapSolver, ("passes",)),
    "dgp": (UNetSpec, ("levels", "base_channels", "upsampling", "architecture", "skips", "norm", "precision")),
}


@pytest.mark.parametrize("table", PARTS)
def test_a_table_has_the_defaults_of_its_part(table: str):
    part, names = PARTS[table]
    section = getattr(parse_config({"data": {"file": "scan.h5"}}), table)
    assert {name: getattr(section, name) for name in names} == {name: getattr(part, name) for name in names}


def test_pre_training_and_what_the_network_sees_likewise():
    dgp = parse_config({"data": {"file": "scan.h5"}}).dgp
    assert (dgp.pretrain_steps, dgp.pretrain_rate, dgp.pretrain_tolerance) == (
        Pretraining.steps,
        Pretraining.rate,
        Pretraining.tolerance,
    )
    assert (dgp.random_input, dgp.augment) == (GeneratedObject.random_input, GeneratedObject.augmented)
