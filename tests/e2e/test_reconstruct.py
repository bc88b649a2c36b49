"""Whole reconstructions: they find the truth, forget no start, do not see the unit of the counts, and go on."""

import dataclasses
import os
import signal
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

import jptycho
from jptycho.cli.demo import score
from jptycho.data.dataset import from_arrays
from jptycho.forward.fields import Fields, ScanFields
from jptycho.forward.model import predict_batch
from jptycho.preprocess.prepare import prepare

from ..tolerances import SCALED_RUNS

SMALL_NETS = {"levels": 1, "base_channels": 4, "probe_levels": 1, "pretrain_steps": 30, "epochs": 4, "steps": 2}
SMALL_NETS["polish_epochs"] = 0
SLOW_DGP = pytest.param("dgp", marks=pytest.mark.slow)


def phase_of(result):
    top, bottom, left, right = result.field_of_view
    return result.phase.sum(axis=0)[top:bottom, left:right]


@pytest.mark.slow
def test_preconditioned_pixels_find_the_particle_soon(small_scan):
    result = jptycho.reconstruct(small_scan, pixels={"epochs": 6})
    found = score(result, result.phase, small_scan.truth)
    assert found.correlation > 0.95
    plain = jptycho.reconstruct(small_scan, pixels={"epochs": 6, "preconditioner": {"gain": 0.0}})
    assert score(plain, plain.phase, small_scan.truth).correlation < found.correlation


@pytest.mark.slow
def test_the_dgp_keeps_and_improves_its_start():
    scan = jptycho.simulate_gold(
        dose=500, diameter=14.0, carbon_thickness=4.0, scan_shape=(16, 16), step=1.2, detector=(32, 32), defocus=100.0
    )
    stages = {}

    def callback(record, channels):
        stages[record.stage] = np.asarray(channels())[:, 0]

    result = jptycho.reconstruct(
        scan,
        method="dgp",
        dgp={"epochs": 12, "levels": 1, "base_channels": 8},
        validation={"patience": 20, "all_electrons": False},
        callback=callback,
    )
    start, end = (score(result, stages[s], scan.truth) for s in ("half sets", "dgp"))
    assert end.high_pass > start.high_pass
    assert end.ssim > start.ssim
    assert end.correlation > start.correlation - 0.01
    assert list(result.history["stage"]) == ["half sets"] * 12 + ["dgp"] * 12 + ["polish"] * 5
    assert result.attributes["members"] == 2  # at this dose there are two networks
    assert (np.diff(result.history["seconds"]) > 0).all()


@pytest.mark.parametrize("method", ["pixels", SLOW_DGP])
def test_the_unit_of_the_counts_does_not_matter(small_scan, method):
    counts = small_scan.read().astype(np.float64)
    phases = {}
    for factor in (1.0, 0.1, 10.0, 440.0) if method == "pixels" else (1.0, 440.0):
        scan = from_arrays((counts * factor).reshape(16, 16, 32, 32), small_scan.calibration, small_scan.positions)
        settings = {"start_epochs": 2, **SMALL_NETS, "epochs": 2}
        phases[factor] = phase_of(jptycho.reconstruct(scan, method=method, pixels={"epochs": 3}, dgp=settings))
    assert phases[1.0].std() > 0.05
    for factor, phase in phases.items():
        change = phase - phases[1.0]
        if method == "pixels":
            assert np.abs(change).max() < SCALED_RUNS, factor
        else:  # Adam on many weights amplifies the rounding of single pixels
            assert np.sqrt(np.mean(change**2)) < 0.05 * phases[1.0].std(), factor


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["potential", "complex"])
@pytest.mark.parametrize("method", ["pixels", "dgp"])
def test_other_kinds_and_odd_sizes(kind, method):
    """A scan of odd, unequal size with an uneven detector; two slices, two modes."""
    scan = jptycho.simulate_gold(
        dose=1e4, diameter=8.0, carbon_thickness=3.0, scan_shape=(7, 9), step=1.1, detector=(30, 27), defocus=80.0,
        sampling=(0.4, 0.45),
    )  # fmt: skip
    result = jptycho.reconstruct(
        scan,
        method=method,
        object={"kind": kind, "slices": 2, "slice_thickness": 5.0},
        probe={"modes": 2},
        pixels={"epochs": 3, "batch": 10},
        dgp={**SMALL_NETS, "start_epochs": 3},
    )
    assert np.isfinite(result.phase).all()
    losses = result.history["loss"][result.history["stage"] == ("half sets" if method == "pixels" else method)]
    assert losses[-1] < losses[0]
    assert result.absorption is None if kind == "potential" else result.absorption.min() >= 0
    if kind == "potential":
        assert result.phase.min() >= 0
    assert np.isclose((np.abs(result.probe) ** 2).sum(), 1, atol=0.1)


