"""Words of an EMPAD-G2 against the formulas of its calibration, pixel by pixel."""

from pathlib import Path

import h5py
import numpy as np
import pytest

import jptycho
from jptycho.data.readers.empad_g2 import frame_offset
from jptycho.errors import ConfigError, FormatError

SHAPE = (2, 3, 128, 128)
PEDESTAL, MOVED = 900.0, (0.0, 35.0, -20.0, 12.0, 0.0, -60.0)
"""Analogue units without beam, and by which each frame as a whole lies above."""
ONE = 4.0
"""Units by which a histogram of 16,384 pixels of noise 10 may misplace its top."""


def packed(analogue: np.ndarray, counter: np.ndarray, low: np.ndarray) -> np.ndarray:
    return (analogue.astype("<u4") | counter.astype("<u4") << 14 | low.astype("<u4") << 31).astype("<u4")


def constants(seed: int = 3) -> dict[str, np.ndarray]:
    chance = np.random.default_rng(seed)
    return {
        **{f"G1{s}": chance.uniform(20, 30, (128, 128)).astype("f4") for s in "AB"},
        **{f"B2{s}": chance.uniform(1, 5, (128, 128)).astype("f4") for s in "AB"},
        **{f"G2{s}": chance.uniform(9000, 9900, (128, 128)).astype("f4") for s in "AB"},
        **{f"FF{s}": chance.uniform(0.9, 1.1, (128, 128)).astype("f4") for s in "AB"},
    }


def write(folder: Path, layout: str = "linear", dark_frames: int = 600) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Words of six frames, their calibration, and frames without beam: noise about a pedestal."""
    chance, gains = np.random.default_rng(5), constants()
    shift = np.reshape(MOVED, (2, 3, 1, 1))
    analogue = np.round(PEDESTAL + shift + chance.normal(0, 10, SHAPE))
    counter = np.zeros(SHAPE)
    counter[..., :4, :] = chance.integers(1, 40_000, (2, 3, 4, 128))
    low = np.zeros(SHAPE, int)
    low[..., 5, ::3] = 1
    words = packed(analogue, counter, low)
    words.tofile(folder / "scan_x3_y2.raw")
    dark = np.round(PEDESTAL + chance.normal(0, 10, (dark_frames, 128, 128)))
    packed(dark, 0 * dark, 0 * dark).tofile(folder / "dark.raw")
    if layout != "linear":
        pair = {name: np.stack([gains[f"{name}A"], gains[f"{name}B"]]) for name in ("G1", "B2", "G2", "FF")}
        alpha = np.full((2, 128, 128), 0.01, "f4")
        offset = np.full((2, 128, 128), 3.0, "f4")
        gains = {
            "Ml": pair["G1"], "alpha": alpha, "Md": pair["G2"], "Oh": pair["B2"], "Ot": offset, "FF": pair["FF"]
        }  # fmt: skip
    stored = dict(gains)
    if layout == "circuits last":  # as public calibrations are
        flat = stored.pop("FF")
        stored = {name: np.moveaxis(image, 0, -1) for name, image in stored.items()} | {"FFA": flat[0], "FFB": flat[1]}
        stored["Mh"] = stored["Ml"]
    with h5py.File(folder / "gains.h5", "w") as file:
        for name, image in stored.items():
            file[name] = image
    return words, gains


def expected(words: np.ndarray, gains: dict[str, np.ndarray], row: int, column: int) -> np.ndarray:
    """One frame as the detector's own software combines it, its movement known."""
    word, side = words[row, column], "AB"[column % 2]
    analogue, counter, low = word % 2**14, word // 2**14 % 2**16, word // 2**31
    if "G1A" in gains:
        gained = gains[f"G1{side}"] * (analogue - gains[f"B2{side}"])
        value = analogue * (1.0 - low) + gained * low + gains[f"G2{side}"] * counter
        flat, dark = gains[f"FF{side}"], PEDESTAL
    else:
        one = {name: image[column % 2] for name, image in gains.items()}
        value = analogue * (1.0 - low) + one["Ml"] * analogue * low + one["alpha"] * (1.0 * analogue * low) ** 2
        value = value + one["Md"] * counter + one["Oh"] * low - one["Ot"]
        flat, dark = one["FF"], PEDESTAL - 3.0
    return (value - dark - MOVED[3 * row + column]) * flat


