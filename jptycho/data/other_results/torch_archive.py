"""Tensors of what torch saved: a zip of raw bytes, and a pickle that says which bytes belong to which name.

The pickle is read as a list of instructions and none of them is carried out: classes and functions stay names.
"""

from __future__ import annotations

import dataclasses
import io
import math
import pickletools
import zipfile

import numpy as np

from jptycho.settings import Table

MOST_INSTRUCTIONS = 2_000_000
DTYPES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "ComplexFloatStorage": "<c8",
    "ComplexDoubleStorage": "<c16",
    "IntStorage": "<i4",
    "LongStorage": "<i8",
}
TENSOR, PARAMETER = "torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_parameter"
_MARK = object()


@dataclasses.dataclass(frozen=True)
class Tensor:
    """Where a tensor's values are.

    Attributes:
        dtype: of its values.
        key: of its bytes in the archive.
        offset: values before its first.
        shape: of it.
        stride: values from one to the next along each axis.
    """

    dtype: str
    key: str
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


@dataclasses.dataclass
class Opaque:
    """An object of a class that is not looked at, with the state that it was given."""

    name: object
    state: object = None


def read_tensors(data: bytes) -> dict[str, np.ndarray | int | float | str | tuple[object, ...]]:
    """Tensors, numbers and texts of the outermost object, by the names that it gives them.

    Args:
        data: of an archive of a module or a tensor; that of a tensor alone is called ``""``.

    Returns:
        names to values; parameters and buffers of a module under their own names.

    Raises:
        ValueError: no such archive, or what it says does not fit its bytes.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        stored = {info.filename: info for info in archive.infolist()}
        place = next((name for name in stored if name.endswith("data.pkl")), None)
        if place is None or any(info.file_size != info.compress_size for info in stored.values()):
            raise ValueError("no archive as torch saves it")
        if sum(info.file_size for info in stored.values()) > len(data):
            raise ValueError("an archive whose parts overlap")
        root = _interpreted(archive.read(place))
        folder = place.removesuffix("data.pkl")
        read = {
            key.removeprefix(f"{folder}data/"): archive.read(key) for key in stored if key.startswith(f"{folder}data/")
        }
    if isinstance(root, Tensor):
        return {"": _array(root, read)}
    state = root.state if isinstance(root, Opaque) else root
    fields: Table = {}
    for part in (state, *(_inner(state, name) for name in ("_parameters", "_buffers"))):
        if isinstance(part, dict):
            fields |= {str(name): value for name, value in part.items() if isinstance(name, str)}
    arrays = {name: _array(value, read) for name, value in fields.items() if isinstance(value, Tensor)}
    plain = {name: value for name, value in fields.items() if isinstance(value, int | float | str | tuple)}
    return plain | arrays


def _inner(state: object, name: str) -> object:
    return state.get(name) if isinstance(state, dict) else None


def _array(tensor: Tensor, data: dict[str, bytes]) -> np.ndarray:
    values = np.frombuffer(data.get(tensor.key, b""), tensor.dtype)
    reach = tensor.offset + sum((n - 1) * step for n, step in zip(tensor.shape, tensor.stride, strict=True))
    if not math.prod(tensor.shape):
        return np.zeros(tensor.shape, tensor.dtype)
    if min(tensor.offset, *tensor.stride, *tensor.shape, 0) < 0 or reach >= len(values):
        raise ValueError(f"a tensor of shape {tensor.shape} lies outside its {len(values)} values")
    if math.prod(tensor.shape) > len(values):
        raise ValueError(f"a tensor of shape {tensor.shape} repeats its {len(values)} values")
    steps = tuple(step * values.itemsize for step in tensor.stride)
    return np.lib.stride_tricks.as_strided(values[tensor.offset :], tensor.shape, steps).copy()


def _interpreted(pickled: bytes) -> object:
    """What a pickle would build, of dictionaries, tuples, lists, numbers, texts, tensors and opaque objects."""
    machine = _Machine()
    for number, (code, argument, _) in enumerate(pickletools.genops(pickled)):
        if number > MOST_INSTRUCTIONS:
            raise ValueError("a pickle of too many instructions")
        if code.name == "STOP":
            break
        machine.step(code.name, argument)
    return machine.stack[-1]


class _Machine:
    """The stack and the memory of a pickle's instructions."""

    def __init__(self) -> None:
        self.stack: list[object] = []
        self.memory: dict[object, object] = {}

    def step(self, name: str, argument: object) -> None:
        """One instruction; those that are not known here leave an opaque object."""
        if name in ("PROTO", "FRAME"):
            return
        if name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
            self.memory[len(self.memory) if name == "MEMOIZE" else argument] = self.stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            self.stack.append(self.memory[argument])
        elif name in CONSTANTS:
            self.stack.append(CONSTANTS[name]())
        elif name in TAKES:
            values = [self.stack.pop() for _ in range(TAKES[name])][::-1]
            self.stack.append(_built(name, values))
        elif name in UP_TO_MARK:
            self._collect(name)
        elif name == "POP":
            self.stack.pop()
        else:
            self.stack.append(Opaque(str(argument)) if name == "GLOBAL" else argument)

    def _above_mark(self) -> list[object]:
        values: list[object] = []
        while (value := self.stack.pop()) is not _MARK:
            values.append(value)
        return values[::-1]

    def _collect(self, name: str) -> None:
        values = self._above_mark()
        if name == "TUPLE":
            self.stack.append(tuple(values))
        elif name == "LIST":
            self.stack.append(values)
        elif name == "SETITEMS":
            _set(self.stack[-1], values)
        elif name == "APPENDS":
            target = self.stack[-1]
            if isinstance(target, list):
                target.extend(values)
        elif name == "DICT":
            self.stack.append(_set({}, values))
        elif name != "ADDITEMS":
            self.stack.append(Opaque(name))


