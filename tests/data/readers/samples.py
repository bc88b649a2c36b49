"""One small file of every format, written by its own library or byte by byte, and the patterns that are in it."""

import dataclasses
import json
import struct
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import scipy.io
import tifffile

from jptycho.data.dataset import Calibration, from_arrays
from jptycho.data.readers.jptycho_scan import write_scan
from jptycho.data.results import write_result

from ...report.results import made_up

SHAPE = (3, 4, 6, 10)
"""No two axes of equal length."""


def patterns(shape: tuple[int, ...] = SHAPE, dtype: str = "u2") -> np.ndarray:
    return np.random.default_rng(1).poisson(20.0, shape).astype(dtype)


def npy(path: Path) -> np.ndarray:
    np.save(path, patterns())
    return patterns()


def npz(path: Path) -> np.ndarray:
    np.savez_compressed(path, dp=patterns(), mask=np.ones(SHAPE[-2:]))
    return patterns()


def unpacked_npz(path: Path) -> np.ndarray:
    np.savez(path, dp=patterns(), mask=np.ones(SHAPE[-2:]))
    return patterns()


def prz(path: Path) -> np.ndarray:
    with path.open("wb") as file:
        np.savez(file, data=patterns(), meta_data_json=np.array(json.dumps([{"electron_gun.voltage": 200000}])))
    return patterns()


def any_hdf5(path: Path) -> np.ndarray:
    with h5py.File(path, "w") as file:
        file.create_dataset("group/dp", data=patterns(), chunks=(1, 2, 6, 10), compression="gzip", shuffle=True)
        file["group/positions"] = np.zeros((12, 2))
        file["group"].attrs["note"] = "any"
    return patterns()


def own_scan(path: Path) -> np.ndarray:
    calibration = Calibration(3e5, 20.0, 100.0, (("C12", 3.0),), (1.0, 1.5), (0.05, 0.07))
    write_scan(path, from_arrays(patterns(), calibration, np.zeros((12, 2)), np.ones((6, 10), complex)), overwrite=True)
    return patterns()


def result(path: Path) -> np.ndarray:
    one = made_up()
    own = {"kind": "complex", "origin": np.array([-2.0, 3.0]), "slice_thickness": 4.0}
    write_result(path, dataclasses.replace(one, attributes=one.attributes | own), overwrite=True)
    return made_up().phase


def py4dstem(path: Path) -> np.ndarray:
    with h5py.File(path, "w") as file:
        file.attrs.update({"emd_group_type": "file", "version_major": 1, "version_minor": 0})
        cube = file.create_group("root/datacube")
        cube.attrs.update({"emd_group_type": "array", "python_class": "DataCube"})
        cube["data"] = patterns()
        for axis, (step, unit) in enumerate([(0.2, "nm"), (0.3, "nm"), (0.05, "A^-1"), (0.06, "A^-1")]):
            cube[f"dim{axis}"] = np.array([0, step])
            cube[f"dim{axis}"].attrs["units"] = unit
    return patterns()


def ncem(path: Path) -> np.ndarray:
    """With an axis of length one between scan and detector, as fpd writes it."""
    with h5py.File(path, "w") as file:
        group = file.create_group("experiment/data")
        group.attrs["emd_group_type"] = 1
        group["data"] = patterns()[:, :, None]
        units = ["[n_m]", "[n_m]", "", "[n_m^-1]", "[n_m^-1]"]
        for axis, (length, unit) in enumerate(zip((3, 4, 1, 6, 10), units, strict=True), 1):
            group[f"dim{axis}"] = np.arange(length) * 0.5
            group[f"dim{axis}"].attrs["units"] = np.bytes_(unit)
    return patterns()


def hspy(path: Path) -> np.ndarray:
    with h5py.File(path, "w") as file:
        file.attrs.update({"file_format": "HyperSpy", "file_format_version": "3.3"})
        one = file.create_group("Experiments/scan")
        one["data"] = patterns()
        units = [(0.2, "nm"), (0.3, "nm"), (0.5, "mrad"), (0.7, "mrad")]
        for axis, (scale, unit) in enumerate(units):
            one.create_group(f"axis-{axis}").attrs.update({"scale": scale, "units": unit, "navigate": axis < 2})
        one.create_group("metadata/Acquisition_instrument/TEM").attrs.update(
            {"beam_energy": 200.0, "convergence_angle": 21.0}
        )
    return patterns()


def nexus(path: Path) -> np.ndarray:
    with h5py.File(path, "w") as file:
        group = file.create_group("entry/detector")
        group.attrs.update({"NX_class": "NXdata", "signal": "frames", "axes": ["y", "x", "ky", "kx"]})
        group["frames"] = patterns()
        for name, length, unit in (("y", 3, "um"), ("x", 4, "um"), ("ky", 6, "1/nm"), ("kx", 10, "1/nm")):
            group[name] = np.arange(length) * 0.001 if unit == "um" else np.arange(length) * 0.5
            group[name].attrs["units"] = unit
        file["entry/other"] = np.zeros((2, 3, 4, 5))
    return patterns()


