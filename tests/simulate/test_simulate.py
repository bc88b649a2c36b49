"""The simulated specimen and scan."""

import h5py
import numpy as np
import pytest
from scipy.spatial import KDTree

import jptycho
from jptycho.errors import ConfigError
from jptycho.simulate import textbook
from jptycho.simulate.acquire import count_electrons, fourier_crop, phase_slices
from jptycho.simulate.specimens import amorphous_carbon, gold_on_carbon, gold_particle
from jptycho.types import Grid


@pytest.mark.slow
def test_more_overlap_lower_error_in_the_lectures_experiment():
    """Falls of the amplitude error by 48, 16 and 11 with 75, 62 and 50 % overlap, within a factor of two."""
    falls, last = {}, {}
    for step in (4, 6, 8):
        curves = np.mean([textbook.overlap_curve(step, seed=seed) for seed in (42, 43, 44)], axis=0)
        assert (np.diff(curves) < 0).all()
        falls[step], last[step] = curves[0] / curves[-1], curves[-1]
    assert last[4] < last[6] < last[8]
    for step, fall in {4: 48, 6: 16, 8: 11}.items():
        assert fall / 2 < falls[step] < fall * 2


def test_gold_has_the_density_and_bond_length_of_fcc():
    atoms = gold_particle(40.0, (10.0, 20.0, 30.0))
    volume = np.pi / 6 * 40**3
    assert len(atoms) / volume == pytest.approx(4 / 4.0782**3, rel=0.03)
    nearest = KDTree(atoms).query(atoms, k=2)[0][:, 1]
    np.testing.assert_allclose(nearest, 4.0782 / np.sqrt(2), atol=1e-6)


def test_carbon_keeps_its_distance_and_density():
    atoms = amorphous_carbon((10.0, 30.0, 25.0), np.random.default_rng(0))
    assert len(atoms) == 750
    assert KDTree(atoms).query(atoms, k=2)[0][:, 1].min() >= 1.35
    assert (atoms >= 0).all()
    assert (atoms <= [10, 30, 25]).all()


def test_slices_add_up_to_the_projection():
    grid = Grid((64, 48), (0.25, 0.25))
    atoms = gold_on_carbon((16.0, 12.0), 8.0, 4.0, seed=1)
    thin, thick = phase_slices(atoms, grid, 2.0, 3e5), phase_slices(atoms, grid, 1e3, 3e5)
    assert len(thick) == 1
    np.testing.assert_allclose(thin.sum(0), thick[0], atol=1e-4)


def test_default_particle_has_more_than_a_radian_of_bulk_phase():
    """The demo's specimen, smoothed over 8 Å: gold at the centre above vacuum."""
    settings = jptycho.simulate.scan.GoldSettings()
    grid = Grid((220, 220), (0.4, 0.4))
    atoms = gold_on_carbon((88.0, 88.0), settings.diameter, settings.carbon_thickness, settings.specimen_seed)
    phase = phase_slices(atoms, grid, 1e3, settings.energy)[0]
    assert phase[100:120, 100:120].mean() > 1.0
    assert phase[100:120, 100:120].mean() - phase[:20, :20].mean() > 0.9


def test_fourier_crop_keeps_low_frequencies():
    y, x = np.meshgrid(np.arange(24), np.arange(30), indexing="ij")
    image = 1 + np.cos(2 * np.pi * (2 * y / 24 + 3 * x / 30))
    y, x = np.meshgrid(np.arange(12), np.arange(20), indexing="ij")
    np.testing.assert_allclose(
        fourier_crop(image, (12, 20)), 1 + np.cos(2 * np.pi * (2 * y / 12 + 3 * x / 20)), atol=1e-9
    )


def test_counts_are_poisson_in_the_smallest_type():
    expected = np.full((200, 200), 1 / 40000)
    counts = count_electrons(expected, 40000 * 90.0, np.random.default_rng(0))
    assert counts.dtype == np.uint8
    assert counts.mean() == pytest.approx(90, rel=0.01)
    assert counts.var() == pytest.approx(90, rel=0.05)


def test_scan_has_its_dose_and_jitter(small_scan):
    counts = small_scan.read()
    assert counts.dtype.kind == "u"
    assert 0.9 * 2e4 * 1.2**2 < counts.sum(axis=(1, 2)).mean() <= 2e4 * 1.2**2
    raster = np.stack(np.meshgrid(np.arange(16), np.arange(16), indexing="ij"), -1).reshape(-1, 2) * 1.2
    assert (small_scan.positions - raster).std() == pytest.approx(0.1, rel=0.15)


def test_same_seed_same_scan():
    settings = {"dose": 100, "diameter": 6.0, "carbon_thickness": 2.0, "scan_shape": (4, 4), "detector": (16, 16)}
    first, again, other = (jptycho.simulate_gold(seed=s, **settings).read() for s in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert first.shape == other.shape
    assert (first != other).any()


def test_file_describes_itself(tmp_path, small_scan):
    jptycho.write_scan(tmp_path / "scan.h5", small_scan)
    with h5py.File(tmp_path / "scan.h5") as file:
        assert file["calibration"].attrs["energy_unit"] == "eV"
        assert file["positions"].attrs["unit"] == "Å"
        assert file["truth/phase"].attrs["unit"] == "rad"
        assert file["counts"].dtype == small_scan.dtype


def test_impossible_settings():
    with pytest.raises(ConfigError, match=r"dsoe: unknown key\. Did you mean 'dose'"):
        jptycho.simulate_gold(dsoe=3)
    with pytest.raises(ConfigError, match="step: a scan of 6000 Å"):
        jptycho.simulate_gold(step=150.0)