CONSTANTS = {
    "MARK": lambda: _MARK,
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "EMPTY_SET": lambda: Opaque("set"),
}
TAKES = {
    "TUPLE1": 1,
    "TUPLE2": 2,
    "TUPLE3": 3,
    "BINPERSID": 1,
    "REDUCE": 2,
    "NEWOBJ": 2,
    "NEWOBJ_EX": 3,
    "BUILD": 2,
    "SETITEM": 3,
    "APPEND": 2,
    "STACK_GLOBAL": 2,
}
UP_TO_MARK = {"TUPLE", "LIST", "DICT", "SETITEMS", "APPENDS", "ADDITEMS", "FROZENSET", "OBJ", "INST"}


def _built(name: str, values: list[object]) -> object:
    """What an instruction makes of the values that it takes from the stack."""
    target = values[0]
    if name.startswith("TUPLE"):
        return tuple(values)
    if name == "STACK_GLOBAL":
        return Opaque(f"{target} {values[1]}")
    if name in ("REDUCE", "NEWOBJ", "NEWOBJ_EX"):
        return _called(str(target.name) if isinstance(target, Opaque) else "", values[1])
    if name == "SETITEM":
        _set(target, values[1:])
    elif name == "APPEND" and isinstance(target, list):
        target.append(values[1])
    elif name == "BUILD" and isinstance(target, Opaque):
        target.state = values[1]
    return target


def _called(name: str, arguments: object) -> object:
    """What a function would return: tensors as what is said of them, ordered dictionaries empty, all else unknown."""
    if name == TENSOR and isinstance(arguments, tuple) and len(arguments) >= 4:
        return _tensor(arguments)
    if name.startswith(PARAMETER) and isinstance(arguments, tuple) and arguments:
        return arguments[0]
    if name == "collections OrderedDict":
        return {}
    return Opaque(name)


def _tensor(arguments: tuple[object, ...]) -> object:
    storage, offset, shape, stride = arguments[:4]
    if not (isinstance(storage, tuple) and len(storage) >= 3 and isinstance(storage[1], Opaque)):
        return Opaque("storage")
    dtype = DTYPES.get(str(storage[1].name).rpartition(" ")[2])
    whole = isinstance(offset, int) and _are_whole(shape) and _are_whole(stride)
    if dtype is None or not whole or len(tuple(shape)) != len(tuple(stride)):  # type: ignore[arg-type]
        return Opaque("tensor")
    return Tensor(dtype, str(storage[2]), int(offset), tuple(shape), tuple(stride))  # type: ignore[arg-type]


def _are_whole(values: object) -> bool:
    return isinstance(values, tuple) and all(isinstance(one, int) and not isinstance(one, bool) for one in values)


def _set(target: object, values: list[object]) -> object:
    """Keys and values that follow one another, put into a dictionary."""
    if isinstance(target, dict):
        target.update({key: value for key, value in zip(values[::2], values[1::2], strict=True) if _is_key(key)})
    return target


def _is_key(key: object) -> bool:
    return isinstance(key, str | int | float | bool)
