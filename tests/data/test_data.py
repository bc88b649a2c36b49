"""Readers, results and checkpoints: what goes in comes out, nothing is read early, nothing is overwritten."""

import dataclasses
import json

import h5py
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jptycho
from jptycho.data import checkpoints
from jptycho.data.counts import load_counts
from jptycho.data.dataset import Calibration, from_arrays, sampling_of
from jptycho.data.readers import hdf5
from jptycho.errors import ConfigError, FormatError
from jptycho.preprocess.calibrate import beam_centre
from jptycho.preprocess.detector_gain import CountUnit, common_unit, estimate_gain, unit_of
from jptycho.preprocess.object_spec import ObjectSpec
from jptycho.preprocess.prepare import illumination, prepare

CALIBRATION = Calibration(
    energy=300e3,
    semiangle_cutoff=20.0,
    defocus=-120.0,
    aberrations=(("C12", 10.0), ("phi12", 0.3)),
    step=(1.0, 1.5),
    reciprocal_sampling=(0.1, 0.12),
    rotation=12.0,
    transpose=True,
)


def counts(shape=(3, 4, 24, 20), seed=0):
    return np.random.default_rng(seed).poisson(3, shape).astype(np.uint8)


def test_scan_survives_the_file(tmp_path):
    truth = jptycho.data.dataset.Truth(np.eye(5, 7, dtype=np.float32), (0.4, 0.5), (-1.0, 2.0))
    scan = from_arrays(counts(), CALIBRATION, np.random.default_rng(1).uniform(size=(12, 2)), truth=truth)
    jptycho.write_scan(tmp_path / "scan.h5", scan)
    back = jptycho.open_dataset(tmp_path / "scan.h5")
    assert back.calibration == dataclasses.replace(CALIBRATION, length_unit="A")
    np.testing.assert_array_equal(back.read(), scan.read())
    np.testing.assert_allclose(back.positions, scan.positions)
    np.testing.assert_array_equal(back.truth.phase, truth.phase)
    assert (back.truth.sampling, back.truth.origin) == (truth.sampling, truth.origin)
    assert (back.shape, back.dtype) == ((3, 4, 24, 20), np.uint8)


def test_scan_in_pixels_keeps_its_probe(tmp_path):
    probe = np.random.default_rng(0).normal(size=(2, 24, 20)) + 1j
    scan = from_arrays(counts(), Calibration(length_unit="px"), np.arange(24.0).reshape(12, 2), probe)
    jptycho.write_scan(tmp_path / "scan.h5", scan)
    back = jptycho.open_dataset(tmp_path / "scan.h5")
    assert back.calibration.length_unit == "px"
    np.testing.assert_array_equal(back.probe, probe)
    with pytest.raises(ConfigError, match=r"data\.probe: has no effect"):
        jptycho.open_dataset(tmp_path / "scan.h5", probe="other")


@pytest.mark.parametrize("modes", [1, 2, 4, 12])
def test_the_start_probe_has_unit_intensity(modes):
    disk = np.zeros((3, 3, 32, 32))
    disk[..., 10:23, 10:23] = 1
    problem = prepare(from_arrays(disk, CALIBRATION), modes=modes)
    assert float(jnp.sum(jnp.abs(problem.estimate.probe) ** 2)) == pytest.approx(1, abs=1e-5)


def test_modes_are_added_orthogonal_to_all_that_the_data_give():
    nominal = np.asarray(prepare(from_arrays(counts(), CALIBRATION), modes=2).estimate.probe)
    given = np.fft.fftshift(nominal * np.array([1.0, 0.3])[:, None, None], axes=(-2, -1))
    scan = from_arrays(counts(), CALIBRATION, probe=given)
    modes = np.asarray(prepare(scan, modes=4).estimate.probe).reshape(4, -1)
    modes = modes / np.linalg.norm(modes, axis=1, keepdims=True)
    np.testing.assert_allclose(modes @ modes.conj().T, np.eye(4), atol=1e-5)


