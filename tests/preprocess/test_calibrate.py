"""Calibrations and masks that cannot be, refused before a pattern is read; and those that just can."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from jptycho.data.dataset import Calibration, Dataset4D, from_arrays
from jptycho.errors import ConfigError
from jptycho.preprocess.calibrate import check_calibration, check_mask, probe_diameter

GOOD = Calibration(300e3, 20.0, defocus=200.0, step=(2.0, 1.5), reciprocal_sampling=(0.08, 0.1))
DETECTOR = (40, 32)


def scan(calibration: Calibration = GOOD, shape: tuple[int, ...] = (3, 4), **parts: Any) -> Dataset4D:
    """A scan that cannot be read."""

    def read() -> np.ndarray:
        raise AssertionError("a pattern was read")

    return Dataset4D((*shape, *DETECTOR), np.dtype(np.uint8), read, calibration, **parts)


def changed(**values: Any) -> Calibration:
    return dataclasses.replace(GOOD, **values)


def test_a_good_calibration_passes_and_nothing_is_read():
    check_calibration(scan())
    check_calibration(scan(shape=(12,), positions=np.random.default_rng(0).uniform(0, 9, (12, 2))))
    check_calibration(scan(changed(step=None), positions=np.random.default_rng(0).uniform(0, 9, (12, 2))))


@pytest.mark.parametrize("name", ["energy", "semiangle_cutoff", "reciprocal_sampling", "step"])
def test_what_is_missing_is_asked_for_with_its_unit(name: str):
    unit = {"energy": "eV", "semiangle_cutoff": "mrad", "step": "Å"}.get(name, "Å⁻¹ a detector pixel")
    with pytest.raises(ConfigError, match=rf"data\.{name}: missing; .* in {unit}\."):
        check_calibration(scan(changed(**{name: None})))


def test_a_list_of_patterns_needs_its_shape_or_positions():
    with pytest.raises(ConfigError, match=r"data\.scan_shape: missing; the patterns are a list of 12\. Add scan_shape"):
        check_calibration(scan(shape=(12,)))


@pytest.mark.parametrize(
    ("energy", "hint"), [*((one, " Did you mean 300000?") for one in (300.0, 3e8)), (2.0, ""), (3e10, "")]
)
def test_an_energy_of_another_unit_is_seen(energy: float, hint: str):
    with pytest.raises(ConfigError) as caught:
        check_calibration(scan(changed(energy=energy)))
    assert str(caught.value) == f"data.energy: expected eV between 1e4 and 5e6, found {energy:g}.{hint}"


def test_the_disk_must_end_before_the_shorter_side_of_the_detector():
    """The sides reach 1.6 Å⁻¹, both of them; at 300 keV, whose wavelength is 0.019687 Å, those are 31.5 mrad."""
    check_calibration(scan(changed(semiangle_cutoff=31.4)))
    with pytest.raises(ConfigError, match=r"data\.semiangle_cutoff: 31\.6 mrad, but the detector ends at 31\.5 mrad"):
        check_calibration(scan(changed(semiangle_cutoff=31.6)))
    with pytest.raises(ConfigError, match=r"the detector ends at 15\.7 mrad"):
        check_calibration(scan(changed(reciprocal_sampling=(0.08, 0.05))))


def test_probes_of_neighbours_must_overlap():
    """A cone of 20 mrad from 200 Å is 8 Å wide, and the Airy disk adds 1.2 Å."""
    assert probe_diameter(GOOD) == pytest.approx(2 * 200 * 0.02 + 1.22 * 0.0196875 / 0.02, rel=1e-5)
    check_calibration(scan(changed(step=(9.1, 1.0))))
    with pytest.raises(ConfigError, match=r"data\.step: 9\.3 Å between positions, but the probe is only 9\.2 Å wide"):
        check_calibration(scan(changed(step=(1.0, 9.3))))
    corners = np.array([[0.0, 0.0], [0.0, 40.0], [40.0, 0.0], [40.0, 40.0]])
    with pytest.raises(ConfigError, match=r"data\.positions: .* Å between positions, .* \(defocus 200 Å\)"):
        check_calibration(scan(shape=(4,), positions=corners))
    check_calibration(scan(shape=(4,), positions=corners / 5))


def test_a_step_that_is_never_taken_does_not_matter():
    """A line scan has no slow step."""
    line = changed(step=(100.0, 1.0), defocus=10.0)
    check_calibration(scan(line, (1, 12)))
    with pytest.raises(ConfigError, match=r"data\.step: 100 Å"):
        check_calibration(scan(line, (2, 12)))


def test_lengths_in_pixels_need_a_probe_and_nothing_else():
    pixels = Calibration(length_unit="px")
    check_calibration(scan(pixels, probe=np.ones((1, *DETECTOR), complex)))
    with pytest.raises(ConfigError, match=r"data\.probe: missing; positions in pixels need a probe"):
        check_calibration(scan(pixels))


def test_a_mask_may_hide_no_more_than_nine_tenths_of_the_disk():
    """The disk of 20 mrad has a radius of 1.016 Å⁻¹; what lies outside does not matter."""
    y, x = ((np.arange(n) - n // 2) * d for n, d in zip(DETECTOR, (0.08, 0.1), strict=True))
    disk = np.hypot(y[:, None], x[None]) <= 1.01587
    inside = np.flatnonzero(disk)
    check_mask(scan())
    check_mask(scan(mask=disk.astype(float)))
    for share, allowed in ((0.12, True), (0.08, False)):
        mask = np.ones(DETECTOR)
        mask.flat[inside[int(share * len(inside)) :]] = 0
        if allowed:
            check_mask(scan(mask=mask))
            continue
        with pytest.raises(ConfigError, match=r"data\.mask: leaves 8% of the bright disk of 20 mrad; .* least 10%"):
            check_mask(scan(mask=mask))


def test_a_scan_in_pixels_has_no_disk_that_is_known():
    check_mask(scan(Calibration(length_unit="px"), mask=np.eye(*DETECTOR)))


def test_positions_on_a_line_too_far_apart_are_refused_and_aberrations_are_not():
    known = Calibration(
        energy=300e3, semiangle_cutoff=10.0, reciprocal_sampling=(0.06, 0.06), defocus=10.0, step=(5.0, 5.0)
    )
    line = np.stack([np.zeros(9), 50.0 * np.arange(9)], axis=1)
    with pytest.raises(ConfigError, match=r"data\.positions: 50 Å between positions"):
        check_calibration(from_arrays(np.ones((9, 32, 32), np.uint8), known, line))
    raster = from_arrays(np.ones((3, 3, 32, 32), np.uint8), known)
    with pytest.raises(ConfigError, match=r"data\.step: 5 Å between positions"):
        check_calibration(raster)
    astigmatic = dataclasses.replace(known, aberrations=(("C12", 500.0),))
    check_calibration(dataclasses.replace(raster, calibration=astigmatic))
