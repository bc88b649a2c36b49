"""One reconstruction in the files of other packages, and the patterns that each of them would compute from its file.

Layouts and formulas are those of the packages themselves: PtyRAD 1.0 (``io/save.py``, ``core/models/ptycho.py``),
phaser 0.3 (``utils/io.py``, ``utils/object.py``), py4DSTEM 0.14 (``phase_base_class.py``, emdfile), quantem 0.1
(``core/io/serialize.py``, ``dataset_models.py``), fold_slice (``ptycho_solver.m``, ``find_reconstruction_ROI.m``).
"""

import dataclasses
import functools
import io
import os
import pickle
import shutil
import sys
import types
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import scipy.io

SAMPLING = (0.4, 0.3)
"""Å a pixel along (y, x)."""
THICKNESS = 12.0
WINDOW = (12, 16)
CANVAS = (37, 45)
SCAN = (3, 4)
STEP = (1.3, 1.1)
"""Å along the slow and the fast axis."""
WAVELENGTH = 0.0196874866
"""Å at 300 kV."""


@dataclasses.dataclass(frozen=True)
class Made:
    """What is written.

    Attributes:
        transmission: of the slices (slices, Y, X).
        probe: modes (modes, y, x), centre at [y // 2, x // 2].
        centres: of the probe on the object in pixels, fractions included.
    """

    transmission: np.ndarray
    probe: np.ndarray
    centres: np.ndarray