@pytest.mark.slow
def test_start_from_a_result(tmp_path, small_scan):
    first = jptycho.reconstruct(small_scan, pixels={"epochs": 4})
    jptycho.write_result(tmp_path / "first.h5", first)
    dgp = {**SMALL_NETS, "start_file": str(tmp_path / "first.h5")}
    said = []
    result = jptycho.reconstruct(small_scan, method="dgp", dgp=dgp, log=said.append)
    # An earlier result may have seen what is held out now, so it is no candidate for what is kept.
    assert not any("better than the start" in line for line in said)
    assert set(result.history["stage"]) == {"dgp"}
    other = {"slices": 2, "slice_thickness": 5.0}
    with pytest.raises(jptycho.ConfigError, match=r"dgp.start_file: object .* expected"):
        jptycho.reconstruct(small_scan, method="dgp", dgp=dgp, object=other)


@pytest.mark.parametrize("method", ["pixels", pytest.param("dgp", marks=pytest.mark.slow)])
def test_a_fixed_probe_stays_as_it_is(small_scan, method):
    start = jptycho.prepare(small_scan).estimate.probe
    result = jptycho.reconstruct(
        small_scan, method=method, probe={"fixed": True}, pixels={"epochs": 2}, dgp={**SMALL_NETS, "start_epochs": 2}
    )
    np.testing.assert_allclose(result.probe, np.fft.fftshift(start, axes=(-2, -1)), atol=1e-6)


def test_gradient_through_predict(small_scan):
    """What the README promises: jax.grad through predict with respect to the defocus."""
    from jptycho.optics.electron import wavelength  # noqa: PLC0415
    from jptycho.optics.probe import form_probe  # noqa: PLC0415

    problem = jptycho.prepare(small_scan)
    estimate, setup = problem.estimate, problem.setup
    measured = jnp.asarray(problem.counts[::8], jnp.float32) / setup.dose

    @jax.jit
    def misfit(defocus):
        probe = form_probe(setup.grid, wavelength(300e3), 20.0, {"C10": -defocus})[None]
        flat = jnp.ones((1, *estimate.object.shape[-2:]), jnp.complex64)
        fields = jptycho.Fields(flat, probe, jptycho.ScanFields(estimate.positions), estimate.thickness, estimate.tilt)
        predicted = jptycho.forward.predict_batch(fields, setup, fields.scan[::8])
        return jnp.sum((jnp.sqrt(predicted + 1e-6) - jnp.sqrt(measured + 1e-6)) ** 2)

    slope = jax.grad(misfit)(100.0)
    numeric = (misfit(101.0) - misfit(99.0)) / 2
    assert float(slope) == pytest.approx(float(numeric), rel=0.1, abs=2e-4)


@pytest.fixture
def run_file(tmp_path, small_scan):
    jptycho.write_scan(tmp_path / "scan.h5", small_scan)

    def write(epochs, minutes=0.0, method="pixels"):
        (tmp_path / "run.toml").write_text(
            f'method = "{method}"\n[data]\nfile = "scan.h5"\n[pixels]\nepochs = {epochs}\n'
            f"[dgp]\nlevels = 1\nbase_channels = 4\nprobe_levels = 1\nstart_epochs = 2\nepochs = {epochs}\n"
            f"[output]\nreport = false\ncheckpoint_minutes = {minutes}\n"
        )
        return tmp_path

    return write


