"""What a result holds of a scan whose electrons were divided, and how a later run starts from it."""

import dataclasses
import os
import signal

import jax.numpy as jnp
import numpy as np
import pytest

import jptycho
from jptycho.assembly.auto import resolve_auto
from jptycho.assembly.start import estimate_from_result, held_out_alike
from jptycho.cli.demo import score
from jptycho.config.run import with_changes
from jptycho.data.dataset import from_arrays
from jptycho.preprocess.prepare import prepare
from jptycho.representations.networks.input import standardise_modes

HELD = {"fraction": 0.1, "patience": 3}


@pytest.mark.parametrize("unit", [1, 40])
def test_dose_and_mean_pattern_are_those_of_the_scan(small_scan, unit):
    counts = small_scan.read().astype(np.uint16) * unit
    known = dataclasses.replace(small_scan.calibration, counts_per_electron=float(unit))
    scan = from_arrays(counts.reshape(small_scan.shape), known, small_scan.positions)
    result = jptycho.reconstruct(scan, pixels={"epochs": 2}, validation={**HELD, "all_electrons": False})
    assert result.attributes["dose"] == pytest.approx(counts.sum() / len(counts), rel=1e-5)
    np.testing.assert_allclose(result.measured, counts.mean(axis=0), rtol=1e-5)
    assert result.modelled.sum() == pytest.approx(result.measured.sum(), rel=0.05)


@pytest.mark.parametrize(("noise", "loss", "close"), [(3.0, "poisson", 0.01), (12.0, "mixed", 0.05)])
def test_the_true_gain_makes_adu_as_good_as_electrons(noise, loss, close):
    """40 ADU an electron, in 16 bits: with a gain that is given the image is that of the electrons.

    Read-out noise of 0.3 electrons is noise that they do not have.
    """
    scan = jptycho.simulate_gold(
        dose=1e3, diameter=14.0, carbon_thickness=4.0, scan_shape=(16, 16), step=1.2, detector=(32, 32), defocus=100.0
    )
    electrons = scan.read().reshape(scan.shape)
    read = np.random.default_rng(0).normal(0, noise, electrons.shape)
    adu = np.rint(40.0 * electrons + read)
    adu = np.clip(adu, 0, 2**16 - 1).astype(np.uint16) if loss == "poisson" else adu.astype(np.int16)
    known = dataclasses.replace(scan.calibration, counts_per_electron=40.0)
    known = known if loss == "poisson" else dataclasses.replace(known, read_noise=noise / 40)
    converted = from_arrays(adu, known, scan.positions)
    assert resolve_auto(with_changes(None, {}), prepare(converted)).loss == loss
    found = []
    for data in (scan, converted):
        # Counts that are noisy in themselves have no half sets.
        alike = {"pixels": {"epochs": 8, "half_sets": loss == "poisson"}, "validation": {"fraction": 0.0}}
        result = jptycho.reconstruct(data, **alike)
        found.append(score(result, result.phase, scan.truth).ssim)
    assert found[0] > 0.5
    assert found[1] == pytest.approx(found[0], abs=close)


def test_a_result_knows_whether_it_has_seen_what_is_held_out_now(small_scan):
    config = resolve_auto(with_changes(None, {"method": "dgp"}), prepare(small_scan))
    other = resolve_auto(with_changes(None, {"method": "dgp", "seed": 3}), prepare(small_scan))
    for validation, alike in (({"fraction": 0}, False), ({**HELD, "all_electrons": False}, True), (HELD, False)):
        result = jptycho.reconstruct(small_scan, pixels={"epochs": 1}, validation=validation)
        assert held_out_alike(result, config) == alike
        assert not held_out_alike(result, other)


@pytest.mark.slow
def test_a_start_that_has_seen_what_is_held_out_is_said(small_scan, tmp_path):
    nets = {"epochs": 1, "base_channels": 4, "levels": 1, "probe_levels": 1, "pretrain_steps": 2, "steps": 2}
    settings = {"method": "dgp", "dgp": {**nets, "half_sets": False, "start_file": str(tmp_path / "r.h5")}}
    for validation, alike in (({**HELD, "all_electrons": False}, True), (HELD, False)):
        result = jptycho.reconstruct(small_scan, pixels={"epochs": 1}, validation=validation)
        jptycho.write_result(tmp_path / "r.h5", result, overwrite=True)
        said = []
        jptycho.reconstruct(small_scan, log=said.append, **settings)
        assert any("has seen electrons that are held out now" in line for line in said) != alike


def moved_patterns(scan, rows):
    """The scan on a detector that is off by so many rows."""
    counts = np.roll(scan.read().reshape(scan.shape), rows, axis=-2)
    return from_arrays(counts, scan.calibration, scan.positions)


def test_a_result_says_where_the_beam_was_and_starts_no_run_elsewhere(small_scan, tmp_path):
    result = jptycho.reconstruct(small_scan, pixels={"epochs": 1})
    jptycho.write_result(tmp_path / "r.h5", result)
    back, problem = jptycho.read_result(tmp_path / "r.h5"), prepare(small_scan)
    np.testing.assert_allclose(back.attributes["centre"], problem.setup.centre, atol=1e-7)
    assert estimate_from_result(problem, back).probe.shape == problem.estimate.probe.shape
    elsewhere = prepare(moved_patterns(small_scan, 2))
    assert np.abs(elsewhere.setup.centre - problem.setup.centre).max() > 0
    with pytest.raises(jptycho.ConfigError, match=r"dgp\.start_file: its beam's centre is .* expected .*Name a result"):
        estimate_from_result(elsewhere, back)
    del back.attributes["centre"]
    estimate_from_result(elsewhere, back)


