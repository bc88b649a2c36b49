"""Half sets: the filter against slow NumPy and closed forms, the gains against finite differences, and whole runs."""

import dataclasses
import os
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

import jptycho
from jptycho.assembly.auto import prepare_from_config, resolve_auto
from jptycho.assembly.devices import pixel_mesh
from jptycho.assembly.stage_solvers import half_set_solver
from jptycho.cli.demo import score
from jptycho.config.run import with_changes
from jptycho.config.stages import HALF_SETS
from jptycho.diagnostics.half_set_filter import RADIUS, align_halves, coverage_window, half_set_filter
from jptycho.errors import ConfigError
from jptycho.forward.fields import Noise
from jptycho.forward.model import predict_batch
from jptycho.objective.data_term import batch_loss
from jptycho.objective.losses import poisson_loss
from jptycho.optics.probe import form_probe
from jptycho.optics.source import source_modes
from jptycho.parallel import make_mesh, replicate
from jptycho.preprocess.prepare import prepare
from jptycho.preprocess.thinning import hold_out, make_half_sets
from jptycho.reconstruction.confirmed import confirm_bands
from jptycho.reconstruction.context import Context, Progress, Stage
from jptycho.reconstruction.half_sets import begin_half_sets
from jptycho.reconstruction.stages import run_stage
from jptycho.representations.estimate import transmission
from jptycho.solvers.band_gains import (
    BANDS,
    RAMP,
    Quadratic,
    _without_ramps,
    best_gains,
    frequency_bands,
    in_bands,
    loss_by_band,
    with_gains,
)
from jptycho.solvers.base import distribute
from jptycho.solvers.half_sets import HELD, LAST, LEAST_SHARE, ROUND
from jptycho.solvers.optimisers import schedule_of
from jptycho.solvers.probe_filter import align_modes, filter_probes
from jptycho.types import Grid

from ..problems import random_fields, setup_for

SAMPLING = (0.4, 0.55)
SHAPE = (60, 46)


def smooth_image(seed=0, shape=SHAPE, width=2.0):
    """A random image of unit variance, finer structure than ``width`` pixels gone."""
    image = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), width, mode="wrap")
    return image / image.std()


def noisy_halves(image, noise, seed=1):
    """Two estimates of an image (slices, channels, Y, X) with white noise of their own."""
    draw = np.random.default_rng(seed)
    return [jnp.asarray(image + noise * draw.normal(size=image.shape), jnp.float32) for _ in range(2)]


def slow_filter(first, second, window):
    """The global filter of one image, pixel by pixel of the transform, in double precision."""
    constant = (window * (first + second) / 2).sum() / window.sum()
    a, b = (np.fft.fft2((half - constant) * window, norm="ortho") for half in (first, second))
    signal = np.maximum(ndimage.gaussian_filter(np.real(a * b.conj()), RADIUS, mode="wrap", truncate=8), 0)
    frequency = np.hypot(*np.meshgrid(*map(np.fft.fftfreq, first.shape, SAMPLING), indexing="ij"))
    ring = np.round(frequency * min(n * s for n, s in zip(first.shape, SAMPLING, strict=True))).astype(int)
    ring = np.minimum(ring, int(0.5 / max(SAMPLING) * min(n * s for n, s in zip(first.shape, SAMPLING, strict=True))))
    power = np.abs(a - b) ** 2 / 4
    noise = np.array([[power[np.abs(ring - r) <= 1].mean() for r in row] for row in ring])
    weight = signal / (signal + noise)
    return constant + np.real(np.fft.ifft2(weight * np.fft.fft2((first + second) / 2 - constant)))


def test_the_global_filter_is_that_of_slow_numpy():
    half_sets = noisy_halves(smooth_image()[None, None], 0.7)
    coverage = np.ones(SHAPE)
    coverage[:, :6] = 0.05
    found = half_set_filter(*half_sets, coverage, SAMPLING, local=False)
    window = np.asarray(coverage_window(jnp.asarray(coverage)))
    aligned = np.asarray(align_halves(jnp.stack(half_sets), jnp.asarray(window, jnp.float32)), float)
    np.testing.assert_allclose(found.mean[0, 0], slow_filter(*aligned[:, 0, 0], window), atol=2e-3)


