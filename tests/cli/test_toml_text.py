"""A value is changed in the text of a TOML file, and nothing else is."""

import tomllib

import pytest

from jptycho.cli.toml_text import read_text, with_paths, with_remarks, with_values, write_text
from jptycho.errors import ConfigError

TEXT = """# by me, in March
method = "dgp"   # low dose

[data]  # the good one
file = "a#b.h5"       # a sign in a text is no comment
step = [
    1.0,  # slow
    2.0,
]  # both

energy = 3e5
aberrations = { C12 = 3.0, phi12 = 0.1 }

# thick
[object]
slices = 2
step = 3  # of another table
"""


def test_values_change_and_comments_stay():
    changes = {"file": "c.h5", "step": 1.5, "energy": 200e3, "counts": "dp", "transpose": True}
    found = with_values(TEXT, "data", changes)
    assert tomllib.loads(found)["data"] == {**tomllib.loads(TEXT)["data"], **changes}
    for comment in ("# by me, in March", "# low dose", "# the good one", "# a sign in a text is no comment"):
        assert comment in found
    assert "step = 1.5  # both" in found
    assert found[found.index("# thick") :] == TEXT[TEXT.index("# thick") :]
    assert found.index('counts = "dp"') < found.index("# thick")
    assert with_values(TEXT, "data", {}) == TEXT


def test_a_table_that_is_missing_comes_last():
    found = with_values(TEXT, "probe", {"modes": 3})
    assert found.startswith(TEXT)
    assert tomllib.loads(found)["probe"] == {"modes": 3}


@pytest.mark.parametrize("text", ['data = { file = "a" }\n', 'data.file = "a"\n', "data = 3\n"])
def test_what_cannot_be_changed_line_by_line_is_refused(text):
    with pytest.raises(ConfigError, match=r"\[data\]: cannot be changed line by line\. .* and add: step = 2"):
        with_values(text, "data", {"step": 2})


NESTED = """[data]
bad_pixels = [
  [3, 27],
  [4, 1],  # and its neighbour
]
"step" = 1.0
note = '''
[data]
# unsure: of old
'''

[ object ]
slices = 2
"""


def test_lines_within_a_value_are_no_tables():
    found = with_values(NESTED, "data", {"bad_pixels": [[3, 27], [5, 5]], "step": 2.0, "energy": 3e5})
    data = tomllib.loads(found)["data"]
    assert (data["bad_pixels"], data["step"], data["energy"]) == ([[3, 27], [5, 5]], 2.0, 3e5)
    assert data["note"] == "[data]\n# unsure: of old\n"
    assert tomllib.loads(with_values(found, "object", {"slices": 3}))["object"] == {"slices": 3}


def test_remarks_replace_those_before_and_stand_in_no_value():
    once = with_remarks(NESTED, "data", "unsure", ["this", "that"])
    assert once.startswith("[data]\n# unsure: this\n# unsure: that\nbad_pixels")
    assert tomllib.loads(once) == tomllib.loads(NESTED)
    assert with_remarks(once, "data", "unsure", []) == NESTED
    assert with_remarks("[ data ]\nstep = 1\n", "data", "unsure", ["x"]) == "[ data ]\n# unsure: x\nstep = 1\n"


def test_advice_can_be_copied():
    with pytest.raises(ConfigError, match=r"and add: bad_pixels = \[\[3, 27\]\]; step = 2"):
        with_values("data.file = 'a'\n", "data", {"bad_pixels": [[3, 27]], "step": 2})


def test_paths_lead_where_they_led(tmp_path):
    text = '[data]\nfile = "a.npy"\nmask_file = "deep/m.npy"\n[dgp]\nstart_file = "../s.h5"\n[output]\nfile = "r.h5"\n'
    source, target = tmp_path / "one" / "a.toml", tmp_path / "two" / "three" / "b.toml"
    found = tomllib.loads(with_paths(text, source, target))
    for given, table, key in (
        ("a.npy", "data", "file"),
        ("deep/m.npy", "data", "mask_file"),
        ("../s.h5", "dgp", "start_file"),
    ):
        assert (target.parent / found[table][key]).resolve() == (source.parent / given).resolve()
    assert found["output"] == {"file": "r.h5"}
    assert with_paths(text, source, source.with_name("c.toml")) == text


def as_windows(text: str) -> str:
    return text.replace("\n", "\r\n")


CHANGES = {"file": "c.h5", "step": 1.5, "energy": 200e3, "counts": "dp"}


@pytest.mark.parametrize("text", [TEXT, NESTED, TEXT.rstrip("\n"), 'a = 1\n[data]\nfile = "x"'])
def test_lines_end_as_they_did(text):
    for table in ("data", "probe"):
        for comments in ({}, {"file": "new"}):
            found = with_values(as_windows(text), table, CHANGES, comments)
            assert found == as_windows(with_values(text, table, CHANGES, comments))
        assert with_remarks(as_windows(text), table, "no", ["a"]) == as_windows(with_remarks(text, table, "no", ["a"]))


def test_lines_that_do_not_change_end_as_they_did_one_by_one():
    mixed = "[data]\r\nstep = 1.0\r\n# mine\nenergy = 3e5  # eV\r\nfast = 2\r\n"
    found = with_values(mixed, "data", {"step": 2.0, "energy": 1e5})
    assert found == "[data]\r\nstep = 2.0\r\n# mine\nenergy = 100000.0  # eV\r\nfast = 2\r\n"


def test_a_file_is_read_and_written_to_the_byte(tmp_path):
    write_text(tmp_path / "a.toml", as_windows(TEXT))
    assert (tmp_path / "a.toml").read_bytes() == as_windows(TEXT).encode()
    assert read_text(tmp_path / "a.toml") == as_windows(TEXT)
