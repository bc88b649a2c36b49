"""Every format: its patterns come back, part by part, with what its file states, and wrong files are named."""

import os
import shutil
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import scipy.io

import jptycho
from jptycho.data.counts import chunks, load_counts
from jptycho.errors import ConfigError, FormatError

from .samples import SAMPLES, patterns

STATED = {
    "prz": {"energy": 200e3},
    "py4DSTEM": {"step": (2.0, 3.0), "reciprocal_sampling": (0.05, 0.06)},
    "EMD": {"step": (5.0, 5.0), "reciprocal_sampling": (0.05, 0.05)},
    # 0.5 and 0.7 mrad over the wavelength of 200 keV, 0.025079 Å
    "hspy": {
        "energy": 200e3,
        "semiangle_cutoff": 21.0,
        "step": (2.0, 3.0),
        "reciprocal_sampling": (0.5e-3 / 0.0250793, 0.7e-3 / 0.0250793),
    },
    "NeXus": {"step": (10.0, 10.0), "reciprocal_sampling": (0.05, 0.05)},
    "Velox": {"energy": 300e3, "reciprocal_sampling": (0.05, 0.07)},
    "blockfile": {"energy": 200e3, "step": (2.0, 3.0)},
    "DM3": {"energy": 300e3, "step": (2.0, 3.0), "reciprocal_sampling": (0.005, 0.006)},
    "EMPAD": {"energy": 300e3, "reciprocal_sampling": (0.5e-3 / 0.0196875, 0.5e-3 / 0.0196875)},
    "jptycho": {"energy": 300e3, "semiangle_cutoff": 20.0, "step": (1.0, 1.5), "reciprocal_sampling": (0.05, 0.07)},
}
"""What each file of the samples says of its calibration; the others say nothing."""
QUANTITIES = ("energy", "semiangle_cutoff", "step", "reciprocal_sampling")


@pytest.mark.parametrize("name", SAMPLES)
def test_patterns_come_back(tmp_path: Path, name: str):
    sample = SAMPLES[name]
    whole = sample.write(tmp_path / sample.name)
    scan = jptycho.open_dataset(tmp_path / sample.name)
    flat = whole.reshape(-1, *whole.shape[-2:])
    assert (scan.shape, scan.dtype) == (whole.shape, whole.dtype)
    for rows in (slice(None), slice(1, 3), slice(2, 11), [5, 0, 1], np.array([-1]), slice(None, None, -5), []):
        np.testing.assert_array_equal(scan.read(rows), flat[rows])
    np.testing.assert_array_equal(scan.read(), flat)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_file_states_what_it_states_and_no_more(tmp_path: Path, name: str):
    sample = SAMPLES[name]
    sample.write(tmp_path / sample.name)
    found = jptycho.open_dataset(tmp_path / sample.name).calibration
    for quantity in QUANTITIES:
        expected = STATED.get(name, {}).get(quantity)
        value = getattr(found, quantity)
        assert value == (None if expected is None else pytest.approx(expected, rel=1e-4)), quantity


@pytest.mark.parametrize("name", SAMPLES)
def test_content_tells_the_format_whatever_the_ending(tmp_path: Path, name: str):
    sample = SAMPLES[name]
    if name in ("prz", "EMPAD") or sample.name.endswith(".mat"):
        pytest.skip("its ending says more than its first bytes")
    whole = sample.write(tmp_path / sample.name)
    other = (tmp_path / sample.name).rename(tmp_path / "renamed.bin")
    assert jptycho.open_dataset(other, **sample.options).shape[-2:] == whole.shape[-2:]


