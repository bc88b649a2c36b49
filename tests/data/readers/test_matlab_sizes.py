"""Files of MATLAB whose elements claim more than there is."""

import struct
import zlib

import numpy as np
import pytest
import scipy.io

from jptycho.data.readers.matlab_sizes import check_sizes

HUGE = b"\xff\xff\xff\xff"


@pytest.mark.parametrize("packed", [True, False])
def test_what_scipy_writes_is_as_large_as_it_says(tmp_path, packed):
    nested = {"a": {"b": np.ones((3, 5)), "c": "words", "d": {"e": np.ones((2, 2), complex)}}, "f": np.ones((40, 50))}
    scipy.io.savemat(tmp_path / "a.mat", nested, do_compression=packed)
    check_sizes(tmp_path / "a.mat")


@pytest.mark.parametrize("packed", [True, False])
def test_a_size_beyond_what_holds_it_is_refused(tmp_path, packed):
    scipy.io.savemat(tmp_path / "a.mat", {"a_long_name": np.arange(600.0).reshape(20, 30)})
    whole = (tmp_path / "a.mat").read_bytes()
    head, element = whole[:128], whole[128:]
    # Sizes of the matrix itself, its name, and its values.
    for place in (4, element.index(b"a_long_name") - 4, len(element) - 4800 - 4):
        bad = element[:place] + HUGE + element[place + 4 :]
        if packed:
            bad = zlib.compress(bad)
            bad = struct.pack("<II", 15, len(bad)) + bad
        (tmp_path / "b.mat").write_bytes(head + bad)
        with pytest.raises(ValueError, match="an element of 4294967295 bytes"):
            check_sizes(tmp_path / "b.mat")
