"""What was exported is read back by the library of its format, with the right values and sizes of a pixel."""

import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

from jptycho.data import export
from jptycho.data.export import export_result, images_of
from jptycho.data.results import Result
from jptycho.errors import ConfigError, FormatError
from tests.report.results import made_up

tifffile = pytest.importorskip("tifffile")
zarr = pytest.importorskip("zarr")

SAMPLING = (0.4, 0.25)  # Å along y and x
FIELD = (slice(5, 35), slice(8, 44))
ORIGIN = (-3.0, 2.0)


def result(**changes) -> Result:
    """Two slices 12 Å apart, three modes, absorption; pixels that are not square."""
    made = made_up(absorption=np.random.default_rng(9).uniform(size=(2, 40, 50)))
    attributes = {
        "slice_thickness": 12.0,
        "origin": np.array(ORIGIN),
        "kind": "complex",
        "objective": "loss: <poisson>",
    }
    return made_up(absorption=made.absorption, attributes={**made.attributes, **attributes, **changes})


def ome(path: Path) -> dict[str, dict[str, str]]:
    """Attributes of each image's pixels by its name, as any OME reader sees them."""
    with tifffile.TiffFile(path) as file:
        assert file.is_ome
        root = ET.fromstring(file.ome_metadata)
    space = {"ome": "http://www.openmicroscopy.org/Schemas/OME/2016-06"}
    return {
        str(image.get("Name")): image.find("ome:Pixels", space).attrib for image in root.findall("ome:Image", space)
    }


def test_every_image_of_an_ome_tiff_comes_back_with_its_pixels_in_nm(tmp_path: Path):
    one = result()
    export_result(tmp_path / "out.ome.tif", one)
    found = ome(tmp_path / "out.ome.tif")
    names = ["phase", "absorption", "probe amplitude", "probe phase"]
    assert list(found) == names
    for pixels in found.values():
        assert float(pixels["PhysicalSizeY"]) == pytest.approx(0.04)
        assert float(pixels["PhysicalSizeX"]) == pytest.approx(0.025)
        assert (pixels["PhysicalSizeXUnit"], pixels["PhysicalSizeYUnit"]) == ("nm", "nm")
    assert float(found["phase"]["PhysicalSizeZ"]) == pytest.approx(1.2)
    assert (found["phase"]["SizeZ"], found["phase"]["SizeC"]) == ("2", "1")
    assert (found["probe phase"]["SizeZ"], found["probe phase"]["SizeC"]) == ("1", "3")
    expected = [one.phase[:, *FIELD], one.absorption[:, *FIELD], np.abs(one.probe), np.angle(one.probe)]
    with tifffile.TiffFile(tmp_path / "out.ome.tif") as file:
        assert [series.axes for series in file.series] == ["ZYX", "ZYX", "CYX", "CYX"]
        for series, values in zip(file.series, expected, strict=True):
            np.testing.assert_allclose(series.asarray(), values, rtol=1e-6)
        assert tifffile.OmeXml  # the same library checks what it wrote
        assert "loss: &lt;poisson&gt;" in file.ome_metadata


def test_a_program_that_knows_no_ome_finds_the_resolution(tmp_path: Path):
    export_result(tmp_path / "out.tif", result())
    with tifffile.TiffFile(tmp_path / "out.tif") as file:
        tags = file.pages[0].tags
        assert tags["ResolutionUnit"].value == tifffile.RESUNIT.CENTIMETER
        for name, size in (("XResolution", 0.25), ("YResolution", 0.4)):
            above, below = tags[name].value
            assert 1e8 * below / above == pytest.approx(size)  # Å


def test_hyperspys_reader_finds_the_scale(tmp_path: Path):
    rsciio_tiff = pytest.importorskip("rsciio.tiff")
    export_result(tmp_path / "out.tif", result())
    signals = rsciio_tiff.file_reader(str(tmp_path / "out.tif"), force_read_resolution=True)
    axes = {axis["name"]: axis for axis in signals[0]["axes"]}
    metres = {"µm": 1e-6, "um": 1e-6, "nm": 1e-9, "cm": 1e-2, "mm": 1e-3, "m": 1.0}
    for name, size in (("width", 0.25e-10), ("height", 0.4e-10)):
        assert axes[name]["scale"] * metres[axes[name]["units"]] == pytest.approx(size, rel=1e-6)


