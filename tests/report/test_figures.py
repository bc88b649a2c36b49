"""Figures draw what they are given: image data, limits, labels and scale bars."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from jptycho.data import projected_phase
from jptycho.report.figures import (
    hue,
    loss_figure,
    new_figure,
    object_figure,
    pattern_figure,
    probe_figure,
    slices_figure,
)

from .results import made_up


def shown(figure: Figure) -> list[Axes]:
    """Axes that show an image, in the order in which they were made, without bars of colours."""
    return [ax for ax in figure.axes if ax.images]


def image_of(axes: Axes) -> np.ndarray:
    return np.asarray(axes.images[0].get_array())


def bar_of(axes: Axes) -> tuple[float, str]:
    """Width of the scale bar in pixels, and its label."""
    (bar,) = (patch for patch in axes.patches if isinstance(patch, Rectangle))
    return bar.get_width(), axes.texts[0].get_text()


def test_a_figure_is_outside_pyplot_and_has_all_its_axes():
    figure, axes = new_figure(3, 2, 1.5)
    assert axes.shape == (2, 3)
    assert tuple(figure.get_size_inches()) == (4.5, 3.0)
    assert new_figure(1)[1].shape == (1, 1)
    assert plt.get_fignums() == []


def test_the_object_is_its_phase_summed_over_slices_in_the_field_of_view():
    results = {"a": made_up(slices=2), "b": made_up(slices=1, seed=1)}
    axes = shown(object_figure(results))
    assert [ax.get_title() for ax in axes[::2]] == ["a: phase (rad)", "b: phase (rad)"]
    for ax, result in zip(axes[::2], results.values(), strict=True):
        phase = sum(result.phase)[5:35, 8:44]
        np.testing.assert_array_equal(image_of(ax), phase)
        low, high = ax.images[0].get_clim()
        assert phase.min() <= low < np.median(phase) < high <= phase.max()
        # A quarter of 36 pixels of 0.25 Å is 2.25 Å.
        assert bar_of(ax) == (pytest.approx(2.0 / 0.25), "2 Å")


def test_the_power_spectrum_has_its_peak_where_the_wave_is():
    """Five periods over the 30 rows and seven over the 36 columns of the field of view; undistorted in Å⁻¹."""
    phase = np.zeros((1, 40, 50))
    y, x = np.meshgrid(np.arange(30), np.arange(36), indexing="ij")
    phase[0, 5:35, 8:44] = np.cos(2 * np.pi * (5 * y / 30 + 7 * x / 36))
    axes = shown(object_figure({"a": made_up(phase=phase)}))[1]
    power = image_of(axes)
    peaks = {tuple(p) for p in np.argwhere(power > power.max() - 1e-6) - (15, 18)}
    assert peaks == {(5, 7), (-5, -7)}
    assert power.max() - power.min() == pytest.approx(6, abs=1e-2)
    # A row is 1 / (30 x 0.4 Å) high and a column 1 / (36 x 0.25 Å) wide.
    assert axes.get_aspect() == pytest.approx((1 / 12) / (1 / 9))


def test_each_slice_has_its_phase_absorption_and_deviation():
    rng = np.random.default_rng(1)
    result = made_up(absorption=rng.uniform(size=(2, 40, 50)), deviation=rng.uniform(size=(2, 40, 50)))
    axes = shown(slices_figure(result))
    names = ["phase (rad)", "absorption", "deviation (rad)"]
    assert [ax.get_title() for ax in axes] == [f"slice {s}: {name}" for name in names for s in (1, 2)]
    assert result.absorption is not None
    assert result.deviation is not None
    for ax, image in zip(axes, [*result.phase, *result.absorption, *result.deviation], strict=True):
        np.testing.assert_array_equal(image_of(ax), image[5:35, 8:44])
    assert len(shown(slices_figure(made_up()))) == 2


def test_modes_are_drawn_with_their_share_and_their_spectrum():
    few, many = made_up(modes=1), made_up(modes=3, seed=1)
    figure = probe_figure({"few": few, "many": many})
    axes = shown(figure)
    assert len(axes) == 2 * (1 + 3)
    power = [(np.abs(mode) ** 2).sum() for mode in many.probe]
    titles = [f"many: mode {j + 1}, {100 * p / sum(power):.1f} %" for j, p in enumerate(power)]
    found = {ax.get_title(): ax for ax in axes if ax.get_title() != "reciprocal space"}
    assert set(found) == {"few: mode 1, 100.0 %", *titles}
    for title, mode in zip(titles, many.probe, strict=True):
        np.testing.assert_allclose(image_of(found[title]), hue(mode))
        # A quarter of 24 pixels of 0.25 Å is 1.5 Å.
        assert bar_of(found[title]) == (pytest.approx(1.0 / 0.25), "1 Å")
    assert sum(not ax.axison for ax in figure.axes) == 4


def test_a_flat_probe_is_bright_in_the_middle_of_its_spectrum_alone():
    probe = np.full((1, 18, 24), 1j)
    spectrum = image_of(shown(probe_figure({"a": made_up(probe=probe)}))[1]).max(axis=-1)
    assert np.argwhere(spectrum > 0.5).tolist() == [[9, 12]]


def test_a_probe_in_the_middle_of_its_window_has_a_spectrum_of_one_hue():
    probe = np.zeros((1, 18, 24), complex)
    probe[0, 9, 12] = np.exp(2j)
    image = image_of(shown(probe_figure({"a": made_up(probe=probe)}))[1])
    np.testing.assert_allclose(image, np.broadcast_to(hue(np.exp(np.full((1, 1), 2j))), image.shape), atol=1e-6)


def test_stages_of_a_run_are_lines_of_one_colour():
    seconds, epochs = loss_figure({"a": made_up(), "b": made_up()}).axes
    for axes, across in ((seconds, [1.0, 2.0, 7.25]), (epochs, [1, 2, 3])):
        assert axes.get_yscale() == "log"
        lines = axes.get_lines()
        assert [line.get_label() for line in lines] == ["a: half sets", "a", "b: half sets", "b"]
        assert len({line.get_color() for line in lines[:2]}) == 1
        assert lines[0].get_color() != lines[2].get_color()
        np.testing.assert_array_equal(lines[0].get_xdata(), across[:2])
        np.testing.assert_array_equal(lines[0].get_ydata(), [0.5, 0.25])
        np.testing.assert_array_equal(lines[1].get_xdata(), across[2:])
        np.testing.assert_array_equal(lines[1].get_ydata(), [0.03125])


@pytest.mark.parametrize("losses", [[0.5, 0.4, 0.3], [0.5, -0.1, 0.01]])
def test_losses_that_are_alike_or_negative_have_a_linear_axis(losses: list[float]):
    history = made_up().history | {"loss": np.array(losses)}
    assert [ax.get_yscale() for ax in loss_figure({"a": made_up(history=history)}).axes] == ["linear", "linear"]


def test_patterns_share_their_limits_and_the_difference_its_sign():
    result = made_up()
    measured, modelled, difference = shown(pattern_figure(result))
    np.testing.assert_allclose(image_of(measured), np.sqrt(result.measured))
    np.testing.assert_allclose(image_of(modelled), np.sqrt(result.modelled))
    np.testing.assert_allclose(image_of(difference), result.modelled - result.measured)
    brightest = np.sqrt(max(result.measured.max(), result.modelled.max()))
    for axes in (measured, modelled):
        assert axes.images[0].get_clim() == pytest.approx((0.0, brightest))
    low, high = difference.images[0].get_clim()
    assert low == -high < 0
    # A quarter of 24 detector pixels of 1 / (24 x 0.25 Å) is 1 Å⁻¹.
    assert bar_of(measured) == (pytest.approx(6.0), "1 Å⁻¹")


def test_pixels_that_are_not_square_are_drawn_in_proportion():
    """Å along y over Å along x; of spectra and patterns, the reciprocal of what the image spans."""
    result = made_up()
    whole = object_figure({"run": result}).axes
    assert whole[0].get_aspect() == pytest.approx(0.4 / 0.25)
    (rows, columns), (y, x) = projected_phase(result).shape, (0.4, 0.25)
    assert whole[1].get_aspect() == pytest.approx(columns * x / (rows * y))
    assert slices_figure(result).axes[0].get_aspect() == pytest.approx(y / x)
    assert pattern_figure(result).axes[0].get_aspect() == pytest.approx(24 * x / (18 * y))