def test_the_filter_is_nearly_the_best_linear_one_and_leaves_what_has_no_noise():
    image = smooth_image()
    half_sets = noisy_halves(image[None, None], 1.0)
    found = half_set_filter(*half_sets, np.ones(SHAPE), SAMPLING, local=False)
    unfiltered = np.mean((np.mean(half_sets, axis=0)[0, 0] - image) ** 2)
    # The best linear filter knows the spectrum: a Gaussian one, of which the image is one realisation.
    rows, columns = (np.exp(-((2 * np.pi * 2.0 * np.fft.fftfreq(n)) ** 2)) for n in SHAPE)
    spectrum = np.outer(rows, columns)
    spectrum *= spectrum.size / spectrum.sum()
    best = np.mean(spectrum * 0.5 / (spectrum + 0.5))
    error = np.mean((np.asarray(found.mean[0, 0]) - image) ** 2)
    assert error < 1.6 * best  # S and N are estimated from the same halves
    assert error < 0.25 * unfiltered
    clean = jnp.asarray(image[None, None], jnp.float32)
    np.testing.assert_allclose(half_set_filter(clean, clean, np.ones(SHAPE), SAMPLING).mean, clean, atol=1e-4)


def test_correlation_and_signal_to_noise_are_those_of_white_images():
    draw = np.random.default_rng(3).normal(size=(3, 1, 1, 128, 128))
    half_sets = [jnp.asarray(draw[0] + np.sqrt(2.0) * draw[n], jnp.float32) for n in (1, 2)]
    found = half_set_filter(*half_sets, np.ones((128, 128)), (0.3, 0.3))
    # S = 1 and 2 N = 2: correlation 1/3, signal to noise of the mean one.
    np.testing.assert_allclose(found.correlation[10:].mean(), 1 / 3, atol=0.02)
    np.testing.assert_allclose(found.ssnr[10:].mean(), 1.0, atol=0.1)
    assert found.frequency[-1] == pytest.approx(0.5 / 0.3, rel=0.02)


def test_a_reflection_keeps_its_weight_where_its_ring_is_noise():
    y, x = np.indices((96, 96))
    lattice = 0.5 * np.cos(2 * np.pi * (16 * y + 8 * x) / 96)
    half_sets = noisy_halves(lattice[None, None], 1.0)
    found = np.asarray(half_set_filter(*half_sets, np.ones((96, 96)), (0.3, 0.3)).mean[0, 0])
    contrast = (found * lattice).sum() / (lattice**2).sum()
    assert 0.85 < contrast < 1.15
    assert np.corrcoef(found.ravel(), lattice.ravel())[0, 1] > 0.85


def test_local_weights_help_where_the_specimen_differs_from_place_to_place():
    image = smooth_image(4, (96, 96), 1.5)
    image[:, 48:] = 0
    errors = {
        local: np.mean(
            [
                np.mean(
                    (
                        half_set_filter(
                            *noisy_halves(image[None, None], 1.0, s), np.ones((96, 96)), (0.3, 0.3), local
                        ).mean[0, 0]
                        - image
                    )
                    ** 2
                )
                for s in range(3)
            ]
        )
        for local in (False, True)
    }
    assert errors[True] < 0.9 * errors[False]


def test_what_the_slices_share_survives_where_their_differences_are_noise():
    image = smooth_image(5)
    half_sets = noisy_halves(np.stack([image] * 4)[:, None] / 4, 0.5)
    filtered = np.asarray(half_set_filter(*half_sets, np.ones(SHAPE), SAMPLING).mean)[:, 0]
    assert np.std(filtered - filtered.mean(axis=0)) < 0.1 * np.std(np.asarray(half_sets[0][:, 0]) - image / 4)
    assert np.corrcoef(filtered.sum(axis=0).ravel(), image.ravel())[0, 1] > 0.95


