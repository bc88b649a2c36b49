"""Runs whose patterns are read in every epoch: from a file as from memory, resumed, and from a file that breaks."""

import dataclasses

import numpy as np
import pytest

import jptycho

PLAIN = {
    "pixels": {"epochs": 4, "half_sets": False},
    "memory": {"stream": True, "chunk": 0.1},
    "output": {"checkpoint_minutes": 0.0},
}


def same(first, second):
    for name in ("phase", "probe", "positions"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    np.testing.assert_array_equal(first.history["loss"], second.history["loss"])


@pytest.fixture(scope="module")
def whole(small_scan):
    return jptycho.reconstruct(small_scan, **PLAIN)


def on_disk(scan, folder):
    """The same scan, of which only the rows that are asked for are in memory."""
    np.save(folder / "scan.npy", scan.read(slice(None)))
    counts = np.load(folder / "scan.npy", mmap_mode="r")
    return dataclasses.replace(scan, read=lambda rows=slice(None): np.array(counts[rows]), source="scan.npy")


def test_patterns_from_a_file_give_what_those_in_memory_give_to_the_bit(small_scan, whole, tmp_path):
    said = []
    same(whole, jptycho.reconstruct(on_disk(small_scan, tmp_path), log=said.append, **PLAIN))
    assert sum("patterns are read in every epoch" in line for line in said) == 1


def test_parts_find_the_object_that_all_patterns_at_once_find(small_scan, whole):
    """Other batches: the same object within what the order of the patterns changes."""
    resident = jptycho.reconstruct(small_scan, pixels=PLAIN["pixels"])
    top, bottom, left, right = resident.field_of_view
    pair = [run.phase.sum(axis=0)[top:bottom, left:right].ravel() for run in (whole, resident)]
    assert np.corrcoef(*pair)[0, 1] > 0.98
    assert whole.history["loss"][-1] == pytest.approx(resident.history["loss"][-1], rel=0.02)


def test_a_file_that_shrinks_loses_nothing(small_scan, whole, tmp_path):
    scan, parts = on_disk(small_scan, tmp_path), []

    def cut(rows=slice(None)):
        found = scan.read(rows)
        return found[:-1] if len(parts) >= 2 else found

    def count(record, _):
        parts.append(record.epoch)

    with pytest.raises(jptycho.FormatError, match=r"data.file: scan.npy holds fewer patterns .*the last checkpoint"):
        jptycho.reconstruct(dataclasses.replace(scan, read=cut), checkpoint=tmp_path / "c", callback=count, **PLAIN)
    assert parts == [1, 2]
    said = []
    same(whole, jptycho.reconstruct(scan, checkpoint=tmp_path / "c", log=said.append, **PLAIN))
    assert any("goes on from the checkpoint after epoch 2" in line for line in said)


def test_half_sets_and_what_is_held_out_are_the_electrons_of_the_scan_in_memory(small_scan):
    from jptycho.data.lazy_counts import lazy_counts  # noqa: PLC0415
    from jptycho.preprocess.thinning import hold_out, make_half_sets  # noqa: PLC0415

    resident, lazy = jptycho.prepare(small_scan), jptycho.prepare(small_scan, load=lazy_counts)
    assert (lazy.unit, lazy.undivided) == (resident.unit, resident.undivided)
    np.testing.assert_allclose(lazy.setup.dose, resident.setup.dose, rtol=1e-6)
    for divide in (lambda p: hold_out(p, 0.1, 3)[:2], lambda p: make_half_sets(p, 3, 1)):
        for one, other in zip(divide(resident), divide(lazy), strict=True):
            rows = np.array([200, 3, 4, 77])
            np.testing.assert_array_equal(one.counts[rows], other.counts[rows])
            np.testing.assert_allclose(one.setup.dose, other.setup.dose, rtol=1e-6)
    first, second = make_half_sets(lazy, 3, 1)
    np.testing.assert_array_equal(first.counts[[5]] + second.counts[[5]], resident.counts[[5]])


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"pixels": {"epochs": 3, "half_sets": True}},
        {"pixels": {"epochs": 3, "solver": "lsqml"}},
        {"pixels": {"epochs": 3, "solver": "mpie"}, "projections": {"phase_only": False, "positivity": True}},
        {
            "method": "dgp",
            "dgp": {
                "epochs": 2, "base_channels": 4, "levels": 1, "probe_levels": 1, "start_epochs": 2,
                "pretrain_steps": 5, "probe_pretrain_steps": 5, "polish_epochs": 2,
            },
        },
    ],
)  # fmt: skip
def test_every_stage_that_can_be_streamed_is_the_same_from_a_file(small_scan, tmp_path, changes):
    settings = {**changes, "memory": PLAIN["memory"]}
    expected = jptycho.reconstruct(small_scan, **settings)
    assert np.isfinite(expected.phase).all()
    same(expected, jptycho.reconstruct(on_disk(small_scan, tmp_path), **settings))
