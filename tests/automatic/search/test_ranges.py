"""What may be searched over, and what is refused before anything is computed."""

import dataclasses

import numpy as np
import pytest

import jptycho
from jptycho.automatic.search.bench import check_extremes, pixels_of
from jptycho.automatic.search.ranges import Range, check_ranges, choose_ranges, given_values, parse_ranges, with_values
from jptycho.config.run import with_changes
from jptycho.data.detector_window import use_detector_part
from jptycho.errors import ConfigError

THICK = with_changes(None, {"object": {"slices": 3, "slice_thickness": 8.0}, "probe": {"modes": 2}})


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["defocus=1:2", "defocus"], "defocus is given twice"),
        (["defocus=1"], r"expected defocus=LOW:HIGH, found defocus=1\. Give two numbers"),
        (["defocus=a:b"], "expected defocus=LOW:HIGH"),
        (["defocus=1:2:3"], "expected defocus=LOW:HIGH"),
        (["defocsu=1:2"], r"defocsu: cannot be searched over\. Did you mean 'defocus'\?"),
        (["=1:2"], "cannot be searched over"),
        ([], "nothing to search. Name one or more of defocus, rotation"),
        (["rotation=5:-5"], r"rotation: from 5 to -5 holds nothing\. Give the smaller number first"),
        (["rotation=5:5"], "is one value"),
        (["rotation=nan:5"], "expected finite numbers"),
        (["defocus=-inf:5"], "expected finite numbers"),
        (["rotation=-300:300"], "more than 360 degrees"),
        (["thickness=-20:40"], r"thickness: from -20 to 40; expected Å above 0\. Correct the range"),
        (["thickness=0:40"], "above 0"),
        (["semiangle_cutoff=0:40"], "mrad above 0"),
        (["modes=0:4"], "expected between 1 and 12"),
        (["modes=1:13"], "expected between 1 and 12"),
        (["modes=1.5:4"], "expected whole numbers"),
    ],
)
def test_what_makes_no_sense_is_refused(words, message):
    with pytest.raises(ConfigError, match=message):
        check_ranges(parse_ranges(words))


def test_ranges_by_default_lie_about_what_is_known(small_scan):
    over = dict.fromkeys(("modes", "thickness", "semiangle_cutoff", "rotation", "defocus"))
    found = {one.name: (one.low, one.high) for one in choose_ranges(over, THICK, small_scan)}
    assert list(found) == ["defocus", "rotation", "thickness", "semiangle_cutoff", "modes"]
    wavelength = 12.2643 / np.sqrt(300e3 * (1 + 300e3 * 0.978476e-6))  # Å: de Broglie
    np.testing.assert_allclose(
        np.subtract(found["defocus"], 100.0), np.array([-2, 2]) * wavelength / 0.02**2, rtol=1e-4
    )
    assert found["rotation"] == (-5.0, 5.0)
    assert found["thickness"] == (12.0, 48.0)
    assert found["modes"] == (1.0, 4.0)
    np.testing.assert_allclose(found["semiangle_cutoff"], (19.0, 21.0))
    far = dataclasses.replace(small_scan, calibration=dataclasses.replace(small_scan.calibration, defocus=-1e3))
    (only,) = choose_ranges({"defocus": None}, THICK, far)
    assert (only.low, only.high) == (-1500.0, -500.0)
    assert str(only) == "defocus from -1500 to -500 Å"


def test_values_go_where_they_belong(small_scan):
    values = {"defocus": 120.0, "rotation": -2.0, "thickness": 30.0, "modes": 3.0, "semiangle_cutoff": 19.5}
    config, scan = with_values(THICK, small_scan, values)
    assert (config.object.slices, config.object.slice_thickness, config.probe.modes) == (3, 10.0, 3)
    calibration = scan.calibration
    assert (calibration.defocus, calibration.rotation, calibration.semiangle_cutoff) == (120.0, -2.0, 19.5)
    assert given_values(config, scan, list(values)) == values
    assert given_values(THICK, small_scan, ["thickness"]) == {"thickness": 24.0}