def cxi(path: Path) -> np.ndarray:
    with h5py.File(path, "w") as file:
        file["cxi_version"] = 160
        file["entry_1/data_1/data"] = patterns().reshape(12, 6, 10)
        file["entry_1/instrument_1/detector_1/dark"] = np.zeros((2, 6, 10))
    return patterns().reshape(12, 6, 10)


def dectris(path: Path) -> np.ndarray:
    whole = patterns((12, 6, 10), "u4")
    with h5py.File(path, "w") as file:
        for number in (1, 2):
            name = f"{path.stem}_data_{number:06d}.h5"
            with h5py.File(path.with_name(name), "w") as part:
                part["entry/data/data"] = whole[8 * (number - 1) : 8 * number]
            file[f"entry/data/data_{number:06d}"] = h5py.ExternalLink(name, "/entry/data/data")
        mask = np.zeros((6, 10), np.uint32)
        mask[2, 3] = 4
        file["entry/instrument/detector/detectorSpecific/pixel_mask"] = mask
    return whole


def ptyd(path: Path) -> np.ndarray:
    whole = patterns((12, 6, 10))
    with h5py.File(path, "w") as file:
        for number, rows in enumerate((slice(0, 7), slice(7, 12))):
            file[f"chunks/{number}/data"] = whole[rows]
            file[f"chunks/{number}/positions"] = 1e-10 * np.arange(24.0).reshape(12, 2)[rows]
    return whole


def velox(path: Path) -> np.ndarray:
    whole = patterns((12, 6, 10))
    text = json.dumps(
        {
            "Optics": {"AccelerationVoltage": "300000"},
            "BinaryResult": {
                "PixelSize": {"height": "5e8", "width": "7e8"},
                "PixelUnitX": "1/m",
                "PixelUnitY": "1/m",
            },
        }
    )
    with h5py.File(path, "w") as file:
        file["Data/Image/0a/Data"] = whole.transpose(1, 2, 0)
        file["Data/Image/0a/Metadata"] = np.frombuffer(text.encode() + bytes(9), np.uint8)[:, None].repeat(2, 1)
    return whole


def matlab_7_3(path: Path) -> np.ndarray:
    """PtychoShelves: (y, x, scan) to its author, so reversed in the file."""
    whole = patterns((12, 6, 6))
    with h5py.File(path, "w", userblock_size=512) as file:
        file["dp"] = whole.transpose(1, 2, 0).transpose()
    return whole


def matlab_5(path: Path) -> np.ndarray:
    whole = patterns((12, 6, 6))
    scipy.io.savemat(path, {"dp": whole.transpose(1, 2, 0), "comment": "words"}, do_compression=True)
    return whole


def blockfile(path: Path) -> np.ndarray:
    whole = patterns((3, 4, 6, 6), "u1")
    head = struct.pack("<6sHIIIHHHHHddI", b"IMGBLO", 0x102, 0x1000, 0x1010, 0, 6, 0, 4, 3, 0, 0.3, 0.2, 200000)
    frames = b"".join(b"\xaa\x55" + struct.pack("<I", n) + one.tobytes() for n, one in enumerate(whole.reshape(12, -1)))
    path.write_bytes(head.ljust(0x1010, b"\0") + frames)
    return whole


def merlin(path: Path) -> np.ndarray:
    """Rows of the detector from the last to the first; header fields are words between commas."""
    whole = patterns((12, 6, 10), ">u2")
    fields = "MQ1,{:06d},00384,01,0010,0006,U16,   1x1,01,2021-01-01 00:00:00.000000,0.001,0,0,0.0"
    end = ",2021-01-01T00:00:00.000000000Z,1000000ns,12,"
    frames = [
        (fields.format(n) + end).encode().ljust(384, b"\0") + one[::-1].tobytes() for n, one in enumerate(whole, 1)
    ]
    path.write_bytes(b"".join(frames))
    path.with_suffix(".hdr").write_text(
        "HDR,\nFrames in Acquisition (Number):\t12\nFrames per Trigger (Number):\t4\nEnd\t"
    )
    return whole.reshape(3, 4, 6, 10)


def dm_tag(name: str, body: bytes, kind: int = 21) -> bytes:
    return struct.pack(">BH", kind, len(name)) + name.encode() + body


def dm_value(code: int, packed: bytes) -> bytes:
    return b"%%%%" + struct.pack(">II", 1, code) + packed


def dm_group(*tags: bytes) -> bytes:
    return struct.pack(">BBI", 0, 0, len(tags)) + b"".join(tags)