def test_the_whole_canvas_is_exported_on_request(tmp_path: Path):
    one = result()
    export_result(tmp_path / "out.tif", one, whole=True)
    np.testing.assert_allclose(tifffile.imread(tmp_path / "out.tif"), one.phase, rtol=1e-6)


def test_places_are_those_of_the_first_pixel():
    phase, *_, probe = images_of(result())
    assert phase.scale == (12.0, *SAMPLING)
    assert phase.origin == pytest.approx((0.0, -3.0 + 5 * 0.4, 2.0 + 8 * 0.25))
    assert images_of(result(), whole=True)[0].origin == (0.0, *ORIGIN)
    assert probe.origin == pytest.approx((0.0, -9 * 0.4, -12 * 0.25))  # the probe's centre is at pixel [9, 12]


def test_zarr_comes_back_with_axes_scales_and_places(tmp_path: Path):
    one = result()
    export_result(tmp_path / "out.zarr", one)
    root = zarr.open_group(str(tmp_path / "out.zarr"), mode="r")
    expected = {
        "phase": (one.phase[:, *FIELD], [12.0, 0.4, 0.25], "z"),
        "absorption": (one.absorption[:, *FIELD], [12.0, 0.4, 0.25], "z"),
        "probe_amplitude": (np.abs(one.probe), [1.0, 0.4, 0.25], "c"),
        "probe_phase": (np.angle(one.probe), [1.0, 0.4, 0.25], "c"),
    }
    assert sorted(root.group_keys()) == sorted(expected)
    for name, (values, scale, along) in expected.items():
        (image,) = root[name].attrs["multiscales"]
        assert image["version"] == "0.4"
        assert [axis["name"] for axis in image["axes"]] == [along, "y", "x"]
        assert [axis.get("unit") for axis in image["axes"][1:]] == ["angstrom", "angstrom"]
        (data,) = image["datasets"]
        kinds = [transform["type"] for transform in data["coordinateTransformations"]]
        assert kinds == ["scale", "translation"]
        assert data["coordinateTransformations"][0]["scale"] == pytest.approx(scale)
        np.testing.assert_allclose(root[name][data["path"]][...], values, rtol=1e-6)
    (shown,) = root.attrs["multiscales"]  # what a viewer opens
    path = shown["datasets"][0]["path"]
    np.testing.assert_allclose(root[path][...], one.phase[:, *FIELD], rtol=1e-6)
    assert root.attrs["jptycho"]["kind"] == "complex"


def test_pixels_of_no_known_size_have_none(tmp_path: Path):
    unknown = result(length_unit="px")
    export_result(tmp_path / "out.tif", unknown)
    assert "PhysicalSizeX" not in ome(tmp_path / "out.tif")["phase"]
    export_result(tmp_path / "out.zarr", unknown)
    (image,) = zarr.open_group(str(tmp_path / "out.zarr"), mode="r").attrs["multiscales"]
    assert all("unit" not in axis for axis in image["axes"])


def test_nothing_is_replaced_unless_asked_and_never_what_is_no_zarr(tmp_path: Path):
    for name in ("out.tif", "out.zarr"):
        export_result(tmp_path / name, result())
        with pytest.raises(FormatError, match="exists"):
            export_result(tmp_path / name, result())
        export_result(tmp_path / name, result(), overwrite=True)
    (tmp_path / "mine.zarr").mkdir()
    (tmp_path / "mine.zarr" / "precious").write_text("kept")
    with pytest.raises(FormatError, match="no zarr"):
        export_result(tmp_path / "mine.zarr", result(), overwrite=True)
    assert (tmp_path / "mine.zarr" / "precious").read_text() == "kept"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine.zarr", "out.tif", "out.zarr"]


def test_what_fails_half_way_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def fails(path: Path, *_: object) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setitem(export.WRITERS, ".tif", fails)
    with pytest.raises(OSError, match="No space"):
        export_result(tmp_path / "out.tif", result())
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_ending_and_a_missing_library_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(ConfigError, match=r"cannot write '\.jpg'; known: \.tif, \.tiff, \.zarr"):
        export_result(tmp_path / "out.jpg", result())

    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(export.importlib, "import_module", missing)
    with pytest.raises(ConfigError, match=r"tifffile is not installed.*jptycho\[formats\]"):
        export_result(tmp_path / "out.tif", result())