def made(slices: int = 2, modes: int = 2, seed: int = 0) -> Made:
    """Random and smooth; unequal axes, unequal modes, places between pixels, no symmetry."""
    chance = np.random.default_rng(seed)
    phase = 0.4 * chance.normal(size=(slices, *CANVAS))
    probe = chance.normal(size=(modes, *WINDOW)) + 1j * chance.normal(size=(modes, *WINDOW))
    distance = np.hypot(*np.meshgrid(*[np.arange(n) - n // 2 for n in WINDOW], indexing="ij"))
    probe *= np.exp(-((distance / 3.0) ** 2)) * (0.4 ** np.arange(modes))[:, None, None]
    rows, columns = np.meshgrid(*[np.arange(n) for n in SCAN], indexing="ij")
    raster = np.stack([rows.ravel() * STEP[0], columns.ravel() * STEP[1]], axis=1) / SAMPLING
    centres = raster + np.array([11.3, 13.6]) + 0.2 * chance.normal(size=raster.shape)
    amplitude = chance.uniform(0.8, 1.0, phase.shape)
    return Made(amplitude * np.exp(1j * phase), probe, centres)


def patterns_from(one: Made, first: np.ndarray, shift: np.ndarray, probe: np.ndarray) -> np.ndarray:
    """Patterns (scan, ky, kx), zero frequency in the centre.

    Args:
        one: whose object is seen.
        first: pixel of each window.
        shift: of the probe within it, less than a pixel.
        probe: centred.
    """
    ky, kx = (np.fft.fftfreq(n)[:, None] if axis == 0 else np.fft.fftfreq(n) for axis, n in enumerate(WINDOW))
    k2 = (ky / SAMPLING[0]) ** 2 + (kx / SAMPLING[1]) ** 2
    propagator = np.exp(-1j * np.pi * WAVELENGTH * THICKNESS * k2)
    found = []
    for (row, column), (dy, dx) in zip(first, shift, strict=True):
        waves = np.fft.ifft2(np.fft.fft2(probe) * np.exp(-2j * np.pi * (ky * dy + kx * dx)))
        for number, layer in enumerate(one.transmission):
            waves = waves * layer[row : row + WINDOW[0], column : column + WINDOW[1]]
            if number + 1 < len(one.transmission):
                waves = np.fft.ifft2(np.fft.fft2(waves) * propagator)
        found.append((np.abs(np.fft.fft2(waves)) ** 2).sum(axis=0))
    return np.fft.fftshift(np.array(found), axes=(1, 2))


def rounded(place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.round(place).astype(int), place - np.round(place)


HALF = np.array([n // 2 for n in WINDOW])


def ptyrad(path: Path, one: Made) -> np.ndarray:
    """``crop_pos`` is the window's first pixel; Å; amplitude and phase of (states, slices, Y, X)."""
    corner, shift = rounded(one.centres - HALF)
    with h5py.File(path, "w") as file:
        file["ptyrad_version"] = "1.0"
        tensors = file.create_group("optimizable_tensors")
        tensors["obja"] = np.abs(one.transmission)[None].astype("f4")
        tensors["objp"] = np.angle(one.transmission)[None].astype("f4")
        tensors["obj_tilts"] = np.zeros((1, 2), "f4")
        tensors["slice_thickness"] = np.float32(THICKNESS)
        tensors["probe"] = one.probe.astype("c8")
        tensors["probe_pos_shifts"] = shift.astype("f4")
        model = file.create_group("model_attributes")
        model["crop_pos"] = corner.astype("i4")
        model["dx"] = np.array(SAMPLING)
        model["slice_thickness"] = np.float32(THICKNESS)
        file["optim_state_dict"] = "__NONE__"
        file["loss_iters"] = np.ones((3, 2))
    return patterns_from(one, corner, shift, one.probe)


def phaser(path: Path, one: Made) -> np.ndarray:
    """Positions in Å from any origin; a window's middle lies between its pixels where it is even."""
    corner = np.array([-3.7, 2.2])
    middle = one.centres - HALF + (np.array(WINDOW) - 1) / 2
    scan = corner + middle * SAMPLING
    with h5py.File(path, "w") as file:
        file.create_dataset("type", (), h5py.string_dtype(), "phaser_state")
        file.create_dataset("version", (), h5py.string_dtype(), "0.1")
        file.create_dataset("wavelength", (), np.float64, WAVELENGTH)
        file["probe/data"] = one.probe.astype("c8")
        file["probe/sampling"] = np.array(SAMPLING)
        file["probe/extent"] = np.array(SAMPLING) * WINDOW
        many = len(one.transmission)
        file["object/thicknesses"] = np.full(many if many > 1 else 0, THICKNESS)
        file["object/zs"] = np.arange(many) * THICKNESS
        file["object/data"] = one.transmission.astype("c8")
        file["object/sampling"] = np.array(SAMPLING)
        file["object/extent"] = np.array(SAMPLING) * CANVAS
        file["object/corner"] = corner
        file["object/region_min"] = h5py.Empty(np.float64)
        file["scan"] = scan.reshape(*SCAN, 2)
        file["tilt"] = np.zeros((*SCAN, 2))
    first, shift = rounded((scan - corner) / SAMPLING - (np.array(WINDOW) - 1) / 2)
    return patterns_from(one, first, shift, one.probe)


def py4dstem(path: Path, one: Made) -> np.ndarray:
    """As emdfile nests it; the probe's centre at [0, 0], a position is the pixel of its centre."""
    many = len(one.transmission) > 1
    with h5py.File(path, "w") as file:
        file.attrs.update({"emd_group_type": "file", "version_major": 1, "version_minor": 0, "authoring_program": "e"})
        group = file.create_group("ptychography_root/ptychographic_reconstruction")
        group.attrs.update({"emd_group_type": "custom", "python_class": "MixedstateMultislicePtychography"})
        for name, data in (("_object_emd", one.transmission), ("_probe_emd", np.fft.ifftshift(one.probe, axes=(1, 2)))):
            inner = group.create_group(name)
            inner.attrs.update({"emd_group_type": "custom_array", "python_class": "Array"})
            inner["data"] = data.astype("c8") if many or name == "_probe_emd" else data[0].astype("c8")
            inner["dim0"] = np.array([0, 1])
        bundle = group.create_group("metadatabundle")
        bundle["instantiation_metadata/energy"] = 3e5
        bundle["instantiation_metadata/object_type"] = b"complex"
        bundle["instantiation_metadata/slice_thicknesses"] = np.full(max(1, len(one.transmission) - 1), THICKNESS)
        bundle["preprocess_metadata/rotation_angle_rad"] = 0.0
        bundle["preprocess_metadata/positions_px"] = one.centres.astype("f4")
        bundle["preprocess_metadata/sampling"] = np.array(SAMPLING)
        bundle["preprocess_metadata/positions_mask"] = b"_None"
    centre, shift = rounded(one.centres.astype("f4").astype(float))
    return patterns_from(one, centre - HALF, shift, one.probe)


def ptychoshelves_arrays(one: Made) -> dict[str, object]:
    """As MATLAB sees them: (Y, X, slices), (y, x, modes, variable modes), positions (x, y) from the middle."""
    offset = np.ceil(np.array(CANVAS) / 2 - np.array(WINDOW) / 2)
    positions = (one.centres - HALF + 1 - offset)[:, ::-1]
    distances = np.r_[np.full(len(one.transmission) - 1, THICKNESS), np.inf]
    return {
        "object": np.moveaxis(one.transmission, 0, -1),
        "probe": np.stack([np.moveaxis(one.probe, 0, -1), 0.1 * np.ones((*WINDOW, len(one.probe)))], axis=-1),
        "outputs": {"probe_positions": positions, "fourier_error_out": np.ones((3, 1))},
        "p": {
            "dx_spec": np.array([SAMPLING]),
            "lambda": WAVELENGTH,
            "binning": False,
            "multi_slice_param": {"z_distance": distances[None]},
        },
    }


def ptychoshelves_patterns(one: Made) -> np.ndarray:
    outputs = ptychoshelves_arrays(one)["outputs"]
    assert isinstance(outputs, dict)
    place = outputs["probe_positions"][:, ::-1] + np.ceil(np.array(CANVAS) / 2 - np.array(WINDOW) / 2)
    first, shift = rounded(place)
    return patterns_from(one, first - 1, shift, one.probe)


def ptychoshelves(path: Path, one: Made) -> np.ndarray:
    scipy.io.savemat(path, ptychoshelves_arrays(one), do_compression=True)
    return ptychoshelves_patterns(one)


def ptychoshelves_7_3(path: Path, one: Made) -> np.ndarray:
    """MATLAB's HDF5: axes reversed, a complex number is a pair with names."""
    pair = np.dtype([("real", "f8"), ("imag", "f8")])

    def write(group: h5py.Group, values: dict[str, object]) -> None:
        for name, value in values.items():
            if isinstance(value, dict):
                write(group.create_group(name), value)
                continue
            array = np.atleast_2d(np.asarray(value)).transpose()
            if array.dtype.kind == "c":
                array = np.ascontiguousarray(array.astype("c16")).view(pair).reshape(array.shape)
            group[name] = array

    with h5py.File(path, "w", userblock_size=512) as file:
        write(file, ptychoshelves_arrays(one))
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(128))
    return ptychoshelves_patterns(one)


class Storage:
    """Numbers that torch would keep apart from the pickle."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array


def torch_saved(value: Callable[[Callable[[np.ndarray, bool], object]], object]) -> bytes:
    """What ``torch.save`` writes, made without it: names of its functions and classes, raw bytes beside them.

    Args:
        value: gives the object, by a function that makes a tensor, or a parameter, of an array.
    """
    names = {"<f4": "FloatStorage", "<c8": "ComplexFloatStorage", "<i4": "IntStorage"}
    utils, torch = types.ModuleType("torch._utils"), types.ModuleType("torch")
    for module, listed in ((utils, ("_rebuild_tensor_v2", "_rebuild_parameter")), (torch, names.values())):
        for name in listed:
            kind = type(name, (), {"__module__": module.__name__, "__qualname__": name})
            setattr(module, name, kind)
    sys.modules |= {"torch": torch, "torch._utils": utils}

    class Reduced:
        def __init__(self, function: str, *arguments: object) -> None:
            self.parts = getattr(utils, function), arguments

        def __reduce__(self) -> tuple[object, ...]:
            return self.parts

    def tensor(array: np.ndarray, parameter: bool = False) -> object:
        stride = tuple(step // array.itemsize for step in array.strides)
        flat = np.asarray(array.ravel(order="K"))
        one = Reduced("_rebuild_tensor_v2", Storage(flat), 0, array.shape, stride, parameter, OrderedDict())
        return Reduced("_rebuild_parameter", one, True, OrderedDict()) if parameter else one

    stored: list[np.ndarray] = []

    class Pickler(pickle.Pickler):
        def persistent_id(self, obj: object) -> object:
            if not isinstance(obj, Storage):
                return None
            stored.append(obj.array)
            kind = getattr(torch, names[obj.array.dtype.newbyteorder("<").str])
            return "storage", kind, str(len(stored) - 1), "cpu", obj.array.size

    pickled, whole = io.BytesIO(), io.BytesIO()
    try:
        Pickler(pickled, protocol=2).dump(value(tensor))
    finally:
        del sys.modules["torch"], sys.modules["torch._utils"]
    with zipfile.ZipFile(whole, "w") as archive:
        archive.writestr("archive/data.pkl", pickled.getvalue())
        archive.writestr("archive/byteorder", "little")
        for number, array in enumerate(stored):
            archive.writestr(f"archive/data/{number}", array.tobytes())
        archive.writestr("archive/version", "3\n")
    return whole.getvalue()


class Module:
    """A module of torch, as its state is pickled."""

    def __init__(self, parameters: dict[str, object], buffers: dict[str, object], **plain: object) -> None:
        self.__dict__ |= {"training": True, "_parameters": parameters, "_buffers": buffers, "_modules": {}, **plain}


def quantem(path: Path, one: Made, raw_data: bool = True) -> np.ndarray:
    """Modules in a zarr store, in a zip where the name ends so; by default ``save`` leaves the raw data out."""
    import zarr  # noqa: PLC0415

    zipped = path.suffix == ".zip"
    folder = path.with_suffix(".store") if zipped else path
    root = zarr.open_group(str(folder), mode="w")
    root.attrs["_autoserialize"] = {"version": 1, "class_module": "quantem", "class_name": "Ptychography"}
    corner_centred = np.fft.ifftshift(one.probe, axes=(1, 2)).astype("c8")
    thickness = np.full(len(one.transmission) - 1, THICKNESS, "f4")
    # A transposed tensor keeps its values in the order that it had.
    turned = np.ascontiguousarray(one.transmission.astype("c8").transpose(2, 0, 1)).transpose(1, 2, 0)
    parts = {
        "_obj_model": lambda make: Module(
            {"_obj": make(turned, True)},
            {"_mask": make(np.ones((1, 1, 1), "f4"))},
            _sampling=SAMPLING,
            _obj_type="complex",
            _slice_thicknesses=make(thickness),
        ),
        "_probe_model": lambda make: Module({"_probe": make(corner_centred, True)}, {}, constraints={"a": [1, 2.5]}),
        "_dset": lambda make: Module({"_scan_positions_px": make(one.centres.astype("f4"), True)}, {}, rng=range(3)),
    }
    if not raw_data:
        del parts["_dset"]
        described = root.require_group("_dataset_metadata")
        described.attrs.update({"_container_type": "dict", "file_path": "scan.h5"})
        described.require_group("preprocessing_params").attrs["com_fit_function"] = "plane"
        for key, array in (("positions_px", one.centres), ("descan_shifts", 0 * one.centres + 0.1)):
            learned = described.require_group(f"learned_{'scan_' * (key[0] == 'p')}{key}")
            learned.attrs["_torch_tensor"] = True
            bytes_ = np.frombuffer(torch_saved(lambda make, array=array: make(array.astype("f4"))), np.uint8)
            learned.create_array("tensor", shape=bytes_.shape, dtype="uint8", compressors=None)[:] = bytes_
    for name, value in parts.items():
        group = root.require_group(name)
        group.attrs["_torch_whole_module"] = True
        saved = np.frombuffer(torch_saved(value), np.uint8)
        group.create_array("module", shape=saved.shape, dtype="uint8", compressors=None)[:] = saved
    if zipped:
        with zipfile.ZipFile(path, "w") as archive:
            for inner, _, names in os.walk(folder):
                for name in names:
                    archive.write(Path(inner) / name, os.path.relpath(Path(inner) / name, folder))
        shutil.rmtree(folder)
    centre, shift = rounded(one.centres.astype("f4").astype(float))
    return patterns_from(one, centre - HALF, shift, one.probe)


PACKAGES: dict[str, tuple[str, Callable[[Path, Made], np.ndarray]]] = {
    "PtyRAD": ("model.hdf5", ptyrad),
    "phaser": ("iter.h5", phaser),
    "py4DSTEM": ("ptycho.h5", py4dstem),
    "quantem": ("ptycho.zip", quantem),
    "quantem, a folder": ("ptycho", quantem),
    "quantem, without raw data": ("ptycho.zip", functools.partial(quantem, raw_data=False)),
    "PtychoShelves": ("Niter10.mat", ptychoshelves),
    "PtychoShelves 7.3": ("Niter10.mat", ptychoshelves_7_3),
}
"""By name: of the file, and what writes it and gives its patterns."""