def digital_micrograph(path: Path) -> np.ndarray:
    """A DM3 file of four axes, the fastest listed first; scan axes are the slow ones."""
    whole = patterns()
    data = b"%%%%" + struct.pack(">IIII", 3, 20, 4, whole.size) + whole.astype("<u2").tobytes()
    sizes = dm_group(*[dm_tag("", dm_value(5, struct.pack("<I", n))) for n in whole.shape[::-1]])
    steps = []
    for scale, unit in ((0.06, "1/nm"), (0.05, "1/nm"), (0.3, "nm"), (0.2, "nm")):
        text = unit.encode("utf-16-le")
        packed = b"%%%%" + struct.pack(">IIII", 3, 20, 4, len(unit)) + text
        origin, step = (dm_tag(n, dm_value(6, struct.pack("<f", v))) for n, v in (("Origin", 0.0), ("Scale", scale)))
        steps.append(dm_tag("", dm_group(origin, step, dm_tag("Units", packed)), 20))
    brightness = dm_group(
        dm_tag("Origin", dm_value(6, struct.pack("<f", 0.0))),
        dm_tag("Scale", dm_value(6, struct.pack("<f", 1.0))),
        dm_tag("Units", b"%%%%" + struct.pack(">IIII", 3, 20, 4, 1) + "e".encode("utf-16-le")),
    )
    calibrations = dm_group(dm_tag("Brightness", brightness, 20), dm_tag("Dimension", dm_group(*steps), 20))
    image = dm_group(
        dm_tag("Calibrations", calibrations, 20),
        dm_tag("Data", data),
        dm_tag("DataType", dm_value(5, struct.pack("<I", 10))),
        dm_tag("Dimensions", sizes, 20),
        dm_tag("PixelDepth", dm_value(5, struct.pack("<I", 2))),
    )
    energy = dm_tag("Voltage", dm_value(6, struct.pack("<f", 300000.0)))
    tags = dm_group(dm_tag("Microscope Info", dm_group(energy), 20))
    one = dm_group(dm_tag("ImageData", image, 20), dm_tag("ImageTags", tags, 20))
    listed = dm_group(dm_tag("", one, 20))
    root = dm_group(dm_tag("ImageList", listed, 20), dm_tag("InImageMode", dm_value(5, struct.pack("<I", 1))))
    path.write_bytes(struct.pack(">III", 3, len(root), 1) + root + bytes(8))
    return whole


def tiff(path: Path) -> np.ndarray:
    whole = patterns((12, 6, 10))
    tifffile.imwrite(path, whole, photometric="minisblack")
    return whole


def netcdf(path: Path) -> np.ndarray:
    with scipy.io.netcdf_file(path, "w") as file:
        for name, length in zip("abyx", SHAPE, strict=True):
            file.createDimension(name, length)
        file.createVariable("dp", "i2", tuple("abyx"))[:] = patterns(dtype="i2")
    return patterns(dtype=">i2")


def empad(path: Path) -> np.ndarray:
    whole = patterns((2, 3, 128, 128), "f4")
    frames = np.concatenate([whole, np.full((2, 3, 2, 128), -7.0, "f4")], axis=2)
    path.with_name("scan_x3_y2.raw").write_bytes(frames.tobytes())
    path.write_text(
        '<root><pix_x>3</pix_x><pix_y>2</pix_y><raw_file filename="/else/scan_x3_y2.raw"/><iom_measurements>'
        "<source.get_voltage>300000.0</source.get_voltage>"
        "<calibrated_diffraction_angle>0.0005</calibrated_diffraction_angle></iom_measurements></root>"
    )
    return whole


def zarr_store(path: Path) -> np.ndarray:
    import zarr  # noqa: PLC0415

    group = zarr.open_group(str(path), mode="w")
    group.create_array("dp", data=patterns(), chunks=(1, 2, 6, 10))
    return patterns()


@dataclasses.dataclass(frozen=True)
class Sample:
    """A format: name of its file, what writes it, and the options with which it is opened."""

    name: str
    write: Callable[[Path], np.ndarray]
    options: dict[str, object] = dataclasses.field(default_factory=dict)


SAMPLES = {
    "npy": Sample("a.npy", npy),
    "npz": Sample("a.npz", npz),
    "npz unpacked": Sample("a.npz", unpacked_npz),
    "prz": Sample("a.prz", prz),
    "hdf5": Sample("a.h5", any_hdf5),
    "jptycho": Sample("a.h5", own_scan),
    "py4DSTEM": Sample("a.h5", py4dstem),
    "EMD": Sample("a.emd", ncem),
    "hspy": Sample("a.hspy", hspy),
    "NeXus": Sample("a.nxs", nexus),
    "CXI": Sample("a.cxi", cxi),
    "DECTRIS": Sample("a_master.h5", dectris),
    "ptypy": Sample("a.ptyd", ptyd),
    "Velox": Sample("a.emd", velox),
    "MATLAB 7.3": Sample("a.mat", matlab_7_3),
    "MATLAB 5": Sample("a.mat", matlab_5),
    "blockfile": Sample("a.blo", blockfile),
    "Merlin": Sample("a.mib", merlin),
    "DM3": Sample("a.dm3", digital_micrograph),
    "TIFF": Sample("a.tif", tiff),
    "NetCDF": Sample("a.nc", netcdf),
    "EMPAD": Sample("a.xml", empad),
    "zarr": Sample("a.zarr", zarr_store),
}
"""By the name of the format."""
