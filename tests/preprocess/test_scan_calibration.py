"""What scans that NumPy made say of themselves: orientation, defocus, semiangle; and what cannot be told."""

import dataclasses

import numpy as np
import pytest

from jptycho.data import Calibration, from_arrays
from jptycho.errors import ConfigError
from jptycho.preprocess.aberration_fit import AberrationFit, refine_aberrations
from jptycho.preprocess.aberration_search import best_of_map, map_evidence
from jptycho.preprocess.interference import lowest_frequency, measure_interference, repetition, spiral_frequencies
from jptycho.preprocess.scan_calibration import calibrate_scan, fit_orientation, nominal_positions
from jptycho.preprocess.scan_part import Part
from jptycho.preprocess.twins import choose_twin, dense_frequencies
from tests.preprocess.scans import SEMIANGLE, STEP, WAVELENGTH, WINDOW, Made, record

CASES = {
    "underfocus": Made(defocus=120.0, rotation=33.0),
    "overfocus, swapped": Made(defocus=-120.0, rotation=-104.0, transpose=True, seed=1),
    "in focus": Made(defocus=0.0, rotation=150.0, step=0.5, seed=2),
}
HALF_A_DEGREE, OF_DEFOCUS, OF_DEPTH = 0.5, 0.03, 5.0
"""What is promised: degrees, a share, and Å where the defocus is less than the depth of focus, 49 Å."""


def known_positions(scan):
    positions = nominal_positions(scan)
    assert positions is not None
    return positions


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_orientation_and_defocus_of_a_scan_are_found(name):
    made = CASES[name]
    found = calibrate_scan(record(made))
    assert found.fit is not None
    assert found.fit.transpose == made.transpose
    assert abs((found.fit.rotation - made.rotation + 180) % 360 - 180) < HALF_A_DEGREE
    assert found.fit.defocus == pytest.approx(made.defocus, abs=max(OF_DEPTH, OF_DEFOCUS * abs(made.defocus)))
    assert found.semiangle_cutoff[0] == pytest.approx(SEMIANGLE, rel=0.01)
    assert found.handed > 3


@pytest.mark.slow
def test_the_twin_is_the_other_way_about_and_a_negative_phase_chooses_it():
    """An object whose phase is inverted makes the patterns of the twin."""
    made = CASES["underfocus"]
    found = calibrate_scan(record(dataclasses.replace(made, strength=-made.strength)))
    assert found.fit is not None
    assert found.twin is not None
    assert abs((found.fit.rotation - made.rotation) % 360 - 180) < HALF_A_DEGREE
    assert found.fit.defocus == pytest.approx(-made.defocus, rel=OF_DEFOCUS)
    assert found.twin.defocus == pytest.approx(made.defocus, rel=OF_DEFOCUS)


@pytest.mark.slow
def test_two_fold_astigmatism_is_found_in_strength_and_direction():
    found = calibrate_scan(record(Made(defocus=200.0, C12=15.0, step=1.0, seed=5)))
    assert found.fit is not None
    fit = found.fit if found.fit.defocus > 0 else found.fit.twin()
    assert fit.defocus == pytest.approx(200.0, rel=OF_DEFOCUS)
    assert fit.astigmatism == pytest.approx(15.0, abs=3 * fit.errors["astigmatism"] + 1.0)
    assert abs(fit.azimuth) < 0.2
    assert fit.astigmatism > 3 * fit.errors["astigmatism"]


@pytest.mark.slow
@pytest.mark.parametrize(("side", "step"), [(10, 0.4), (16, 0.8), (20, 0.8)])
@pytest.mark.parametrize("seed", [4, 51, 52, 53])
def test_noise_shows_no_orientation(side, step, seed):
    """Whatever the number of frequencies that are looked at: a small scan has few that differ."""
    found = calibrate_scan(record(Made(defocus=120.0, strength=0.0, shape=(side, side), step=step, seed=seed)))
    assert found.fit is None
    assert found.twin is None
    assert found.undecided[0].startswith("orientation and defocus: the patterns show no contrast")
    assert found.semiangle_cutoff[0] == pytest.approx(SEMIANGLE, rel=0.01)


def test_a_single_row_has_a_disk_but_no_orientation():
    found = calibrate_scan(record(Made(shape=(1, 60))))
    assert found.fit is None
    assert found.undecided == (
        "orientation and defocus: the scan is a single row or nearly so, which shows no rotation",
    )
    assert found.semiangle_cutoff[0] == pytest.approx(SEMIANGLE, rel=0.01)


def test_a_hot_pixel_is_reported_and_moves_no_disk():
    scan = record(Made(shape=(2, 30)))
    counts = scan.read().reshape(scan.shape).copy()
    counts[..., 3, 27] = 60000
    found = calibrate_scan(from_arrays(counts, scan.calibration))
    assert [tuple(map(int, place)) for place in np.argwhere(found.mask == 0)] == [(3, 27)]
    assert found.disk.centre == pytest.approx((0.0, 0.0), abs=0.1)