def command(*arguments, **kwargs):
    return subprocess.run(
        [sys.executable, "-m", "jptycho.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        **kwargs,
    )


@pytest.mark.slow
def test_ctrl_c_leaves_a_valid_result_and_the_run_goes_on(run_file):
    folder = run_file(120)
    child = subprocess.Popen(
        [sys.executable, "-m", "jptycho.cli", "reconstruct", str(folder / "run.toml")],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        for line in child.stdout:
            if "epoch 1/" in line:
                break
        time.sleep(0.5)
        child.send_signal(signal.SIGINT)
        rest, _ = child.communicate(timeout=120)
    finally:
        child.kill()
    assert child.returncode == 0, rest
    first = jptycho.read_result(folder / "result.h5")
    done = len(first.history["loss"])
    assert first.attributes["status"] == "interrupted"
    assert 1 <= done < 120
    assert (folder / "result.h5.checkpoint").is_dir()
    # One more interruption is not needed: ask the resumed run to stop by itself, at its own number of epochs.
    again = subprocess.Popen(
        [sys.executable, "-m", "jptycho.cli", "reconstruct", str(folder / "run.toml"), "--overwrite"],
        stdout=subprocess.PIPE,
        text=True,
    )
    text, _ = again.communicate(timeout=300)
    assert again.returncode == 0
    assert f"goes on from the checkpoint after epoch {done}" in text
    second = jptycho.read_result(folder / "result.h5")
    np.testing.assert_array_equal(second.history["loss"][:done], first.history["loss"])
    assert len(second.history["loss"]) == 120
    assert not (folder / "result.h5.checkpoint").exists()


@pytest.mark.parametrize("method", ["pixels", SLOW_DGP])
def test_a_killed_run_goes_on_to_the_same_result(tmp_path, small_scan, method):
    settings = {
        "method": method,
        "pixels": {"epochs": 6},
        "dgp": {**SMALL_NETS, "start_epochs": 2, "epochs": 6},
        "output": {"checkpoint_minutes": 0.0},
    }
    whole, stage = jptycho.reconstruct(small_scan, **settings), "half sets" if method == "pixels" else method

    class PowerCutError(Exception):
        pass

    def cut(record, channels):
        del channels
        if record.stage == stage and record.epoch == 4:
            raise PowerCutError

    with pytest.raises(PowerCutError):
        jptycho.reconstruct(small_scan, **settings, callback=cut, checkpoint=tmp_path / "c")
    seen = []
    resumed = jptycho.reconstruct(
        small_scan, **settings, callback=lambda r, _: seen.append((r.stage, r.epoch)), checkpoint=tmp_path / "c"
    )
    assert seen == [(stage, 4), (stage, 5), (stage, 6)]
    np.testing.assert_array_equal(resumed.phase, whole.phase)
    np.testing.assert_allclose(resumed.history["loss"], whole.history["loss"])
    assert (np.diff(resumed.history["seconds"]) > 0).all()


def test_a_checkpoint_of_other_settings_is_refused(tmp_path, small_scan):
    def cut(record, channels):
        del channels
        if record.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        jptycho.reconstruct(
            small_scan, pixels={"epochs": 4}, output={"checkpoint_minutes": 0}, callback=cut, checkpoint=tmp_path / "c"
        )
    other = dataclasses.replace(small_scan, read=lambda rows=slice(None): small_scan.read()[::-1][rows])
    with pytest.raises(jptycho.ConfigError, match="other data"):
        jptycho.reconstruct(other, pixels={"epochs": 4}, output={"checkpoint_minutes": 0}, checkpoint=tmp_path / "c")
    with pytest.raises(jptycho.ConfigError, match="other settings"):
        jptycho.reconstruct(
            small_scan, pixels={"epochs": 5}, output={"checkpoint_minutes": 0}, checkpoint=tmp_path / "c"
        )


def test_interrupted_python_call_returns_the_last_epoch(small_scan):
    def press(record, channels):
        del channels
        if record.epoch == 3:
            os.kill(os.getpid(), signal.SIGINT)

    result = jptycho.reconstruct(small_scan, pixels={"epochs": 50}, callback=press)
    assert result.attributes["status"] == "interrupted"
    assert 3 <= len(result.history["loss"]) <= 4


def test_an_interruption_before_the_networks_gives_the_start(small_scan):
    """Ctrl-C in the last epoch of the pixels from which the networks would have begun."""

    def press(record, channels):
        del channels
        if record.epoch == 2:
            os.kill(os.getpid(), signal.SIGINT)

    result = jptycho.reconstruct(small_scan, method="dgp", dgp={"start_epochs": 2}, callback=press)
    assert result.attributes["status"] == "interrupted"
    assert list(result.history["stage"]) == ["half sets"] * 2


@pytest.mark.slow
def test_result_does_not_depend_on_the_number_of_devices(small_scan):
    """The batches differ, so the runs do; what they find agrees."""
    found = jptycho.reconstruct(small_scan, pixels={"epochs": 8})
    program = (
        "import sys, numpy as np, jptycho; s = jptycho.open_dataset(sys.argv[1]); "
        "r = jptycho.reconstruct(s, pixels={'epochs': 8}); np.save(sys.argv[2], r.phase)"
    )
    import tempfile  # noqa: PLC0415
    from pathlib import Path  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        scan = dataclasses.replace(small_scan)
        jptycho.write_scan(Path(folder) / "scan.h5", scan)
        subprocess.run(
            [sys.executable, "-c", program, f"{folder}/scan.h5", f"{folder}/phase.npy"], check=True, capture_output=True
        )
        single = np.load(f"{folder}/phase.npy")
    top, bottom, left, right = found.field_of_view
    a, b = found.phase[0, top:bottom, left:right], single[0, top:bottom, left:right]
    assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.99


@pytest.mark.slow
@pytest.mark.parametrize("fixed", [True, False])
def test_a_wedge_fits_as_well_as_a_flat_specimen(small_scan, fixed):
    """A phase ramp is measured where the probe is held, and a gauge where it is free: neither costs anything."""
    problem = prepare(small_scan)
    estimate, sampling = problem.estimate, problem.setup.grid.sampling
    canvas = estimate.object.shape[-2:]
    texture = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=canvas), 2)
    x = (np.arange(canvas[1]) - canvas[1] / 2) * sampling[1]
    losses = []
    for slope in (0.0, 0.1):  # rad/Å
        phase = 0.3 * texture / texture.std() + slope * x
        rows = ScanFields(estimate.positions)
        fields = Fields(jnp.exp(1j * phase)[None], estimate.probe, rows, estimate.thickness, estimate.tilt)
        expected = np.asarray(predict_batch(fields, problem.setup, rows)) * 3e3
        counts = np.fft.fftshift(np.random.default_rng(1).poisson(expected), axes=(-2, -1)).astype(np.uint16)
        scan = from_arrays(counts.reshape(small_scan.shape), small_scan.calibration, small_scan.positions)
        result = jptycho.reconstruct(scan, pixels={"epochs": 25}, probe={"fixed": fixed})
        losses.append(result.history["loss"][-1])
    assert losses[1] == pytest.approx(losses[0], rel=0.01)
