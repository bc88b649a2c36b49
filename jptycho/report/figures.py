"""The figures of a report: grey phase, hue for complex, a scale bar on each, nothing interactive."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import hsv_to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from jptycho.config.stages import HALF_SETS, PIXELS
from jptycho.data.results import Result, projected_phase
from jptycho.types import Float

BAR_FRACTION = 0.25  # of the image's width that a scale bar takes at most


def nice_length(longest: float) -> float:
    """The largest of 1, 2, 5 times a power of ten that is not longer.

    Args:
        longest: in any unit.

    Returns:
        the length.

    Example:
        >>> nice_length(17.0), nice_length(0.6)
        (10.0, 0.5)
    """
    power = 10.0 ** math.floor(math.log10(longest))
    return max(m * power for m in (1, 2, 5) if m * power <= longest * (1 + 1e-9))


def length_label(length: float, unit: str) -> str:
    """A length in Å or, from 10 Å on, in nm; other units as they are.

    Args:
        length: of the bar.
        unit: ``"Å"``, ``"px"`` or an inverse of them.

    Returns:
        words.

    Example:
        >>> length_label(20.0, "Å"), length_label(5.0, "Å"), length_label(0.5, "1/Å")
        ('2 nm', '5 Å', '0.5 Å⁻¹')
    """
    if unit == "Å" and length >= 10:
        return f"{length / 10:g} nm"
    return f"{length:g} {unit[2:]}⁻¹" if unit.startswith("1/") else f"{length:g} {unit}"


def scale_bar(axes: Axes, shape: tuple[int, int], sampling: float, unit: str) -> None:
    """Draw a scale bar into the lower left of an image.

    Args:
        axes: that shows the image in pixels.
        shape: of the image.
        sampling: units a pixel along x.
        unit: of the sampling.
    """
    length = nice_length(BAR_FRACTION * shape[1] * sampling)
    width, height = length / sampling, 0.015 * shape[0]
    left, top = 0.05 * shape[1], 0.93 * shape[0]
    axes.add_patch(Rectangle((left, top), width, height, color="white", ec="black", lw=0.5))
    axes.text(
        left + width / 2,
        top - 0.02 * shape[0],
        length_label(length, unit),
        color="white",
        ha="center",
        va="bottom",
        fontsize=9,
        bbox={"facecolor": "black", "alpha": 0.5, "pad": 1.5, "edgecolor": "none"},
    )


def new_figure(columns: int, rows: int = 1, size: float = 4.0) -> tuple[Figure, np.ndarray]:
    """A figure outside pyplot's global state.

    Args:
        columns: of axes.
        rows: of axes.
        size: of each, inches.

    Returns:
        the figure and its axes (rows, columns).
    """
    figure = Figure(figsize=(size * columns, size * rows), layout="constrained", dpi=110)
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, squeeze=False)


def show(axes: Axes, image: np.ndarray, sampling: tuple[float, float], unit: str, title: str, **kwargs: Any) -> None:
    """Show an image without ticks, with a scale bar.

    Args:
        axes: to draw into.
        image: (y, x) or (y, x, 3).
        sampling: units a pixel along (y, x).
        unit: of the sampling.
        title: above it.
        **kwargs: of ``imshow``.
    """
    drawn = axes.imshow(image, interpolation="nearest", aspect=sampling[0] / sampling[1], **kwargs)
    axes.set(xticks=[], yticks=[])
    axes.set_title(title, fontsize=10)
    scale_bar(axes, image.shape[:2], sampling[1], unit)
    if image.ndim == 2:
        bar = axes.figure.colorbar(drawn, ax=axes, shrink=0.8, pad=0.02)
        bar.ax.tick_params(labelsize=8)


def sampling_of(result: Result) -> tuple[float, float]:
    """Units an object pixel along (y, x).

    Args:
        result: of a reconstruction.

    Returns:
        both.
    """
    along_y, along_x = result.attributes["sampling"]
    return float(along_y), float(along_x)


def reciprocal(shape: tuple[int, ...], sampling: tuple[float, float]) -> tuple[float, float]:
    """Sampling of an image's transform.

    Args:
        shape: of the image.
        sampling: units a pixel along (y, x).

    Returns:
        the reciprocal of what the image spans along (y, x).

    Example:
        >>> reciprocal((4, 10), (0.5, 0.1))
        (0.5, 1.0)
    """
    return 1 / (shape[0] * sampling[0]), 1 / (shape[1] * sampling[1])


def hue(wave: np.ndarray) -> Float[np.ndarray, "y x 3"]:
    """A complex image as colour: phase is the hue, amplitude the brightness.

    Args:
        wave: complex (y, x).

    Returns:
        RGB between 0 and 1.

    Example:
        >>> hue(np.array([[1.0 + 0j, 0.0]])).shape
        (1, 2, 3)
    """
    amplitude = np.abs(wave)
    value = amplitude / max(float(np.quantile(amplitude, 0.999)), 1e-30)
    hsv = np.stack([np.angle(wave) / (2 * np.pi) % 1, np.full(wave.shape, 0.9), np.clip(value, 0, 1)], axis=-1)
    return hsv_to_rgb(hsv)


def object_figure(results: dict[str, Result]) -> Figure:
    """Projected phase and its power spectrum, a row a result.

    Args:
        results: by name.

    Returns:
        the figure.
    """
    figure, axes = new_figure(2, len(results))
    for row, (name, result) in zip(axes, results.items(), strict=True):
        phase, unit = projected_phase(result), str(result.attributes["length_unit"])
        sampling = sampling_of(result)
        low, high = np.quantile(phase, [0.001, 0.999])
        show(row[0], phase, sampling, unit, f"{name}: phase (rad)", cmap="gray", vmin=low, vmax=high)
        window = np.outer(np.hanning(phase.shape[0]), np.hanning(phase.shape[1]))
        power = np.abs(np.fft.fftshift(np.fft.fft2((phase - phase.mean()) * window))) ** 2
        log = np.log10(power + 1e-6 * power.max())
        show(row[1], log, reciprocal(phase.shape, sampling), f"1/{unit}", f"{name}: power spectrum (log)", cmap="magma")
    return figure


def slices_figure(result: Result) -> Figure:
    """Phase of each slice, and absorption and the deviation of an ensemble where there are any.

    Args:
        result: of a reconstruction.

    Returns:
        the figure.
    """
    top, bottom, left, right = result.field_of_view
    stacks = {"phase (rad)": result.phase}
    if result.absorption is not None:
        stacks["absorption"] = result.absorption
    if result.deviation is not None:
        stacks["deviation (rad)"] = result.deviation
    figure, axes = new_figure(len(result.phase), len(stacks), 3.2)
    for row, (name, stack) in zip(axes, stacks.items(), strict=True):
        for number, (ax, image) in enumerate(zip(row, stack, strict=True)):
            inner = image[top:bottom, left:right]
            low, high = np.quantile(inner, [0.002, 0.998])
            sampling, unit = sampling_of(result), str(result.attributes["length_unit"])
            show(ax, inner, sampling, unit, f"slice {number + 1}: {name}", cmap="gray", vmin=low, vmax=high)
    return figure


def probe_figure(results: dict[str, Result]) -> Figure:
    """Probe modes in real and reciprocal space, two rows a result.

    Args:
        results: by name.

    Returns:
        the figure.
    """
    modes = max(len(result.probe) for result in results.values())
    figure, axes = new_figure(modes, 2 * len(results), 3.2)
    for i, (name, result) in enumerate(results.items()):
        unit, sampling = str(result.attributes["length_unit"]), sampling_of(result)
        total = float(np.sum(np.abs(result.probe) ** 2))
        for j in range(modes):
            if j >= len(result.probe):
                axes[2 * i, j].axis("off")
                axes[2 * i + 1, j].axis("off")
                continue
            mode = result.probe[j]
            share = 100 * float(np.sum(np.abs(mode) ** 2)) / total
            spectrum = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(mode)))
            show(axes[2 * i, j], hue(mode), sampling, unit, f"{name}: mode {j + 1}, {share:.1f} %")
            step = reciprocal(mode.shape, sampling)
            show(axes[2 * i + 1, j], hue(spectrum), step, f"1/{unit}", "reciprocal space")
    return figure


def loss_figure(results: dict[str, Result]) -> Figure:
    """Loss of every run against time and against epoch; the stages of a run are separate lines of one colour.

    Args:
        results: by name.

    Returns:
        the figure.
    """
    figure, axes = new_figure(2)
    for number, (name, result) in enumerate(results.items()):
        history = result.history
        epochs = np.arange(1, len(history["loss"]) + 1)
        for stage in dict.fromkeys(history["stage"]):
            here = history["stage"] == stage
            method, other = result.attributes["method"], "start" if stage == PIXELS else stage
            label = name if stage == method or (method, stage) == (PIXELS, HALF_SETS) else f"{name}: {other}"
            style = "o-" if label == name else "o--"
            for ax, across in zip(axes[0], (history["seconds"], epochs), strict=True):
                ax.plot(across[here], history["loss"][here], style, ms=3, color=f"C{number}", label=label)
    losses = np.concatenate([result.history["loss"] for result in results.values()])
    scale = "log" if losses.min() > 0 and losses.max() > 5 * losses.min() else "linear"
    labels = ("seconds from the start, compilation included", "epoch, the start included")
    for ax, label in zip(axes[0], labels, strict=True):
        ax.set(xlabel=label, ylabel="loss", yscale=scale)
        ax.grid(alpha=0.3, which="both")
        ax.legend(fontsize=9)
    return figure


def pattern_figure(result: Result) -> Figure:
    """Mean measured against mean modelled pattern, and their difference.

    Args:
        result: of a reconstruction.

    Returns:
        the figure.
    """
    figure, axes = new_figure(3, size=3.6)
    shape, unit = result.measured.shape, str(result.attributes["length_unit"])
    step = reciprocal(shape, sampling_of(result))
    top = float(np.sqrt(max(result.measured.max(), result.modelled.max())))
    images = (("measured, √counts", result.measured), ("modelled, √counts", result.modelled))
    for ax, (name, image) in zip(axes[0], images, strict=False):
        show(ax, np.sqrt(np.maximum(image, 0)), step, f"1/{unit}", f"mean {name}", cmap="viridis", vmin=0, vmax=top)
    difference = result.modelled - result.measured
    limit = float(np.quantile(np.abs(difference), 0.999))
    show(
        axes[0, 2], difference, step, f"1/{unit}", "modelled - measured, counts", cmap="RdBu_r", vmin=-limit, vmax=limit
    )
    return figure