def test_what_nothing_depends_on_is_refused(small_scan):
    thin = with_changes(None, {})
    with pytest.raises(ConfigError, match=r"thickness: has no effect on one slice"):
        choose_ranges({"thickness": (10.0, 20.0)}, thin, small_scan)
    gaps = with_changes(None, {"object": {"slices": 3, "slice_gaps": [4.0, 5.0]}})
    with pytest.raises(ConfigError, match=r"thickness: object.slice_gaps says each distance"):
        choose_ranges({"thickness": None}, gaps, small_scan)
    probed = dataclasses.replace(small_scan, probe=np.ones((1, 32, 32), complex))
    for name in ("defocus", "semiangle_cutoff"):
        with pytest.raises(ConfigError, match=f"{name}: has no effect, for data.probe"):
            choose_ranges({name: None}, thin, probed)
    pixels = dataclasses.replace(small_scan, calibration=dataclasses.replace(small_scan.calibration, length_unit="px"))
    with pytest.raises(ConfigError, match=r"defocus: lengths are known in pixels only"):
        choose_ranges({"defocus": None}, thin, pixels)


def test_modes_begin_with_those_of_the_probe_that_a_scan_brings(small_scan):
    modes = np.ones((4, 32, 32), complex)
    modes[3] = 0  # an empty one is none
    probed, thin = dataclasses.replace(small_scan, probe=modes), with_changes(None, {"probe": {"modes": 3}})
    (chosen,) = choose_ranges({"modes": None}, thin, probed)
    assert (chosen.low, chosen.high) == (3.0, 4.0)
    with pytest.raises(ConfigError, match=r"modes: from 1, but data\.probe has 3"):
        choose_ranges({"modes": (1.0, 4.0)}, thin, probed)


def test_a_rotation_of_pixels_that_were_turned_when_they_were_cropped_is_refused(small_scan):
    calibration = dataclasses.replace(small_scan.calibration, rotation=30.0, transpose=True, length_unit="px")
    pixels = dataclasses.replace(small_scan, calibration=calibration)
    part = use_detector_part(pixels, crop=(16, 24))
    assert part.calibration.rotation == 0  # which a search would take for what is stated
    with pytest.raises(ConfigError, match=r"rotation: positions in pixels were turned already"):
        choose_ranges({"rotation": None}, with_changes(None, {}), part)
    (whole,) = choose_ranges({"rotation": None}, with_changes(None, {}), pixels)
    assert (whole.low, whole.high) == (25.0, 35.0)


def test_ends_that_cannot_be_are_refused_before_the_first_trial(small_scan):
    with pytest.raises(ConfigError, match=r"object\.slice_thickness: .* out of the window"):
        check_extremes(THICK, small_scan, [Range("thickness", 10.0, 4000.0)])
    parametric = with_changes(None, {"probe": {"model": "parametric"}})
    with pytest.raises(ConfigError, match=r"probe\.modes: 2, but the modes of a parametric probe"):
        check_extremes(parametric, small_scan, [Range("modes", 1.0, 3.0)])
    assert check_extremes(THICK, small_scan, [Range("modes", 1.0, 3.0)]).probe.modes == 3


def test_a_trial_is_a_short_run_of_pixels():
    given = with_changes(
        None,
        {
            "method": "auto",
            "automatic": {"minutes": 3.0},
            "validation": {"fraction": 0.2},
            "pixels": {"epochs": 5},
            "penalties": {"tv_phase": 0.01},
        },
    )
    found = pixels_of(given, 8)
    assert (found.method, found.stages, found.validation.fraction) == ("pixels", (), 0)
    assert (found.pixels.epochs, found.penalties.tv_phase, found.automatic.minutes) == (5, 0.01, None)
    assert pixels_of(given, 3).pixels.epochs == 3
    listed = with_changes(None, {"stages": [{"method": "pixels"}, {"method": "dgp"}]})
    assert pixels_of(listed, 8).stages == ()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pixels": {"start_file": "x.h5"}}, r"pixels\.start_file: that result has seen"),
        ({"loss": "shared_charge", "refine": {"point_spread": 0.6}}, 'loss: "shared_charge"'),
        ({"memory": {"stream": True}}, r"memory\.stream: true"),
    ],
)
def test_what_would_judge_itself_is_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        pixels_of(with_changes(None, changes), 8)


def test_a_scan_whose_probe_is_not_known_is_refused(small_scan):
    calibration = dataclasses.replace(small_scan.calibration, semiangle_cutoff=None, defocus=0.0)
    with pytest.raises(ConfigError, match=r"data\.semiangle_cutoff: missing"):
        jptycho.automatic.search.search(
            dataclasses.replace(small_scan, calibration=calibration), None, {"defocus": None}
        )


def test_a_scan_that_is_not_there_is_refused():
    with pytest.raises(ConfigError, match=r"dataset: missing"):
        jptycho.automatic.search.search(None, None, {"defocus": None})
