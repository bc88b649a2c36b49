"""Ctrl-C at any moment, then the same command: the result of the run that was never interrupted, bit for bit."""

import os
import signal

import jax.numpy as jnp
import numpy as np
import pytest

import jptycho
from jptycho.data import checkpoints

DGP = {
    "method": "dgp",
    "dgp": {
        "epochs": 3, "base_channels": 4, "levels": 1, "probe_levels": 1, "start_epochs": 3, "pretrain_steps": 25,
        "steps": 2,
        "probe_pretrain_steps": 15, "probe": "network", "polish_epochs": 3, "residual": False,
    },
    "output": {"checkpoint_minutes": 0.0},
}  # fmt: skip


def run(scan, folder=None, at=None, **changes):
    """A run, interrupted when so many things have been reported, and the names of all that was."""
    events = []

    def happen(name):
        events.append(name)
        if len(events) - 1 == at:
            os.kill(os.getpid(), signal.SIGINT)

    result = jptycho.reconstruct(
        scan,
        checkpoint=folder,
        callback=lambda record, _: happen(f"{record.stage} {record.epoch}"),
        announce=lambda what, done, total: happen(f"{what} {done}"),
        **{**DGP, **changes},
    )
    return result, events


def same(first, second):
    for name in ("phase", "probe", "positions"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    for name in ("loss", "validation_loss", "stage"):
        np.testing.assert_array_equal(first.history[name], second.history[name])
    assert second.attributes["status"] == "done"


def moments(events, number):
    """Some of what happens after the scan has been read, from every stage."""
    later = [i for i, name in enumerate(events) if not name.startswith(("reading", "dividing"))]
    return sorted({later[round(x)] for x in np.linspace(0, len(later) - 1, number)})


@pytest.fixture(scope="module")
def whole(small_scan):
    return run(small_scan)


def check(small_scan, whole, tmp_path, number):
    expected, events = whole
    stages = (
        "half sets",
        "filtering the half sets",
        "pre-training the object",
        "pre-training the probe",
        "dgp",
        "polish",
        "all",
    )
    assert all(any(name.startswith(stage) for name in events) for stage in stages), events
    ended = 0
    for at in moments(events, number):
        folder = tmp_path / f"at{at}"
        first, _ = run(small_scan, folder, at)
        if first.attributes["status"] == "done":  # the last epoch was under way
            same(expected, first)
            ended += 1
            continue
        assert np.isfinite(first.phase).all()
        same(expected, run(small_scan, folder)[0])
    assert ended <= 2


@pytest.mark.slow
def test_ctrl_c_at_some_moments_of_every_stage(small_scan, whole, tmp_path):
    check(small_scan, whole, tmp_path, 5)


@pytest.mark.slow
def test_ctrl_c_at_many_moments_of_every_stage(small_scan, whole, tmp_path):
    check(small_scan, whole, tmp_path, 40)


def test_a_repetition_that_is_interrupted_twice_keeps_what_had_been_found(small_scan, whole, tmp_path):
    """Half a repetition with all electrons is worse than what held-out electrons had chosen."""
    at = whole[1].index("all electrons 1")
    first, _ = run(small_scan, tmp_path / "c", at)
    second, events = run(small_scan, tmp_path / "c", whole[1].index("half sets: compiling 0"))
    assert "all electrons 2" in events
    assert [r.attributes["status"] for r in (first, second)] == ["interrupted"] * 2
    np.testing.assert_array_equal(first.phase, second.phase)
    same(whole[0], run(small_scan, tmp_path / "c")[0])


def test_a_stop_between_two_stages_is_answered_before_the_next_ones_first_epoch(small_scan, whole, tmp_path):
    first, events = run(small_scan, tmp_path / "c", whole[1].index("dgp 3"))
    assert (first.attributes["status"], events[-1]) == ("interrupted", "dgp 3")
    assert set(first.history["stage"]) == {"half sets", "dgp"}

    def log(text):
        if text.startswith("goes on from the checkpoint after epoch 0 of polish"):
            os.kill(os.getpid(), signal.SIGINT)

    again = jptycho.reconstruct(small_scan, checkpoint=tmp_path / "c", log=log, **DGP)
    assert again.attributes["status"] == "interrupted"
    assert "polish" not in again.history["stage"]
    same(whole[0], run(small_scan, tmp_path / "c")[0])


def test_a_checkpoint_that_cannot_be_written_is_said_and_the_run_ends(small_scan, whole, tmp_path, monkeypatch):
    def full(*_):
        raise jptycho.CheckpointError("checkpoint: 'c' cannot be written (No space left on device).")

    monkeypatch.setattr("jptycho.reconstruction.checkpoint.save_checkpoint", full)
    said = []
    result = jptycho.reconstruct(small_scan, checkpoint=tmp_path / "c", log=said.append, **DGP)
    same(whole[0], result)
    assert sum("No space left on device). The run goes on" in line for line in said) == len(result.history["loss"])


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path):
    """The system refuses large files as a full disk does, inside Orbax."""
    import resource  # noqa: PLC0415

    small, large = {"a": np.ones(8, np.float32)}, {"a": np.random.default_rng(0).normal(size=2**18)}
    checkpoints.save_checkpoint(tmp_path / "c", small, {"stage": "pixels"})
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, limit[1]))
    try:
        with pytest.raises(jptycho.CheckpointError, match=r"cannot be written \(File too large\)"):
            checkpoints.save_checkpoint(tmp_path / "c", large, {"stage": "dgp"})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, before)
    assert checkpoints.load_facts(tmp_path / "c") == {"stage": "pixels"}
    assert [path.name for path in tmp_path.iterdir()] == ["c"]
    checkpoints.save_checkpoint(tmp_path / "c", large, {"stage": "dgp"})
    assert checkpoints.load_facts(tmp_path / "c") == {"stage": "dgp"}


@pytest.mark.parametrize("left", [".new", ".old"])
def test_a_crash_between_two_renames_loses_nothing(tmp_path, left):
    tree = {"a": jnp.arange(5.0)}
    checkpoints.save_checkpoint(tmp_path / "c", tree, {"stage": "pixels"})
    (tmp_path / "c").rename(tmp_path / f"c{left}")
    if left == ".old":
        (tmp_path / "c.new").mkdir()  # begun, not complete
    assert checkpoints.load_facts(tmp_path / "c") == {"stage": "pixels"}
    np.testing.assert_array_equal(checkpoints.load_checkpoint(tmp_path / "c", tree)["a"], tree["a"])
    checkpoints.save_checkpoint(tmp_path / "c", tree, {"stage": "dgp"})
    assert checkpoints.load_facts(tmp_path / "c") == {"stage": "dgp"}
    checkpoints.remove_checkpoint(tmp_path / "c")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["", "{", "[]"])
def test_facts_that_a_power_cut_emptied_are_named(tmp_path, text):
    checkpoints.save_checkpoint(tmp_path / "c", {"a": np.ones(3)}, {"stage": "pixels"})
    (tmp_path / "c" / "facts.json").write_text(text)
    with pytest.raises(jptycho.FormatError, match=r"checkpoint: .*is damaged. Delete it to start from the beginning"):
        checkpoints.load_facts(tmp_path / "c")