def test_big_endian_counts_are_read():
    many = counts().astype(">u2") + np.uint16(300)
    loaded = load_counts(from_arrays(many, CALIBRATION))
    assert loaded.dtype == np.dtype("=u2")
    np.testing.assert_array_equal(np.fft.fftshift(loaded, axes=(-2, -1)).reshape(many.shape), many)


def test_counts_are_kept_in_the_smallest_type_that_holds_them():
    """Most electrons fall singly, but detectors write sixteen bits and more."""
    for dtype, more, expected in ((np.uint16, 0, np.uint8), (np.int32, 300, np.uint16), (np.uint32, 70_000, np.uint32)):
        stored = counts().astype(dtype)
        stored[-1, -1, 3, 2] += more  # in the last part that is read
        loaded = load_counts(from_arrays(stored, CALIBRATION))
        assert loaded.dtype == expected
        np.testing.assert_array_equal(np.fft.fftshift(loaded, axes=(-2, -1)).reshape(stored.shape), stored)


def test_opening_reads_no_pattern(tmp_path, monkeypatch):
    jptycho.write_scan(tmp_path / "scan.h5", from_arrays(counts(), CALIBRATION))
    np.save(tmp_path / "scan.npy", counts())
    np.savez(tmp_path / "scan.npz", dp=counts())
    monkeypatch.setattr(h5py.Dataset, "__getitem__", lambda *_: pytest.fail("a pattern was read"))
    monkeypatch.setattr(np.lib.format, "read_array", lambda *_: pytest.fail("a pattern was read"))
    monkeypatch.setattr(np, "memmap", lambda *_: pytest.fail("a pattern was read"))
    for name in ("scan.h5", "scan.npy", "scan.npz"):
        assert jptycho.open_dataset(tmp_path / name).shape == (3, 4, 24, 20)


@pytest.mark.parametrize("name", ["any.h5", "any.npz", "any.npy"])
def test_any_array_with_options(tmp_path, name):
    data = counts((12, 24, 20))
    if name.endswith("h5"):
        with h5py.File(tmp_path / name, "w") as file:
            file["entry/data"] = data
    elif name.endswith("npz"):
        np.savez_compressed(tmp_path / name, stack=data)
    else:
        np.save(tmp_path / name, data)
    scan = jptycho.open_dataset(
        tmp_path / name, scan_shape=(3, 4), energy=200e3, step=2.0, angular_sampling=1.5, rotation=-10.0
    )
    assert scan.shape == (3, 4, 24, 20)
    assert scan.calibration.step == (2.0, 2.0)
    assert sampling_of(scan)[1] == pytest.approx(0.0250793 / (20 * 1.5e-3), rel=1e-5)
    np.testing.assert_array_equal(scan.read(), data)


def test_options_override_the_file(tmp_path):
    jptycho.write_scan(tmp_path / "scan.h5", from_arrays(counts(), CALIBRATION))
    assert jptycho.open_dataset(tmp_path / "scan.h5", defocus=77.0).calibration.defocus == 77.0


def test_zero_frequency_goes_to_the_corner():
    data = np.zeros((1, 2, 8, 7), np.float64)
    data[..., 4, 3] = 5
    loaded = load_counts(from_arrays(data, CALIBRATION))
    assert loaded.dtype == np.float32
    np.testing.assert_array_equal(loaded[:, 0, 0], 5)


def test_a_hot_pixel_is_masked(tmp_path, small_scan):
    """With it masked, a reconstruction is that of the scan without it."""
    patterns = small_scan.read().reshape(16, 16, 32, 32).astype(np.uint16)
    mask = np.ones((32, 32), np.uint8)
    mask[3, 20] = 0
    phases = []
    patterns = patterns.astype(np.float32)
    for value in (0, np.nan):
        patterns[..., 3, 20] = value
        np.savez(tmp_path / f"{value}.npz", dp=patterns, mask=mask)
        scan = jptycho.open_dataset(tmp_path / f"{value}.npz", counts="dp", mask="mask")
        scan = dataclasses.replace(scan, calibration=small_scan.calibration, positions=small_scan.positions)
        phases.append(jptycho.reconstruct(scan, pixels={"epochs": 2, "half_sets": False}).phase)
    np.testing.assert_array_equal(*phases)
    with pytest.raises(ConfigError, match=r"data\.mask: has shape"):
        jptycho.open_dataset(tmp_path / "0.npz", counts="dp", mask="dp")