def test_the_sampling_follows_from_a_semiangle_that_is_given():
    scan = record(Made(shape=(2, 30)))
    known = dataclasses.replace(scan.calibration, reciprocal_sampling=None, semiangle_cutoff=SEMIANGLE)
    found = calibrate_scan(dataclasses.replace(scan, calibration=known))
    assert found.reciprocal_sampling == pytest.approx((STEP, STEP), rel=0.01)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"energy": None}, r"data\.energy: missing; memory does not say it\. Add it to \[data\], in eV"),
        ({"energy": 300.0}, r"data\.energy: expected eV .* Did you mean 300000\?"),
        ({"step": None}, r"data\.step: missing"),
        ({"reciprocal_sampling": None}, r"data\.reciprocal_sampling: missing, and so is semiangle_cutoff"),
        ({"length_unit": "px"}, r"data\.positions_unit: px; calibration needs Å"),
    ],
)
def test_what_must_be_known_is_asked_for(change, message):
    known = Calibration(energy=300e3, step=(1.0, 1.0), reciprocal_sampling=(STEP, STEP))
    scan = from_arrays(np.ones((2, 2, 8, 8), np.uint8), dataclasses.replace(known, **change))
    with pytest.raises(ConfigError, match=message):
        calibrate_scan(scan)


def test_positions_are_those_of_the_raster_or_the_list():
    scan = record(Made(shape=(2, 3), step=0.5))
    np.testing.assert_allclose(known_positions(scan)[-1], [0.5, 1.0])
    places = np.random.default_rng(0).uniform(0, 4, (6, 2))
    listed = from_arrays(scan.read(), scan.calibration, places)
    np.testing.assert_allclose(known_positions(listed), places)
    assert nominal_positions(from_arrays(scan.read(), scan.calibration)) is None


def test_dense_frequencies_are_a_period_apart_and_not_too_many():
    q = dense_frequencies(np.array([[0.0, 0.0], [20.0, 10.0]]), 0.5)
    np.testing.assert_allclose(q * [20, 10], np.round(q * [20, 10]))
    assert np.linalg.norm(q, axis=1).max() <= 0.5
    assert len(dense_frequencies(np.array([[0.0, 0.0], [500.0, 500.0]]), 0.5)) < 4500


@pytest.mark.slow
def test_more_frequencies_make_no_error_smaller():
    """What is not in the data cannot be had by looking more closely."""
    scan = record(CASES["underfocus"])
    counts, disk = np.fft.ifftshift(scan.read(), axes=(1, 2)), calibrate_scan(record(Made(shape=(2, 30)))).disk
    part = Part(counts, known_positions(scan), disk, (STEP, STEP), np.ones((WINDOW, WINDOW)), WAVELENGTH)
    lens, start, stated = part.lens(9.0), np.array([np.radians(33.0), -120.0, 0.0, 0.0]), []
    for count in (200, 800):
        q = spiral_frequencies(lowest_frequency(part.positions), 0.6 * lens.cutoff, count)
        fit = refine_aberrations(part.measure(9.0, q), lens, False, start).repeating(repetition(q, part.positions))
        stated.append([fit.errors[name] for name in ("rotation", "defocus")])
    np.testing.assert_allclose(stated[1], stated[0], rtol=0.25)


@pytest.mark.slow
def test_the_parts_of_a_calibration_serve_on_their_own():
    """Search, fit and the choice of the twin, as somebody would call them who knows the disk already."""
    made = CASES["underfocus"]
    scan = record(made)
    counts = np.fft.ifftshift(scan.read(), axes=(1, 2))
    disk = calibrate_scan(record(Made(shape=(2, 30)))).disk
    part = Part(counts, known_positions(scan), disk, (STEP, STEP), np.ones((WINDOW, WINDOW)), WAVELENGTH)
    fit, handed, searched = fit_orientation(part, 200.0)
    assert searched.evidence.shape == (2, len(searched.rotations), len(searched.defoci))
    assert handed > 3
    chosen, positive = choose_twin(part, fit.twin())
    assert positive > 0.5
    assert chosen.defocus == pytest.approx(made.defocus, rel=OF_DEFOCUS)
    lens = part.lens(9.0)
    q = spiral_frequencies(0.1, 0.6, 150)
    data = measure_interference(counts, part.positions, disk, (STEP, STEP), None, (9.0, q))
    starts = best_of_map(map_evidence(data, lens, 200.0), lens.depth, candidates=2)
    assert len(starts) == 4
    again = [refine_aberrations(data, lens, *start, False) for start in starts]
    best = max(again, key=lambda one: one.evidence.sum())
    assert isinstance(best, AberrationFit)
    assert abs(best.defocus) == pytest.approx(made.defocus, rel=0.05)