def test_halves_are_brought_into_one_gauge():
    image, shift = smooth_image(6, width=3.0), np.array([0.37, -0.52])
    y, x = np.meshgrid(*map(np.fft.fftfreq, SHAPE), indexing="ij")
    moved = np.real(np.fft.ifft2(np.fft.fft2(image) * np.exp(-2j * np.pi * (y * shift[0] + x * shift[1]))))
    plane = 0.4 + np.add.outer(np.linspace(-0.3, 0.3, SHAPE[0]), np.linspace(-0.2, 0.2, SHAPE[1]))
    half_sets = jnp.asarray(np.stack([image, moved + plane])[:, None, None], jnp.float32)
    aligned = np.asarray(align_halves(half_sets, jnp.ones(SHAPE)))[:, 0, 0]
    difference = aligned[0] - aligned[1]
    assert np.std(difference[5:-5, 5:-5]) < 0.02  # a plane is not periodic: its shift shows at the edge


@pytest.mark.parametrize(
    ("first", "second", "coverage", "said"),
    [
        ((1, 1, 8, 8), (1, 1, 8, 9), (8, 8), "first, second"),
        ((8, 8), (8, 8), (8, 8), "first, second"),
        ((1, 1, 8, 8), (1, 1, 8, 8), (8, 9), "coverage: shape"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(first, second, coverage, said):
    with pytest.raises(ConfigError, match=said):
        half_set_filter(np.ones(first), np.ones(second), np.ones(coverage), (0.3, 0.3))


@pytest.mark.parametrize("coverage", [np.zeros((8, 8)), -np.ones((8, 8)), np.full((8, 8), np.nan)])
def test_a_coverage_of_nothing_is_refused(coverage):
    with pytest.raises(ConfigError, match="coverage"):
        half_set_filter(np.ones((1, 1, 8, 8)), np.ones((1, 1, 8, 8)), coverage, (0.3, 0.3))


def small_problem(electrons, dtype=np.float32):
    """Fields, their channels, a setup, and counts without noise."""
    fields = random_fields(slices=2, modes=1, positions=11, dtype=dtype)
    channels = 0.3 * jnp.angle(fields.object)[:, None]
    fields = dataclasses.replace(fields, object=transmission(channels), tilt=jnp.zeros(2, dtype))
    noise = Noise(jnp.asarray(electrons, dtype), jnp.zeros((), dtype))
    setup = setup_for(dose=electrons, dtype=dtype, noise=noise)
    counts = np.asarray(predict_batch(fields, setup, fields.scan)) * electrons
    return fields, channels, setup, counts


@pytest.mark.slow
def test_the_bands_loss_is_that_of_finite_differences(x64, monkeypatch):
    electrons, step = 400.0, 1e-3
    fields, channels, setup, counts = small_problem(electrons, np.float64)
    seen = np.random.default_rng(0).poisson(counts).astype(np.float64)
    bands = jnp.asarray(frequency_bands(channels.shape[-2:], (0.31, 0.47), 4))
    mesh = make_mesh(jax.devices())

    def total(gains, data):
        scaled = dataclasses.replace(fields, object=transmission(with_gains(channels, bands, jnp.asarray(gains))))
        weight = jnp.ones(len(data))
        value = batch_loss(poisson_loss, scaled, setup, jnp.asarray(data), fields.scan, weight)[0]
        return float(value) * electrons

    monkeypatch.setattr("jptycho.solvers.band_gains._without_ramps", lambda losses: losses)
    jax.clear_caches()
    found = loss_by_band(mesh, poisson_loss, channels, fields, bands, distribute(seen, setup, mesh))
    ends = [[total(1 + sign * step * one, seen) for sign in (1, -1)] for one in np.eye(4)]
    np.testing.assert_allclose(found.slope[:4], [(a - b) / (2 * step) for a, b in ends], rtol=1e-4, atol=1e-3)
    # Where the counts are as predicted the curvature is that of the loss itself.
    true = loss_by_band(mesh, poisson_loss, channels, fields, bands, distribute(counts, setup, mesh))
    middle = total(np.ones(4), counts)
    ends = [sum(total(1 + sign * step * one, counts) for sign in (1, -1)) for one in np.eye(4)]
    np.testing.assert_allclose(np.diag(true.curvature)[:4], [(e - 2 * middle) / step**2 for e in ends], rtol=1e-3)
    jax.clear_caches()


def test_a_ramp_that_the_probe_shares_does_not_judge_the_bands():
    """With the ramps left out, gains are as if they had been fitted: the solution of the whole system."""
    draw = np.random.default_rng(2).normal(size=(8, 6))
    whole = Quadratic(jnp.asarray(draw[0]), jnp.asarray(draw.T @ draw))
    prior = np.diag([0, 0, 0, 0, 1, 1]) / RAMP**2
    expected = -np.linalg.solve(np.asarray(whole.curvature) + prior, draw[0])[:4]
    reduced = _without_ramps(whole)
    np.testing.assert_allclose(-np.linalg.solve(reduced.curvature, reduced.slope), expected, rtol=2e-3)


@pytest.mark.slow
def test_a_potential_keeps_its_vacuum_where_the_slowest_band_is_weak(noisy_scan):
    settings = {"object": {"kind": "potential"}, "pixels": {"epochs": 6}}
    result = jptycho.reconstruct(noisy_scan, **settings)
    top, bottom, left, right = result.field_of_view
    assert (result.phase[:, top:bottom, left:right] == 0).mean() < 0.15


def test_bands_are_confirmed_wherever_the_estimate_lies(noisy_scan):
    """The networks' estimate may lie on all devices."""
    problem = prepare(noisy_scan)
    seen, held, _ = hold_out(problem, 0.1, 0)
    quiet = (lambda text: None, lambda record, channels: None, lambda what, done, total: None)
    config = resolve_auto(with_changes(None, {"method": "dgp"}), problem)
    run = Context(config, seen, problem, *quiet, lambda: False, None, 0.0, held)
    everywhere = replicate(make_mesh(), seen.estimate)
    assert np.isfinite(confirm_bands(run, everywhere, held)[0].object).all()


def test_held_out_electrons_may_weaken_the_slowest_bands_and_strengthen_the_others(noisy_scan, monkeypatch):
    problem = prepare(noisy_scan)
    seen, held, _ = hold_out(problem, 0.1, 0)
    said = []
    quiet = (said.append, lambda record, channels: None, lambda what, done, total: None)
    run = Context(
        resolve_auto(with_changes(None, {"method": "dgp"}), problem),
        seen,
        problem,
        *quiet,
        lambda: False,
        None,
        0.0,
        held,
    )
    asked = jnp.ones(BANDS).at[:6].set(jnp.array([1.5, 0.5, 1.1, 1.1, 1.5, 0.5]))
    wanted = Quadratic(1e6 * (1 - asked), 1e6 * jnp.eye(BANDS))
    monkeypatch.setattr("jptycho.reconstruction.confirmed.band_losses", lambda *_: wanted)
    _, gains = confirm_bands(run, seen.estimate, held)
    np.testing.assert_allclose(gains[:6], [1.0, 0.5, 1.0, 1.1, 1.2, 0.5], atol=1e-3)


GRID = Grid((48, 48), (0.4, 0.4))
DEFOCUSED = {"C10": -150.0}


def noisy_probes(true, noise, seed=0):
    """Two estimates of a probe, white noise of their own inside the aperture, of unit power as electrons make them."""
    inside = np.abs(np.fft.fft2(form_probe(GRID, 0.02, 20.0, DEFOCUSED))) > 1e-3
    draw = np.random.default_rng(seed).normal(size=(2, 2, *GRID.shape)) * noise * inside / np.sqrt(2 * inside.sum())
    estimates = [true + jnp.asarray(np.fft.ifft2(a + 1j * b, norm="ortho"), true.dtype)[None] for a, b in draw]
    return [one / float(jnp.linalg.norm(one)) for one in estimates]


def probe_and_estimates(change, noise, seed=0):
    """A probe, what it became with a defocus changed by some Å, and two noisy estimates of that."""
    before = form_probe(GRID, 0.02, 20.0, DEFOCUSED)[None]
    true = form_probe(GRID, 0.02, 20.0, {"C10": -150.0 + change})[None]
    return before, true, noisy_probes(true, noise, seed)


def relative_error(found, before, true):
    """Squared, in that of the probe before."""
    return np.linalg.norm(align_modes(found, true) - true) ** 2 / np.linalg.norm(align_modes(before, true) - true) ** 2


@pytest.mark.parametrize("change", [12.0, 60.0])
def test_a_change_without_noise_is_taken_whole(change):
    before, true, _ = probe_and_estimates(change, 0.0)
    found, share = filter_probes(true, true, before, GRID.sampling)
    assert relative_error(found, before, true) < 1e-3
    assert share > 0.99


def test_a_white_change_is_weighed_once():
    """At S = N the best weight is a half, and so is the error left; two passes of a half each would leave 0.63."""
    before = form_probe(GRID, 0.02, 20.0, DEFOCUSED)[None]
    errors = []
    for seed in range(4):
        true = noisy_probes(before, 0.1, seed + 100)[0]
        half_sets = noisy_probes(true, 0.1 * np.sqrt(2), seed)  # the noise of their mean is as large as the change
        errors.append(relative_error(filter_probes(*half_sets, before, GRID.sampling)[0], before, true))
    assert 0.4 < np.mean(errors) < 0.57


def test_a_change_of_the_edge_is_found_in_the_aperture():
    """Refocused it is spread: by those rings alone 0.68 of the error would be left."""
    before = form_probe(GRID, 0.02, 20.0, DEFOCUSED)[None]
    true = form_probe(GRID, 0.02, 20.8, DEFOCUSED)[None]
    size = 2 * np.linalg.norm(before - true)
    errors = [
        relative_error(filter_probes(*noisy_probes(true, size, seed), before, GRID.sampling)[0], before, true)
        for seed in range(4)
    ]
    assert np.mean(errors) < 0.5


def test_a_weak_mode_that_is_replaced_keeps_no_phase_of_its_own():
    """The new mode overlaps with the old one by noise alone: what mixes it into place must be the same for both."""
    y, x = np.fft.fftfreq(48)[:, None], np.fft.fftfreq(48)[None]
    strong = np.asarray(form_probe(GRID, 0.02, 20.0, DEFOCUSED))
    spectrum, phase = np.fft.fft2(strong) * (np.hypot(y, x) > 0), np.angle(y * 1j + x)
    weak = [np.fft.ifft2(spectrum * np.exp(1j * order * phase)) for order in (2, 4)]
    before, true = (jnp.asarray(np.stack([strong, 0.3 * one / np.linalg.norm(one)]), jnp.complex64) for one in weak)
    noise = 0.02 * before[1]
    half_sets = [jnp.stack([true[0], true[1] + sign * noise]) for sign in (1, -1)]
    found, _ = filter_probes(*half_sets, before, GRID.sampling)

    def density(modes):
        flat = np.asarray(modes).reshape(len(modes), -1)
        return flat.T @ flat.conj()

    left = np.linalg.norm(density(found) - density(true)) / np.linalg.norm(density(before) - density(true))
    assert left < 0.3


@pytest.mark.parametrize(("share", "held"), [pytest.param(0.0, False, marks=pytest.mark.slow), (1.1, True)])
def test_the_share_that_is_confirmed_decides_whether_another_round_follows(noisy_scan, monkeypatch, share, held):
    jax.clear_caches()
    monkeypatch.setattr("jptycho.solvers.half_sets.LEAST_SHARE", share)
    found, _ = halves_of(noisy_scan, 16, until=ROUND + 1)
    assert bool(np.abs(found.member_probes[0] - found.member_probes[1]).max() < 1e-6) == held
    jax.clear_caches()


def test_a_probe_is_moved_by_the_change_that_both_halves_show():
    before, true, estimates = probe_and_estimates(12.0, 0.3)
    found, share = filter_probes(*estimates, before, (0.4, 0.4))
    found, before = align_modes(found, true), align_modes(before, true)
    size = np.linalg.norm
    assert size(before - true) > 0.2
    assert size(found - true) < 0.35 * size(jnp.mean(jnp.stack(estimates), axis=0) - true)
    assert size(found - true) < 0.4 * size(before - true)
    assert 0.3 < share < 0.95


def test_noise_alone_does_not_move_a_probe():
    for seed in range(4):
        before, _, estimates = probe_and_estimates(0.0, 0.6, seed)
        found, share = filter_probes(*estimates, before, (0.4, 0.4))
        assert abs(np.linalg.norm(found) - 1) < 1e-3
        assert share < LEAST_SHARE
        assert np.linalg.norm(found - before) < 0.1


def test_gauges_are_no_change_and_the_result_has_those_of_the_halves():
    """Shift and power of the halves' objects are those of their probes."""
    before, _, _ = probe_and_estimates(0.0, 0.0)
    modes = jnp.concatenate([before, 0.4 * jnp.roll(before, 7, axis=1)])
    turned = jnp.exp(0.4j) * jnp.stack([0.8 * modes[0] + 0.6 * modes[1], 0.8 * modes[1] - 0.6 * modes[0]])
    k = 2 * np.pi * np.fft.fftfreq(48)
    shift = np.exp(-1j * (0.3 * k[:, None] - 0.2 * k[None]))
    moved = 1.1 * jnp.fft.ifft2(jnp.fft.fft2(turned) * shift[None]).astype(modes.dtype)
    found, _ = filter_probes(moved, moved, modes, (0.4, 0.4))
    np.testing.assert_allclose(align_modes(found, moved), moved, atol=2e-3)


def test_electrons_bring_a_band_back_to_its_strength():
    fields, channels, setup, counts = small_problem(1e5)
    bands = jnp.asarray(frequency_bands(channels.shape[-2:], (0.31, 0.47), 4), jnp.float32)
    free = channels[:, 0] - channels[:, 0].mean(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(in_bands(channels[:, 0], bands).sum(axis=0), free, atol=1e-5)
    wrong = jnp.array([1.0, 1.06, 0.95, 1.0])
    scaled, mesh = with_gains(channels, bands, wrong), make_mesh(jax.devices())
    fields = dataclasses.replace(fields, object=transmission(scaled))
    losses = loss_by_band(mesh, poisson_loss, scaled, fields, bands, distribute(counts, setup, mesh))
    np.testing.assert_allclose(best_gains(losses)[1:] * wrong[1:], 1.0, atol=0.02)


@pytest.mark.slow
def test_a_run_that_is_interrupted_ends_at_the_same_result(noisy_scan, tmp_path):
    settings = {"pixels": {"epochs": 12}, "output": {"checkpoint_minutes": 0.0}}  # the probe is held from the fifth
    whole = jptycho.reconstruct(noisy_scan, **settings)

    def interrupt(record, channels):
        if record.epoch == 6:
            os.kill(os.getpid(), signal.SIGINT)

    half = jptycho.reconstruct(noisy_scan, callback=interrupt, checkpoint=tmp_path / "c", **settings)
    assert half.attributes["status"] == "interrupted"
    again = jptycho.reconstruct(noisy_scan, checkpoint=tmp_path / "c", **settings)
    np.testing.assert_array_equal(again.phase, whole.phase)
    np.testing.assert_array_equal(again.probe, whole.probe)


@pytest.fixture(scope="module")
def noisy_scan():
    return jptycho.simulate_gold(scan_shape=(14, 14), detector=(32, 32), dose=300.0, seed=1)


def test_half_sets_are_better_than_all_electrons_at_once(noisy_scan):
    said = []
    settings = {"pixels": {"epochs": 12}}
    plain = jptycho.reconstruct(noisy_scan, pixels={"epochs": 12, "half_sets": False})
    half_sets = jptycho.reconstruct(noisy_scan, log=said.append, **settings)
    first, second = (score(result, result.phase, noisy_scan.truth) for result in (plain, half_sets))
    assert second.ssim > first.ssim + 0.03
    assert second.correlation > first.correlation + 0.02
    assert any("half sets agree" in line for line in said)
    assert set(half_sets.history["stage"]) == {"half sets"}


def test_what_cannot_be_divided_is_judged_by_held_out_pixels(noisy_scan):
    said = []
    scan = jptycho.simulate_gold(scan_shape=(12, 12), detector=(32, 32), dose=float("inf"))
    result = jptycho.reconstruct(scan, log=said.append, pixels={"epochs": 2})
    assert any("validated by 10% of the detector's pixels" in line for line in said)
    assert np.isfinite(result.history["validation_loss"][result.history["stage"] == "pixels"]).all()
    with pytest.raises(ConfigError, match="half_sets: electrons cannot be divided"):
        jptycho.reconstruct(scan, pixels={"epochs": 2, "half_sets": True})
    with pytest.raises(ConfigError, match="the halves validate each other"):
        jptycho.reconstruct(noisy_scan, pixels={"half_sets": True}, validation={"fraction": 0.1})


def run_of(scan, until=None, **settings):
    """A run of both half sets in which nothing is done yet; interrupted after an epoch where one is given."""
    config, history = with_changes(None, settings), []
    problem = prepare_from_config(config, scan)
    quiet = (lambda text: None, lambda record, channels: history.append(record), lambda what, done, total: None)
    config = resolve_auto(config, problem)
    stop = lambda: until is not None and len(history) >= until  # noqa: E731
    return Context(config, problem, problem, *quiet, stop, None, 0.0, half_sets=(make_half_sets(problem, 0),))


def halves_of(scan, epochs, until=None, **settings):
    """The pixels of both half sets."""
    run = run_of(scan, until, **settings)
    start = run.problem.estimate
    keep = lambda context, stage, progress, reached: dataclasses.replace(progress, estimate=reached.last)  # noqa: E731
    found = run_stage(run, Stage(HALF_SETS, run.config, epochs, begin_half_sets, keep), Progress(start, start))
    return jax.device_put((found.estimate, start.probe), jax.devices()[0])


@pytest.mark.slow
def test_a_probe_moves_only_as_far_as_both_half_sets_confirm(noisy_scan):
    """The guess is nearly the true probe: most of what moves is noise."""
    found, true = halves_of(noisy_scan, 12, object={"slices": 2, "slice_thickness": 26.0})
    own = [align_modes(probe, true) for probe in found.member_probes]
    size = np.linalg.norm
    assert 0 < size(align_modes(found.probe, true) - true) < 0.8 * size((own[0] + own[1]) / 2 - true)


def test_half_sets_share_a_probe_between_a_round_and_the_last_epochs(noisy_scan):
    first, true = halves_of(noisy_scan, 12, until=ROUND - 1)
    shared, _ = halves_of(noisy_scan, 12, until=ROUND + 2)
    last, _ = halves_of(noisy_scan, 12)
    np.testing.assert_allclose(*shared.member_probes, atol=1e-6)
    assert np.abs(shared.member_probes[0] - true).max() > 1e-4
    for own in (first, last):
        assert np.abs(own.member_probes[0] - own.member_probes[1]).max() > 1e-3
    assert np.abs(shared.members[0] - shared.members[1]).max() > 1e-2  # the objects stay apart


@pytest.mark.slow
def test_pixels_behind_a_source_are_shared_and_confirmed_as_others_are(noisy_scan):
    """The size of the source is one number, which fits no noise; the wave of a point source has as many as a probe."""
    blurred = {"probe": {"modes": 2}, "refine": {"source_size": True}}
    first, _ = halves_of(noisy_scan, 12, until=ROUND - 1, **blurred)
    shared, _ = halves_of(noisy_scan, 12, until=ROUND + 2, **blurred)
    apart = [
        float(jnp.linalg.norm(align_modes(e.member_probes[1], e.member_probes[0]) - e.member_probes[0]))
        for e in (first, shared)
    ]
    assert apart[1] < 0.3 * apart[0]
    sampling = run_of(noisy_scan).problem.setup.grid.sampling
    made = source_modes(shared.shared["coherent_probe"], shared.shared["source_size"], sampling, 2)
    np.testing.assert_allclose(align_modes(shared.probe, made), made, atol=1e-5)


@pytest.mark.parametrize(("epochs", "again"), [(ROUND + HELD + LAST, True), (ROUND + HELD + LAST - 1, False)])
def test_rates_rise_again_when_each_half_has_its_own_probe_back(noisy_scan, epochs, again):
    run = run_of(noisy_scan)
    member = half_set_solver(run.config, run.problem, pixel_mesh(run.config), 2, epochs).solver
    rates = [float(schedule_of(member.optimiser, 1.0)(epoch * member.steps)) for epoch in range(epochs)]
    assert rates[0] == 1
    assert (rates[epochs - LAST] == 1) == again
    assert rates[-1] < 0.4
