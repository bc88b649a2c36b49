"""Penalties, projections and solvers through ``reconstruct``, and every combination that is refused."""

import dataclasses

import numpy as np
import pytest

import jptycho
from jptycho.assembly.auto import resolve_auto
from jptycho.assembly.checks import check_config
from jptycho.assembly.summary import summarise_objective
from jptycho.cli.demo import score
from jptycho.config.run import with_changes
from jptycho.data.dataset import from_arrays
from jptycho.preprocess.prepare import prepare

THREE = {"slices": 3, "slice_thickness": 6.0}
COMPLEX = {"kind": "complex", **THREE}

REFUSED = {
    "negative weight": ({"penalties": {"tv_phase": -1.0}}, ["penalties.tv_phase", "-1.0"]),
    "unknown penalty": ({"penalties": {"tv": 1.0}}, ["penalties.tv", "unknown key"]),
    "penalty of an absorption that is not there": (
        {"penalties": {"tv_absorption": 1.0}},
        ["penalties.tv_absorption", "no absorption"],
    ),
    "depth penalty of one slice": ({"penalties": {"surface": 1.0}}, ["penalties.surface", "one slice"]),
    "penalty for a classical solver": (
        {"penalties": {"tv_phase": 1.0}, "pixels": {"solver": "epie"}},
        ["penalties.tv_phase", "epie", "gradient"],
    ),
    "smooth positions that are fixed": (
        {"penalties": {"smooth_positions": 1.0}},
        ["penalties.smooth_positions", "refine.position_rate"],
    ),
    "two low passes": (
        {"projections": {"low_pass": 0.5, "butterworth": (0.5, 2.0)}},
        ["projections.low_pass", "contradicts projections.butterworth"],
    ),
    "equal slices that are blurred": (
        {"projections": {"identical_slices": True, "depth_blur": 4.0}, "object": THREE},
        ["projections.identical_slices", "contradicts"],
    ),
    "wedge of one slice": ({"projections": {"missing_wedge": 1.0}}, ["projections.missing_wedge", "one slice"]),
    "probe projection of a fixed probe": (
        {"projections": {"probe_power": True}, "probe": {"fixed": True}},
        ["projections.probe_power", "probe.fixed"],
    ),
    "positivity of a phase": ({"projections": {"positivity": True}}, ["projections.positivity", "potential"]),
    "LSQ-ML with positions": (
        {"pixels": {"solver": "lsqml"}, "refine": {"position_rate": 0.1}},
        ["refine.position_rate", "lsqml", "object and probe only"],
    ),
    "LSQ-ML with tilt": ({"pixels": {"solver": "lsqml"}, "refine": {"tilt": "local"}}, ["refine.tilt", "lsqml"]),
    "Poisson for a classical solver": (
        {"pixels": {"solver": "rpie"}, "loss": "poisson"},
        ["loss", "rpie", "amplitude"],
    ),
    "slices for the difference map": ({"pixels": {"solver": "dm"}, "object": THREE}, ["pixels.solver", "one slice"]),
    "phase only by gradient": (
        {"projections": {"phase_only": True}, "object": COMPLEX},
        ["projections.phase_only", 'object.kind = "phase"'],
    ),
    "vacuum amplitude of a fixed probe": (
        {"projections": {"vacuum_amplitude": True}, "object": COMPLEX, "probe": {"fixed": True}},
        ["projections.vacuum_amplitude", "probe.fixed"],
    ),
    "centring what remembers": (
        {"projections": {"probe_centring": True}, "pixels": {"solver": "raar"}},
        ["projections.probe_centring", "raar"],
    ),
    "tilt of one slice": ({"refine": {"tilt": "global"}}, ["refine.tilt", "one slice"]),
    "a table of another solver": ({"lsqml": {"beta": 0.5}}, ["lsqml.beta", "no effect", "gradient"]),
    "a rate for a line search": (
        {"pixels": {"optimiser": "lbfgs", "object_rate": 0.1}},
        ["pixels.object_rate", "lbfgs", "by itself"],
    ),
    "options that an optimiser cannot take": (
        {"pixels": {"optimiser": "lbfgs", "optimiser_options": {"memory_size": 2.5}}},
        ["pixels.optimiser", "lbfgs cannot be used"],
    ),
    "unknown optimiser": ({"pixels": {"optimiser": "adm"}}, ["pixels.optimiser", "Did you mean 'adam'"]),
    "unknown option": (
        {"pixels": {"optimiser_options": {"bb1": 0.5}}},
        ["pixels.optimiser_options", "no argument 'bb1'", "'b1'"],
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_contradictions_are_refused_before_a_file_is_read(name):
    changes, words = REFUSED[name]
    with pytest.raises(jptycho.ConfigError) as found:
        check_config(with_changes(None, changes))
    assert all(word in str(found.value) for word in words), str(found.value)


def refused(scan, **changes):
    problem = prepare(scan)
    with pytest.raises(jptycho.ConfigError) as found:
        resolve_auto(with_changes(None, changes), problem)
    return str(found.value)


def test_data_decides_what_else_is_refused(small_scan):
    message = refused(small_scan, projections={"low_pass": 3.0})
    assert "projections.low_pass" in message
    assert "Nyquist frequency, 1.25" in message
    assert "takes all 256 patterns" in refused(small_scan, pixels={"optimiser": "lbfgs", "batch": 16})
    assert "data.read_noise" in refused(small_scan, loss="mixed")
    rng = np.random.default_rng(0)
    smeared = small_scan.read() * 3.7 + rng.uniform(0, 0.3, small_scan.read().shape)
    message = refused(from_arrays(smeared.reshape(16, 16, 32, 32), small_scan.calibration, small_scan.positions),
                      loss="poisson")  # fmt: skip
    assert "data.counts_per_electron" in message
    assert 2.5 < float(message.split("leaves about ")[1].split()[0]) < 6


def test_negative_counts_need_a_read_noise(small_scan):
    rng = np.random.default_rng(0)
    noisy = (small_scan.read() + rng.normal(0, 0.5, small_scan.read().shape)).reshape(16, 16, 32, 32)
    scan = from_arrays(noisy, small_scan.calibration, small_scan.positions, truth=small_scan.truth)
    with pytest.raises(jptycho.FormatError, match=r"negative values.*data.read_noise.*mixed"):
        jptycho.reconstruct(scan)
    reference = dataclasses.replace(small_scan.calibration, counts_per_electron=1.0, read_noise=0.5)
    scan = from_arrays(noisy, reference, small_scan.positions, truth=small_scan.truth)
    result = jptycho.reconstruct(scan, pixels={"epochs": 4})
    assert "loss: mixed" in result.attributes["objective"]
    assert score(result, result.phase, scan.truth).correlation > 0.9


@pytest.mark.parametrize("solver", ["epie", "lsqml", "raar"])
def test_classical_solvers_find_the_particle(small_scan, solver):
    result = jptycho.reconstruct(small_scan, pixels={"solver": solver, "epochs": 12})
    assert score(result, result.phase, small_scan.truth).high_pass > 0.85
    assert f"pixels by {solver}" in result.attributes["objective"]


def test_everything_that_is_on_is_said_and_reported(small_scan, tmp_path):
    said = []
    result = jptycho.reconstruct(
        small_scan,
        log=said.append,
        object=COMPLEX,
        pixels={
            "epochs": 2,
            "half_sets": False,
            "optimiser": "adamw",
            "optimiser_options": {"weight_decay": 0.0},
            "schedule": "plateau",
        },
        penalties={"tv_phase": 0.01, "pure_phase": 0.1},
        projections={"identical_slices": True, "probe_power": True},
        refine={"position_rate": 0.01, "tilt": "local"},
    )
    text = "\n".join(said)
    for line in (
        "loss: poisson",
        "penalties: tv_phase 0.01, pure_phase 0.1",
        "projections: identical_slices, probe_power",
        "positions (rate 0.01 px), local tilt (rate 0.1 mrad)",
        "adamw",
    ):
        assert line in text
        assert line in result.attributes["objective"]
    from jptycho.report.page import write_report  # noqa: PLC0415

    write_report(tmp_path / "report.html", {"pixels": result}, "test")
    assert "pure_phase 0.1" in (tmp_path / "report.html").read_text()
    assert float(result.phase.std(axis=0).max()) < 1e-3
    assert np.sum(np.abs(result.probe) ** 2) == pytest.approx(1, abs=1e-4)


def test_words_say_none_where_there_is_none(small_scan):
    config = resolve_auto(with_changes(None, {}), prepare(small_scan))
    lines = summarise_objective(config)
    assert "penalties: none" in lines
    assert "projections: none" in lines


@pytest.mark.slow
def test_total_variation_smooths_and_its_weight_does_not_depend_on_the_batch(small_scan):
    roughness = {}
    for weight, batch in ((0.0, 16), (0.05, 16), (0.05, 64)):
        pixels = {"epochs": 8, "batch": batch, "half_sets": False}  # whose filter smooths as well
        result = jptycho.reconstruct(small_scan, pixels=pixels, penalties={"tv_phase": weight})
        top, bottom, left, right = result.field_of_view
        phase = result.phase.sum(axis=0)[top:bottom, left:right]
        roughness[weight, batch] = np.abs(np.diff(phase, axis=0)).mean()
    assert roughness[0.05, 16] < 0.8 * roughness[0.0, 16]
    assert roughness[0.05, 64] == pytest.approx(roughness[0.05, 16], rel=0.25)


@pytest.mark.slow
def test_penalties_reach_a_generated_object_and_projections_do_not(small_scan):
    nets = {"levels": 1, "base_channels": 4, "epochs": 4, "steps": 2, "start_epochs": 2, "pretrain_steps": 10}
    roughness = {}

    def callback(record, channels):
        phase = np.asarray(channels())[:, 0].sum(axis=0)[20:-20, 20:-20]
        roughness[record.stage] = np.abs(np.diff(phase, axis=0)).mean()

    jptycho.reconstruct(
        small_scan,
        method="dgp",
        dgp={**nets, "object_rate": 2e-2, "ema_decay": 0.0, "warm_up": 0, "epochs": 8, "residual": False},
        probe={"fixed": True},
        penalties={"tv_phase": 1.0},
        callback=callback,
    )
    # A weight this large leaves nothing of the atoms; without it they are there (see the other tests).
    assert roughness["dgp"] < 0.3 * roughness["half sets"]
    with pytest.raises(jptycho.ConfigError, match=r"projections\.low_pass.*object is generated.*soft equivalent"):
        jptycho.reconstruct(small_scan, method="dgp", dgp=nets, projections={"low_pass": 0.8})


def test_lbfgs_descends_and_holds_a_fixed_probe(small_scan):
    start = jptycho.prepare(small_scan).estimate.probe
    result = jptycho.reconstruct(
        small_scan,
        pixels={"optimiser": "lbfgs", "epochs": 10, "half_sets": False},
        probe={"fixed": True},
        penalties={"tv_phase": 1e-3},
    )
    assert score(result, result.phase, small_scan.truth).correlation > 0.9
    assert (np.diff(result.history["loss"]) < 0).all()
    np.testing.assert_allclose(result.probe, np.fft.fftshift(start, axes=(-2, -1)), atol=1e-6)


class PowerCutError(Exception):
    """Something that ends a run between two epochs."""


@pytest.mark.parametrize(
    "settings",
    [{"pixels": {"solver": "raar", "epochs": 6}}, {"validation": {"fraction": 0.1}, "pixels": {"epochs": 6}}],
)
def test_what_a_solver_remembers_survives_an_interruption(small_scan, tmp_path, settings):
    """Exit waves of RAAR; the best epoch so far where electrons are held out."""
    settings = {**settings, "output": {"checkpoint_minutes": 0.0}}

    def cut(record, channels):
        if record.epoch == 4:
            raise PowerCutError

    with pytest.raises(PowerCutError):
        jptycho.reconstruct(small_scan, checkpoint=tmp_path / "run", callback=cut, **settings)
    said = []
    resumed = jptycho.reconstruct(small_scan, checkpoint=tmp_path / "run", log=said.append, **settings)
    whole = jptycho.reconstruct(small_scan, **settings)
    assert any("goes on from the checkpoint after epoch 3" in line for line in said)
    np.testing.assert_array_equal(resumed.phase, whole.phase)
    np.testing.assert_array_equal(resumed.history["validation_loss"], whole.history["validation_loss"])


def test_positions_are_refined(small_scan):
    rng = np.random.default_rng(3)
    wrong = small_scan.positions + rng.normal(0, 0.4, small_scan.positions.shape)
    scan = from_arrays(small_scan.read().reshape(16, 16, 32, 32), small_scan.calibration, wrong)
    result = jptycho.reconstruct(scan, pixels={"epochs": 15, "half_sets": False}, refine={"position_rate": 0.05})

    def error(positions):
        change = positions - small_scan.positions
        return np.sqrt(np.mean((change - change.mean(axis=0)) ** 2))

    # Around the particle there is only a thin film, which says little of where the probe was.
    assert error(result.positions) < 0.85 * error(wrong)


@pytest.mark.slow
def test_half_sets_of_identical_slices_have_nothing_that_distinguishes_slices(small_scan):
    """Their difference is exactly zero, in both halves: what the filter makes of that is zero too."""
    result = jptycho.reconstruct(
        small_scan,
        pixels={"epochs": 2},
        object={"slices": 2, "slice_thickness": 9.0},
        projections={"identical_slices": True},
    )
    assert np.isfinite(result.phase).all()
    np.testing.assert_allclose(result.phase[0], result.phase[1], atol=1e-5)