@pytest.mark.parametrize("name", [n for n in SAMPLES if n != "zarr"])
def test_a_file_of_another_kind_with_the_right_ending_is_named(tmp_path: Path, name: str):
    path = tmp_path / SAMPLES[name].name
    path.write_bytes(b"a letter, no scan " * 400)
    with pytest.raises(FormatError, match=r"data\.file: .* cannot be read as .* than its ending .*data\.shape"):
        jptycho.open_dataset(path)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_folder_or_an_empty_file_is_named(tmp_path: Path, name: str):
    path = tmp_path / SAMPLES[name].name
    path.mkdir()
    with pytest.raises(FormatError, match=r"data\.file: .* is a folder; expected a file"):
        jptycho.open_dataset(path)
    path.rmdir()
    path.touch()
    with pytest.raises(FormatError, match=r"data\.file: .* is empty: truncated to nothing"):
        jptycho.open_dataset(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to the root user")
@pytest.mark.parametrize("name", ["hdf5", "npy", "Merlin"])
def test_a_file_that_may_not_be_read_is_named(tmp_path: Path, name: str):
    path = tmp_path / SAMPLES[name].name
    SAMPLES[name].write(path)
    path.chmod(0)
    with pytest.raises(FormatError, match=r"data\.file: .* may not be read"):
        jptycho.open_dataset(path)


def test_what_is_no_regular_file_is_not_waited_for(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.h5")
    with pytest.raises(FormatError, match="is no regular file"):
        jptycho.open_dataset(tmp_path / "pipe.h5")


def test_an_unknown_format_says_what_was_tried_and_is_read_by_shape_and_type(tmp_path: Path):
    path, data = tmp_path / "scan.bin", patterns(dtype=">u2")
    path.write_bytes(b"head" * 3 + data.tobytes())
    with pytest.raises(FormatError, match=r"is of no format .* begins with b'headhead'.*Tried: NumPy.*HDF5.*Merlin"):
        jptycho.open_dataset(path)
    scan = jptycho.open_dataset(path, shape=data.shape, dtype=">u2", offset=12)
    np.testing.assert_array_equal(scan.read(), data.reshape(-1, *data.shape[-2:]))
    turned = jptycho.open_dataset(path, shape=data.shape, dtype=">u2", offset=12, axes="yxsf")
    np.testing.assert_array_equal(turned.read([1, 11]), data.transpose(2, 3, 0, 1).reshape(60, 3, 4)[[1, 11]])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shape": (3, 4, 6, 10)}, r"data\.dtype: expected the type of one value, .* found nothing"),
        ({"shape": (3, 4, 6, 10), "dtype": "O"}, r"data\.dtype: .* found 'O'"),
        ({"shape": (3, 4, 6, 10), "dtype": "u2,u2"}, r"data\.dtype: "),
        ({"dtype": "u2"}, r"data\.dtype: has no effect without shape"),
        ({"offset": 3}, r"data\.offset: has no effect without shape"),
        ({"shape": (3, 4, 600, 1000), "dtype": "u2"}, r"data\.shape: .* not one pattern"),
        ({"shape": (0, 4, 6, 10), "dtype": "u2"}, r"data\.shape.*found 0"),
        ({"shape": (3, 4, 6, 10), "dtype": "u2", "axes": "sfy"}, r"data\.axes: 'sfy' is no order"),
        ({"shape": (3, 4, 6, 10), "dtype": "u2", "axes": "nyx"}, r"data\.axes: 'nyx' are 3 axes, but"),
    ],
)
def test_a_wrong_shape_or_type_is_named(tmp_path: Path, options, message: str):
    (tmp_path / "a.bin").write_bytes(patterns().tobytes())
    with pytest.raises(ConfigError, match=message):
        jptycho.open_dataset(tmp_path / "a.bin", **options)


FRAME_BYTES = {"npy": 6 * 10 * 2, "blockfile": 6 + 6 * 6, "Merlin": 384 + 6 * 10 * 2, "EMPAD": 130 * 128 * 4}


@pytest.mark.parametrize("name", FRAME_BYTES)
def test_of_a_scan_that_was_cut_off_whole_lines_are_offered(tmp_path: Path, name: str):
    """In the middle of its second line."""
    sample = SAMPLES[name]
    whole = sample.write(tmp_path / sample.name)
    path, frames = tmp_path / sample.name, tmp_path / ("scan_x3_y2.raw" if name == "EMPAD" else sample.name)
    fast = whole.shape[1]
    left_over = int((whole.shape[0] - 1.5) * fast * FRAME_BYTES[name])
    frames.write_bytes(frames.read_bytes()[:-left_over])
    with pytest.raises(FormatError, match=rf"is truncated: .*scan_shape = \[1, {fast}\] reads the 1 lines") as caught:
        jptycho.open_dataset(path)
    assert "Copy it again" in str(caught.value)
    scan = jptycho.open_dataset(path, scan_shape=(1, fast))
    np.testing.assert_array_equal(scan.read(), whole[0])
    with pytest.raises(ConfigError, match=r"data\.scan_shape: "):
        jptycho.open_dataset(path, scan_shape=whole.shape[:2])