def test_signed_counts_are_kept_as_unsigned():
    assert load_counts(from_arrays(counts().astype(np.int64), CALIBRATION)).dtype == np.uint8


def test_negative_integers_stay_negative():
    data = counts().astype(np.int32)
    data[0, 0, 3, 3] = -3
    calibration = dataclasses.replace(CALIBRATION, read_noise=0.5)
    assert load_counts(from_arrays(data, calibration)).min() == -3


def bright_disk(centre, radius, slope=0.0, shape=(48, 40)):
    """A disk, zero frequency in the centre, brighter by ``slope`` at its upper right edge than in its middle."""
    y, x = np.meshgrid(*(np.arange(n) - n // 2 for n in shape), indexing="ij")
    y, x = y - centre[0], x - centre[1]
    disk = 1 / (1 + np.exp(3 * (np.hypot(y, x) - radius)))
    return disk * (1 + slope * np.clip((x - y) / np.sqrt(2) / radius, -1, 1)) + 0.01


def test_beam_centre_of_a_disk_off_centre():
    assert beam_centre(np.fft.ifftshift(bright_disk((1.7, -2.4), 9))) == pytest.approx((1.7, -2.4), abs=0.1)


@pytest.mark.parametrize("slope", [-0.4, 0.2, 0.4])
@pytest.mark.parametrize("radius", [8.0, 15.0])
def test_an_uneven_disk_is_where_its_edge_is(slope, radius):
    disk = bright_disk((1.7, -2.4), radius, slope)
    assert beam_centre(np.fft.ifftshift(disk)) == pytest.approx((1.7, -2.4), abs=0.3)


@pytest.mark.parametrize("slope", [0.0, 0.2])
@pytest.mark.parametrize(("centre", "radius"), [((1.7, -2.4), 9.0), ((-1.2, 2.1), 15.0)])
def test_a_masked_part_of_the_disk_pulls_to_no_side(centre, radius, slope):
    disk = bright_disk(centre, radius, slope)
    third, scattered, stop = np.ones((3, *disk.shape))
    third[:, : 20 + round(centre[1] - radius / 3)] = 0
    scattered[np.random.default_rng(0).random(disk.shape) < 0.2] = 0
    stop[20:28, 10:21] = 0
    for mask in (third, third[::-1], scattered, stop):
        found = beam_centre(np.fft.ifftshift(disk * mask), np.fft.ifftshift(mask))
        assert found == pytest.approx(centre, abs=0.3)


def test_prepare_takes_the_centre_from_live_pixels(small_scan):
    mask = np.ones(small_scan.shape[-2:])
    mask[:, : mask.shape[1] // 2 - 4] = 0
    whole, part = (np.asarray(prepare(dataclasses.replace(small_scan, mask=m)).setup.centre) for m in (None, mask))
    step = np.asarray(small_scan.calibration.reciprocal_sampling)
    np.testing.assert_allclose(part / step, whole / step, atol=0.5)


def test_unit_of_the_counts_is_seen_given_or_estimated():
    whole = counts((12, 24, 20))
    assert common_unit(whole * 440.0) == 440.0
    assert common_unit(np.array([[[60, 63, 72]]])) == 3
    assert unit_of(whole * 0.25, None) == CountUnit(0.25, "seen")
    assert unit_of(whole * 0.1, 0.2) == CountUnit(0.2, "given")
    rng = np.random.default_rng(0)
    level = 2 + np.arange(20.0)[None, None, :] * np.sin(np.arange(400.0) / 60)[:, None, None] ** 2
    shot = rng.poisson(np.broadcast_to(level, (400, 24, 20))) * 3.7
    read = shot + rng.normal(0, 0.2, shot.shape)
    assert estimate_gain(shot) == pytest.approx(3.7, rel=0.1)
    found = unit_of(read - read.min(), None)
    assert found.source == "estimated"
    sparse = np.zeros((50, 60, 60))
    sparse.flat[:: 60 * 60 // 3] = rng.uniform(0.3, 2.0, sparse.flat[:: 60 * 60 // 3].shape)
    assert unit_of(sparse, None).source == "estimated"


def test_illumination_is_the_sum_of_shifted_probes():
    rng = np.random.default_rng(0)
    probe = rng.normal(size=(2, 6, 5)) + 1j
    pixels = np.array([[8.0, 7.0], [9.0, 11.0], [9.0, 11.0]])
    expected = np.zeros((18, 20))
    window = np.fft.fftshift((np.abs(probe) ** 2).sum(0))
    for y, x in pixels.astype(int):
        expected[y - 3 : y + 3, x - 2 : x + 3] += window
    np.testing.assert_allclose(illumination(probe, pixels, (18, 20)), expected / expected.mean(), atol=1e-9)


def test_defocus_is_that_of_the_objects_middle():
    """The probe is wanted at the first slice: for underfocus farther from its crossover than the middle is."""
    disk = np.zeros((3, 3, 32, 32))
    disk[..., 10:23, 10:23] = 1
    scan = from_arrays(disk, dataclasses.replace(CALIBRATION, aberrations=(), rotation=0.0, transpose=False))
    thin = prepare(scan, ObjectSpec())
    thick = prepare(scan, ObjectSpec(slices=3, thickness=20.0))
    from jptycho.optics.propagation import fresnel_kernel, propagate  # noqa: PLC0415

    grid = thin.setup.grid
    moved = propagate(thick.estimate.probe[0], fresnel_kernel(grid, thin.setup.wavelength, 20.0))
    np.testing.assert_allclose(moved, thin.estimate.probe[0], atol=1e-4)


def test_a_scan_keeps_its_mask(tmp_path):
    mask = np.ones((24, 20))
    mask[3, 4] = 0
    jptycho.write_scan(tmp_path / "scan.h5", from_arrays(counts(), CALIBRATION, mask=mask))
    np.testing.assert_array_equal(jptycho.open_dataset(tmp_path / "scan.h5").mask, mask)


def test_arrays_of_matlab_arrive_as_their_author_sees_them(tmp_path):
    """MATLAB stores columns first: HDF5 shows every axis in reversed order, and complex numbers as pairs."""
    patterns = np.random.default_rng(0).poisson(2.0, (3, 4, 24, 20))
    probe = np.zeros((20, 24), [("real", float), ("imag", float)])
    probe["real"], probe["imag"] = 1.0, np.arange(20)[:, None]
    with h5py.File(tmp_path / "a.mat", "w") as file:
        file["dp"], file["probe"], file["positions"] = patterns.transpose(), probe, np.arange(24.0).reshape(2, 12)
    scan = jptycho.open_dataset(tmp_path / "a.mat", counts="dp", probe="probe", positions="positions")
    assert scan.shape == (3, 4, 24, 20)
    np.testing.assert_array_equal(scan.read(), patterns.reshape(-1, 24, 20))
    np.testing.assert_array_equal(scan.probe[0, 5], 1 + 1j * np.arange(20))
    np.testing.assert_array_equal(scan.positions[:, 0], np.arange(12.0))


def test_an_own_scan_is_one_whatever_its_name(tmp_path):
    jptycho.write_scan(tmp_path / "scan.mat", from_arrays(counts((3, 4, 24, 24)), CALIBRATION))
    np.testing.assert_array_equal(
        jptycho.open_dataset(tmp_path / "scan.mat").read(), counts((3, 4, 24, 24)).reshape(-1, 24, 24)
    )


def test_nothing_is_overwritten_silently(tmp_path):
    path = tmp_path / "scan.h5"
    path.write_bytes(b"precious")
    with pytest.raises(FormatError, match="exists"):
        jptycho.write_scan(path, from_arrays(counts(), CALIBRATION))
    assert path.read_bytes() == b"precious"
    with pytest.raises(ZeroDivisionError):
        hdf5.atomic_write(path, lambda file: 1 / 0, overwrite=True)
    assert path.read_bytes() == b"precious"
    assert [p.name for p in tmp_path.iterdir()] == ["scan.h5"]


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"counts": "dp", "positions": np.zeros((9000, 2))}, ConfigError, ["data.positions", "[0.0, 0.0]", "..."]),
        ({"energi": 3e5}, ConfigError, ["data.energi: unknown key", "'energy'"]),
        ({"energy": -3e5}, ConfigError, ["data.energy", "-300000"]),
        ({"counts": "dpp"}, FormatError, ["data.counts", "'dp'"]),
        ({"scan_shape": (5, 5)}, ConfigError, ["data.scan_shape", "25 patterns", "12"]),
        ({"counts": "positions"}, FormatError, ["(12, 2)", "(slow, fast, y, x)"]),
        ({"counts": "dp", "positions": "few"}, ConfigError, ["5 positions for 12 patterns"]),
        ({"counts": "dp", "positions": "across"}, FormatError, ["data.positions", "(2, 12)", "expected (scan, 2)"]),
        ({"counts": "dp", "probe": "prob"}, FormatError, ["data.probe", "no dataset 'prob'"]),
        ({"counts": "dp", "reciprocal_sampling": 0.1, "angular_sampling": 1.0}, ConfigError, ["Keep one"]),
    ],
)
def test_wrong_options_name_what_was_expected(tmp_path, options, error, words):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["dp"], file["positions"], file["few"] = counts(), np.ones((12, 2)), np.ones((5, 2))
        file["across"] = np.ones((2, 12))
    with pytest.raises(error) as caught:
        jptycho.open_dataset(tmp_path / "a.h5", **options)
    assert all(word in str(caught.value) for word in words)


