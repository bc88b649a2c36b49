"""A result's file: every array with its unit, and what is missing is named."""

import dataclasses
from pathlib import Path

import h5py
import numpy as np
import pytest

from jptycho.data.results import ARRAYS, OPTIONAL, REQUIRED, Result, projected_phase, read_result, write_result
from jptycho.errors import FormatError

from ..report.results import made_up

UNITS = {
    "object/phase": "rad",
    "object/deviation": "rad",
    "positions": "Å",
    "tilts": "mrad",
    "patterns/measured": "counts",
    "patterns/modelled": "counts",
    "extra/current": "pA",
}


def full() -> Result:
    """With everything that a result may have."""
    rng = np.random.default_rng(1)
    one = made_up()
    own = {"kind": "complex", "origin": np.array([-2.0, 3.0]), "slice_thickness": 4.0}
    return dataclasses.replace(
        one,
        absorption=rng.uniform(size=one.phase.shape),
        deviation=rng.uniform(size=one.phase.shape),
        tilts=rng.normal(size=(6, 2)),
        extra={"current": rng.uniform(size=6), "share": rng.uniform(size=(6, 3))},
        units={"current": "pA"},
        attributes=one.attributes | own,
    )


def test_every_field_comes_back(tmp_path: Path):
    result = full()
    write_result(tmp_path / "a.h5", result)
    back = read_result(tmp_path / "a.h5")
    for field in dataclasses.fields(Result):
        kept, written = getattr(back, field.name), getattr(result, field.name)
        if field.name in ARRAYS:
            np.testing.assert_array_equal(kept, written, err_msg=field.name)
        else:
            assert set(kept) >= set(written), field.name
    for name in ("current", "share"):
        np.testing.assert_array_equal(back.extra[name], result.extra[name])
    assert back.units == {"current": "pA"}
    assert back.attributes["kind"] == "complex"
    np.testing.assert_array_equal(projected_phase(back), result.phase.sum(axis=0)[5:35, 8:44])


def test_every_array_says_its_unit(tmp_path: Path):
    write_result(tmp_path / "a.h5", full())
    with h5py.File(tmp_path / "a.h5") as file:
        places = [place for place, _ in ARRAYS.values()] + ["extra/current", "extra/share"]
        assert {place: file[place].attrs["unit"] for place in places if "unit" in file[place].attrs} == UNITS


def test_what_a_run_does_not_have_is_left_out(tmp_path: Path):
    result = full()
    bare = dataclasses.replace(result, extra={}, units={}, **dict.fromkeys(OPTIONAL))
    write_result(tmp_path / "a.h5", bare)
    with h5py.File(tmp_path / "a.h5") as file:
        assert not [ARRAYS[name][0] for name in OPTIONAL if ARRAYS[name][0] in file]
    back = read_result(tmp_path / "a.h5")
    assert back.absorption is back.deviation is back.tilts is None
    assert back.extra == back.units == {}


@pytest.mark.parametrize("place", REQUIRED)
def test_a_damaged_file_is_named(place: str, tmp_path: Path):
    write_result(tmp_path / "a.h5", full())
    with h5py.File(tmp_path / "a.h5", "a") as file:
        del file[place]
    with pytest.raises(FormatError, match=f"lacks {place}: it is damaged"):
        read_result(tmp_path / "a.h5")
