"""A reconstruction of another package predicts here the patterns that it predicts there."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jptycho
from jptycho.assembly.auto import resolve_auto
from jptycho.assembly.checks import check_config
from jptycho.assembly.other_start import estimate_from_other
from jptycho.assembly.start import start_estimate
from jptycho.config.run import with_changes
from jptycho.data.dataset import Calibration, from_arrays
from jptycho.data.other_results import OtherResult, read_start
from jptycho.forward.model import predict
from jptycho.preprocess.prepare import Problem, prepare
from jptycho.representations.estimate import fields_of

from ..data.other_results.packages import PACKAGES, SAMPLING, SCAN, STEP, THICKNESS, WINDOW, made

COMPLEX = jptycho.ObjectSpec("complex", 2, THICKNESS)
FRAMED = 2e-3
"""Of the strongest pixel: files and the estimate are in single precision, and the phase comes back as a logarithm."""


@functools.cache
def problem_of(spec: jptycho.ObjectSpec = COMPLEX) -> Problem:
    """The scan without its counts, of which the start needs nothing."""
    pixel = (1 / (SAMPLING[0] * WINDOW[0]), 1 / (SAMPLING[1] * WINDOW[1]))
    known = Calibration(3e5, 15.0, 0.0, (), STEP, pixel, counts_per_electron=1.0)
    return prepare(from_arrays(np.ones((*SCAN, *WINDOW)), known), spec, 2)


@pytest.mark.parametrize("package", PACKAGES)
def test_it_predicts_the_patterns_of_its_package(tmp_path, package):
    name, write = PACKAGES[package]
    patterns = write(tmp_path / name, made())
    problem = problem_of()
    estimate = estimate_from_other(problem, read_start(tmp_path / name))
    # No package but this one propagates about the beam's centre where that lies beside a pixel's.
    setup = dataclasses.replace(problem.setup, centre=jnp.zeros(2))
    predicted = jax.jit(jax.vmap(lambda row, f: predict(f, setup, row), (0, None)))
    fields = fields_of(estimate)
    found = np.fft.fftshift(np.asarray(predicted(fields.scan, fields)), axes=(1, 2))
    assert found.std() > 0.1 * found.mean()
    scale = patterns.sum() / found.sum()
    np.testing.assert_allclose(found * scale, patterns, atol=FRAMED * patterns.max())
    np.testing.assert_allclose((np.abs(estimate.probe) ** 2).sum(), (np.abs(problem.estimate.probe) ** 2).sum(), 1e-5)


def found_in(tmp_path, **changes) -> OtherResult:
    PACKAGES["phaser"][1](tmp_path / "a.h5", made())
    return dataclasses.replace(read_start(tmp_path / "a.h5"), **changes)


def test_what_does_not_fit_says_what_to_set(tmp_path):
    one = found_in(tmp_path)
    problem, centres = problem_of(), np.asarray(one.centres)
    lengths = (centres - centres.mean(0)) * SAMPLING  # it is Å that turn, and pixels are no squares
    turned = lengths @ np.array([[0.0, 1.0], [-1.0, 0.0]]) / SAMPLING + centres.mean(0)
    cases = {
        r"has 1 slices, found object\.slices = 2\. Set it": {"phase": one.phase[:1], "absorption": one.absorption[:1]},
        r"has 1 modes, found probe\.modes = 2\. Set it": {"probe": one.probe[:1]},
        r"has a probe of \(12, 12\) pixels; expected \(12, 16\)": {"probe": one.probe[..., :12]},
        r"has 5 positions for 12 patterns": {"centres": centres[:5]},
        r"has pixels of 0\.5 x 0\.3 Å; expected 0\.4 x 0\.3": {"sampling": (0.5, 0.3)},
        r"has 15 Å between slices, found object\.slice_thickness = 12": {"thickness": 15.0},
        r"turned by -?9[01]\.\d degrees\. Set data\.rotation": {"centres": turned},
        r"mirrored and turned by .* degrees\. Set data\.transpose": {"centres": centres * [1.0, -1.0]},
        r"positions that are not those of this scan": {"centres": np.random.default_rng(1).normal(size=(12, 2))},
        r"has a wavelength of 0\.03; expected 0\.01969 Å": {"wavelength": 0.03},
    }
    for message, change in cases.items():
        with pytest.raises(jptycho.ConfigError, match=rf"dgp\.start_file: the phaser result .*{message}") as caught:
            estimate_from_other(problem, dataclasses.replace(one, **change), name="dgp.start_file")
        assert "\n" not in str(caught.value)


def test_a_wavelength_tells_the_unit_of_lengths(tmp_path):
    one = found_in(tmp_path)
    metres = dataclasses.replace(
        one, sampling=(0.4e-10, 0.3e-10), thickness=12e-10, wavelength=float(problem_of().setup.wavelength) * 1e-10
    )
    np.testing.assert_array_equal(
        estimate_from_other(problem_of(), metres).object, estimate_from_other(problem_of(), one).object
    )


def test_without_positions_the_object_lies_in_the_middle(tmp_path):
    one, problem = found_in(tmp_path, centres=None), problem_of()
    estimate = estimate_from_other(problem, one)
    np.testing.assert_array_equal(estimate.positions, problem.estimate.positions)
    rows, columns = (np.flatnonzero(np.abs(np.asarray(estimate.object[0, 0])).sum(axis=a)) for a in (1, 0))
    canvas = estimate.object.shape[-2:]
    for found, wanted, there in zip((rows, columns), canvas, one.phase.shape[-2:], strict=True):
        assert abs((found[0] + found[-1]) - (wanted - 1)) <= 1
        assert len(found) == min(wanted, there)


def test_a_potential_is_not_negative(tmp_path):
    one = found_in(tmp_path)
    spec = jptycho.ObjectSpec("potential", 2, THICKNESS)
    estimate = estimate_from_other(problem_of(spec=spec), one, potential=True)
    assert float(estimate.object.min()) >= 0
    assert estimate.object.shape[1] == 1


@pytest.mark.parametrize("half_sets", [True, False])
def test_a_run_starts_from_it_and_says_that_it_has_seen_all(tmp_path, half_sets):
    PACKAGES["PtyRAD"][1](tmp_path / "a.hdf5", made())
    dgp = {"start_file": str(tmp_path / "a.hdf5"), "half_sets": half_sets}
    config = with_changes(None, {"method": "dgp", "dgp": dgp, "object": {"kind": "complex"}})
    said = []
    estimate = start_estimate(config, problem_of(), True, said.append)
    np.testing.assert_array_equal(
        estimate.object, estimate_from_other(problem_of(), read_start(tmp_path / "a.hdf5")).object
    )
    assert any("has seen electrons that are held out now" in line for line in said) != half_sets


def test_pixels_go_on_from_it_without_half_sets(tmp_path):
    PACKAGES["PtyRAD"][1](tmp_path / "a.hdf5", made())
    pixels = {"start_file": str(tmp_path / "a.hdf5")}
    config, said = with_changes(None, {"pixels": pixels, "object": {"kind": "complex"}}), []
    estimate = start_estimate(config, problem_of(), True, said.append)
    np.testing.assert_array_equal(
        estimate.object, estimate_from_other(problem_of(), read_start(tmp_path / "a.hdf5")).object
    )
    assert any("pixels.start_file: this result has seen" in line for line in said)
    assert any(line.endswith("a.hdf5, by PtyRAD") for line in said)
    assert resolve_auto(config, problem_of()).pixels.half_sets is False


def test_a_run_says_that_a_result_has_no_positions(tmp_path, monkeypatch):
    PACKAGES["PtyRAD"][1](tmp_path / "a.hdf5", made())
    config = with_changes(None, {"pixels": {"start_file": str(tmp_path / "a.hdf5")}, "object": {"kind": "complex"}})
    said: dict[bool, str] = {}
    for without in (False, True):
        one = read_start(tmp_path / "a.hdf5")
        monkeypatch.setattr(
            "jptycho.assembly.start.read_start",
            lambda *_, one=one, without=without, **__: dataclasses.replace(one, centres=None) if without else one,
        )
        lines: list[str] = []
        start_estimate(config, problem_of(), False, lines.append)
        said[without] = "\n".join(lines)
    assert "pixels.start_file: this result has no positions" in said[True]
    assert "no positions" not in said[False]


@pytest.mark.parametrize(
    "changes",
    [
        {"method": "dgp"},
        {"method": "auto"},
        {"pixels": {"half_sets": True}},
        {"stages": [{"method": "pixels", "epochs": 1}]},
        {"refine": {"position_error": 1.0}},
    ],
)
def test_pixels_that_would_begin_otherwise_are_refused(changes):
    config = with_changes(with_changes(None, {"pixels": {"start_file": "a.h5"}}), changes)
    with pytest.raises(jptycho.ConfigError, match=r"pixels\.start_file: has no effect with"):
        check_config(config)


@pytest.mark.slow
def test_a_run_of_pixels_goes_on_where_a_result_ended(tmp_path, small_scan):
    first = jptycho.reconstruct(small_scan, pixels={"epochs": 6, "half_sets": False})
    jptycho.write_result(tmp_path / "r.h5", first)
    again = jptycho.reconstruct(small_scan, pixels={"epochs": 2, "start_file": str(tmp_path / "r.h5")})
    blank = jptycho.reconstruct(small_scan, pixels={"epochs": 2, "half_sets": False})
    assert again.history["loss"][0] < blank.history["loss"][0]
    assert again.history["loss"][-1] < blank.history["loss"][-1]