@pytest.mark.parametrize("layout", ["linear", "quadratic", "circuits last"])
def test_words_become_counts(tmp_path: Path, layout: str):
    words, gains = write(tmp_path, layout)
    files = {"gain_file": str(tmp_path / "gains.h5"), "dark_file": str(tmp_path / "dark.raw")}
    scan = jptycho.open_dataset(tmp_path / "scan_x3_y2.raw", **files)
    assert (scan.shape, scan.dtype) == (SHAPE, np.float32)
    whole = scan.read().reshape(SHAPE)
    for row in range(2):
        for column in range(3):
            error = whole[row, column] - expected(words, gains, row, column)
            # The mean of 300 dark frames is known to 0.6.
            assert abs(np.median(error)) < ONE
            np.testing.assert_allclose(whole[row, column], expected(words, gains, row, column), rtol=2e-5, atol=ONE + 4)
    for rows in ([4], [1, 2, 3], slice(2, 5)):
        np.testing.assert_array_equal(scan.read(rows), whole.reshape(6, 128, 128)[rows])


def test_a_frame_that_shows_no_background_is_left_where_it_is():
    assert frame_offset(np.full((128, 128), 1e4, np.float32)) == 0.0
    assert frame_offset(np.full((128, 128), 214.0, np.float32)) == 0.0
    noise = np.random.default_rng(0).normal(-42.0, 12.0, (128, 128))
    noise[:20] += 5000.0
    assert abs(frame_offset(noise) + 42.0) < ONE


def test_what_is_missing_is_said(tmp_path: Path):
    write(tmp_path)
    path, gains, dark = (tmp_path / name for name in ("scan_x3_y2.raw", "gains.h5", "dark.raw"))
    with pytest.raises(ConfigError, match=r"data\.gain_file: missing; .* words as an EMPAD-G2 reads them out"):
        jptycho.open_dataset(path)
    with pytest.raises(ConfigError, match=r"data\.dark_file: missing; the words"):
        jptycho.open_dataset(path, gain_file=str(gains))
    with pytest.raises(ConfigError, match=r"data\.dark_file: has no effect without gain_file"):
        jptycho.open_dataset(path, dark_file=str(dark))
    with pytest.raises(FormatError, match=r"data\.dark_file: no file"):
        jptycho.open_dataset(path, gain_file=str(gains), dark_file=str(tmp_path / "none"))
    (tmp_path / "odd.raw").write_bytes(bytes(65536 + 3))
    with pytest.raises(FormatError, match=r"data\.dark_file: .* expected an even number of frames"):
        jptycho.open_dataset(path, gain_file=str(gains), dark_file=str(tmp_path / "odd.raw"))
    with h5py.File(gains, "r+") as file:
        del file["G2B"]
    with pytest.raises(FormatError, match=r"data\.gain_file: .* holds no Ml.*; expected G1A, G1B"):
        jptycho.open_dataset(path, gain_file=str(gains), dark_file=str(dark))
    (tmp_path / "five.raw").write_bytes(path.read_bytes()[: 5 * 65536])
    write(tmp_path)
    with pytest.raises(ConfigError, match=r"data\.scan_shape: missing; .* holds 5 frames"):
        jptycho.open_dataset(tmp_path / "five.raw", gain_file=str(gains), dark_file=str(dark))
    cut = {"gain_file": str(gains), "dark_file": str(dark), "scan_shape": (1, 3)}
    np.save(tmp_path / "a.npy", np.ones((2, 3, 8, 8)))
    with pytest.raises(ConfigError, match=r"data\.gain_file: has no effect: .* is no EMPAD file of frames"):
        jptycho.open_dataset(tmp_path / "a.npy", gain_file=str(gains))
    with pytest.raises(ConfigError, match=r"data\.dark_file: has no effect: .* is no EMPAD file of frames"):
        jptycho.open_dataset(tmp_path / "a.npy", dark_file=str(dark))
    assert jptycho.open_dataset(tmp_path / "five.raw", **cut).shape == (1, 3, 128, 128)


def test_images_of_another_shape_are_refused(tmp_path: Path):
    write(tmp_path, "circuits last")
    with h5py.File(tmp_path / "gains.h5", "r+") as file:
        del file["Md"]
        file["Md"] = np.ones((128, 2, 128), "f4")
    files = {"gain_file": str(tmp_path / "gains.h5"), "dark_file": str(tmp_path / "dark.raw")}
    with pytest.raises(FormatError, match=r"Md of .* has shape \(128, 2, 128\) .*; expected \(2, 128, 128\) or \(128"):
        jptycho.open_dataset(tmp_path / "scan_x3_y2.raw", **files)
