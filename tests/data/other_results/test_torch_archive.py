"""What torch saved is read without torch, and nothing in it is carried out."""

import io
import os
import pickle
import zipfile

import numpy as np
import pytest

from jptycho.data.other_results.torch_archive import read_tensors

from .packages import Module, torch_saved


def test_tensors_of_every_order_of_axes_are_read():
    whole = np.arange(24, dtype="f4").reshape(2, 3, 4)
    for array in (whole, whole.transpose(2, 0, 1), whole[..., 0].copy(), np.zeros((0, 2), "f4")):
        np.testing.assert_array_equal(read_tensors(torch_saved(lambda make, a=array: make(a)))[""], array)


def test_a_module_gives_parameters_buffers_numbers_and_texts():
    found = read_tensors(
        torch_saved(
            lambda make: Module(
                {"w": make(np.ones((2, 2), "c8"), True)}, {"b": make(np.arange(3, dtype="i4"))}, n=3, t=(1.5, 2.5)
            )
        )
    )
    assert (found["n"], found["t"]) == (3, (1.5, 2.5))
    np.testing.assert_array_equal(found["w"], np.ones((2, 2)))
    np.testing.assert_array_equal(found["b"], np.arange(3))


class Evil:
    def __reduce__(self):
        return os.system, ("touch /tmp/never",)


def test_nothing_is_carried_out(monkeypatch):
    called = []
    monkeypatch.setattr(os, "system", called.append)
    found = read_tensors(torch_saved(lambda make: Module({}, {"b": make(np.ones(2, "f4"))}, evil=Evil())))
    assert called == []
    assert set(found) >= {"b", "training"}
    assert "evil" not in found


def archive(pickled: bytes, values: bytes = b"", packed: bool = False) -> bytes:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED) as one:
        one.writestr("archive/data.pkl", pickled)
        one.writestr("archive/data/0", values)
    return whole.getvalue()


def tensor_of(shape: tuple[int, ...], stride: tuple[int, ...], offset: int = 0) -> bytes:
    """A pickle of a tensor by its instructions: names, the storage's description, offset, shape, stride."""
    numbers = b"".join(pickle.dumps(part, 0)[:-1] for part in (offset, shape, stride))
    described = b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\0" + b"0X\x03\0\0\0cpuK\x04tQ"
    return b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(" + described + numbers + b"tR."


def test_a_tensor_lies_within_its_values():
    values = np.arange(4, dtype="<f4").tobytes()
    np.testing.assert_array_equal(read_tensors(archive(tensor_of((2, 2), (2, 1)), values))[""], [[0, 1], [2, 3]])
    for shape, stride, offset in (((2, 2), (4, 1), 0), ((9,), (0,), 0), ((2,), (1,), 3), ((2,), (-1,), 1)):
        with pytest.raises(ValueError, match=r"lies outside|repeats"):
            read_tensors(archive(tensor_of(shape, stride, offset), values))
    with pytest.raises(ValueError, match="no archive as torch saves it"):
        read_tensors(archive(tensor_of((2, 2), (2, 1)), bytes(4000), packed=True))
