"""Files that others made: what is read is what their library, or NumPy by itself, reads."""

import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

import jptycho
from jptycho.data.counts import load_counts
from jptycho.errors import ConfigError, FormatError


@pytest.fixture(scope="module")
def formats(outside_data: Path) -> Path:
    return outside_data / "formats"


def expect_same(scan: jptycho.data.Dataset4D, whole: np.ndarray) -> None:
    """All patterns, and some of them by their numbers."""
    flat = whole.reshape(-1, *whole.shape[-2:])
    np.testing.assert_array_equal(scan.read(), flat)
    np.testing.assert_array_equal(scan.read(slice(1, 3)), flat[1:3])
    assert scan.dtype == whole.dtype


@pytest.mark.parametrize("name", ["EMPAD_map4x4.xml", "EMPAD_scan_x4_y4.raw"])
def test_empad(formats: Path, name: str):
    frames = np.fromfile(formats / "EMPAD_scan_x4_y4.raw", "<f4").reshape(4, 4, 130, 128)
    scan = jptycho.open_dataset(formats / name)
    expect_same(scan, frames[:, :, :128])
    assert scan.calibration.energy == (300e3 if name.endswith("xml") else None)


def test_blockfile(formats: Path):
    from rsciio.blockfile import file_reader  # noqa: PLC0415

    (signal,) = file_reader(str(formats / "blockfile_test1.blo"))
    scan = jptycho.open_dataset(formats / "blockfile_test1.blo")
    expect_same(scan, signal["data"])
    assert scan.shape == signal["data"].shape
    assert scan.calibration.step == pytest.approx([10 * axis["scale"] for axis in signal["axes"][:2]])


@pytest.mark.parametrize(
    ("name", "place", "shape"),
    [
        ("fpd_merlin_2x2x256x256.hdf5", "fpd_expt/fpd_data/data", (2, 2, 256, 256)),
        ("py4DSTEM_size2x3x4x5.h5", "datacube_root/datacube/data", (2, 3, 4, 5)),
        ("test_00_data_000001.h5", "entry/data/data", (16, 192, 192)),
    ],
)
def test_hdf5(formats: Path, name: str, place: str, shape: tuple[int, ...]):
    scan = jptycho.open_dataset(formats / name)
    pytest.importorskip("hdf5plugin")
    with h5py.File(formats / name) as file:
        expect_same(scan, file[place][()].reshape(shape))
    assert scan.shape == shape


def test_arina(formats: Path):
    scan = jptycho.open_dataset(formats / "test_00_master.h5", scan_shape=(4, 4))
    pytest.importorskip("hdf5plugin")
    with h5py.File(formats / "test_00_data_000001.h5") as file:
        expect_same(scan, file["entry/data/data"][()].reshape(4, 4, 192, 192))


def test_prismatic(formats: Path):
    with pytest.raises(ConfigError, match=r"data\.counts: missing; .*depth0000.*depth0001.*Name one"):
        jptycho.open_dataset(formats / "Si100_4D.emd")
    place = "4DSTEM_simulation/data/datacubes/CBED_array_depth0001/datacube"
    scan = jptycho.open_dataset(formats / "Si100_4D.emd", counts=place)
    with h5py.File(formats / "Si100_4D.emd") as file:
        expect_same(scan, file[place][()])
    assert scan.calibration.step == pytest.approx((5.0, 5.0))
    assert scan.calibration.reciprocal_sampling == pytest.approx((0.018416207,) * 2, rel=1e-5)


def test_velox(formats: Path):
    """A single image: the transposed stack of one frame."""
    with h5py.File(formats / "velox_4dstem_fixture.emd") as file:
        expect_same(
            jptycho.open_dataset(formats / "velox_4dstem_fixture.emd"), file["Data/Image/0/Data"][()].transpose(2, 0, 1)
        )


def test_panta_rhei(formats: Path):
    with pytest.raises(FormatError, match=r"data\.counts: 'data' has shape \(16, 16\)"):
        jptycho.open_dataset(formats / "panta_rhei_sample.prz")


@pytest.mark.parametrize(
    "archive",
    ["Merlin_Single_Quad.zip", "Merlin_navigation4x2_ROI.zip", "Merlin_navigation4x2_signalNx256_ROI.zip"],
)
def test_merlin(formats: Path, tmp_path: Path, archive: str):
    with zipfile.ZipFile(formats / archive) as packed:
        packed.extractall(tmp_path)
    paths = sorted(tmp_path.rglob("*.mib"))
    assert paths
    for path in paths:
        if path.stem.endswith("RAW"):
            with pytest.raises(FormatError, match="is a raw read-out of Merlin"):
                jptycho.open_dataset(path)
            continue
        head = path.read_bytes()[:768].split(b",")
        size, (across, down) = int(head[2]), (int(head[4]), int(head[5]))
        value = {b"U08": "u1", b"U16": ">u2", b"U32": ">u4"}[head[6]]
        frame = np.dtype([("header", "V", size), ("data", value, (down, across))])
        stored = np.fromfile(path, frame)["data"][:, ::-1]
        scan = jptycho.open_dataset(path)
        expect_same(scan, stored)
        by_trigger = "Frames per Trigger (Number):\t4" in path.with_suffix(".hdr").read_text()
        assert scan.shape[:-2] == ((2, 4) if by_trigger else (len(stored),))


def test_merlin_is_turned_as_hyperspy_shows_it(formats: Path, tmp_path: Path):
    reader = pytest.importorskip("rsciio.quantumdetector").file_reader
    with zipfile.ZipFile(formats / "Merlin_navigation4x2_ROI.zip") as packed:
        packed.extractall(tmp_path)
    path = next(tmp_path.rglob("002_4x2_6bit_roi128.mib"))
    expect_same(jptycho.open_dataset(path), np.asarray(reader(str(path))[0]["data"]))


def test_data_sets(outside_data: Path):
    ducky = outside_data / "ducky" / "ducky_25x25x128x128_u16.h5"
    with h5py.File(ducky) as file:
        expect_same(jptycho.open_dataset(ducky), file["dp"][()])
    virus = outside_data / "rotavirus_crop" / "rotavirus_40x40x96x96_u8.npz"
    expect_same(jptycho.open_dataset(virus), np.load(virus)["dp"])
    star = outside_data / "siemens_star" / "siemens_star_centred.npz"
    scan = jptycho.open_dataset(
        star, counts="dp", positions="positions_px", positions_unit="px", probe="probe", scan_shape=None
    )
    expect_same(scan, np.load(star)["dp"])
    np.testing.assert_array_equal(scan.positions, np.load(star)["positions_px"])
    loaded = load_counts(scan)
    np.testing.assert_array_equal(np.fft.fftshift(loaded, axes=(-2, -1)), np.load(star)["dp"])
