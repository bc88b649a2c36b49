"""What a path leads to, units and axes of files, and arrays seen with other axes."""

from pathlib import Path

import numpy as np
import pytest

from jptycho.data.readers.axes import Axis, Spacings, axis_of, spacings_of
from jptycho.data.readers.base import EVERYTHING, from_memory, in_file, read_rows
from jptycho.data.readers.files import has_signature, is_readable, read_head
from jptycho.data.readers.units import in_angstrom, in_inverse_angstrom, in_mrad
from jptycho.data.readers.views import concatenate, permute, squeeze
from jptycho.errors import FormatError

ARRAY = np.arange(3 * 4 * 5 * 6).reshape(3, 4, 5, 6)


def test_the_first_bytes_are_read_and_no_more(tmp_path: Path):
    (tmp_path / "a").write_bytes(bytes(range(250)) * 40)
    assert read_head(tmp_path / "a") == (bytes(range(250)) * 40)[:4096]
    assert has_signature(tmp_path / "a", b"\x00\x01", (7, 500))
    assert not has_signature(tmp_path / "a", b"\x00\x01", (7, 501, 10**6))
    assert is_readable(tmp_path / "a")
    assert not is_readable(tmp_path)


def test_a_file_that_the_system_refuses_is_named(tmp_path: Path, monkeypatch):
    (tmp_path / "a").write_bytes(b"1")

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(FormatError, match=r"data\.mask: .*a' may not be read\. Ask for permission"):
        read_head(tmp_path / "a", "data.mask")
    for wrong in ("a\0b", "x" * 300):
        with pytest.raises(FormatError, match=r"data\.file: no file .*Check the path"):
            read_head(tmp_path / wrong)


@pytest.mark.parametrize(
    ("convert", "text", "expected"),
    [
        (in_angstrom, "\u212b", 2.0),
        (in_angstrom, "\u00c5", 2.0),
        (in_angstrom, "[n_m]", 20.0),
        (in_angstrom, "µm", 2e4),
        (in_angstrom, "pm", 0.02),
        (in_angstrom, "1/nm", None),
        (in_angstrom, "pixels", None),
        (in_inverse_angstrom, "A^-1", 2.0),
        (in_inverse_angstrom, "[n_m^-1]", 0.2),
        (in_inverse_angstrom, "1 / nm", 0.2),
        (in_inverse_angstrom, "nm⁻¹", 0.2),
        (in_inverse_angstrom, "$A^{-1}$", None),
        (in_inverse_angstrom, "1/px", None),
        (in_mrad, "mrad", 2.0),
        (in_mrad, "deg", 34.906585),
        (in_mrad, "", None),
    ],
)
def test_units(convert, text: str, expected: float | None):
    found = convert(2.0, text)
    assert found == (expected if expected is None else pytest.approx(expected))
    assert convert(0.0, text) is convert(np.nan, text) is convert(-1.0, text) is None


def test_axes_say_nothing_where_their_unit_is_unknown():
    lengths, unknown = [Axis(2.0, "A"), Axis(-3.0, "A")], [Axis(1.0, "px")] * 2
    assert spacings_of([*lengths, *unknown]) == Spacings(step=(2.0, 3.0))
    assert spacings_of([Axis(), *([Axis(1.0, "1/nm")] * 2)]) == Spacings(reciprocal=(0.1, 0.1))
    assert spacings_of([]) == Spacings()
    assert axis_of(np.array(["a", "b"]), "nm") == axis_of(np.array([1.0]), "nm") == Axis(None, "nm")
    assert axis_of(np.array([0, 2, 4]), "") == Axis(2.0, "")


def test_views_read_what_the_whole_would_give():
    turned = permute(from_memory(ARRAY), (2, 3, 0, 1))
    expected = ARRAY.transpose(2, 3, 0, 1)
    np.testing.assert_array_equal(turned.get(EVERYTHING), expected)
    np.testing.assert_array_equal(turned.get((slice(1, 3), slice(0, 2))), expected[1:3, :2])
    thin = squeeze(from_memory(ARRAY[:, :, None, :, None]))
    assert thin.shape == (3, 4, 5, 6)
    np.testing.assert_array_equal(thin.get((slice(1, 2), slice(2, 4))), ARRAY[1:2, 2:4])
    np.testing.assert_array_equal(squeeze(from_memory(ARRAY[:1])).get(EVERYTHING), ARRAY[:1])
    flat = ARRAY.reshape(12, 5, 6)
    joined = concatenate([from_memory(flat[:5]), from_memory(flat[5:6]), from_memory(flat[6:])])
    for rows in (slice(None), slice(4, 7), slice(6, 12), [11, 5, 4, 0]):
        np.testing.assert_array_equal(read_rows(joined, rows), flat[rows])
    with pytest.raises(FormatError, match="expected one window"):
        concatenate([from_memory(flat), from_memory(flat[:, 1:])])


def test_only_the_asked_part_of_a_file_is_read(tmp_path: Path):
    """Frames between headers, in lines; and of a file that ends early, the lines that are there."""
    frame = np.dtype([("header", "u1", (3,)), ("data", ">u2", (5, 6))])
    stored = np.zeros((3, 4), frame)
    stored["data"] = ARRAY
    (tmp_path / "a").write_bytes(b"12345" + stored.tobytes())
    found = in_file(tmp_path / "a", frame, (3, 4), 5)
    assert (found.shape, found.dtype, found.complete) == ((3, 4, 5, 6), np.dtype(">u2"), None)
    np.testing.assert_array_equal(found.get((slice(1, 2), slice(1, 3))), ARRAY[1:2, 1:3])
    (tmp_path / "a").write_bytes(b"12345" + stored.tobytes()[: 7 * frame.itemsize + 1])
    cut = in_file(tmp_path / "a", frame, (3, 4), 5)
    assert cut.complete == 7
    np.testing.assert_array_equal(cut.get((slice(0, 1),)), ARRAY[:1])