def test_counts_are_loaded_in_parts_as_from_memory(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("jptycho.data.counts.CHUNK_BYTES", 500)
    SAMPLES["hdf5"].write(tmp_path / "a.h5")
    scan = jptycho.open_dataset(tmp_path / "a.h5")
    asked = []
    object.__setattr__(scan, "read", lambda rows, read=scan.read: asked.append(rows) or read(rows))
    found = load_counts(scan)
    np.testing.assert_array_equal(found, np.fft.ifftshift(patterns().reshape(12, 6, 10), axes=(-2, -1)))
    assert sum(rows.stop - rows.start for rows in asked) == 12
    assert list(chunks(scan, 241)) == asked[:0] + [slice(n, min(n + 2, 12)) for n in range(0, 12, 2)]


def test_without_the_extra_its_name_is_given(tmp_path: Path, monkeypatch):
    for name, library in (("DM3", "rsciio"), ("zarr", "zarr")):
        path = tmp_path / SAMPLES[name].name
        SAMPLES[name].write(path)
        with monkeypatch.context() as without:
            for module in [m for m in sys.modules if m.split(".")[0] == library]:
                without.delitem(sys.modules, module)
            without.setitem(sys.modules, library, None)
            with pytest.raises(FormatError, match=rf"which needs {library}.* pip install 'jptycho\[formats\]'"):
                jptycho.open_dataset(path)


def test_a_codec_of_zarr_that_runs_what_it_reads_is_refused(tmp_path: Path):
    SAMPLES["zarr"].write(tmp_path / "a.zarr")
    metadata = tmp_path / "a.zarr" / "dp" / "zarr.json"
    text = metadata.read_text()
    assert '"zstd"' in text
    metadata.write_text(text.replace('"zstd"', '"numcodecs.pickle"'))
    with pytest.raises(FormatError, match="packed by pickle, which may run anything"):
        jptycho.open_dataset(tmp_path / "a.zarr")


def test_parts_of_a_master_file_that_are_missing_are_named(tmp_path: Path):
    SAMPLES["DECTRIS"].write(tmp_path / "a_master.h5")
    scan = jptycho.open_dataset(tmp_path / "a_master.h5", scan_shape=(3, 4))
    assert scan.mask is not None
    assert (scan.shape, scan.mask.sum()) == ((3, 4, 6, 10), 59)
    (tmp_path / "a_master_data_000002.h5").unlink()
    with pytest.raises(FormatError, match=r"patterns 'data_000002' in 'a_master_data_000002\.h5', which is not beside"):
        jptycho.open_dataset(tmp_path / "a_master.h5")


def test_frames_of_empad_without_further_rows(tmp_path: Path):
    """The size of 64 frames with and of 65 without is one: a shape decides."""
    whole = patterns((65, 128, 128), "f4")
    (tmp_path / "a.raw").write_bytes(whole.tobytes())
    with pytest.raises(ConfigError, match=r"data\.scan_shape: missing; .* 64 EMPAD frames with .* 65 without"):
        jptycho.open_dataset(tmp_path / "a.raw")
    scan = jptycho.open_dataset(tmp_path / "a.raw", scan_shape=(5, 13))
    np.testing.assert_array_equal(scan.read([0, 64]), whole[[0, 64]])
    shutil.copy(tmp_path / "a.raw", tmp_path / "scan_x13_y5.raw")
    assert jptycho.open_dataset(tmp_path / "scan_x13_y5.raw").shape == (5, 13, 128, 128)


def test_positions_that_a_file_states_are_used(tmp_path: Path):
    SAMPLES["ptypy"].write(tmp_path / "a.ptyd")
    scan = jptycho.open_dataset(tmp_path / "a.ptyd")
    np.testing.assert_allclose(scan.positions, np.arange(24.0).reshape(12, 2))
    assert scan.calibration.length_unit == "A"


def test_a_netcdf_file_that_claims_more_than_it_has_costs_nothing(tmp_path: Path):
    """The size of an attribute, of which a reader sets aside as many bytes."""
    with scipy.io.netcdf_file(tmp_path / "a.nc", "w") as file:
        file.createDimension("a", 3)
        file.createVariable("dp", "i2", ("a",))[:] = np.arange(3)
        file.note = "some words"
    whole = (tmp_path / "a.nc").read_bytes()
    place = whole.index(b"some words") - 4
    (tmp_path / "b.nc").write_bytes(whole[:place] + b"\x3f\xff\xff\xf0" + whole[place + 4 :])
    tracemalloc.start()
    with pytest.raises(FormatError):
        jptycho.open_dataset(tmp_path / "b.nc")
    assert tracemalloc.get_traced_memory()[1] < 2**24
    tracemalloc.stop()
