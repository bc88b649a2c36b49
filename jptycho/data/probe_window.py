"""A probe that is given on a whole detector, on a part of it whose pixels are added up."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from jptycho.errors import ConfigError
from jptycho.types import Complex

LEAST_SHARE = 0.9
"""Of the probe's power, that a part of the detector must hold for what is left to be that probe."""


def probe_on_part(
    probe: Complex[np.ndarray, "modes y x"], kept: tuple[int, int], bin_pixels: int
) -> Complex[np.ndarray, "modes n m"]:
    """A probe sampled as the object is by fewer or larger pixels of the detector.

    Fewer of n pixels sample the same window by fewer points: the probe's spectrum is cut. Pixels that are b times as
    large see a b-th of the window: its middle. The zero frequency then lies (b - 1) / 2 pixels from the middle of its
    square where b is even, which is a phase ramp of the probe.

    Args:
        probe: modes on the whole detector, centre at [y // 2, x // 2].
        kept: rows and columns about the zero frequency that stay, multiples of b.
        bin_pixels: b.

    Returns:
        the modes, centred.

    Raises:
        ConfigError: the part does not hold the probe.

    Example:
        >>> modes = np.zeros((1, 8, 8), complex); modes[0, 4, 4] = 1.0
        >>> part = probe_on_part(modes, (8, 8), 2)
        >>> part.shape, bool(abs(part[0, 2, 2] - 1) < 1e-12)
        ((1, 4, 4), True)
    """
    inner = [slice(n // 2 - k // 2, n // 2 - k // 2 + k) for n, k in zip(probe.shape[-2:], kept, strict=True)]
    spectrum = _centred(np.fft.fft2, probe)
    cut = _held(spectrum, spectrum[:, inner[0], inner[1]], f"data.crop: {kept[0]} x {kept[1]} detector pixels hold")
    wave = _centred(np.fft.ifft2, cut)
    sides = [n // bin_pixels for n in kept]
    places = [np.arange(side) - side // 2 for side in sides]
    middle = wave[:, kept[0] // 2 + places[0][:, None], kept[1] // 2 + places[1]]
    part = _held(wave, middle, f"data.bin: a window of {sides[0]} x {sides[1]} object pixels holds")
    rows, columns = (_ramp(n, place, bin_pixels) for n, place in zip(kept, places, strict=True))
    return part * rows[:, None] * columns


def _centred(transform: Callable[..., np.ndarray], waves: Complex[np.ndarray, "modes y x"]) -> np.ndarray:
    shifted = transform(np.fft.ifftshift(waves, axes=(-2, -1)), norm="ortho")
    return np.fft.fftshift(shifted, axes=(-2, -1))


def _ramp(pixels: int, places: np.ndarray, bin_pixels: int) -> Complex[np.ndarray, "n"]:
    """What moves a disk by the way from the middle of the square that is the new zero frequency to the old one."""
    ahead = pixels // 2 - bin_pixels * (len(places) // 2) - (bin_pixels - 1) / 2
    return np.exp(2j * np.pi * ahead * places / pixels)


def _held(before: np.ndarray, after: np.ndarray, what: str) -> np.ndarray:
    """What is left of a probe; refused where much is lost."""
    whole, left = (float((np.abs(waves) ** 2).sum()) for waves in (before, after))
    if left < LEAST_SHARE * whole:
        raise ConfigError(
            f"{what} {left / whole:.0%} of the power of the probe that is given; expected at least {LEAST_SHARE:.0%}. "
            "Keep more of the detector, and add fewer pixels up."
        )
    return after
