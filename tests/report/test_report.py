"""The report: self-contained, with its figures beside it."""

import re
import struct

import numpy as np

import jptycho
from jptycho.report.figures import hue, length_label, nice_length
from jptycho.report.page import Table, write_report


def test_report_is_one_file_and_its_pngs(tmp_path, small_scan):
    result = jptycho.reconstruct(
        small_scan,
        object={"kind": "complex", "slices": 2, "slice_thickness": 8.0},
        probe={"modes": 2},
        pixels={"epochs": 2, "half_sets": False},
    )
    files = write_report(tmp_path / "out.html", {"pixels": result}, "A <title>", [Table("t", ["a"], [["<b>"]])])
    page = (tmp_path / "out.html").read_text(encoding="utf-8")
    assert "A &lt;title&gt;" in page
    assert "&lt;b&gt;" in page
    sources = re.findall(r'(?:src|href)="([^"]{0,30})', page)
    assert len(sources) == 5
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    names = {"object", "probe", "loss", "slices_pixels", "patterns_pixels"}
    assert {f.name for f in files} == {"out.html", *(f"{name}.png" for name in names)}
    for file in files[1:]:
        data = file.read_bytes()
        assert data[:8] == b"\x89PNG\r\n\x1a\n"
        assert min(struct.unpack(">II", data[16:24])) > 200
    assert "object.kind" not in page
    assert "kind = &#34;complex&#34;" in page


def test_scale_bars_have_round_lengths():
    assert nice_length(0.049) == 0.02
    assert length_label(nice_length(73.0), "Å") == "5 nm"
    assert length_label(nice_length(7.3), "Å") == "5 Å"


def test_hue_turns_with_phase_and_not_with_amplitude():
    one = hue(np.exp(1j * np.array([[0.0, 2.0, 4.0]])))
    assert len({tuple(np.round(p, 3)) for p in one[0]}) == 3
    np.testing.assert_allclose(hue(np.array([[1.0 + 0j, 0.0]]))[0, 1], 0)