def test_checkpoint_brings_back_every_bit(tmp_path):
    tree = {"a": jnp.arange(5.0), "key": jax.random.key(3), "none": None, "n": jnp.zeros((), int)}
    checkpoints.save_checkpoint(tmp_path / "c", tree, {"stage": "pixels"})
    checkpoints.save_checkpoint(tmp_path / "c", {**tree, "n": jnp.ones((), int)}, {"stage": "dgp"})
    back = checkpoints.load_checkpoint(tmp_path / "c", tree)
    assert checkpoints.load_facts(tmp_path / "c") == {"stage": "dgp"}
    np.testing.assert_array_equal(back["a"], tree["a"])
    assert int(back["n"]) == 1
    assert (jax.random.key_data(back["key"]) == jax.random.key_data(tree["key"])).all()
    with pytest.raises(FormatError, match="does not fit"):
        checkpoints.load_checkpoint(tmp_path / "c", {"other": jnp.zeros(3)})
    checkpoints.remove_checkpoint(tmp_path / "c")
    assert checkpoints.load_facts(tmp_path / "c") is None


def test_result_is_readable_with_plain_h5py(tmp_path, small_scan):
    pixels = {"epochs": 2, "half_sets": False}
    result = jptycho.reconstruct(small_scan, pixels=pixels, object={"kind": "complex"}, probe={"modes": 2})
    jptycho.write_result(tmp_path / "r.h5", result)
    with h5py.File(tmp_path / "r.h5") as file:
        assert file.attrs["schema"] == "jptycho-result"
        assert file["object/phase"].shape == result.phase.shape
        assert file["object/absorption"][()].min() >= 0
        assert file["probe/modes"].shape == (2, 32, 32)
        assert list(file["history/stage"].asstr()) == ["pixels", "pixels"]
        assert "jax" in json.loads(file.attrs["versions"])
        assert "epochs = 2" in file.attrs["configuration"]
        assert file["positions"].shape == (256, 2)
    back = jptycho.read_result(tmp_path / "r.h5")
    np.testing.assert_array_equal(back.phase, result.phase)
    np.testing.assert_allclose(back.positions, small_scan.positions, atol=1e-4)
    np.testing.assert_allclose(back.modelled.sum(), back.measured.sum(), rtol=0.05)