def test_a_checkpoint_of_another_centre_does_not_fit(small_scan, tmp_path, monkeypatch):
    def stop_at_once(record, channels):
        os.kill(os.getpid(), signal.SIGINT)

    jptycho.reconstruct(small_scan, pixels={"epochs": 2}, checkpoint=tmp_path / "c", callback=stop_at_once)
    whole = prepare(small_scan)
    moved = dataclasses.replace(whole, setup=dataclasses.replace(whole.setup, centre=whole.setup.centre + 0.01))
    monkeypatch.setattr("jptycho.reconstruction.reconstruct.prepare_from_config", lambda *_: moved)
    with pytest.raises(jptycho.ConfigError, match=r"checkpoint: .* was made with other data"):
        jptycho.reconstruct(small_scan, pixels={"epochs": 2}, checkpoint=tmp_path / "c")


def test_an_empty_mode_of_a_given_probe_is_replaced(small_scan):
    problem = prepare(small_scan)
    wave = np.fft.fftshift(np.asarray(problem.estimate.probe), axes=(-2, -1))
    scan = dataclasses.replace(small_scan, probe=np.concatenate([wave, 0 * wave]))
    assert prepare(scan).estimate.probe.shape[0] == 1
    two = prepare(scan, modes=2).estimate.probe
    assert (np.abs(two) ** 2).sum(axis=(1, 2)).min() > 0.01
    parts = jnp.concatenate([wave.real, wave.imag, 0 * wave.real, 0 * wave.imag])[None, None].transpose(0, 1, 3, 4, 2)
    assert bool(jnp.isfinite(standardise_modes(parts[..., jnp.array([0, 2, 1, 3])], 4).image).all())
    for bad in (0 * wave, np.nan * wave):
        with pytest.raises(jptycho.FormatError, match=r"data\.probe: holds no finite number but zero"):
            prepare(dataclasses.replace(small_scan, probe=bad))


def test_a_held_out_loss_that_is_not_finite_is_no_result(small_scan, monkeypatch):
    from jptycho.reconstruction import stages  # noqa: PLC0415

    monkeypatch.setattr(stages, "validate_state", lambda *_: (jnp.asarray(jnp.nan), jnp.asarray(1.0)))
    with pytest.raises(jptycho.DivergenceError, match="held-out loss: not finite in epoch 1 of pixels"):
        jptycho.reconstruct(small_scan, pixels={"epochs": 2}, validation=HELD)


def test_what_was_held_out_is_seen_in_the_end(small_scan):
    phases, said = {}, []

    def callback(record, channels):
        phases[record.stage, record.epoch] = np.asarray(channels())[:, 0]

    result = jptycho.reconstruct(small_scan, pixels={"epochs": 3}, validation=HELD, callback=callback, log=said.append)
    held, stage = result.history["validation_loss"], result.history["stage"]
    best = int(np.argmin(held[stage == "pixels"])) + 1
    assert list(stage) == ["pixels"] * 3 + ["all electrons"] * best
    assert np.isnan(held[stage == "all electrons"]).all()
    np.testing.assert_array_equal(result.phase, phases["all electrons", best])
    assert f"repeats these {best} epochs with all electrons, those included that were held out" in said
    alone = jptycho.reconstruct(small_scan, pixels={"epochs": 3}, validation={**HELD, "all_electrons": False})
    np.testing.assert_array_equal(alone.phase, phases["pixels", best])


@pytest.mark.slow
@pytest.mark.parametrize("tilt", ["global", "local"])
def test_a_refined_tilt_is_written_and_a_later_run_starts_from_it(tmp_path, small_scan, tilt):
    slices = {"slices": 2, "slice_thickness": 20.0}
    refine = {"tilt": tilt, "tilt_rate": 0.3}
    result = jptycho.reconstruct(small_scan, object=slices, refine=refine, pixels={"epochs": 2, "half_sets": False})
    jptycho.write_result(tmp_path / "tilted.h5", result)
    back = jptycho.read_result(tmp_path / "tilted.h5")
    spec = jptycho.ObjectSpec("phase", 2, 20.0)
    found = estimate_from_result(prepare(small_scan, spec), back).tilt
    if tilt == "local":
        assert found.shape == (len(result.positions), 2)
        assert float(jnp.abs(found - found.mean(axis=0, keepdims=True)).max()) > 0.05
        np.testing.assert_allclose(found, result.tilts)
        np.testing.assert_allclose(back.attributes["tilt"], result.tilts.mean(axis=0), rtol=1e-5)
    else:
        assert back.tilts is None
        assert np.abs(found).max() > 0.05
        np.testing.assert_allclose(found, result.attributes["tilt"], rtol=1e-5)
    stated = prepare(small_scan, dataclasses.replace(spec, tilt=(1.0, -2.0)))
    np.testing.assert_allclose(estimate_from_result(stated, back).tilt, [1.0, -2.0])
    # And a run that refines the other kind goes on from it.
    other = {"tilt": "global" if tilt == "local" else "local", "tilt_rate": 0.3}
    small = {"epochs": 1, "levels": 1, "base_channels": 4, "probe": "pixels", "pretrain_steps": 3, "polish_epochs": 0}
    dgp = {**small, "half_sets": False, "start_file": str(tmp_path / "tilted.h5")}
    again = jptycho.reconstruct(small_scan, method="dgp", object=slices, refine=other, dgp=dgp)
    assert (again.tilts is None) == (tilt == "local")
